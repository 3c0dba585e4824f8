"""One user's mail: a Maildir++ as ``imapd.store.api.AccountStore``."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from imapd.errors import (
    AlreadyExists,
    Cannot,
    HasChildren,
    ImapError,
    LimitReached,
    NoPermission,
    NoSuchMailbox,
)
from imapd.ids import INBOX, MailboxPath
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.model.mailbox import Folder, NamespaceStyle
from imapd.store import fsops
from imapd.store.cache import columns, textindex
from imapd.store.cache.columns import ColumnDatabase
from imapd.store.cache.textindex import TextDatabase
from imapd.store.maildir import (
    courier,
    firstlogin,
    inbox,
    layout,
    opening,
    renaming,
    settling,
    uidvalidity,
)
from imapd.store.maildir import special_use as special_uses
from imapd.store.maildir.accountlock import account_lock
from imapd.store.maildir.core import numbering
from imapd.store.maildir.folders import FolderTree, is_below, new_encoding
from imapd.store.maildir.layout import NameEncoding
from imapd.store.maildir.mailbox import MaildirMailbox
from imapd.store.maildir.subscriptions import Subscriptions
from imapd.store.maildir.validities import Validities
from imapd.store.state import AccountState
from imapd.store.translate import translate_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """What an administrator may say about all accounts."""

    namespace: NamespaceStyle | None = None  # None: what the account's clients know
    cache_directory: Path | None = None  # of this account; None: the Maildir itself
    text_index: bool = True  # beside the cache
    create_missing: bool = True
    follow_links: bool = False  # folders, or the Maildir, may be symbolic links
    owner: int | None = None  # the system's UID that the mail must have; None: any
    #: For each use the name of the folder to make and subscribe at the first login.
    special_use: Mapping[bytes, str] = field(default_factory=dict)


class MaildirAccount:
    """The mailboxes in one Maildir.  Its methods may run in any thread.

    What changes the set of folders holds the account's lock, which other processes
    of ours respect; Dovecot and Courier have none for it.
    """

    def __init__(
        self,
        root: Path,
        *,
        options: StoreOptions | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Open the account; make it if it is not there and the options say so.

        Raises:
            Unavailable: there is no Maildir that we may use; the log says why.
        """
        self.options = options or StoreOptions()
        self.limits = limits
        self._configured, self._configured_octets = root, os.fsencode(root)
        self.root = opening.real_path(root, self.options.follow_links)
        self.read_only = not opening.open_root(
            self.root,
            create_missing=self.options.create_missing,
            owner=self.options.owner,
        )
        self._identity = opening.identity(self.root)
        self.tree = FolderTree(self.root, follow_links=self.options.follow_links)
        self.state = AccountState(self.root)
        self.validities = Validities(self.root, self.tree, self.state)
        self._cache = ColumnDatabase(self._cache_path(columns.FILE_NAME))
        self._texts: TextDatabase | None = None
        if self.options.text_index:
            self._texts = TextDatabase(self._cache_path(textindex.FILE_NAME))
        self._subscriptions = Subscriptions(self.root, limits)
        try:
            with translate_errors("opening an account", self.root):
                self._namespace = self._first_look()
        except BaseException:
            self.close()
            raise

    @property
    def namespace_style(self) -> NamespaceStyle:
        """How this account's names look on the wire."""
        return self.options.namespace or self._namespace

    def is_as_opened(self) -> bool:
        """Whether the Maildir is the one that was opened, with the same owner."""
        root, known = self.root, self._identity
        if self._configured_octets == root and opening.is_straight(root, known):
            return True  # nearly always
        return (
            known is not None
            and opening.identity(root) == known
            and opening.real_path(self._configured, self.options.follow_links) == root
        )

    def close(self) -> None:
        """Give back what is held."""
        self.state.close()
        self._cache.close()
        if self._texts is not None:
            self._texts.close()

    # -- mailboxes --

    def folders(self) -> list[Folder]:
        """Every mailbox that is there, INBOX first, then sorted by path."""
        with translate_errors("listing folders", self.root):
            paths = sorted(self.tree.listing())
        uses = special_uses.assign(paths, self.state.special_uses())
        return [Folder(path, uses.get(path)) for path in [INBOX, *paths]]

    def directories(self, path: MailboxPath) -> list[bytes]:
        """``new`` of a mailbox, then of each below it."""
        if path == INBOX:
            return [self.root + b"/new"]
        with translate_errors("listing folders", self.root):
            there = self.tree.listing()
        below = [each for each in sorted(there) if is_below(each, path)]
        known = [path] if path in there else []
        names = [there[each] for each in [*known, *below]]
        return [self.tree.location(name) + b"/new" for name in names]

    def mailbox(self, path: MailboxPath) -> MaildirMailbox:
        """A mailbox, not yet synced.

        Raises:
            NoSuchMailbox: it is not there.
            Unavailable: it is there and may not be opened; the log says why.
        """
        with translate_errors("opening a mailbox", self.root):
            name = self.tree.directory_name(path)
            if name is None:
                raise NoSuchMailbox("There is no such mailbox")
            directory = self.tree.location(name)
            if not self.read_only:
                with suppress(OSError):  # a full disk; the mailbox says what it needs
                    opening.complete(directory)
                settling.settle_numbers(
                    directory, name, self.state, self.limits.lock_seconds
                )
            mailbox = MaildirMailbox(
                path,
                Path(os.fsdecode(directory)),
                cache=self._cache,
                texts=self._texts,
                overflow=self.state,
                take_over=courier.take_over,
                new_uid_validity=self.validities.reserve,
                limits=self.limits,
                modseqs=self.state,
                is_meant=lambda: self.tree.location(name) == directory,
            )
            if mailbox.read_only and not self.read_only:
                self.tree.tell(name, "is served read-only")
            return mailbox

    def create(self, path: MailboxPath, special_use: bytes | None = None) -> None:
        """Make a mailbox durably, as RFC 3501 §6.3.3 and RFC 6154 §3 want it.

        Parents are not made: in Maildir++ a folder needs none.

        Raises:
            AlreadyExists, Cannot (the name cannot be stored), LimitReached,
            UnsupportedUse: no mailbox can have this use, or another has it.
        """
        with self._changing("creating a mailbox"):
            there = self.tree.listing()
            name = self._check_new(path, there)
            uses = self.state.special_uses()
            if special_use is not None:
                special_uses.check(special_use, uses, there)
            self.tree.create(name, self.validities.reserve())
            # A crash here leaves the mailbox without its use, and no OK was said.
            stale = [use for use, used in uses.items() if used == path]
            if special_use is not None or stale:
                kept = {use: uses[use] for use in uses if use not in stale}
                added = {} if special_use is None else {special_use: path}
                self.state.set_special_uses({**kept, **added})

    def delete(self, path: MailboxPath) -> None:
        """Remove a mailbox and its messages; mailboxes below it stay.

        Raises:
            NoSuchMailbox, Cannot (INBOX; files that are no mail), HasChildren
            (only a parent).
        """
        if path == INBOX:
            raise Cannot("INBOX cannot be deleted")
        with self._changing("deleting a mailbox"):
            name = self.tree.directory_name(path)
            if name is None:
                if self.tree.has_children(path):
                    raise HasChildren("There are mailboxes below this name")
                raise NoSuchMailbox("There is no such mailbox")
            # Before it goes: a mailbox made again needs a greater UIDVALIDITY.
            directory = self.tree.location(name)
            last = uidvalidity.of_directory(directory)
            guid = uidvalidity.guid_of_directory(directory)
            self.validities.note(last)
            self.tree.remove(name)
            self._forget(path, numbering(guid, last))

    def rename(self, old: MailboxPath, new: MailboxPath) -> None:
        """Rename a mailbox and all below it; INBOX: move its messages instead.

        RFC 3501 §6.3.5.

        Raises:
            NoSuchMailbox, AlreadyExists, Cannot.
        """
        if old == INBOX:
            inbox.rename(self, new)
            return
        with self._changing("renaming a mailbox"):
            there = self.tree.listing()
            moved = [path for path in there if path == old or is_below(path, old)]
            if not moved:
                raise NoSuchMailbox("There is no such mailbox")
            if is_below(new, old):
                raise Cannot("A mailbox cannot be moved below itself")
            rest = {path: there[path] for path in there if path not in set(moved)}
            targets = {path: new + path[len(old) :] for path in moved}
            moves = [
                (there[path], self._check_new(target, rest, there[path]))
                for path, target in targets.items()
            ]
            # Also where only a parent moves.
            self._check_new(new, there if new == old else rest)
            renaming.rename_all(self.root, moves)
            uses = self.state.special_uses()
            if set(targets) & set(uses.values()):
                self.state.set_special_uses(
                    {use: targets.get(path, path) for use, path in uses.items()}
                )

    # -- subscriptions --

    def subscriptions(self) -> list[MailboxPath]:
        """The subscribed names, whether or not they are there, sorted."""
        with translate_errors("reading subscriptions", self.root):
            return settling.read_subscriptions(
                self.root, self._subscriptions, read_only=self.read_only
            )

    def subscribe(self, path: MailboxPath) -> None:
        """Add a name durably; one that is in it already is no error.

        Raises:
            Cannot: no mailbox can have the name.
            LimitReached: there are too many.
        """
        with self._changing("subscribing"):
            if path != INBOX:
                layout.check_new_name(path, self.limits, NameEncoding.UTF7)
            self._subscriptions.add(path, self._encoding_of(path))

    def unsubscribe(self, path: MailboxPath) -> None:
        """Remove a name durably; one that is not in it is no error."""
        with self._changing("unsubscribing"):
            self._subscriptions.remove(path)

    @contextmanager
    def _changing(self, doing: str) -> Iterator[None]:
        """Hold the account; finish first what a crash left."""
        if self.read_only:
            raise NoPermission("This account cannot be changed")
        with (
            translate_errors(doing, self.root),
            account_lock(self.root, self.limits.lock_seconds),
        ):
            if renaming.is_unfinished(self.root):
                renaming.finish(self.root)
            yield

    def _check_new(
        self,
        path: MailboxPath,
        there: Mapping[MailboxPath, bytes],
        like: bytes | None = None,
    ) -> bytes:
        """Return the directory name that a new mailbox gets, or say why not.

        ``like`` is the name that it has now: its encoding is kept.
        """
        shown = None if like is None else layout.name_encoding(like)
        encoding = shown or self._new_encoding(there)
        if path == INBOX:
            raise AlreadyExists("A mailbox of this name is there")
        name = layout.check_new_name(path, self.limits, encoding)
        if path in there:
            raise AlreadyExists("A mailbox of this name is there")
        if layout.normalised(path) in {layout.normalised(other) for other in there}:
            raise AlreadyExists("A mailbox that looks the same is there")
        if like is None and len(there) + 1 >= self.limits.mailbox_count:
            raise LimitReached("There are too many mailboxes")
        return name

    def _new_encoding(self, there: Mapping[MailboxPath, bytes]) -> NameEncoding:
        return new_encoding(there.values(), fsops.names(self.root))

    def _encoding_of(self, path: MailboxPath) -> NameEncoding:
        """How a subscription is written: as its folder, or as a new one would be."""
        name = self.tree.directory_name(path)
        shown = layout.name_encoding(name) if name else None
        return shown or self._new_encoding(self.tree.listing())

    def _forget(self, path: MailboxPath, kept_under: str) -> None:
        """Drop what was kept of a mailbox that is gone; its loss is not an error."""
        self._cache.forget(kept_under)
        if self._texts is not None:
            self._texts.forget(kept_under)
        with suppress(ImapError):
            uses = self.state.special_uses()
            if path in uses.values():
                kept = {use: used for use, used in uses.items() if used != path}
                self.state.set_special_uses(kept)
            self.state.forget_mailbox(kept_under)

    def tidy_cache(self) -> None:
        """Drop what the cache has of mailboxes that are no more, or numbered anew."""
        with translate_errors("listing folders", self.root):
            names = [b"", *self.tree.listing().values()]
        kept = []
        for directory in map(self.tree.location, names):
            validity = uidvalidity.of_directory(directory)
            guid = uidvalidity.guid_of_directory(directory)
            if not validity or not guid:
                return  # it has none on disk: what is its name in the cache?
            kept.append(numbering(guid, validity))
        self._cache.keep_only(kept)

    def _first_look(self) -> NamespaceStyle:
        """Finish what a crash left, and decide what is decided once."""
        if self.read_only:
            known = self.state.namespace_style
            return known or opening.detect_namespace(self.root)
        if renaming.is_unfinished(self.root) or self.tree.needs_sweep():
            with account_lock(self.root, self.limits.lock_seconds):
                renaming.finish(self.root)
                self.tree.sweep()
        style = self.state.namespace_style
        if style is None:
            style = self._decide_namespace()
        settling.settle_subscriptions(
            self.root,
            self._subscriptions,
            self.state,
            lambda: self._new_encoding(self.tree.listing()),
            self.limits.lock_seconds,
        )
        firstlogin.make_special_uses(self)
        return style

    def _decide_namespace(self) -> NamespaceStyle:
        with account_lock(self.root, self.limits.lock_seconds):
            known = self.state.namespace_style  # another process may have been faster
            if known is not None:
                return known
            style = opening.detect_namespace(self.root)
            try:
                opening.write_namespace(self.root, style)
                self.state.set_namespace_style(style)
            except (OSError, ImapError) as error:
                # A full disk must not keep users from their mail.
                opening.tell_unwritten(self.root, error)
            return style

    def _cache_path(self, file_name: bytes) -> bytes:
        wanted = self.options.cache_directory
        return opening.cache_directory(self.root, wanted) + b"/" + file_name
