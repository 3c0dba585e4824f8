"""Hand an account back to Courier: write its files from what is.

UIDs, UIDVALIDITY, keywords (those without a letter too) and subscriptions are what
Courier finds afterwards.  Courier since 5.0 reads folder names as UTF-8 only, so
names in modified UTF-7 are converted; Dovecot would not find those again, we do.
Sessions that have such a folder open lose it: do it when the user is not connected.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imapd.errors import ImapError, NoPermission
from imapd.ids import INBOX, MailboxPath
from imapd.model.flags import Flags, is_system
from imapd.model.mailbox import NamespaceStyle
from imapd.store import fsops
from imapd.store.locks import MailboxLock
from imapd.store.maildir import courier, layout, renaming, settling
from imapd.store.maildir.accountlock import account_lock
from imapd.store.maildir.layout import NameEncoding
from imapd.store.maildir.names import base_of, usable
from imapd.store.maildir.uidformat import BrokenUidList, UidTable, parse
from imapd.store.translate import translate_errors

if TYPE_CHECKING:
    from imapd.store.maildir.account import MaildirAccount

_LARGEST_OCTETS = 256 << 20


@dataclass(slots=True)
class HandBackReport:
    """What was written for Courier, and what an administrator should know."""

    folders: int = 0
    messages: int = 0
    keywords: int = 0  # different ones, over all folders
    subscriptions: int = 0
    warnings: list[str] = field(default_factory=list)


def hand_back_to_courier(account: "MaildirAccount") -> HandBackReport:
    """Write Courier's files of an account; may be done again at any time.

    Raises:
        NoPermission, ReadOnly, OverQuota, InUse, Unavailable: it could not be
            finished; what is written so far is right.
    """
    if account.read_only:
        raise NoPermission("This account cannot be changed")
    report = HandBackReport()
    names: set[bytes] = set()
    with translate_errors("handing back to Courier", account.root):
        _convert_names(account, report)
        for folder in account.folders():
            try:
                names |= _hand_back_folder(account, folder.path, report)
            except ImapError as error:
                where = "/".join(folder.path) or "INBOX"
                report.warnings.append(f"{where!r} was not handed back: {error}")
        _hand_back_subscriptions(account, report)
    report.keywords = len({name.lower() for name in names})
    if account.namespace_style is not NamespaceStyle.COURIER:
        report.warnings.append(
            "Courier shows every folder below INBOX: the clients of this account "
            "must find their folders again"
        )
    return report


def _convert_names(account: "MaildirAccount", report: HandBackReport) -> None:
    with account_lock(account.root, account.limits.lock_seconds):
        renaming.finish(account.root)
        there = account.tree.listing()
        moves = []
        for path, name in there.items():
            if layout.name_encoding(name) is not NameEncoding.UTF7:
                continue
            new = layout.encode_directory(path, NameEncoding.UTF8)
            if new == name or fsops.exists(account.tree.directory(new)):
                report.warnings.append(
                    f"folder {os.fsdecode(name)!r} keeps its name, which Courier "
                    "will not decode"
                )
            else:
                moves.append((name, new))
        if moves:
            renaming.rename_all(account.root, moves)
            report.warnings.append(
                f"{len(moves)} folder names were converted from modified UTF-7 to "
                "UTF-8; Dovecot would not find them"
            )


def _hand_back_folder(
    account: "MaildirAccount", path: MailboxPath, report: HandBackReport
) -> set[bytes]:
    """Write the two files of a folder; return the keywords in it."""
    mailbox = account.mailbox(path)
    try:
        # Gives a UID to what has none yet, and takes over what Courier did.
        found = mailbox.sync(claim_recent=False)
    finally:
        mailbox.close()
    flags = {state.uid: state.flags for state in found.added}
    name = account.tree.directory_name(path) or b""
    folder = account.tree.location(name)
    with MailboxLock(folder, account.limits.lock_seconds):
        table = _uid_table(folder)
        bases = _courier_bases(folder)
        entries = [
            (uid, bases[base]) for base, uid in table.uids.items() if base in bases
        ]
        header = b"1 %d %d\n" % (table.uid_validity, table.uid_next)
        lines = b"".join(b"%d %b\n" % entry for entry in entries)
        keywords = {base: _keywords(flags.get(uid)) for uid, base in entries}
        # Keywords first: a crash in between leaves the older UID list, which is
        # right for what it names.
        _write_keywords(folder, keywords)
        fsops.replace_file(folder + b"/" + courier.UIDS, header + lines)
        settling.note_numbers_handed_back(folder, name, account.state)
    report.folders += 1
    report.messages += len(entries)
    return {word for words in keywords.values() for word in words}


def _write_keywords(folder: bytes, messages: dict[bytes, frozenset[bytes]]) -> None:
    directory = folder + b"/" + courier.KEYWORDS
    used = {base: words for base, words in messages.items() if words}
    if not fsops.exists(directory):
        if not used:
            return
        fsops.mkdir(directory)
        fsops.fsync_directory(folder)
    pending = courier.read_keywords(folder).pending_files
    list_path = folder + b"/" + courier.KEYWORD_LIST
    fsops.replace_file(list_path, courier.keyword_list(used))
    # A crash here leaves changes that Courier would make again; the next hand-back
    # removes them.
    for name in pending:
        with suppress(FileNotFoundError):
            fsops.unlink(directory + b"/" + name)
    fsops.fsync_directory(directory)


def _hand_back_subscriptions(account: "MaildirAccount", report: HandBackReport) -> None:
    with account_lock(account.root, account.limits.lock_seconds):
        paths = account.subscriptions()
        lines = [
            line
            for line in courier.read_subscribed(account.root) or []
            if courier.subscribed_path(line) is None  # "#shared...": not ours
        ]
        lines.extend(_subscribed_lines(paths))
        octets = b"".join(line + b"\n" for line in lines)
        fsops.replace_file(account.root + b"/" + courier.SUBSCRIBED, octets)
        settling.note_handed_back(account.state, account.root)
    report.subscriptions = len(paths)


def _subscribed_lines(paths: Iterable[MailboxPath]) -> list[bytes]:
    return [
        b"INBOX" if path == INBOX else courier.subscribed_line(path) for path in paths
    ]


def _uid_table(folder: bytes) -> UidTable:
    octets = fsops.read_file(folder + b"/dovecot-uidlist", _LARGEST_OCTETS)
    try:
        return parse(octets)
    except BrokenUidList as error:  # it was right a moment ago
        raise OSError("the UID list changed under us") from error


def _courier_bases(folder: bytes) -> dict[bytes, bytes]:
    """Return Courier's key of every message by ours: it ends before the last colon."""
    found = {}
    for part in (b"/cur", b"/new"):
        for name in fsops.names(folder + part):
            if usable(name):
                head, colon, _ = name.rpartition(b":")
                found[base_of(name)] = head if colon else name
    return found


def _keywords(flags: Flags | None) -> frozenset[bytes]:
    return frozenset(flag for flag in flags or () if not is_system(flag))
