r"""A server, its Maildirs and three clients; each command is judged as it is answered.

In this order: what the command did to the messages goes into the model, the files are
compared with it, and then every word that any session was told.
"""

import shutil
import tempfile
import unittest
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.grammar import Response, Tagged, Untagged
from tests.support.server import Server
from tests.torture.model import Box, Flags, Message, View, demand
from tests.torture.modelclient import Session, Told
from tests.torture.modeldisk import MEMORY, Folder

NAMES = ("INBOX", "Other")


@dataclass(frozen=True, slots=True)
class Promised:
    """A message that a command says it made."""

    subject: str
    flags: frozenset[Flags]  # one of these


#: By mailbox and UID.
Arrivals = Mapping[str, Mapping[int, Promised]]
Effect = Callable[[bytes, Mapping[bytes, Any]], Arrivals]
NOTHING: Arrivals = {}


def outcome(responses: Iterable[Response]) -> tuple[bytes, dict[bytes, Any]]:
    """Return how a command ended, and all response codes."""
    condition, codes = b"", {}
    for each in responses:
        code = None
        if isinstance(each, Tagged):
            condition, code = each.condition, each.code
        elif isinstance(each, Untagged) and each.kind == b"OK":
            code = each.data[0]
        if code is not None:
            codes[code.name] = code.arguments
    return condition, codes


