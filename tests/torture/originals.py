"""Accounts to be corrupted, what clients were told of them, and how they come back.

Each is made once, by the server and by what stands for other programs.  A trial gets
the very files, linked under another name: what is kept in the cache of a folder is
believed only as long as the UID list is the same file with the same times.
"""

import json
import os
import shutil
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from imapd.ids import INBOX, MailboxPath, Uid
from imapd.model.columns import ENVELOPE, META, SEARCH_SUBJECT
from imapd.model.flags import DELETED, SEEN, StoreMode
from imapd.model.texts import message_words
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox

WORK: MailboxPath = ("Work",)
DIRECTORIES = {INBOX: "", WORK: ".Work", ("Renamed",): ".Renamed"}
COLUMNS = (META, ENVELOPE, SEARCH_SUBJECT)
#: More than there are letters for; the others are kept in the state.
KEYWORDS = [b"word%d" % number for number in range(28)]
_LONG_AGO = 1_600_000_000


@dataclass
class Told:
    """What clients have been told, and what is in the files."""

    #: (mailbox, UIDVALIDITY, UID): the octets; of expunged messages, too.
    numbers: dict[tuple[MailboxPath, int, int], bytes] = field(default_factory=dict)
    #: Of each mailbox that has messages, their octets and system flags.
    messages: dict[MailboxPath, dict[bytes, frozenset[bytes]]] = field(
        default_factory=dict
    )
    validities: dict[MailboxPath, int] = field(default_factory=dict)
    columns: dict[tuple[MailboxPath, str, int], bytes] = field(default_factory=dict)


