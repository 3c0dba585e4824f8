"""What the disk refuses, as the errors that a client is told."""

import errno
from typing import NoReturn

from twisted.logger import Logger

from imapd.errors import NoPermission, OverQuota, ReadOnly, Unavailable
from imapd.store import quiet

_log = Logger()

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_FORBIDDEN = frozenset((errno.EACCES, errno.EPERM))


class translate_errors:  # noqa: N801  a statement, and no generator: it is hot
    """Turn an ``OSError`` into what the client may be told, with the cause chained.

    Raises:
        OverQuota: ENOSPC, EDQUOT.
        NoPermission: EACCES, EPERM.
        ReadOnly: EROFS.
        Unavailable: any other.
    """

    __slots__ = ("_doing", "_path")

    def __init__(self, doing: str, path: bytes) -> None:
        """``doing``: what is being done, for the log: ``"storing flags"``.

        ``path``: of the mailbox or the account; most errors of writing have none.
        """
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _type: object, error: object, _traceback: object) -> None:
        """End; an ``OSError`` becomes another one."""
        if isinstance(error, OSError):
            _translate(self._doing, self._path, error)


def _translate(doing: str, path: bytes, error: OSError) -> NoReturn:
    if quiet.is_due(doing, path, error.errno):
        # repr() leaves out the file.
        file = "" if error.filename is None else f" {error.filename!r}"
        _log.warn(
            "store: {doing} in {path!r} failed: {error}",
            doing=doing,
            path=path,
            error=repr(error) + file,
        )
    if error.errno in _FULL:
        raise OverQuota("The disk or the quota is full") from error
    if error.errno in _FORBIDDEN:
        raise NoPermission("The file system does not permit this") from error
    if error.errno == errno.EROFS:
        raise ReadOnly("The file system is read-only") from error
    raise Unavailable("The mail store does not work just now") from error
