"""What of an account no open format can hold: ``imapd-state.sqlite3`` in its root.

If it is lost, mail, UIDs, flags and subscriptions are not.  A damaged file is kept
under another name beside it; an account that cannot be written goes on without,
for as long as the process runs.

Every row has a check sum: SQLite itself does not notice a flipped bit in a value.
A row that fails it is as good as not there.
"""

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from twisted.logger import Logger

from imapd.errors import OverQuota, Unavailable
from imapd.ids import LARGEST_NUMBER, MailboxPath
from imapd.model.mailbox import SPECIAL_USES, NamespaceStyle
from imapd.store import modseqtable, quiet, sqlfiles
from imapd.store.database import Database, Schema
from imapd.store.modseqtable import Head, Rows, Saved

_log = Logger()

FILE_NAME: Final = b"imapd-state.sqlite3"

_SCHEMA: Final = Schema(
    application_id=0x696D7374,  # "imst"
    version=2,
    durable=True,
    statements=(
        "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL, "
        "crc INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE keyword (mailbox TEXT NOT NULL, uid INTEGER NOT NULL, "
        "keywords BLOB NOT NULL, crc INTEGER NOT NULL, "
        "PRIMARY KEY (mailbox, uid)) WITHOUT ROWID",
        *modseqtable.STATEMENTS,
    ),
    upgrades={1: modseqtable.STATEMENTS},
)
_NAMESPACE: Final = "namespace"
_UID_VALIDITY: Final = "uid-validity"
_SPECIAL_USE: Final = "special-use:"


