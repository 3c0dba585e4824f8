"""Linux's inotify, as a descriptor of the reactor.

``twisted.internet.inotify`` will not do: it closes the whole instance when one
watched directory is removed, passes over an overflow of the queue, and does not say
why a watch was refused.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

_IN_MOVED_FROM: Final = 0x40
_IN_MOVED_TO: Final = 0x80
_IN_CREATE: Final = 0x100
_IN_DELETE: Final = 0x200
_IN_DELETE_SELF: Final = 0x400
_IN_MOVE_SELF: Final = 0x800
_IN_Q_OVERFLOW: Final = 0x4000
_IN_IGNORED: Final = 0x8000
_IN_ONLYDIR: Final = 0x1000000
_IN_DONT_FOLLOW: Final = 0x2000000

#: What can change a listing.  Not what is written or read in files: that of mail
#: does not change, and every FETCH would be an event.
_MASK: Final = (
    _IN_MOVED_FROM
    | _IN_MOVED_TO
    | _IN_CREATE
    | _IN_DELETE
    | _IN_DELETE_SELF
    | _IN_MOVE_SELF
    | _IN_ONLYDIR
    | _IN_DONT_FOLLOW
)

#: Watch, mask, cookie, octets of the name that follows.  inotify(7).
_EVENT: Final = struct.Struct("=iIII")
#: Some hundred events at a time; the kernel gives only whole ones.
_READ_OCTETS: Final = 1 << 16


class Listener(Protocol):
    """Who is told; called on the reactor, must not block or raise."""

    def stirred(self, number: int) -> None:
        """Something changed in the directory of this watch."""

    def ended(self, number: int) -> None:
        """This watch is no more: its directory was removed, or unmounted."""

    def overflowed(self) -> None:
        """The kernel had more to tell than it keeps: anything may have changed."""

    def broke(self, why: str) -> None:
        """No watch tells anything any more."""


class Notifier(Protocol):
    """What tells of changes in directories."""

    listener: Listener | None

    def watch(self, directory: bytes) -> int:
        """Begin to tell of a directory; a number that stands for it.

        The same directory, under whatever name, has the same number.

        Raises:
            OSError: ENOSPC (no watches left), EMFILE (no instances left), ...
        """

    def unwatch(self, number: int) -> None:
        """Tell no more of it; a number that has ended is no error."""

    def close(self) -> None:
        """Give everything back."""


def _library() -> Any:
    """The C library, if it has inotify."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.inotify_init1.argtypes = [ctypes.c_int]
        library.inotify_add_watch.argtypes = [
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_uint32,
        ]
        library.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]
    except (OSError, AttributeError):
        return None
    return library


_LIBRARY: Final = _library()
AVAILABLE: Final = _LIBRARY is not None


def _checked(result: int, directory: bytes | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), directory)
    return result


@implementer(IReadDescriptor)
class Inotify:
    """One instance for the process, opened with its first watch.

    It is kept after its last one: to close it can take the kernel milliseconds.
    """

    def __init__(self, reactor: IReactorFDSet) -> None:
        self.listener: Listener | None = None
        self._reactor = reactor
        self._descriptor = -1

    def watch(self, directory: bytes) -> int:
        """Begin to tell of a directory; a number that stands for it.

        Raises:
            OSError: ENOSPC (no watches left), EMFILE (no instances left), ...
        """
        if self._descriptor < 0:
            flags = os.O_NONBLOCK | os.O_CLOEXEC  # IN_NONBLOCK and IN_CLOEXEC
            self._descriptor = _checked(_LIBRARY.inotify_init1(flags))
            self._reactor.addReader(self)
        return _checked(
            _LIBRARY.inotify_add_watch(self._descriptor, directory, _MASK), directory
        )

    def unwatch(self, number: int) -> None:
        """Tell no more of it; a number that has ended is no error."""
        if self._descriptor >= 0:
            _LIBRARY.inotify_rm_watch(self._descriptor, number)

    def close(self) -> None:
        """Give everything back."""
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1

    # What the reactor asks and tells.

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's name
        """How the reactor calls us in the log."""
        return "inotify"

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Take what there is, once: the reactor comes again if there is more."""
        try:
            octets = os.read(self._descriptor, _READ_OCTETS)
        except BlockingIOError:
            return
        except OSError as error:
            self._broke(str(error))
            return
        if self.listener is not None:
            self._tell(self.listener, octets)

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """The reactor has given us up."""
        if self._descriptor >= 0:  # else it is the reactor that ends, after us
            self._broke(reason.getErrorMessage())

    def _broke(self, why: str) -> None:
        self.close()
        if self.listener is not None:
            self.listener.broke(why)

    def _tell(self, listener: Listener, octets: bytes) -> None:
        stirred: set[int] = set()
        for number, mask in _events(octets):
            if mask & _IN_Q_OVERFLOW:
                listener.overflowed()
            elif mask & _IN_IGNORED:
                listener.ended(number)
            else:
                stirred.add(number)
        for number in stirred:
            listener.stirred(number)


def _events(octets: bytes) -> Iterator[tuple[int, int]]:
    """Walk over events: (watch, mask)."""
    at = 0
    while at + _EVENT.size <= len(octets):
        number, mask, _, name_octets = _EVENT.unpack_from(octets, at)
        yield number, mask
        at += _EVENT.size + name_octets
