"""A database that may be lost at any moment: no error of it ever reaches a caller."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from twisted.logger import Logger

from imapd.store import quiet, sqlfiles
from imapd.store.database import Database, Schema

_log = Logger()

_T = TypeVar("_T")


class ExpendableDatabase(Database):
    """Removed when it is damaged or full; what it held is computed again."""

    def __init__(self, path: bytes, schema: Schema) -> None:
        super().__init__(path, schema, damaged=sqlfiles.remove)

    def attempt(
        self, work: Callable[[sqlite3.Connection], _T], *, write: bool
    ) -> _T | None:
        """Do something in one transaction; None if it cannot be done just now."""
        try:
            with self.transaction(write=write) as connection:
                return work(connection)
        except (sqlite3.Error, OSError) as error:
            if quiet.is_due(self.path, str(error)):
                _log.warn(
                    "store: cache {path!r} passed over: {error}",
                    path=self.path,
                    error=repr(error),
                )
            if "full" in str(error):  # ours, or the disk: either way it must shrink
                self.close()
                with suppress(OSError):
                    sqlfiles.remove(self.path)
            return None
