"""COPY and MOVE between folders, and APPEND: what ``publish`` is given."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from itertools import islice

from twisted.logger import Logger

from imapd.errors import ImapError, InUse, MessageGone
from imapd.ids import Uid
from imapd.model.flags import is_system
from imapd.model.mailbox import Appended, Changes, Copied
from imapd.store import fsops
from imapd.store.maildir.change import (
    ATTEMPT_COUNT,
    Removal,
    provide_letters,
)
from imapd.store.maildir.contents import find
from imapd.store.maildir.core import MailboxCore
from imapd.store.maildir.deliver import MaildirDelivery, settle
from imapd.store.maildir.keywords import LETTERS
from imapd.store.maildir.names import (
    SYSTEM_LETTERS,
    parse,
    sizes_part,
    unique_bases,
)
from imapd.store.maildir.newcomers import SYNC_LOCK_SECONDS
from imapd.store.maildir.publish import Incoming, publish
from imapd.store.maildir.sync import sync_first

_log = Logger()


def commit(
    core: MailboxCore, delivery: MaildirDelivery, claim_recent: bool
) -> Appended:
    """Publish what was delivered; its files in ``tmp`` are removed in any case."""
    (outcome,) = commit_all(core, [delivery], claim_recent)
    if isinstance(outcome, Appended):
        return outcome
    raise outcome


def commit_all(
    core: MailboxCore, deliveries: Sequence[MaildirDelivery], claim_recent: bool
) -> list[Appended | ImapError | OSError]:
    """Publish what several clients delivered, under one lock and by the same syncs.

    Of each all or nothing.  What is wrong with one alone fails that one; where
    publishing fails, nothing of any was published.  The changes of the mailbox are
    told with the first.
    """
    outcomes: list[Appended | ImapError | OSError | None] = []
    changes = Changes()
    try:
        settle(deliveries)
        outcomes += [_refused(core, each) for each in deliveries]
        ready = [
            _incoming_of(each)
            for each, refused in zip(deliveries, outcomes, strict=True)
            if refused is None
        ]
        error: ImapError | OSError | None = None
        published: list[Uid] = []
        try:
            if ready:
                with core.telling() as changes:
                    published = _publish(core, ready, changes, claim_recent)
        except (ImapError, OSError) as failed:
            error = failed
    finally:
        # A crash before this leaves a second link in tmp/, gone after 36 hours.
        for each in deliveries:
            each.abort()
    validity, uids = core.uidlist.table.uid_validity, iter(published)
    counts = map(len, ready)
    for place, refused in enumerate(outcomes):
        if refused is None:
            its = list(islice(uids, next(counts)))
            outcomes[place] = error or Appended(validity, its, changes)
            changes = Changes()
    return [each for each in outcomes if each is not None]


def _incoming_of(delivery: MaildirDelivery) -> list[Incoming]:
    return [
        Incoming(draft.path, draft.sized_base, tuple(draft.flags))
        for draft in delivery.drafts
        if draft.on_disk is not None
    ]


def _refused(
    core: MailboxCore, delivery: MaildirDelivery
) -> ImapError | OSError | None:
    """Why one cannot be published, whatever becomes of the others."""
    if delivery.failure is not None:
        return delivery.failure
    flags = {flag for draft in delivery.drafts for flag in draft.flags}
    try:
        provide_letters(core, [flag for flag in flags if not is_system(flag)])
    except (ImapError, OSError) as error:
        return error
    return None


def _publish(
    core: MailboxCore,
    ready: Sequence[Sequence[Incoming]],
    changes: Changes,
    claim_recent: bool,
) -> list[Uid]:
    incoming = [one for each in ready for one in each]
    if not incoming:
        return []
    # A draft of ours is there, or nothing is published: each gets its UID.
    return [uid for _, uid in publish(core, incoming, changes, claim_recent)]


def copy(
    source: MailboxCore,
    target: MailboxCore,
    uids: Iterable[Uid],
    *,
    move: bool,
    claim_recent: bool,
) -> Copied:
    """Copy or move messages; flags, keywords by name, and dates come along.

    Each is linked to its new name under the locks of the target, so that no other
    program numbers it before we do.
    """
    target.require_writable()
    if move:
        source.require_writable()
    with ExitStack() as stack:
        to_source = stack.enter_context(source.telling())
        to_target = to_source
        if source is not target:
            to_target = stack.enter_context(target.telling())
        sync_first(source, to_source)
        if source.has_unnamed:  # elsewhere only the name says what was meant
            _read_names(source)
        chosen = sorted(set(uids))
        cur = stack.enter_context(fsops.opened_directory(source.cur.path))
        wanted = _all_incoming(source, chosen, cur)
        published = publish(target, wanted, to_target, claim_recent) if wanted else []
        pairs = [(one.uid, uid) for one, uid in published if one.uid is not None]
        if move and pairs:
            # A crash before or in here leaves messages in both folders, none in
            # neither.
            _remove(source, cur, [uid for uid, _ in pairs], to_source)
    return Copied(target.uidlist.table.uid_validity, pairs, to_target, to_source)


def _read_names(source: MailboxCore) -> None:
    """Read the letters' names when nobody is about to write some.

    Dovecot puts a new letter into file names and names it afterwards, under one lock.
    """
    if not source.read_only:
        with suppress(OSError, InUse), source.lock(SYNC_LOCK_SECONDS):
            source.read_keywords()
            return
    source.read_keywords()


def _all_incoming(source: MailboxCore, uids: Iterable[Uid], cur: int) -> list[Incoming]:
    """Say where the messages are that are there, and what they are to become."""
    told: _Told = {}
    found = []
    for uid, base in zip(uids, unique_bases(), strict=False):
        path = source.index.path(uid)
        if path is not None:
            at = cur if path.startswith(b"cur/") else None
            found.append(_incoming(source, uid, path, base, told, directory=at))
    return found


#: Flags, letters that are none of ours, and what follows them, by what is behind the
#: base of a name: most messages of a mailbox have the same.
_Told = dict[bytes, tuple[tuple[bytes, ...], bytes, bytes]]


def _told_by(
    source: MailboxCore, uid: Uid, name: bytes, told: _Told
) -> tuple[tuple[bytes, ...], bytes, bytes]:
    info = name[name.find(b":") :]
    alone = uid not in source.overflow_keywords
    known = told.get(info) if alone else None
    if known is None:
        parsed = parse(name)
        unknown = bytes(
            letter
            for letter in parsed.letters
            if letter not in SYSTEM_LETTERS and letter not in LETTERS
        )
        known = tuple(sorted(source.flags_of(name, uid))), unknown, parsed.extra
        if alone:
            told[info] = known
    return known


def _incoming(
    source: MailboxCore,
    uid: Uid,
    path: bytes,
    base: bytes,
    told: _Told,
    *,
    attempts: int = ATTEMPT_COUNT,
    directory: int | None = None,
) -> Incoming:
    """One message by what its name says."""
    name = path[4:]
    flags, unknown, extra = _told_by(source, uid, name, told)

    def again() -> Incoming | None:
        """Look where the file went that is not where it was.

        Only look: the locks of the target are held, which may be those of the source.
        """
        if not attempts:
            raise MessageGone("A message is being changed by another program")
        source.pending = True  # the next sync takes it in, and tells
        found = find(source, path)
        if found is None:
            return None
        return _incoming(source, uid, found, base, told, attempts=attempts - 1)

    return Incoming(
        source=source.directory + b"/" + path,
        base=base + sizes_part(name),
        flags=flags,
        extra_letters=unknown,
        extra=extra,
        uid=uid,
        again=again,
        directory=directory,
    )


def _remove(
    source: MailboxCore, cur: int, uids: Sequence[Uid], changes: Changes
) -> None:
    """Unlink what was moved.  What cannot be removed stays: a copy, not a loss.

    Nor is that an error: the copies are there, and would be made once more.
    """
    removal = Removal(source, cur, changes)
    try:
        with source.own_changes(in_new=source.in_new(uids)), removal:
            for uid in uids:
                try:
                    removal.remove(uid)
                except (OSError, ImapError) as error:
                    _log.warn(
                        "store: moved message {uid} stays in {path!r}: {error}",
                        uid=uid,
                        path=source.directory,
                        error=repr(error),
                    )
    except OSError as error:  # not one could be
        _log.warn(
            "store: {count} moved messages stay in {path!r}: {error}",
            count=len(uids),
            path=source.directory,
            error=repr(error),
        )
    with suppress(OSError):  # a power loss may bring them back, with their UIDs
        fsops.fsync_directory(source.cur.path, cur)
    source.forget_messages(removal.gone)
    changes.expunged.sort()
