r"""What each command does to the model, and what must be in its answer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.torture.model import Box, Flags, Message, View, demand
from tests.torture.modelclient import Session, Told, spread
from tests.torture.modeldisk import message
from tests.torture.modelkeys import Key
from tests.torture.modelworld import NOTHING, Arrivals, Promised, World

Codes = Mapping[bytes, Any]
NOBODYS_UID: Final = 1 << 31


def combined(flags: Flags, mode: str, change: Flags) -> Flags:
    """STORE.  RFC 3501 §6.4.6."""
    match mode[0]:
        case "+":
            return flags | change
        case "-":
            return flags - change
    return change


def some_gone(box: Box, uids: Iterable[int]) -> bool:
    """Whether one of them is no more."""
    return any(uid not in box.messages for uid in uids)


def judge_earlier(
    box: Box, told: Told, must: set[int], named: "range | set[int]"
) -> None:
    """VANISHED (EARLIER): all that are gone since, and none that is there."""
    demand(must <= told.earlier, "not told VANISHED", sorted(must - told.earlier))
    wrong = {uid for uid in told.earlier if uid not in named or uid > box.last_uid}
    wrong |= told.earlier & box.messages.keys()
    demand(not wrong, "wrongly told VANISHED", sorted(wrong))


class Commands:
    """The commands whose effect or answer depends on the messages."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._subjects = 0

    @staticmethod
    def _view(session: Session) -> View:
        assert session.view is not None, "nothing is open"
        return session.view

    def subject(self) -> str:
        """A subject that no other message has."""
        self._subjects += 1
        return f"m{self._subjects}"

    @staticmethod
    def _enabling(session: Session, numbers: str, *, by_uid: bool) -> str:
        """The command enables CONDSTORE, the first of them with an answer of its own.

        That may tell of new messages first: it would name them too by ``*``.
        """
        if not session.condstore and session.view is not None and numbers == "1:*":
            view = session.view
            last = view.last_uid if by_uid else len(view.uids)
            numbers = f"1:{last}" if last else f"{NOBODYS_UID}"
        session.condstore = True
        return numbers

    # Messages come.

    def append(self, session: Session, name: str, flags: Flags) -> None:
        """APPEND.  RFC 3501 §6.3.11, RFC 4315 §3."""
        subject = self.subject()
        octets = message(subject)
        box = self.world.boxes[name]

        def effect(condition: bytes, codes: Codes) -> Arrivals:
            validity, uids = codes[b"APPENDUID"]
            demand(box.validity in (0, validity), "APPENDUID", validity)
            (uid,) = spread(uids)
            return {name: {uid: Promised(subject, frozenset((flags,)))}}

        text = f"APPEND {name} ({' '.join(sorted(flags))}) {{{len(octets)}+}}\r\n"
        self.world.command(session, text + octets.decode(), effect)

    def transfer(
        self,
        session: Session,
        verb: str,
        named: tuple[str, Sequence[int]],
        target: str,
    ) -> None:
        """COPY and MOVE, by number or UID.  RFC 3501 §6.4.7, RFC 6851."""
        view = self._view(session)
        box, (numbers, uids) = view.box, named
        move = verb.endswith("MOVE")

        def effect(condition: bytes, codes: Codes) -> Arrivals:
            alive = [uid for uid in uids if uid in box.messages]
            if condition != b"OK":
                return NOTHING
            validity, ranges, copies = codes.get(b"COPYUID", (0, [], []))
            demand(spread(ranges) == alive, "COPYUID of", ranges, "for", alive)
            known = self.world.boxes[target].validity
            demand(not alive or known in (0, validity), "COPYUID", validity)
            arrivals = {
                copy: Promised(one.subject, frozenset((one.flags, *one.stale)))
                for one, copy in zip(
                    [box.messages[uid] for uid in alive], spread(copies), strict=True
                )
            }
            if move:
                for uid in alive:
                    box.remove(uid, noticed=True)
            return {target: arrivals}

        expect = "OK"
        if move and view.read_only:
            expect = "NO" if uids else "OK NO"
        elif some_gone(box, uids):
            expect = "OK NO"
        self.world.command(session, f"{verb} {numbers} {target}", effect, expect=expect)

    # Messages go.

    def _expunged(self, view: View, uids: Iterable[int] | None) -> None:
        r"""Remove the ``\Deleted`` from the model: all that must, and that may."""
        box = view.box
        files = self.world.folders[box.name].files()
        named = None if uids is None else set(uids)
        for uid, one in list(box.messages.items()):
            meant = named is None or uid in named
            deleted = r"\deleted" in one.flags
            surely = all(r"\deleted" in flags for flags in one.stale)
            if one.base in files:
                must = meant and deleted and surely and uid in view.uids
                demand(not must, "UID", uid, "is not expunged")
            elif meant and deleted:
                box.remove(uid, noticed=True)

    def expunge(
        self, session: Session, named: tuple[str, Sequence[int]] | None
    ) -> None:
        """EXPUNGE and UID EXPUNGE.  RFC 3501 §6.4.3, RFC 4315 §2.1."""
        view = self._view(session)

        def effect(condition: bytes, codes: Codes) -> Arrivals:
            if condition == b"OK":
                self._expunged(view, None if named is None else named[1])
            return NOTHING

        text = "EXPUNGE" if named is None else f"UID EXPUNGE {named[0]}"
        expect = "NO" if view.read_only else "OK"
        self.world.command(session, text, effect, expect=expect)

    def close(self, session: Session, verb: str) -> None:
        """CLOSE and UNSELECT.  RFC 3501 §6.4.2, RFC 3691."""
        view = self._view(session)
        box = view.box

        def effect(condition: bytes, codes: Codes) -> Arrivals:
            if verb == "CLOSE" and not view.read_only:
                self._expunged(view, None)
            session.leave()
            return {box.name: {}}  # it may have looked

        self.world.command(session, verb, effect)

    # Flags.

    def store(
        self,
        session: Session,
        verb: str,
        named: tuple[str, Sequence[int]],
        mode: str,
        flags: Flags,
        since: int | None,
    ) -> None:
        """STORE and UID STORE.  RFC 3501 §6.4.6, RFC 7162 §3.1.3."""
        view = self._view(session)
        box, (numbers, uids) = view.box, named
        by_uid = verb.startswith("UID")
        gone = some_gone(box, uids)
        newer: dict[int, bool | None] = dict.fromkeys(uids, False)
        if since is not None:
            alive = [box.messages[uid] for uid in uids if uid in box.messages]
            newer = {one.uid: one.is_above(since) for one in alive}
        stored: list[int] = []

        def effect(condition: bytes, codes: Codes) -> Arrivals:
            if view.read_only:
                return NOTHING
            listed = spread(codes.get(b"MODIFIED", []))
            modified = set(listed if by_uid else [view.uids[n - 1] for n in listed])
            demand(modified <= set(uids), "MODIFIED", listed)
            for uid in uids:
                one = box.messages.get(uid)
                if one is None:
                    continue
                right = newer[uid] in (None, uid in modified)
                demand(right, "MODIFIED", listed, "and UID", uid, one.stamps)
                if uid not in modified:
                    stored.append(uid)
                    before = one.flags
                    self._store(view, one, mode, flags)
                    if enabling:  # it is told what there was before that
                        one.stale.add(before)
            return NOTHING

        modifier = "" if since is None else f"(UNCHANGEDSINCE {since}) "
        enabling = since is not None and not session.condstore
        if since is not None:
            numbers = self._enabling(session, numbers, by_uid=by_uid)
        expect = "OK NO" if gone and not by_uid else "OK"
        told = self.world.command(
            session,
            f"{verb} {numbers} {modifier}{mode} ({' '.join(sorted(flags))})",
            effect,
            expect="NO" if view.read_only and uids else expect,
            may_expunge=by_uid,
        )
        if "SILENT" not in mode:
            answered = {uid for uid, items in told.fetched if b"FLAGS" in items}
            demand(answered >= set(stored), "no FETCH of", stored, "but", answered)

    @staticmethod
    def _store(view: View, one: Message, mode: str, flags: Flags) -> None:
        one.stale = {combined(old, mode, flags) for old in one.stale}
        one.change(combined(one.flags, mode, flags))
        if "SILENT" in mode and one.uid in view.flags:
            view.flags[one.uid] = combined(view.flags[one.uid], mode, flags)

    # Questions.

    def fetch(
        self,
        session: Session,
        verb: str,
        named: tuple[str, Sequence[int]],
        items: str,
        modifier: str = "",
        since: int | None = None,
    ) -> None:
        """FETCH and UID FETCH.  RFC 3501 §6.4.5, RFC 7162 §3.1.4, §3.2.6."""
        view = self._view(session)
        box, (numbers, uids) = view.box, named
        by_uid = verb.startswith("UID")
        gone = some_gone(box, uids)
        alive = {uid: box.messages[uid] for uid in uids if uid in box.messages}
        if since is not None or "MODSEQ" in items:
            numbers = self._enabling(session, numbers, by_uid=by_uid)
        wanted = {
            uid
            for uid, one in alive.items()
            if since is None or one.is_above(since) is True
        }
        vanished = {u for u, above in box.gone.items() if (above or -1) >= (since or 0)}
        known = set(view.uids)

        def effect(condition: bytes, codes: Codes) -> Arrivals:
            if "BODY[" in items and not view.read_only:
                self._seen(box, wanted)
            return NOTHING

        told = self.world.command(
            session,
            f"{verb} {numbers} ({items}){modifier}",
            effect,
            expect="OK" if by_uid or not gone else "OK NO",
            may_expunge=by_uid,
            fetching=True,
        )
        names = {each.encode() for each in items.split()}
        names |= {b"UID"} if by_uid else set()
        names |= {b"MODSEQ"} if since is not None else set()
        answered = {uid for uid, got in told.fetched if names <= got.keys()}
        demand(answered >= wanted, "no FETCH of", sorted(wanted - answered))
        if "VANISHED" in modifier:
            judge_earlier(box, told, vanished - known, range(1, 1 << 32))
        else:
            demand(not told.earlier, "VANISHED (EARLIER) unasked")

    def _seen(self, box: Box, uids: Iterable[int]) -> None:
        r"""``BODY[]`` sets ``\Seen``, but where the server took it for set."""
        folder = self.world.folders[box.name]
        files = folder.files()
        for uid in uids:
            one = box.messages[uid]
            after = one.flags | {r"\seen"}
            if one.stale and folder.flags(files[one.base]) == one.flags:
                after = one.flags
            one.stale |= {flags | {r"\seen"} for flags in one.stale}
            one.change(after)

    def search(self, session: Session, verb: str, key: Key) -> None:
        """SEARCH and UID SEARCH.  RFC 3501 §6.4.4, RFC 7162 §3.1.5."""
        view = self._view(session)
        box, uids = view.box, list(view.uids)
        by_uid = verb.startswith("UID")
        answers: dict[int, set[bool | None]] = {}
        for seq, uid in enumerate(uids, 1):
            answers[uid] = {None}
            if (one := box.messages.get(uid)) is not None:
                values = (one.flags, *one.stale)
                answers[uid] = {key.test(seq, flags) for flags in values}
        stamps = {
            uid: list(one.stamps) for uid, one in box.messages.items() if not one.stale
        }
        enabling = key.by_modseq and not session.condstore
        session.condstore = session.condstore or enabling
        told = self.world.command(
            session, f"{verb} {key.words}", may_expunge=by_uid and not key.by_number
        )
        demand(told.found is not None, "no SEARCH response")
        found = told.found or []
        demand(len(set(found)) == len(found), "found twice", found)
        if enabling:  # of new messages it was told first
            uids += [uid for uid in view.uids if uid not in uids]
        if not by_uid:
            demand(all(n <= len(uids) for n in found), "numbers beyond", found)
            found = [uids[n - 1] for n in found]
        demand(set(found) <= set(uids), "found what is not known", found)
        for uid, right in answers.items():
            fits = None in right or (uid in found) in right
            demand(fits, "SEARCH is wrong of UID", uid, "which", right)
        told_modseq = told.found_modseq is not None
        demand(told_modseq == (key.by_modseq and bool(found)), "MODSEQ of SEARCH")
        if told_modseq:
            highest = told.found_modseq or 0
            for uid in found:
                above = {stamp.is_above(highest) for stamp in stamps.get(uid, ())}
                demand(above != {True}, "UID", uid, "is above MODSEQ of SEARCH")

    def status(self, session: Session, name: str, *, modseq: bool) -> None:
        """STATUS.  RFC 3501 §6.3.10, RFC 7162 §3.1.7."""
        box = self.world.boxes[name]
        items = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT"
        if modseq:
            session.condstore = box.kept = True
            items += " HIGHESTMODSEQ"
        highest = box.highest
        text = f"STATUS {name} ({items})"
        told = self.world.command(session, text, looks=[name]).status
        demand(told[b"MESSAGES"] == len(box.messages), "MESSAGES", told)
        unseen = [r"\seen" not in one.flags for one in box.messages.values()]
        demand(told[b"UNSEEN"] == sum(unseen), "UNSEEN", told)
        demand(told[b"RECENT"] <= told[b"MESSAGES"], "RECENT", told)
        self.world.judge_numbers(box, told)
        if modseq:
            box.judge_highest(told[b"HIGHESTMODSEQ"], highest)
            box.hear(told[b"HIGHESTMODSEQ"])
