"""Messages on their way into a folder: ``tmp``, then ``new`` or ``cur``, then a UID.

Contents are written and synced in ``tmp`` without any lock; ``commit`` links them
into place and records their UIDs under both locks.
"""

import re
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from twisted.logger import Logger

from imapd.errors import Unavailable
from imapd.model.flags import RECENT, canonical
from imapd.store import fsops
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.names import unique_base, with_sizes
from imapd.store.translate import translate_errors

_log = Logger()

#: What maildir(5) says of files in tmp: older ones may be removed.
LITTER_SECONDS: Final = 36 * 3600

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_NANOSECONDS: Final = 1_000_000_000


@dataclass(slots=True)
class Draft:
    """One message in ``tmp``, whole and synced once ``on_disk`` is set."""

    path: bytes
    base: bytes
    flags: list[bytes]
    date_seconds: int | None
    size: int = 0  # as the client sent it
    line_end_count: int = 0  # CRLF
    bare_lf_count: int = 0  # readers make each a CRLF
    bare: bool = False  # a CR or LF that is not part of a CRLF
    on_disk: int | None = None

    @property
    def sized_base(self) -> bytes:
        """The base with both sizes."""
        written = self.size if self.on_disk is None else self.on_disk
        return with_sizes(self.base, written, self.size + self.bare_lf_count)


class MaildirDelivery:
    """A ``Delivery`` into one folder.

    Line ends are LF on disk, as other deliverers write them, if every CR and LF of
    the message is part of a CRLF.  Else the message stays as it was sent, so that
    it comes back octet by octet as far as that can be.
    """

    def __init__(self, core: MailboxCore) -> None:
        self.core = core
        self.drafts: list[Draft] = []
        self._descriptor: int | None = None
        self._held = b""  # a CR at the end of a piece: part of a CRLF or not?

    def begin(self, flags: Iterable[bytes], internal_date_seconds: int | None) -> None:
        """Start the next message."""
        self._finish_descriptor()
        base = unique_base()
        path = self.core.directory + b"/tmp/" + base
        given = [canonical(flag) for flag in flags]
        with translate_errors("storing a message"):
            # A crash from here to commit leaves litter in tmp/ for 36 hours.
            self._descriptor = fsops.open_exclusive(path)
            wanted = [flag for flag in given if flag != RECENT]
            self.drafts.append(Draft(path, base, wanted, internal_date_seconds))
            self._held = b""

    def write(self, octets: bytes) -> None:
        """Write a piece as it is on disk: with LF, until something bare turns up."""
        draft = self.drafts[-1]
        octets = self._held + octets
        self._held = b""
        if octets.endswith(b"\r"):
            octets, self._held = octets[:-1], b"\r"
        with translate_errors("storing a message"):
            self._put(draft, octets)

    def _put(self, draft: Draft, octets: bytes) -> None:
        if not octets or self._descriptor is None:
            return
        if not draft.bare and _BARE.search(octets):
            self._restore_crlf(draft)
        line_ends = octets.count(b"\r\n")
        draft.size += len(octets)
        draft.line_end_count += line_ends
        if draft.bare:
            draft.bare_lf_count += octets.count(b"\n") - line_ends
        else:
            octets = octets.replace(b"\r\n", b"\n")
        fsops.write(self._descriptor, octets)

    def _restore_crlf(self, draft: Draft) -> None:
        """Write again with CRLF what was written with LF so far.

        Every LF in it stands for a CRLF.  The file is nobody's yet, so it may be
        written in place of itself: into a new one of the same name.
        """
        draft.bare = True
        if not draft.line_end_count or self._descriptor is None:
            return
        old = self._descriptor
        fsops.unlink(draft.path)
        self._descriptor = fsops.open_exclusive(draft.path)
        try:
            offset = 0
            while piece := fsops.read_at(old, 1 << 20, offset):
                offset += len(piece)
                fsops.write(self._descriptor, piece.replace(b"\n", b"\r\n"))
        finally:
            fsops.close(old)

    def end(self) -> None:
        """Finish the message: its contents survive power loss when this returns."""
        if self._descriptor is None:
            raise Unavailable("No message was begun")
        draft = self.drafts[-1]
        held, self._held = self._held, b""
        with translate_errors("storing a message"):
            if held:
                self._put_last_cr(draft, held)
            if draft.date_seconds is not None:
                fsops.set_times(draft.path, draft.date_seconds * _NANOSECONDS)
            # Never tried a second time: after a failure the kernel forgets.
            fsops.fsync(self._descriptor)
            self._finish_descriptor()
        draft.on_disk = draft.size if draft.bare else draft.size - draft.line_end_count

    def _put_last_cr(self, draft: Draft, held: bytes) -> None:
        if not draft.bare:
            self._restore_crlf(draft)
        draft.size += len(held)
        if self._descriptor is not None:
            fsops.write(self._descriptor, held)

    def abort(self) -> None:
        """Remove what was written.  Never raises; may be called twice."""
        with suppress(OSError):
            self._finish_descriptor()
        for draft in self.drafts:
            try:
                fsops.remove_if_there(draft.path)
            except OSError as error:
                _log.info(
                    "store: {path!r} stays in tmp: {error!r}",
                    path=draft.path,
                    error=error,
                )
        self.drafts.clear()

    def _finish_descriptor(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            fsops.close(descriptor)


def clean_tmp(core: MailboxCore) -> None:
    """Remove what crashed deliveries left in ``tmp`` more than 36 hours ago."""
    now = time.time()
    directory = core.directory + b"/tmp/"
    try:
        for name in fsops.names(directory):
            status = fsops.status_or_none(directory + name)
            if status is None or not stat.S_ISREG(status.st_mode):
                continue
            if now - max(status.st_mtime, status.st_ctime) > LITTER_SECONDS:
                fsops.remove_if_there(directory + name)
    except OSError as error:
        _log.info("store: cleaning {path!r}: {error!r}", path=directory, error=error)