class Original:
    """One account as it was, in ``place``; ``put_back`` makes it anew there."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self.root = place / "Maildir"
        self.told = Told()
        self._kept = place / "kept"
        _BUILDERS[name](self)
        self.root.rename(self._kept)
        self._times: dict[str, int] = {}
        self._control: dict[str, tuple[bytes, int]] = {}
        for folder, _, files in os.walk(self._kept):
            here = os.path.relpath(folder, self._kept)
            here = "" if here == "." else here
            self._times[here] = os.stat(folder).st_mtime_ns
            if os.path.basename(folder) in ("cur", "new"):
                continue
            for one in files:
                path = Path(folder, one)
                relative = os.path.normpath(os.path.join(here, one))
                time = path.stat().st_mtime_ns
                self._control[relative] = path.read_bytes(), time
        self._control.pop("maildirfolder", None)

    @property
    def files(self) -> list[str]:
        """Those that are not mail."""
        return [name for name in self._control if not name.endswith("maildirfolder")]

    def put_back(self) -> None:
        """Make the account as it was, of the same files with the same times."""
        shutil.rmtree(self.root, ignore_errors=True)
        for name, (octets, time) in self._control.items():
            path = self._kept / name
            status = path.stat()
            if (status.st_size, status.st_mtime_ns) == (len(octets), time):
                continue
            with path.open("r+b") as file:
                file.write(octets)
                file.truncate(len(octets))
            os.utime(path, ns=(time, time))
        self.root.mkdir()
        for here in self._times:
            if here:
                os.mkdir(os.path.join(self.root, here))
            with os.scandir(os.path.join(self._kept, here)) as entries:
                for one in entries:
                    if one.is_file():
                        os.link(one.path, os.path.join(self.root, here, one.name))
        for here, time in self._times.items():
            os.utime(os.path.join(self.root, here), ns=(time, time))


def deliver(folder: Path, name: str, octets: bytes, part: str = "cur") -> None:
    """Put a message there as another program would."""
    path = folder / part / name
    path.write_bytes(octets)
    os.utime(path, (_LONG_AGO, _LONG_AGO))


def append(box: MaildirMailbox, octets: bytes, flags: Iterable[bytes]) -> Uid:
    """Store a message as APPEND does."""
    delivery = box.begin_delivery()
    delivery.begin(flags, _LONG_AGO)
    delivery.write(octets)
    delivery.end()
    return box.commit(delivery, False).uids[0]


def _append(
    told: Told, box: MaildirMailbox, octets: bytes, flags: Iterable[bytes]
) -> None:
    uid = append(box, octets, flags)
    told.numbers[box.path, box.uid_validity, uid] = octets


def message(number: int) -> bytes:
    """One that is no other: with a word by which a search finds it."""
    return b"Subject: number%d\n\nthe message with word%d\n" % (number, number)


def _note(told: Told, box: MaildirMailbox) -> None:
    """What a client that has selected the mailbox knows of it."""
    changes = box.sync(True)
    told.validities[box.path] = box.uid_validity
    for one in changes.added:
        told.numbers[box.path, box.uid_validity, one.uid] = box.read(one.uid)


def _fill(told: Told, box: MaildirMailbox) -> None:
    """Give the caches something to keep, and write down what is there."""
    box.track()
    known = {
        uid: octets
        for (path, validity, uid), octets in told.numbers.items()
        if (path, validity) == (box.path, box.uid_validity)
    }
    texts = {}
    for uid, octets in known.items():
        for kind in COLUMNS:
            value = b"%b of %d" % (kind.encode(), uid)
            told.columns[box.path, kind, uid] = value
            box.save_column(kind, {Uid(uid): value})
        header, _, body = octets.decode().partition("\n\n")
        texts[Uid(uid)] = message_words([body], [header])
    box.index_texts(texts)


def _ours(original: Original) -> None:
    """An account that this server made, after some work."""
    told, root = original.told, original.root
    account = MaildirAccount(root)
    account.create(WORK, b"\\Archive")
    account.subscribe(INBOX)
    account.subscribe(WORK)
    account.subscribe(("Later", "Ümlaut"))
    told.messages = {INBOX: {}, WORK: {}}
    for path, numbers in ((INBOX, range(1, 9)), (WORK, range(11, 14))):
        box = account.mailbox(path)
        _note(told, box)
        for number in numbers:
            flags = {SEEN} if number % 2 else set()
            words = KEYWORDS if number == 3 else KEYWORDS[:number]
            _append(told, box, message(number), [*flags, *words])
            told.messages[path][message(number)] = frozenset(flags)
            if number == 5:  # in the other order than their names are
                deliver(root, "9.M9P9.host", message(9), "new")
                told.messages[path][message(9)] = frozenset()
                _note(told, box)
                deliver(root, "8.M8P8.host:2,F", message(10))
                told.messages[path][message(10)] = frozenset({b"\\Flagged"})
            _note(told, box)
        _fill(told, box)
        gone = [2, 9, 10] if path == INBOX else [3]
        for uid in gone:  # of them the last ones
            octets = told.numbers[path, box.uid_validity, uid]
            del told.messages[path][octets]
        box.store_flags([Uid(uid) for uid in gone], StoreMode.ADD, [DELETED])
        box.expunge([Uid(uid) for uid in gone])
        box.close()
    account.close()


def _couriers(original: Original) -> None:
    """One of Courier's that this server never saw."""
    told, root = original.told, original.root
    told.messages = {INBOX: {}, WORK: {}}
    for path, first in ((INBOX, 1), (WORK, 11)):
        folder = root / DIRECTORIES[path]
        for part in ("cur", "new", "tmp", "courierimapkeywords"):
            (folder / part).mkdir(parents=True)
        validity = 617281 + first
        told.validities[path] = validity
        lines = [b"1 %d 30\n" % validity]
        for number in range(first, first + 5):
            base = f"{90 - number}.M{number}P1.host"
            uid = 2 * number
            flags = frozenset({SEEN} if number % 2 else ())
            deliver(folder, base + (":2,S" if flags else ":2,"), message(number))
            lines.append(b"%d %b\n" % (uid, base.encode()))
            told.messages[path][message(number)] = flags
            told.numbers[path, validity, uid] = message(number)
        told.numbers[path, validity, 29] = b"expunged"
        lines.append(b"29 1.M29P1.host\n")
        (folder / "courierimapuiddb").write_bytes(b"".join(lines))
        words = folder / "courierimapkeywords"
        named = f"{90 - first}.M{first}P1.host".encode()
        (words / ":list").write_bytes(b"$Label1\nWork\n\n%b:0 1\n" % named)
        later = f"{89 - first}.M{first + 1}P1.host"
        (words / later).write_bytes(b"Later\n")
    (root / "courierimapsubscribed").write_bytes(b"INBOX\nINBOX.Work\n#shared.x\n")
    (root / ".Work/maildirfolder").touch()


def _both(original: Original) -> None:
    """One of Courier's that we have taken over and Courier's files still lie in."""
    _couriers(original)
    told = original.told
    account = MaildirAccount(original.root)
    for path in (INBOX, WORK):
        box = account.mailbox(path)
        _note(told, box)
        _append(told, box, message(20 + len(path)), [SEEN, b"Fresh"])
        told.messages[path][message(20 + len(path))] = frozenset({SEEN})
        _note(told, box)
        _fill(told, box)
        box.close()
    account.subscribe(("Later",))
    account.close()


def _renaming(original: Original) -> None:
    """Ours, with a tree that was being renamed when the machine stopped."""
    _ours(original)
    moves = json.dumps([[".Work", ".Renamed"]]).encode()
    journal = original.root / "imapd-rename.json"
    journal.write_bytes(b"%08x\n%b\n" % (zlib.crc32(moves), moves))


_BUILDERS = {
    "ours": _ours,
    "courier's": _couriers,
    "both": _both,
    "renaming": _renaming,
}
NAMES = tuple(_BUILDERS)
