"""Put files into a folder, with UIDs that survive power loss: APPEND, COPY, MOVE."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from twisted.logger import Logger

from imapd.errors import ImapError
from imapd.ids import Uid
from imapd.model.flags import is_system
from imapd.model.mailbox import Changes, MessageState
from imapd.store import fsops, quiet
from imapd.store.locks import MailboxLock
from imapd.store.maildir import recall
from imapd.store.maildir.change import (
    letters_for,
    overflow_of,
    provide_letters,
)
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.linking import link_or_copy
from imapd.store.maildir.names import base_of, unique_base
from imapd.store.maildir.numbers import refresh_locked
from imapd.store.maildir.sync import sync

_log = Logger()


class Incoming(NamedTuple):
    """One file to be published.

    ``source`` is linked to its new name, or copied where that cannot be.  ``base``
    has the sizes in it.  ``extra_letters`` are no flags of ours, ``extra`` is what
    followed the letters, with its comma.  ``again`` says what to publish instead
    where the file is gone from its place; None: it is gone for good.
    """

    source: bytes
    base: bytes
    flags: tuple[bytes, ...]
    extra_letters: bytes = b""
    extra: bytes = b""
    uid: Uid | None = None  # in the folder it comes from
    again: "Callable[[], Incoming | None] | None" = None
    directory: int | None = None  # where it comes from, if that is open


class _Placed(NamedTuple):
    """A file in its place, not yet acknowledged to anybody."""

    path: bytes
    incoming: Incoming


def publish(
    core: MailboxCore,
    incoming: Sequence[Incoming],
    changes: Changes,
    claim_recent: bool,
) -> list[tuple[Incoming, Uid]]:
    """Link files into place and record their UIDs: all of them, or none.

    When this returns, files, names and UIDs survive power loss.  Files that were
    gone for good are left out.

    Raises:
        OSError, ImapError: nothing was published; no UID of it is used again.
    """
    core.require_writable()
    every = {one.flags for one in incoming}
    provide_letters(
        core, {flag for flags in every for flag in flags if not is_system(flag)}
    )
    placing = _Placing(core, claim_recent)
    placed = placing.placed
    with core.lock() as lock, placing:
        refresh_locked(core, lock)
        unseen = core.uidlist.table.last_uid > core.index.highest
        try:
            with core.own_changes(in_new=True):
                for one in incoming:
                    placing.place(one, lock)
                    lock.touch()
                paths = [one.path for one in placed]
                uids = placing.make_durable(lock)
        except (OSError, ImapError) as error:
            placing.take_back()
            if isinstance(error, OSError):
                core.note_failure("storing messages", error)
            raise
    published = [one.incoming for one in placed]
    _keep_overflow(core, published, uids)
    if not core.synced:
        core.pending = True  # the first sync finds these among the others
    elif unseen or not core.knows_numbers():
        core.published.update(uids)
        _look_again(core, changes)
    else:
        _take_in(core, paths, uids, changes)
    return list(zip(published, uids, strict=True))


class _Placing:
    """Links files into ``new``, or into ``cur`` if they have flags.

    They go into ``cur`` too where a session is there that they are recent to.  As a
    context it holds open what it links into.
    """

    def __init__(self, core: MailboxCore, claim_recent: bool) -> None:
        self.placed: list[_Placed] = []
        self._core = core
        self._claim_recent = claim_recent
        #: ``new`` and ``cur``, those that are open: what was linked into one can be
        #: taken out of it again, whatever has its name then.
        self._opened: dict[bytes, int] = {}
        #: What is behind the base, by what it is made of; None: it goes into ``new``.
        self._infos: dict[tuple[tuple[bytes, ...], bytes, bytes], bytes | None] = {}

    def __enter__(self) -> None:
        """Open nothing yet."""

    def __exit__(self, *_: object) -> None:
        """Close them.  What was published is, whatever that says."""
        while self._opened:
            with suppress(OSError):
                fsops.close(self._opened.popitem()[1])

    def place(self, one: Incoming, lock: MailboxLock) -> None:
        """Link one file.

        A crash after the link leaves a message that no one acknowledged; it is whole,
        and the next sync gives it a UID.
        """
        wanted: Incoming | None = one
        base, directory = one.base, self._core.directory
        while wanted is not None:
            info = self._info(wanted)
            path = b"new/" + base if info is None else b"cur/" + base + info
            at = self._directory(path[:3], lock)
            try:
                if wanted.again is None:  # a draft of ours, synced
                    fsops.link(
                        wanted.source[wanted.source.rfind(b"/") + 1 :],
                        path[4:],
                        src_dir_fd=lock.temporary,
                        dst_dir_fd=at,
                    )
                else:
                    link_or_copy(wanted.source, directory, path, wanted.directory, at)
            except FileExistsError:
                base = unique_base() + base[len(base.partition(b",")[0]) :]
            except FileNotFoundError:
                if wanted.again is None:
                    raise
                wanted = wanted.again()
            else:
                self.placed.append(_Placed(path, wanted))
                return

    def make_durable(self, lock: MailboxLock) -> list[Uid]:
        """Sync the names and record the UIDs: a UID that is told stands for something.

        A power loss before this returns may lose names, or UIDs; nobody was told of
        them.
        """

        def sync_names() -> None:
            for part, opened in sorted(self._opened.items()):
                path = self._core.directory + b"/" + part
                fsops.fsync_directory(path, opened)

        bases = [base_of(one.path[4:]) for one in self.placed]
        return recall.record(self._core, lock, bases, sync_names)

    def take_back(self) -> None:
        """Unlink what was linked.  A crash in here leaves unacknowledged messages."""
        for one in self.placed:
            with suppress(OSError):
                fsops.unlink_in(self._opened[one.path[:3]], one.path[4:])

    def _directory(self, part: bytes, lock: MailboxLock) -> int:
        opened = self._opened.get(part)
        if opened is None:
            opened = self._opened[part] = fsops.open_directory(part, lock.folder)
        return opened

    def _info(self, one: Incoming) -> bytes | None:
        key = one.flags, one.extra_letters, one.extra
        if key not in self._infos:
            letters = one.extra_letters
            if one.flags:
                letters += letters_for(self._core, one.flags, b"")
            cur = letters or one.extra or self._claim_recent
            info = b":2,%b%b" % (bytes(sorted(set(letters))), one.extra)
            self._infos[key] = info if cur else None
        return self._infos[key]


def _keep_overflow(
    core: MailboxCore, incoming: Sequence[Incoming], uids: Sequence[Uid]
) -> None:
    """Keep keywords without letters.  A crash before this loses them only.

    The messages are there: a NO would make the client send them again.
    """
    without = {
        flags: names
        for flags in {one.flags for one in incoming}
        if not all(map(is_system, flags)) and (names := overflow_of(core, flags))
    }
    if not without:
        return
    rest = {
        int(uid): without[one.flags]
        for uid, one in zip(uids, incoming, strict=True)
        if one.flags in without
    }
    try:
        core.set_overflow(rest)
    except (OSError, ImapError) as error:
        if quiet.is_due("overflow", core.directory, repr(error)):
            _log.error(
                "store: keywords of new messages in {path!r} are lost: {error}",
                path=core.directory,
                error=repr(error),
            )


def _take_in(
    core: MailboxCore, placed: Sequence[bytes], uids: Sequence[Uid], changes: Changes
) -> None:
    r"""Tell the new messages without listing the folder again.

    They are ``\Recent`` even where their flags put them into ``cur``: RFC 3501
    §6.3.11 and §6.4.7.
    """
    index = core.index
    certain = index.is_certain
    for uid, path in zip(uids, placed, strict=True):
        name = path[4:]
        index.put(uid, name, path.startswith(b"new/"))
        flags = core.flags_of(name, uid)
        index.tell(uid, flags)
        changes.added.append(MessageState(uid, flags, recent=True))
    if uids:
        index.raise_to(uids[-1], certain=certain)


def _look_again(core: MailboxCore, changes: Changes) -> None:
    """List the folder: other new messages come before these.

    What was published is published: if it cannot be listed now, it will be later.
    """
    core.pending = True
    try:
        sync(core, changes, claim_recent=False)
    except (OSError, ImapError) as error:
        if quiet.is_due("listing", core.directory, repr(error)):
            _log.info(
                "store: listing {path!r}: {error}",
                path=core.directory,
                error=repr(error),
            )