class AccountState:
    """The state of one account.  For any thread."""

    def __init__(self, root: bytes) -> None:
        self._database = Database(
            root + b"/" + FILE_NAME, _SCHEMA, damaged=sqlfiles.move_aside
        )

    def close(self) -> None:
        """Give the descriptor back."""
        self._database.close()

    # -- settings of the account --

    @property
    def namespace_style(self) -> NamespaceStyle | None:
        """What was written down at the first open; None: nothing was."""
        value = self._setting(_NAMESPACE)
        styles = {style.value: style for style in NamespaceStyle}
        return None if value is None else styles.get(value)

    def set_namespace_style(self, style: NamespaceStyle) -> None:
        """Write it down.

        Raises:
            Unavailable, OverQuota
        """
        with self._writing("the namespace") as connection:
            _put(connection, _NAMESPACE, style.value)

    @property
    def uid_validity(self) -> int:
        """The greatest UIDVALIDITY that any mailbox here had; 0: not known."""
        return _number(self._setting(_UID_VALIDITY))

    def note_uid_validity(self, value: int) -> None:
        """Remember a UIDVALIDITY, if it is the greatest so far.

        Raises:
            Unavailable, OverQuota
        """
        if value <= self.uid_validity:
            return
        with self._writing("a UIDVALIDITY") as connection:
            if value > _number(self._get(connection, _UID_VALIDITY)):
                _put(connection, _UID_VALIDITY, str(value))

    def special_uses(self) -> dict[bytes, MailboxPath]:
        """What CREATE ... USE said, by use; the mailboxes may be gone."""
        found = {}
        names = {_SPECIAL_USE + use.decode("ascii"): use for use in SPECIAL_USES}
        for name, text in self._settings(list(names)).items():
            path = _path(text)
            if path is not None:
                found[names[name]] = path
        return found

    def set_special_uses(self, uses: dict[bytes, MailboxPath]) -> None:
        """Replace all of what ``special_uses`` returns.

        Raises:
            Unavailable, OverQuota
        """
        with self._writing("special uses") as connection:
            for use in SPECIAL_USES:
                name = _SPECIAL_USE + use.decode("ascii")
                if use in uses:
                    _put(connection, name, json.dumps(uses[use]))
                else:
                    connection.execute("DELETE FROM setting WHERE name = ?", (name,))

    def setting(self, name: str) -> str | None:
        """Return a small value that another module of the store keeps here."""
        return self._setting("other:" + name)

    def set_setting(self, name: str, value: str) -> None:
        """Keep a small value.

        Raises:
            Unavailable, OverQuota
        """
        with self._writing(name) as connection:
            _put(connection, "other:" + name, value)

    # -- keywords that found no letter: ``maildir.keywords.KeywordOverflow`` --

    def keywords(self, guid: str) -> dict[int, frozenset[bytes]]:
        """Return those of all messages of a mailbox, by UID."""
        query = "SELECT uid, keywords, crc FROM keyword WHERE mailbox = ?"
        try:
            with self._database.transaction(write=False) as connection:
                rows = connection.execute(query, (guid,)).fetchall()
        except (sqlite3.Error, OSError) as error:
            self._tell_unreadable(error)
            return {}
        return _keywords(guid, rows)

    def change(
        self,
        guid: str,
        changes: Mapping[int, tuple[frozenset[bytes], frozenset[bytes]]],
    ) -> dict[int, frozenset[bytes]]:
        """Add the first and remove the second, durably; return what is there now.

        Raises:
            Unavailable, OverQuota
        """
        found = {}
        query = "SELECT uid, keywords, crc FROM keyword WHERE mailbox = ? AND uid = ?"
        with self._writing("keywords") as connection:
            for uid, (added, removed) in changes.items():
                rows = connection.execute(query, (guid, uid)).fetchall()
                old = _keywords(guid, rows).get(uid, frozenset())
                # Compared without case: a keyword is added as it was first spelled.
                known = {name.lower() for name in old}
                fresh = {name for name in added if name.lower() not in known}
                gone = {name.lower() for name in removed}
                kept = {name for name in old if name.lower() not in gone}
                found[uid] = frozenset(kept | fresh)
            _put_keywords(connection, guid, found)
        return found

    def set(self, guid: str, changes: Mapping[int, frozenset[bytes]]) -> None:
        """Replace those of some messages, durably; an empty set removes.

        Raises:
            Unavailable, OverQuota
        """
        with self._writing("keywords") as connection:
            _put_keywords(connection, guid, changes)

    def forget_mailbox(self, guid: str) -> None:
        """Drop what is kept for a mailbox that is deleted.

        Raises:
            Unavailable, OverQuota
        """
        with self._writing("a deletion") as connection:
            connection.execute("DELETE FROM keyword WHERE mailbox = ?", (guid,))
            modseqtable.forget(connection, guid)

    # -- modification sequences: ``maildir.journal.ModSeqState`` --

    def load_modseqs(self, mailbox: str, since: int = -1) -> Saved | None:
        """Return what was kept of a mailbox, of chunks those after a version.

        None: there is nothing that can be used.
        """
        try:
            if not self._database.is_there:
                return None
            with self._database.transaction(write=False) as connection:
                return modseqtable.read(connection, mailbox, since)
        except (sqlite3.Error, OSError) as error:
            self._tell_unreadable(error)
            return None

    def merge_modseqs(
        self,
        mailbox: str,
        merge: Callable[
            [Saved | None, Mapping[int, Rows]], tuple[Head, dict[int, Rows]]
        ],
        chunks: Sequence[int],
    ) -> None:
        """Replace the head and chunks by what ``merge`` makes of those there are.

        Raises:
            Unavailable, OverQuota
        """
        with self._writing("modification sequences") as connection:
            saved = modseqtable.read(connection, mailbox, 1 << 62)
            there = modseqtable.read_chunks(connection, mailbox, chunks)
            modseqtable.write(connection, mailbox, *merge(saved, there))

    # -- common --

    def _setting(self, name: str) -> str | None:
        return self._settings([name]).get(name)

    def _settings(self, names: Sequence[str]) -> dict[str, str]:
        try:
            with self._database.transaction(write=False) as connection:
                found = {name: self._get(connection, name) for name in names}
        except (sqlite3.Error, OSError) as error:
            self._tell_unreadable(error)
            return {}
        return {name: value for name, value in found.items() if value is not None}

    def _get(self, connection: sqlite3.Connection, name: str) -> str | None:
        query = "SELECT value, crc FROM setting WHERE name = ?"
        row = connection.execute(query, (name,)).fetchone()
        if row is None:
            return None
        value, crc = row
        if not isinstance(value, str) or crc != _crc(name, value):
            path = self._database.path
            if quiet.is_due("damaged", path, name):
                _log.error(
                    "store: {path!r} has a damaged {name!r}", path=path, name=name
                )
            return None
        return value

    def _tell_unreadable(self, error: Exception) -> None:
        path = self._database.path
        if quiet.is_due(path, str(error)):
            _log.error(
                "store: {path!r} cannot be read: {error}", path=path, error=repr(error)
            )

    @contextmanager
    def _writing(self, what: str) -> Iterator[sqlite3.Connection]:
        try:
            with self._database.transaction() as connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            path = self._database.path
            if quiet.is_due(path, what, str(error)):
                _log.error(
                    "store: {what} cannot be written to {path!r}: {error}",
                    what=what,
                    path=path,
                    error=repr(error),
                )
            if "full" in str(error):
                raise OverQuota("The disk or the quota is full") from error
            raise Unavailable("The mail store does not work just now") from error


def _put(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO setting VALUES (?, ?, ?)",
        (name, value, _crc(name, value)),
    )


def _keywords(
    guid: str, rows: Sequence[tuple[int, object, int]]
) -> dict[int, frozenset[bytes]]:
    """Return what rows say; one that is damaged says nothing."""
    return {
        uid: frozenset(words.split(b" "))
        for uid, words, crc in rows
        if isinstance(words, bytes) and crc == _keyword_crc(guid, uid, words)
    }


def _put_keywords(
    connection: sqlite3.Connection, guid: str, messages: Mapping[int, frozenset[bytes]]
) -> None:
    for uid, names in messages.items():
        words = b" ".join(sorted(names))
        if words:
            connection.execute(
                "INSERT OR REPLACE INTO keyword VALUES (?, ?, ?, ?)",
                (guid, uid, words, _keyword_crc(guid, uid, words)),
            )
        else:
            connection.execute(
                "DELETE FROM keyword WHERE mailbox = ? AND uid = ?", (guid, uid)
            )


def _crc(name: str, value: str) -> int:
    return zlib.crc32(f"{name}\0{value}".encode())


def _keyword_crc(guid: str, uid: int, words: bytes) -> int:
    return zlib.crc32(f"{guid} {uid} ".encode() + words)


def _number(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 10:
        return 0
    return min(int(text), LARGEST_NUMBER)


def _path(text: str) -> MailboxPath | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    return None
