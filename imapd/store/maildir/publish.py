"""Put files into a folder, with UIDs that survive power loss: APPEND, COPY, MOVE."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from twisted.logger import Logger

from imapd.errors import ImapError
from imapd.ids import Uid
from imapd.model.flags import is_system
from imapd.model.mailbox import Changes, MessageState
from imapd.store import fsops, quiet
from imapd.store.locks import MailboxLock
from imapd.store.maildir.change import letters_for, overflow_of, provide_letters
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.linking import link_or_copy
from imapd.store.maildir.names import base_of, unique_base
from imapd.store.maildir.numbers import refresh_locked
from imapd.store.maildir.sync import sync

_log = Logger()


@dataclass(frozen=True, slots=True)
class Incoming:
    """One file to be published.

    ``source`` is linked to its new name, or copied where that cannot be.  ``base``
    has the sizes in it.  ``extra_letters`` are no flags of ours, ``extra`` is what
    followed the letters, with its comma.  ``again`` says what to publish instead
    where the file is gone from its place; None: it is gone for good.
    """

    source: bytes
    base: bytes
    flags: Sequence[bytes]
    extra_letters: bytes = b""
    extra: bytes = b""
    uid: Uid | None = None  # in the folder it comes from
    again: "Callable[[], Incoming | None] | None" = None


@dataclass(frozen=True, slots=True)
class _Placed:
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
    provide_letters(
        core, {flag for one in incoming for flag in one.flags if not is_system(flag)}
    )
    placed: list[_Placed] = []
    with core.lock() as lock:
        refresh_locked(core, lock)
        unseen = core.uidlist.table.last_uid > core.index.highest
        try:
            with core.own_changes(in_new=True):
                for one in incoming:
                    _place(core, one, claim_recent, placed)
                    lock.touch()
                paths = [one.path for one in placed]
                uids = _make_durable(core, lock, paths)
        except (OSError, ImapError) as error:
            _take_back(core, placed)
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


def _place(
    core: MailboxCore,
    one: Incoming,
    claim_recent: bool,
    placed: list[_Placed],
) -> None:
    """Link one file into ``new``, or into ``cur`` if it has flags.

    It goes into ``cur`` too where a session is there that it is recent to.

    A crash after the link leaves a message that no one acknowledged; it is whole,
    and the next sync gives it a UID.
    """
    wanted: Incoming | None = one
    base = one.base
    while wanted is not None:
        letters = letters_for(core, wanted.flags, b"") + wanted.extra_letters
        if letters or wanted.extra or claim_recent:
            info = bytes(sorted(set(letters))) + wanted.extra
            path = b"cur/%b:2,%b" % (base, info)
        else:
            path = b"new/" + base
        try:
            if wanted.again is None:  # a draft of ours, synced
                fsops.link(wanted.source, core.directory + b"/" + path)
            else:
                link_or_copy(wanted.source, core.directory, path)
        except FileExistsError:
            base = unique_base() + base[len(base.partition(b",")[0]) :]
        except FileNotFoundError:
            if wanted.again is None:
                raise
            wanted = wanted.again()
        else:
            placed.append(_Placed(path, wanted))
            return


def _make_durable(
    core: MailboxCore, lock: MailboxLock, placed: Sequence[bytes]
) -> list[Uid]:
    """Sync the names, then record the UIDs: a UID never stands for nothing."""
    for part in sorted({path[:4] for path in placed}):
        # A power loss before this may lose the names; nobody was told of them.
        fsops.fsync_directory(core.directory + b"/" + part)
    bases = [base_of(path[4:]) for path in placed]
    return core.uidlist.record(lock, bases, core.is_gone)


def _take_back(core: MailboxCore, placed: Iterable[_Placed]) -> None:
    """Unlink what was linked.  A crash in here leaves unacknowledged messages."""
    for one in placed:
        with suppress(OSError):
            fsops.unlink(core.directory + b"/" + one.path)


def _keep_overflow(
    core: MailboxCore, incoming: Sequence[Incoming], uids: Sequence[Uid]
) -> None:
    """Keep keywords without letters.  A crash before this loses them only.

    The messages are there: a NO would make the client send them again.
    """
    rest = {
        int(uid): names
        for uid, one in zip(uids, incoming, strict=True)
        if (names := overflow_of(core, one.flags))
    }
    try:
        core.set_overflow(rest)
    except (OSError, ImapError) as error:
        if quiet.is_due("overflow", core.directory, repr(error)):
            _log.error(
                "store: keywords of new messages in {path!r} are lost: {error!r}",
                path=core.directory,
                error=error,
            )


def _take_in(
    core: MailboxCore, placed: Sequence[bytes], uids: Sequence[Uid], changes: Changes
) -> None:
    r"""Tell the new messages without listing the folder again.

    They are ``\Recent`` even where their flags put them into ``cur``: RFC 3501
    §6.3.11 and §6.4.7.
    """
    for uid, path in zip(uids, placed, strict=True):
        in_new = path.startswith(b"new/")
        core.index.put(uid, path[4:], in_new)
        flags = core.flags_of(path[4:], uid)
        core.index.tell(uid, flags)
        core.index.highest = uid
        changes.added.append(MessageState(uid, flags, recent=True))


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
                "store: listing {path!r}: {error!r}", path=core.directory, error=error
            )
