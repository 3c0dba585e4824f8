"""``dovecot-uidlist`` on disk: read what others appended, append, rewrite, repair.

Reading needs no lock, every write needs both (``MailboxLock``).  The file is only
ever appended to or replaced, never changed in place, and never removed.
"""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from twisted.logger import Logger

from imapd.errors import Unavailable
from imapd.ids import Uid
from imapd.store import fsops, quiet
from imapd.store.locks import MailboxLock
from imapd.store.maildir import writeback
from imapd.store.maildir.keptaside import keep_aside
from imapd.store.maildir.uidformat import (
    LARGEST_UID,
    BrokenUidList,
    UidTable,
    header_line,
    merge,
    parse,
    parse_records,
    record_lines,
    salvage,
    serialise,
)
from imapd.store.syncing import start_writeback

_log = Logger()

FILE_NAME: Final = b"dovecot-uidlist"
#: Skipped after a broken file: UIDs that were in the part we could not read.
SALVAGE_MARGIN: Final = 10_000
_MOST_OCTETS: Final = 1 << 30
_REWRITE_AT_LEAST_LINES: Final = 64


class UidList:
    """The UIDs of one folder, as last read or written.

    ``table`` is empty (``uid_validity`` 0) until ``refresh`` found a file or
    ``create`` made one.
    """

    def __init__(self, directory: bytes) -> None:
        self._directory = directory
        self.path = directory + b"/" + FILE_NAME
        self.table = UidTable()
        self._key: tuple[int, int] | None = None  # device and inode last read
        self._secured: tuple[int, int] | None = None  # the one that is surely there
        self._size = 0  # of the file when last read
        self._offset = 0  # where its last whole line ended
        self._tail = b""  # the last whole line, to know the file again
        self._header, self._mtime_ns, self._rewrite = b"", 0, False
        self._look_for_waste_at = _REWRITE_AT_LEAST_LINES

    # -- reading --

    def changed(self) -> bool:
        """Whether the file is another one, or longer, than what was read."""
        status = fsops.status_or_none(self.path)
        if status is None:
            return self._key is not None
        now = (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns
        return now != (self._key, self._size, self._mtime_ns)

    def is_as_read(self) -> bool:
        """Whether there is nothing for ``refresh`` to read: one ``stat``."""
        return self._key is not None and not self.changed()

    def refresh(self) -> bool:
        """Read what is new; return whether there is a file.

        Without a file, what was read before stays in memory: it still tells which
        message has which UID.

        Raises:
            BrokenUidList: Dovecot would throw it away; see ``repair``.
            OSError: it cannot be read.
        """
        try:
            descriptor = fsops.open_read(self.path)
        except FileNotFoundError:
            self._key = None
            return False
        try:
            self._refresh_from(descriptor)
        finally:
            fsops.close(descriptor)
        return True

    def _refresh_from(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if status.st_size > _MOST_OCTETS:
            raise BrokenUidList("the file is larger than any mailbox")
        key = (status.st_dev, status.st_ino)
        if key == self._key and self._read_appended(descriptor, status):
            return
        octets = fsops.read_at(descriptor, status.st_size, 0)
        table = parse(octets)
        writeback.secure_numbers(descriptor, status.st_mtime)
        self._accept(table, octets, status)

    def _read_appended(self, descriptor: int, status: os.stat_result) -> bool:
        """Read from where we stopped, if this is still the file we read."""
        if status.st_size == self._size and status.st_mtime_ns == self._mtime_ns:
            return True
        if status.st_size < self._offset:
            return False
        start = self._offset - len(self._tail)
        octets = fsops.read_at(descriptor, status.st_size - start, start)
        header = fsops.read_at(descriptor, len(self._header), 0)
        # Inode numbers are used again: the header and the last line must be the same.
        if header != self._header or not octets.startswith(self._tail):
            return False
        try:
            end = parse_records(self.table, octets, len(self._tail))
        except BrokenUidList:
            return False  # read it whole, and let that tell
        writeback.secure_numbers(descriptor, status.st_mtime)
        self._remember(status, start + end, octets[:end])
        return True

    def _accept(self, table: UidTable, octets: bytes, status: os.stat_result) -> None:
        """Make a table that was read, or written, ours."""
        # A next UID that we gave away already is not given again.
        if table.uid_validity == self.table.uid_validity:
            if table.uid_next < self.table.uid_next:
                table.burn(self.table.uid_next)
                self._rewrite = True
            table.guid = table.guid or self.table.guid
        if not table.guid:
            table.guid = secrets.token_hex(16)
            self._rewrite = True
        self.table = table
        self._header = octets[: octets.find(b"\n") + 1]
        self._remember(status, octets.rfind(b"\n") + 1, octets)

    def _remember(self, status: os.stat_result, offset: int, octets: bytes) -> None:
        end = octets.rfind(b"\n") + 1
        self._tail = octets[octets.rfind(b"\n", 0, max(end - 1, 0)) + 1 : end]
        self._offset = offset
        self._key = (status.st_dev, status.st_ino)
        self._size, self._mtime_ns = status.st_size, status.st_mtime_ns

    # -- kept in a snapshot --

    def summary(self) -> dict[str, Any]:
        """All but the records, as JSON can hold it; ``resume`` takes it."""
        table = self.table
        return {
            "key": self._key,
            "size": self._size,
            "mtime": self._mtime_ns,
            "offset": self._offset,
            "header": self._header.hex(),
            "tail": self._tail.hex(),
            "waste": self._look_for_waste_at,
            "validity": table.uid_validity,
            "next": table.uid_next,
            "guid": table.guid,
            "extras": table.header_extras.hex(),
            "last": table.last_uid,
            "lines": table.line_count,
        }

    def resume(self, summary: Mapping[str, Any]) -> UidTable | None:
        """Take a summary for what was read, if the file is still that one.

        Returns the table, which has no records yet.

        Raises:
            KeyError, TypeError, ValueError: it is no summary.
        """
        status = fsops.status_or_none(self.path)
        if status is None or [status.st_dev, status.st_ino] != summary["key"]:
            return None
        if (status.st_size, status.st_mtime_ns) != (summary["size"], summary["mtime"]):
            return None
        table = UidTable(
            uid_validity=int(summary["validity"]),
            uid_next=int(summary["next"]),
            guid=str(summary["guid"]),
            header_extras=bytes.fromhex(summary["extras"]),
            last_uid=int(summary["last"]),
            line_count=int(summary["lines"]),
        )
        self._header = bytes.fromhex(summary["header"])
        self._tail = bytes.fromhex(summary["tail"])
        self._offset = int(summary["offset"])
        self._look_for_waste_at = int(summary["waste"])
        self._key = (status.st_dev, status.st_ino)
        self._size, self._mtime_ns = status.st_size, status.st_mtime_ns
        self.table = table
        return table

    # -- writing, under the lock --

    def record(
        self,
        lock: MailboxLock,
        bases: Sequence[bytes],
        gone: Callable[[Uid], bool],
        sync_names: Callable[[], None] = lambda: None,
    ) -> list[Uid]:
        """Give each base the next UID, durably.

        ``lock`` is held, and ``refresh`` was called since it was taken.  ``gone``
        tells whether the message of a UID is known to be expunged; such lines are
        dropped when three quarters of the file are waste.  ``sync_names`` makes the
        names of the messages durable; it is called where what it waits for, and what
        we would wait for after it, can be the same.

        Raises:
            OSError: the file was not written, or not all of it; the UIDs are
                not used again.
        """
        first = self.table.uid_next
        if first + len(bases) > LARGEST_UID:
            raise Unavailable("The mailbox has run out of UIDs")
        uids = cast(list[Uid], list(range(first, first + len(bases))))
        lock.check()
        first = self._key is None
        if self._key != self._secured:
            self._secure()
        if self._must_rewrite(gone):
            sync_names()
            self._replace(uids, bases, gone)
        elif uids:
            self._append(uids, bases, sync_names)
        if first:  # now there is less to sync: most was synced with the file
            self._secure()
        return uids

    def _secure(self) -> None:
        writeback.secure(self._directory)
        self._secured = self._key

    def _must_rewrite(self, gone: Callable[[Uid], bool]) -> bool:
        table = self.table
        if self._rewrite or self._key is None or table.version != 3 or table.torn:
            return True
        if table.line_count < self._look_for_waste_at:
            return False
        self._look_for_waste_at = table.line_count * 5 // 4
        waste = table.line_count - sum(not gone(uid) for uid in table.uids.values())
        return waste * 4 >= table.line_count * 3

    def _append(
        self,
        uids: Sequence[Uid],
        bases: Sequence[bytes],
        sync_names: Callable[[], None],
    ) -> None:
        lines = record_lines(uids, bases, {}, self.table.last_uid)
        # From here on these UIDs are burnt: a reader may see the lines even if the
        # write fails half way, and a torn line makes us rewrite the file next time.
        self.table.burn(uids[-1] + 1)
        rewrite, self._rewrite = self._rewrite, True
        descriptor = fsops.open_append(self.path)
        try:
            before = os.fstat(descriptor)
            known = self._size, (self._key or (0, 0))[1]
            if (before.st_size, before.st_ino) != known:
                raise Unavailable("The UID list changed under its lock")
            # A crash in write() leaves a torn last line, which readers ignore.
            fsops.write(descriptor, lines)
            # A crash here may lose the lines, or leave them without their messages:
            # nobody was told the UIDs.  One commit of the file system has both.
            start_writeback(descriptor)
            sync_names()
            fsops.fdatasync(descriptor)
            after = os.fstat(descriptor)
        finally:
            fsops.close(descriptor)
        if after.st_size != before.st_size + len(lines):
            raise Unavailable("The UID list was written to by two at once")
        self._rewrite = rewrite
        self.table.safe_next = 0
        self.table.extend(uids, bases)
        self._remember(after, after.st_size, lines)

    def _replace(
        self,
        uids: Sequence[Uid],
        bases: Sequence[bytes],
        gone: Callable[[Uid], bool],
    ) -> None:
        """Write the file anew: without waste, with the new records."""
        old = self.table
        table = UidTable(old.uid_validity, old.uid_next, old.guid, old.header_extras)
        for base, uid in sorted(old.uids.items(), key=lambda item: item[1]):
            if not gone(uid):
                table.add(uid, base, old.extras.get(uid, b""))
        if table.line_count < len(old.uids):
            # A power loss may bring messages back, but not without their UIDs.
            writeback.sync_messages(self._directory)
        table.extend(uids, bases)
        # Burnt as in _append: the rename may be on disk though fsync failed.
        old.burn(table.uid_next)
        self._rewrite = True
        octets = serialise(table)
        # A crash in here leaves the old file, or the new one, whole.
        fsops.replace_file(self.path, octets)
        status = fsops.status(self.path)
        self._rewrite = False
        waste_at = table.line_count * 5 // 4
        self._look_for_waste_at = max(waste_at, _REWRITE_AT_LEAST_LINES)
        self.table = table
        self._header = header_line(table)
        self._remember(status, len(octets), octets)
        self._secured = self._secured and self._key

    def create(
        self, lock: MailboxLock, table: UidTable, *, later: bool = False
    ) -> None:
        """Write the first file of a folder; with ``later``, ``record`` will."""
        table.guid = table.guid or secrets.token_hex(16)
        self.table = table
        lock.check()
        if not later:
            self._replace((), (), lambda uid: False)

    def rewrite(self, lock: MailboxLock, gone: Callable[[Uid], bool]) -> None:
        """Write the file anew from memory: it was removed, or is of version 1."""
        lock.check()
        self._replace((), (), gone)

    def restore(self, uid: Uid, base: bytes) -> None:
        """Take back a record that another writer dropped though its file is there."""
        self.table.uids[base] = uid
        self.table.uid_next = max(self.table.uid_next, uid + 1)
        self._rewrite = True

    def skip_to(self, uid_next: Uid) -> None:
        """Give out no UID below this one any more, but leave room for some."""
        self.table.uid_next = max(self.table.uid_next, min(uid_next, LARGEST_UID))
        self._rewrite = True

    def needs_rewrite(self) -> bool:
        """Whether the file lacks what a version 3 file must have, or is not there."""
        table = self.table
        whole = table.uid_validity and table.version == 3 and not table.torn
        return self._rewrite or not whole

    def repair(self, lock: MailboxLock, new_uid_validity: Callable[[], int]) -> bool:
        """Put a good file in the place of a broken one, which is kept aside.

        Every mapping that can be read survives, from the file and from memory;
        with any of them UIDVALIDITY does too.  Returns whether it did.
        """
        table = salvage(_read_anyhow(self.path))
        known = self.table
        if known.uid_validity and table.uid_validity in (0, known.uid_validity):
            table = merge(table, known)
        kept = bool(table.uids) and table.uid_validity != 0
        if not kept:
            # With the GUID goes whatever others keep for the old numbers.
            table.uid_validity, table.guid = new_uid_validity(), secrets.token_hex(16)
        table.uid_next = min(table.uid_next + SALVAGE_MARGIN, LARGEST_UID)
        table.guid = table.guid or known.guid or secrets.token_hex(16)
        _log.warn(
            "store: {path!r} was broken; {count} UIDs saved, UIDVALIDITY {kept}",
            path=self.path,
            count=len(table.uids),
            kept="kept" if kept else "new",
        )
        lock.check()
        keep_aside(self.path)
        self.table = table
        self._replace((), (), lambda uid: False)
        return kept

    def salvage(self) -> bool:
        """Read what a broken file still says, into memory only."""
        table = salvage(_read_anyhow(self.path))
        if not table.uid_validity or not table.uids:
            return False
        self.table = table
        return True


def _read_anyhow(path: bytes) -> bytes:
    """Read a broken file; nothing if it is not even a file of sensible size."""
    try:
        return fsops.read_file(path, _MOST_OCTETS)
    except FileNotFoundError:
        return b""
    except OSError as error:
        if quiet.is_due("unreadable", path, error.errno):
            _log.warn(
                "store: {path!r} cannot be read: {error}", path=path, error=repr(error)
            )
        return b""
