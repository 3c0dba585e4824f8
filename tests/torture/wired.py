"""A client of the real server, and the record of what it was answered.

As ``storeactor.py`` does without a wire: each command first says what it may change, so
that a crash within it is judged fairly, and then what was acknowledged.
"""

import re
from collections.abc import Iterable, Sequence

from tests.live.client import Client, Value
from tests.torture.checker import Told

_CODE = re.compile(rb"\[(?:APPENDUID|COPYUID) (\d+) (?:[\d,:]+ )?([\d,:]+)\]")


def uids_of(words: bytes) -> list[int]:
    """``1:3,5`` as a list."""
    found: list[int] = []
    for word in words.split(b","):
        first, _, last = word.partition(b":")
        found += range(int(first), int(last or first) + 1)
    return found


def _set(uids: Iterable[int]) -> bytes:
    return b",".join(b"%d" % uid for uid in uids)


def _box(folder: str) -> str:
    return folder.replace(".", "/") if folder else "INBOX"


class WiredActor:
    """One session; folders are named as in ``maildirs.Folder``."""

    def __init__(self, client: Client, told: Told) -> None:
        """``client`` is logged in; ``told`` goes on with what it hears."""
        self._client = client
        self.told = told

    def _wire(self, folder: str) -> bytes:
        return self._client.wire_name(_box(folder))

    def close(self) -> None:
        """LOGOUT; what the server still has to write, it writes."""
        self._client.command(b"LOGOUT")

    # -- reading --

    def select(self, folder: str) -> dict[int, bytes]:
        """Open a mailbox and read all of it: octets as they are on disk, by UID.

        Raises:
            AssertionError: a UID names another message than it did.
        """
        codes = self._client.select(_box(folder))
        validity, uid_next = codes[b"UIDVALIDITY"], codes[b"UIDNEXT"]
        told = self.told
        before = told.nexts.get(folder, (validity, 0))
        assert (validity, uid_next) >= before, f"{folder}: {codes} after {before}"
        told.nexts[folder] = (validity, uid_next)
        rows = self._client.fetch(b"1:*", b"BODY.PEEK[]")
        there: dict[int, bytes] = {}
        for uid, row in rows.items():
            body = row[b"BODY[]"]
            assert isinstance(body, bytes)
            there[uid] = octets = body.replace(b"\r\n", b"\n")
            assert uid < uid_next, f"{folder}: UID {uid}, UIDNEXT {uid_next}"
            known = told.numbers.setdefault((folder, validity, uid), octets)
            assert known == octets, f"{folder}: UID {uid} was {known!r}, is {octets!r}"
            told.whole.add(octets)
            told.somewhere.pop(octets, None)
            told.fixed[octets, folder] = (frozenset({folder}), uid)
        return there

    def folders(self) -> set[str]:
        """All of LIST that can be opened."""
        found = self._client.selectable()
        return {"" if one == "INBOX" else one.replace("/", ".") for one in found}

    def _octets(self, folder: str, uids: Iterable[int]) -> dict[int, bytes]:
        validity, _ = self.told.nexts[folder]
        return {uid: self.told.numbers[folder, validity, uid] for uid in uids}

    # -- messages --

    def append(
        self, folder: str, messages: Sequence[bytes], flags: Iterable[str] = ()
    ) -> None:
        """APPEND, MULTIAPPEND; the first message gets the flags."""
        flags = frozenset(flags)
        self.told.whole.update(messages)
        head = b"APPEND %b (%b)" % (self._wire(folder), " ".join(flags).encode())
        literals = [one.replace(b"\n", b"\r\n") for one in messages]
        answers = self._client.command(head, *literals)
        self._stored(folder, messages, answers)
        self.told.flags[messages[0], folder] = (flags, frozenset())

    def _stored(
        self, folder: str, messages: Iterable[bytes], answers: list[list[Value]]
    ) -> None:
        words = b" ".join(one[-1] for one in answers if isinstance(one[-1], bytes))
        found = _CODE.search(words)
        assert found is not None, answers
        validity, uids = int(found[1]), uids_of(found[2])
        for uid, octets in zip(uids, messages, strict=True):
            self.told.numbers[folder, validity, uid] = octets
            self.told.fixed[octets, folder] = (frozenset({folder}), uid)
            self.told.somewhere.pop(octets, None)
        self.told.nexts[folder] = (validity, uids[-1] + 1)

    def copy(self, source: str, target: str, uids: Sequence[int], move: bool) -> None:
        """COPY, MOVE."""
        told = self.told
        wanted = self._octets(source, uids)
        if move:
            for octets in wanted.values():
                told.fixed.pop((octets, source), None)
                told.somewhere[octets] = frozenset({source, target})
        word = b"MOVE" if move else b"COPY"
        answers = self._client.command(
            b"UID %b %b %b" % (word, _set(uids), self._wire(target))
        )
        # COPYUID of MOVE is in an untagged OK, which was read word by word.
        words = [
            b" ".join(part for part in one if isinstance(part, bytes))
            for one in answers
            if one[0] in (b"OK", b"[COPYUID")
        ]
        self._stored(target, wanted.values(), [[word] for word in words])
        for octets in wanted.values():
            if (octets, source) in told.flags:
                told.flags[octets, target] = told.flags[octets, source]
            if move:
                told.gone.add((octets, source))
                told.flags.pop((octets, source), None)

    def store(self, folder: str, uids: Sequence[int], flags: Iterable[str]) -> None:
        """STORE +FLAGS."""
        flags = frozenset(flags)
        nothing: frozenset[str] = frozenset()
        keys = [(octets, folder) for octets in self._octets(folder, uids).values()]
        old = {key: self.told.flags.pop(key, (nothing, nothing)) for key in keys}
        self._client.store(_set(uids), f"+FLAGS ({' '.join(flags)})")
        for key, (has, _) in old.items():
            self.told.flags[key] = (has | flags, nothing)

    def expunge(self, folder: str, uids: Sequence[int], *, by_uid: bool) -> None:
        r"""EXPUNGE, UID EXPUNGE, of messages that are \Deleted."""
        keys = [(octets, folder) for octets in self._octets(folder, uids).values()]
        for key in keys:
            self.told.fixed.pop(key, None)
        word = b"UID EXPUNGE " + _set(uids) if by_uid else b"EXPUNGE"
        answers = self._client.command(word)
        gone = [one for one in answers if one[-1] == b"EXPUNGE" or b"VANISHED" in one]
        assert gone, answers
        self.told.gone.update(keys)

    # -- mailboxes --

    def create(self, folder: str) -> None:
        self.told.folders.pop(folder, None)
        self._client.command(b"CREATE " + self._wire(folder))
        self.told.folders[folder] = True

    def delete(self, folder: str) -> None:
        told = self.told
        del told.folders[folder]
        lost = [octets for octets, home in told.fixed if home == folder]
        for octets in lost:
            del told.fixed[octets, folder]
        told.together.append((folder, frozenset(lost)))  # all, or it is not there
        self._client.command(b"DELETE " + self._wire(folder))
        told.folders[folder] = False
        if folder in told.nexts:
            told.dead[folder] = told.nexts.pop(folder)[0]

    def rename(self, old: str, new: str) -> None:
        """RENAME of a mailbox and all below it."""
        told = self.told
        names = {
            name: new + name[len(old) :]
            for name in sorted(told.folders)
            if name == old or name.startswith(old + ".")
        }
        told.trees.append((frozenset(names), frozenset(names.values())))
        for name, target in names.items():
            del told.folders[name]
            for (octets, home), (_, uid) in list(told.fixed.items()):
                if home == name:
                    told.fixed[octets, name] = (frozenset({name, target}), uid)
            for (home, validity, uid), octets in list(told.numbers.items()):
                if home == name:
                    told.numbers[target, validity, uid] = octets
        self._client.command(b"RENAME %b %b" % (self._wire(old), self._wire(new)))
        for name, target in names.items():
            told.folders[name], told.folders[target] = False, True
            for (octets, home), (_, uid) in list(told.fixed.items()):
                if home == name:
                    del told.fixed[octets, name]
                    told.fixed[octets, target] = (frozenset({target}), uid)
            if name in told.nexts:
                told.nexts[target] = told.nexts.pop(name)

    def subscribe(self, folder: str, wanted: bool) -> None:
        """SUBSCRIBE, UNSUBSCRIBE."""
        self.told.subscribed.pop(folder, None)
        word = b"SUBSCRIBE " if wanted else b"UNSUBSCRIBE "
        self._client.command(word + self._wire(folder))
        self.told.subscribed[folder] = wanted

    def check_subscriptions(self) -> None:
        """What LSUB says is what was told."""
        found = self._client.folders(b"LSUB")
        names = {"" if one == "INBOX" else one.replace("/", ".") for one in found}
        for folder, wanted in self.told.subscribed.items():
            assert (folder in names) is wanted, f"{folder!r}: {names}"
