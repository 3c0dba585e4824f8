"""Messages on their way into a folder: ``tmp``, then ``new`` or ``cur``, then a UID.

Contents are written in ``tmp`` without any lock, and synced there, many together;
``transfer.commit`` links them into place and records their UIDs under both locks.
"""

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
from imapd.store.syncing import sync_files
from imapd.store.translate import translate_errors

_log = Logger()

#: What maildir(5) says of files in tmp: older ones may be removed.
LITTER_SECONDS: Final = 36 * 3600

_NANOSECONDS: Final = 1_000_000_000


@dataclass(slots=True)
class Draft:
    """One message in ``tmp``: whole once ``on_disk`` is set, then to be synced."""

    path: bytes
    base: bytes
    flags: list[bytes]
    date_seconds: int | None
    size: int = 0  # as the client sent it
    line_end_count: int = 0  # CRLF
    bare_lf_count: int = 0  # readers make each a CRLF
    bare: bool = False  # a CR or LF that is not part of a CRLF
    on_disk: int | None = None
    descriptor: int | None = None  # until it is synced

    @property
    def sized_base(self) -> bytes:
        """The base with both sizes."""
        written = self.size if self.on_disk is None else self.on_disk
        return with_sizes(self.base, written, self.size + self.bare_lf_count)


class MaildirDelivery:
    """A ``Delivery`` into one folder.

    From the first message on ``tmp`` is held open: what is written is found there
    again, to be removed, whatever name somebody gave the folder meanwhile.

    Line ends are LF on disk, as other deliverers write them, if every CR and LF of
    the message is part of a CRLF.  Else the message stays as it was sent, so that
    it comes back octet by octet as far as that can be.
    """

    def __init__(self, core: MailboxCore) -> None:
        self.core = core
        self.drafts: list[Draft] = []
        #: Why nothing of it can be published any more.
        self.failure: OSError | None = None
        self._tmp: int | None = None  # its descriptor
        self._held = b""  # a CR at the end of a piece: part of a CRLF or not?

    def begin(self, flags: Iterable[bytes], internal_date_seconds: int | None) -> None:
        """Start the next message."""
        if self.drafts and self.drafts[-1].on_disk is None:
            _close(self.drafts[-1])  # it was not finished, and is no message
        base = unique_base()
        tmp = self.core.directory + b"/tmp"
        given = [canonical(flag) for flag in flags]
        with translate_errors("storing a message", self.core.directory):
            if self._tmp is None:
                self._tmp = fsops.open_directory(tmp)
            # A crash from here to commit leaves litter in tmp/ for 36 hours.
            descriptor = fsops.open_exclusive(base, directory=self._tmp)
        wanted = [flag for flag in given if flag != RECENT]
        draft = Draft(tmp + b"/" + base, base, wanted, internal_date_seconds)
        draft.descriptor = descriptor
        self.drafts.append(draft)
        self._held = b""

    def write(self, octets: bytes) -> None:
        """Write a piece as it is on disk: with LF, until something bare turns up."""
        draft = self.drafts[-1]
        octets = self._held + octets
        self._held = b""
        if octets.endswith(b"\r"):
            octets, self._held = octets[:-1], b"\r"
        with translate_errors("storing a message", self.core.directory):
            self._put(draft, octets)

    def _put(self, draft: Draft, octets: bytes) -> None:
        if not octets or draft.descriptor is None:
            return
        line_ends = octets.count(b"\r\n")
        if not draft.bare and not (
            octets.count(b"\n") == line_ends == octets.count(b"\r")
        ):
            self._restore_crlf(draft)
        draft.size += len(octets)
        draft.line_end_count += line_ends
        if draft.bare:
            draft.bare_lf_count += octets.count(b"\n") - line_ends
        else:
            octets = octets.replace(b"\r\n", b"\n")
        fsops.write(draft.descriptor, octets)

    def _restore_crlf(self, draft: Draft) -> None:
        """Write again with CRLF what was written with LF so far.

        Every LF in it stands for a CRLF.  The file is nobody's yet, so it may be
        written in place of itself: into a new one of the same name.
        """
        draft.bare = True
        if not draft.line_end_count or draft.descriptor is None or self._tmp is None:
            return
        old = draft.descriptor
        fsops.unlink_in(self._tmp, draft.base)
        draft.descriptor = fsops.open_exclusive(draft.base, directory=self._tmp)
        try:
            offset = 0
            while piece := fsops.read_at(old, 1 << 20, offset):
                offset += len(piece)
                fsops.write(draft.descriptor, piece.replace(b"\n", b"\r\n"))
        finally:
            fsops.close(old)

    def end(self) -> None:
        """Finish the message: it is whole, and not yet safe."""
        draft = self.drafts[-1] if self.drafts else None
        if draft is None or draft.descriptor is None or draft.on_disk is not None:
            raise Unavailable("No message was begun")
        held, self._held = self._held, b""
        with translate_errors("storing a message", self.core.directory):
            if held:
                self._put_last_cr(draft, held)
            if draft.date_seconds is not None:
                fsops.set_times(draft.descriptor, draft.date_seconds * _NANOSECONDS)
        draft.on_disk = draft.size if draft.bare else draft.size - draft.line_end_count

    def _put_last_cr(self, draft: Draft, held: bytes) -> None:
        if not draft.bare:
            self._restore_crlf(draft)
        draft.size += len(held)
        if draft.descriptor is not None:
            fsops.write(draft.descriptor, held)

    def settle(self) -> None:
        """Sync what was finished: it survives power loss when this returns."""
        with translate_errors("storing a message", self.core.directory):
            settle([self])
            if self.failure is not None:
                raise self.failure

    def abort(self) -> None:
        """Remove what was written.  Never raises; may be called twice."""
        for draft in self.drafts:
            with suppress(OSError):
                _close(draft)
            self._unlink(draft)
        self.drafts.clear()
        descriptor, self._tmp = self._tmp, None
        if descriptor is not None:
            with suppress(OSError):
                fsops.close(descriptor)

    def _unlink(self, draft: Draft) -> None:
        if self._tmp is None:
            return
        try:
            with suppress(FileNotFoundError):
                fsops.unlink_in(self._tmp, draft.base)
        except OSError as error:
            _log.info(
                "store: {path!r} stays in tmp: {error}",
                path=draft.path,
                error=repr(error),
            )


def settle(deliveries: Iterable[MaildirDelivery]) -> None:
    """Sync what was finished of several, together; ``failure`` says where it failed."""
    drafts = [
        (delivery, draft, draft.descriptor)
        for delivery in deliveries
        for draft in delivery.drafts
        if draft.on_disk is not None and draft.descriptor is not None
    ]
    errors = sync_files([descriptor for _, _, descriptor in drafts])
    for (delivery, draft, _), error in zip(drafts, errors, strict=True):
        delivery.failure = delivery.failure or error
        try:
            _close(draft)
        except OSError as failed:
            delivery.failure = delivery.failure or failed


def _close(draft: Draft) -> None:
    descriptor, draft.descriptor = draft.descriptor, None
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
        _log.info(
            "store: cleaning {path!r}: {error}", path=directory, error=repr(error)
        )