class World:
    """All there is."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="imapd-model-", dir=MEMORY))
        self.transcript: list[str] = []
        self.boxes = {name: Box(name) for name in NAMES}
        self._case = unittest.TestCase()
        self._servers: list[Server] = []
        self.sessions = {name: Session(name, self.note) for name in "ABC"}
        self._start()
        self.sessions["A"].send("CREATE Other")
        maildir = self.root / "alice" / "Maildir"
        self.folders = {
            "INBOX": Folder(maildir),
            "Other": Folder(maildir / ".Other"),
        }

    def note(self, line: str) -> None:
        """Add a line to the transcript."""
        self.transcript.append(line)

    # The server.

    @property
    def server(self) -> Server:
        """The one that runs."""
        return self._servers[-1]

    def _start(self) -> None:
        self._servers.append(Server(self._case, root=self.root))
        for session in self.sessions.values():
            session.connect(self.server.login())

    def reconnect(self, session: Session) -> None:
        """A client loses its connection, and comes back."""
        session.hang_up()
        session.connect(self.server.login())
        self.judge_others(session, ())

    def restart(self, *, crash: bool) -> None:
        """End the server, properly or as a crash does, and begin another."""
        if crash:
            self.note("--- the server is killed, and starts again")
            for session in self.sessions.values():
                session.leave()
        else:
            self.note("--- the server is stopped, and starts again")
            for session in self.sessions.values():
                session.hang_up()
            self.server.close()
        for name, box in self.boxes.items():
            places = self.folders[name].files()
            in_new = {base for base, at in places.items() if at.startswith("new/")}
            if not crash:
                box.written()
            box.restarted(in_new, crashed=crash)
        self._forget_what_a_crash_hides()
        self._start()

    def _forget_what_a_crash_hides(self) -> None:
        """Flags that were set and cleared again within seconds (durability.rst)."""
        for name, box in self.boxes.items():
            for uid, message in box.messages.items():
                if message.is_hidden:
                    for session in self.sessions.values():
                        if name in session.caches:
                            session.caches[name].flags.pop(uid, None)

    def close(self) -> None:
        """Leave no server, and no file."""
        for server in self._servers:
            server.close()
        shutil.rmtree(self.root)

    # Commands.

    def command(
        self,
        session: Session,
        text: str,
        effect: Effect = lambda condition, codes: NOTHING,
        *,
        expect: str = "OK",
        may_expunge: bool = True,
        fetching: bool = False,
        looks: Sequence[str] = (),
    ) -> Told:
        """Send one and judge all that is said.

        Args:
            session: which is not in IDLE.
            text: without the tag.
            effect: from the tagged answer and all codes it changes the model, and
                says what new messages there must be.
            expect: conditions, any of which is right.
            may_expunge: whether EXPUNGE may be told.
            fetching: whether FETCH responses were asked for.
            looks: mailboxes beside the open one whose files the server must look at.
        """
        responses = session.send(text)
        condition, codes = outcome(responses)
        demand(condition.decode() in expect.split(), text, "ended in", condition)
        arrivals = effect(condition, codes)
        open_box = session.view and session.view.box.name
        looked = {*looks, *([open_box] if open_box else [])}
        self.look(looked, arrivals)
        told = session.hear(responses, may_expunge=may_expunge, fetching=fetching)
        if session.view is not None:
            session.view.settle(may_expunge=may_expunge)
        self.judge_others(session, looked)
        return told

    def look(self, looked: Iterable[str], arrivals: Arrivals = NOTHING) -> None:
        """Compare the files with the model, and let the server know of all."""
        self._harvest(arrivals)
        for name, box in self.boxes.items():
            if name in looked:
                sessions = self.sessions.values()
                box.kept = box.kept or any(
                    each.condstore and each.view is not None and each.view.box is box
                    for each in sessions
                )
                box.look()
            elif name in arrivals:
                box.glimpse()

    def judge_others(self, speaker: Session | None, looked: Iterable[str]) -> None:
        """What the other sessions are told meanwhile: in IDLE, all there is."""
        for session in self.sessions.values():
            if session is speaker:
                continue
            session.hear(session.pushed(), may_expunge=session.idling)
            view = session.view
            if session.idling and view is not None and view.box.name in looked:
                view.settle(may_expunge=True)
        for name in looked:
            self.boxes[name].looked()

    def open(self, session: Session, view: View, text: str) -> Told:
        """SELECT or EXAMINE: ``view`` is the session's from now on."""
        box = view.box
        responses = session.send(text)
        demand(outcome(responses)[0] == b"OK", text, "failed")
        highest = box.highest
        session.enter(view)
        box.enter(view)
        self.look([box.name])
        told = session.hear(responses, may_expunge=False, fetching=True)
        codes = told.codes
        demand(told.exists == len(box.messages), "EXISTS", told.exists)
        self.judge_numbers(box, codes)
        mode = b"READ-ONLY" if view.read_only else b"READ-WRITE"
        demand(mode in codes, mode, "is not told")
        if session.condstore:
            box.judge_highest(codes[b"HIGHESTMODSEQ"], highest)
        seen = [r"\seen" in box.messages[uid].flags for uid in view.uids]
        first = seen.index(False) + 1 if False in seen else None
        demand(codes.get(b"UNSEEN") == first, "UNSEEN", codes.get(b"UNSEEN"))
        return told

    def judge_numbers(self, box: Box, told: Mapping[bytes, int]) -> None:
        """UIDVALIDITY stays; UIDNEXT is above all there was, for ever."""
        validity, uid_next = told[b"UIDVALIDITY"], told[b"UIDNEXT"]
        demand(box.validity in (0, validity), "UIDVALIDITY changed to", validity)
        box.validity = validity
        demand(uid_next > box.last_uid, "UIDNEXT", uid_next, "after", box.last_uid)
        box.last_uid = uid_next - 1

    # What is not a command.

    def pass_time(self) -> None:
        """Some seconds: who is in IDLE hears of all, and sequences are written."""
        self.note("--- some seconds pass")
        for _ in range(30):
            self.server.clock.advance(0.1)
        idling = [each.view for each in self.sessions.values() if each.idling]
        looked = {view.box.name for view in idling if view is not None}
        self.look(looked)
        self.judge_others(None, looked)
        for box in self.boxes.values():
            box.written()

    def other_delivers(self, name: str, subject: str, flags: Flags | None) -> None:
        """A message comes, into ``new``, or with flags into ``cur``."""
        folder, box = self.folders[name], self.boxes[name]
        base = folder.deliver(subject, flags)
        self.note(f"--- another program delivers {name}: {folder.files()[base]}")
        known = folder.flags(folder.files()[base])
        message = Message(base, subject, known, fresh=flags is None)
        box.waiting[base] = message
        box.born(message)

    def other_marks(self, name: str, base: str, place: str, flags: Flags) -> None:
        """It changes system flags of one."""
        folder = self.folders[name]
        folder.mark(place, flags)
        new = folder.files()[base]
        self.note(f"--- another program renames {name}: {place} to {new}")
        message = self._message(name, base)
        message.change(folder.flags(new), unnoticed=True)
        message.fresh = message.fresh and not place.startswith("new/")
        self._forget_what_a_crash_hides()

    def other_removes(self, name: str, base: str, place: str) -> None:
        """It removes one."""
        self.note(f"--- another program unlinks {name}: {place}")
        self.folders[name].remove(place)
        message, box = self._message(name, base), self.boxes[name]
        if message.uid:
            box.remove(message.uid, noticed=False)
        else:
            del box.waiting[base]

    def _message(self, name: str, base: str) -> Message:
        box = self.boxes[name]
        known = {each.base: each for each in box.messages.values()}
        return known.get(base) or box.waiting[base]

    # Files.

    def _harvest(self, arrivals: Arrivals) -> None:
        for name, box in self.boxes.items():
            folder = self.folders[name]
            files, numbers = folder.files(), folder.numbers()
            known = {each.base: each for each in box.messages.values()}
            promised = dict(arrivals.get(name, {}))
            fresh: dict[int, Message] = {}
            for base, place in files.items():
                message = known.pop(base, None) or box.waiting.get(base)
                flags = folder.flags(place)
                if message is None:
                    uid = numbers.get(base, 0)
                    demand(uid in promised, name, "has a message from nowhere", place)
                    promise = promised.pop(uid)
                    subject = folder.subject(place)
                    demand(flags in promise.flags, place, "has other flags")
                    demand(subject == promise.subject, place, "is", subject)
                    # RFC 3501 §6.3.11, §6.4.7 want it recent in any case; but where
                    # no session is, what has flags lies in cur, and nothing says so.
                    recent = bool(box.views) or place.startswith("new/")
                    fresh[uid] = Message(base, subject, flags, fresh=recent)
                    continue
                demand(flags == message.flags, place, "has not", sorted(message.flags))
                if base in box.waiting and base in numbers:
                    fresh[numbers[base]] = box.waiting.pop(base)
            demand(not known, "lost from", name, [each.uid for each in known.values()])
            demand(box.waiting.keys() <= files.keys(), "lost a delivery to", name)
            demand(not promised, name, "has no", promised)
            for uid in sorted(fresh):
                box.arrive(uid, fresh[uid])

    def contents(self) -> None:
        """Every file has the octets it was given."""
        for name, box in self.boxes.items():
            folder = self.folders[name]
            files = folder.files()
            for message in (*box.messages.values(), *box.waiting.values()):
                demand(message.base in files, name, "has no", message.base)
                subject = folder.subject(files[message.base])
                demand(subject == message.subject, message.base, "is", subject)
