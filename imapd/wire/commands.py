"""One grammar function for each command: a ``Frame`` to its arguments.

``command_start`` reads tag and name; the function of that name then reads its
own leading SP and everything to the end of the command, or raises.  RFC 3501 §6,
§9, and the extensions named at each.
"""

from dataclasses import dataclass

from imapd.errors import LimitReached, SyntaxRejected
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.model.flags import StoreMode
from imapd.model.requests import (
    AppendMessage,
    Authenticate,
    Copy,
    Create,
    Enable,
    Fetch,
    FetchAtom,
    Identify,
    ListMailboxes,
    Login,
    MailboxName,
    Nothing,
    Rename,
    Search,
    Status,
    Store,
    UidExpunge,
)
from imapd.wire.chars import BASE64_CHARS, COMMAND_START
from imapd.wire.condstore import fetch_modifiers, store_modifiers
from imapd.wire.cursor import Cursor
from imapd.wire.dates import date_time
from imapd.wire.fetch import fetch_items
from imapd.wire.folders import (
    extended_list,
    special_uses,
    status_items,
)
from imapd.wire.search import search_program
from imapd.wire.sets import sequence_set
from imapd.wire.strings import (
    astring,
    atom,
    flag,
    flag_list,
    list_mailbox,
    mailbox,
    nstring,
    parenthesised,
    reference,
    string,
    tag,
    word,
)

_MECHANISM_OCTETS = 64  # RFC 4422 §3.1 has 20
_NOTHING = Nothing()


#   command = tag SP (command-any / command-auth / command-nonauth /
#             command-select) CRLF
#   uid     = "UID" SP (copy / fetch / search / store)      ; RFC 3501 §9
def command_start(cursor: Cursor) -> tuple[bytes, bytes]:
    """Read the tag and the name, in upper case: ``b"NOOP"``, ``b"UID FETCH"``.

    Raises:
        SyntaxRejected: there is no tag, or no name after it.
    """
    found = cursor.start(COMMAND_START)
    if found is None:  # once more, to say what is wrong
        label = tag(cursor)
        cursor.space()
        name = word(cursor, "a command")
    elif len(found[0]) > cursor.limits.tag_octets:
        raise SyntaxRejected("tag too long")
    else:
        label, name = found[0], found[1].upper()
    if name == b"UID":
        cursor.space()
        name += b" " + word(cursor, "a command after UID")
    return label, name


#   "CAPABILITY" / "LOGOUT" / "NOOP" / "STARTTLS" / "CHECK" / ...
def no_arguments(cursor: Cursor) -> Nothing:
    """Read nothing: the name was all."""
    cursor.end()
    return _NOTHING


#   login = "LOGIN" SP userid SP password                   ; RFC 3501 §9
def login(cursor: Cursor) -> Login:
    """Read two astrings."""
    cursor.space()
    user = astring(cursor, "a user name")
    cursor.space()
    password = astring(cursor, "a password")
    cursor.end()
    return Login(user, password)


#   authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")] *(CRLF base64)
#   auth-type    = atom                                     ; RFC 4959 §7
def authenticate(cursor: Cursor) -> Authenticate:
    """Read the mechanism and the initial response, whose base64 is not checked."""
    cursor.space()
    mechanism = atom(cursor, "a mechanism").upper()
    if len(mechanism) > _MECHANISM_OCTETS:
        raise SyntaxRejected("mechanism name too long")
    initial: bytes | None = None
    if not cursor.at_end:
        cursor.space()
        initial = cursor.expect(BASE64_CHARS, "an initial response in base64")
        cursor.end()
    return Authenticate(mechanism, initial)


#   delete = "DELETE" SP mailbox                            ; RFC 3501 §9
def mailbox_name(cursor: Cursor) -> MailboxName:
    """Read one mailbox: DELETE, SUBSCRIBE, UNSUBSCRIBE."""
    cursor.space()
    name = mailbox(cursor)
    cursor.end()
    return MailboxName(name)


#   create = "CREATE" SP mailbox [create-params]            ; RFC 4466 §3
def create(cursor: Cursor) -> Create:
    r"""Read a mailbox and maybe ``(USE (\Sent))``.  RFC 6154 §6."""
    cursor.space()
    name = mailbox(cursor)
    special_use: tuple[bytes, ...] = ()
    if not cursor.at_end:
        cursor.space()
        special_use = special_uses(cursor)
        cursor.end()
    return Create(name, special_use)


#   rename = "RENAME" SP mailbox SP mailbox                 ; RFC 3501 §9
def rename(cursor: Cursor) -> Rename:
    """Read the old name and the new."""
    cursor.space()
    old = mailbox(cursor)
    cursor.space()
    new = mailbox(cursor)
    cursor.end()
    return Rename(old, new)


#   list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat
#          [SP list-return-opts]                            ; RFC 5258 §6
def list_mailboxes(cursor: Cursor) -> ListMailboxes:
    """Read LIST, plain or extended (RFC 5258, RFC 5819, RFC 6154).

    What a selection option implies is in ``returns`` too: SUBSCRIBED (RFC 5258
    §3.1) and SPECIAL-USE (RFC 6154 §2).

    Raises:
        SyntaxRejected: malformed, an option we do not know, or RECURSIVEMATCH
            without anything to match.
        LimitReached: too many patterns.
    """
    cursor.space()
    return extended_list(cursor)


#   lsub = "LSUB" SP mailbox SP list-mailbox                ; RFC 3501 §9
def lsub(cursor: Cursor) -> ListMailboxes:
    """Read a reference and one pattern."""
    cursor.space()
    prefix = reference(cursor)
    cursor.space()
    pattern = list_mailbox(cursor)
    cursor.end()
    return ListMailboxes(prefix, (pattern,))


#   status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
def status(cursor: Cursor) -> Status:
    """Read a mailbox and what is asked about it.  RFC 3501 §9."""
    cursor.space()
    name = mailbox(cursor)
    cursor.space()
    items = status_items(cursor)
    cursor.end()
    return Status(name, items)


#   fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att /
#           "(" fetch-att *(SP fetch-att) ")") [fetch-modifiers]  ; RFC 4466 §3
def fetch(cursor: Cursor) -> Fetch:
    """Read a set and what to fetch of its messages."""
    return _fetch(cursor, uid=False)


def uid_fetch(cursor: Cursor) -> Fetch:
    """Read ``UID FETCH``: like FETCH, the set is of UIDs."""
    return _fetch(cursor, uid=True)


def _fetch(cursor: Cursor, *, uid: bool) -> Fetch:
    cursor.space()
    numbers = sequence_set(cursor)
    cursor.space()
    items = fetch_items(cursor)
    changed_since, vanished = fetch_modifiers(cursor, uid=uid)
    cursor.end()
    if changed_since is not None and FetchAtom.MODSEQ not in items:
        items += (FetchAtom.MODSEQ,)  # RFC 7162 §3.1.4.1
    return Fetch(numbers, items, uid, changed_since, vanished)


_STORE_ITEMS = {
    item + silent: (mode, bool(silent))
    for item, mode in (
        (b"FLAGS", StoreMode.REPLACE),
        (b"+FLAGS", StoreMode.ADD),
        (b"-FLAGS", StoreMode.REMOVE),
    )
    for silent in (b"", b".SILENT")
}


#   store           = "STORE" SP sequence-set [store-modifiers] SP store-att-flags
#   store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP
#                     (flag-list / (flag *(SP flag)))       ; RFC 3501 §9
def store(cursor: Cursor) -> Store:
    """Read a set and what to do to the flags of its messages."""
    return _store(cursor, uid=False)


def uid_store(cursor: Cursor) -> Store:
    """Read ``UID STORE``: like STORE, the set is of UIDs."""
    return _store(cursor, uid=True)


def _store(cursor: Cursor, *, uid: bool) -> Store:
    cursor.space()
    numbers = sequence_set(cursor)
    cursor.space()
    unchanged_since = store_modifiers(cursor)
    sign = b"+" if cursor.skip(b"+") else b""  # "-" is in WORD_CHARS
    name = sign + word(cursor, "FLAGS, +FLAGS or -FLAGS")
    if name not in _STORE_ITEMS:
        raise SyntaxRejected("expected FLAGS, +FLAGS or -FLAGS")
    mode, silent = _STORE_ITEMS[name]
    cursor.space()
    flags = flag_list(cursor) if cursor.peek() == b"(" else _bare_flags(cursor)
    cursor.end()
    return Store(numbers, mode, silent, flags, uid, unchanged_since)


def _bare_flags(cursor: Cursor) -> tuple[bytes, ...]:
    flags = [flag(cursor)]
    while not cursor.at_end:
        cursor.space()
        if len(flags) >= cursor.limits.list_item_count:
            raise LimitReached("too many flags")
        flags.append(flag(cursor))
    return tuple(flags)


def search(cursor: Cursor) -> Search:
    """Read SEARCH; see ``search_program``."""
    return search_program(cursor, uid=False)


def uid_search(cursor: Cursor) -> Search:
    """Read ``UID SEARCH``: like SEARCH, the answer is of UIDs."""
    return search_program(cursor, uid=True)


#   copy = "COPY" SP sequence-set SP mailbox                ; RFC 3501 §9
#   move = "MOVE" SP sequence-set SP mailbox                ; RFC 6851 §5
def copy(cursor: Cursor) -> Copy:
    """Read a set and a mailbox: COPY and MOVE."""
    return _copy(cursor, uid=False)


def uid_copy(cursor: Cursor) -> Copy:
    """Read ``UID COPY`` or ``UID MOVE``: the set is of UIDs."""
    return _copy(cursor, uid=True)


def _copy(cursor: Cursor, *, uid: bool) -> Copy:
    cursor.space()
    numbers = sequence_set(cursor)
    cursor.space()
    name = mailbox(cursor)
    cursor.end()
    return Copy(numbers, name, uid)


#   uid-expunge = "UID" SP "EXPUNGE" SP sequence-set        ; RFC 4315 §4
def uid_expunge(cursor: Cursor) -> UidExpunge:
    """Read a set of UIDs."""
    cursor.space()
    numbers = sequence_set(cursor)
    cursor.end()
    return UidExpunge(numbers)


#   "ENABLE" 1*(SP capability)                              ; RFC 5161 §4
def enable(cursor: Cursor) -> Enable:
    """Read capabilities, known or not, without repetition."""
    names: dict[bytes, None] = {}
    while True:
        cursor.space()
        if len(names) >= cursor.limits.list_item_count:
            raise LimitReached("too many capabilities")
        names[atom(cursor, "a capability").upper()] = None
        if cursor.at_end:
            return Enable(tuple(names))


#   id_params_list = "(" #(string SPACE nstring) ")" / nil  ; RFC 2971 §4
def identify(cursor: Cursor) -> Identify:
    """Read ID.

    Raises:
        LimitReached: more than ``id_pair_count`` pairs.  RFC 2971 §3.3.
    """
    cursor.space()
    pairs = [] if cursor.skip(b"NIL") else parenthesised(cursor, _id_pair)
    cursor.end()
    if len(pairs) > cursor.limits.id_pair_count:
        raise LimitReached("too many pairs in ID")
    return Identify(tuple(pairs))


def _id_pair(cursor: Cursor) -> tuple[bytes, bytes | None]:
    name = string(cursor)
    cursor.space()
    return name, nstring(cursor)


@dataclass(frozen=True, slots=True)
class AppendPrefix:
    """What precedes the first message literal."""

    mailbox: str
    message: AppendMessage


#   append = "APPEND" SP mailbox 1*append-message           ; RFC 3502 §6.3.11
def append_prefix(
    parts: tuple[bytes, ...], limits: Limits = DEFAULT_LIMITS
) -> AppendPrefix | None:
    """Read an APPEND up to the literal just announced.

    Args:
        parts: those of the ``LiteralPrompt``.
        limits: what the name and the flags are held to.

    Returns:
        None if that literal is the mailbox name itself, to be collected.

    Raises:
        SyntaxRejected: it is neither the mailbox nor the first message.
        Cannot: the mailbox name is none we take.
    """
    cursor = Cursor(parts, limits)
    command_start(cursor)
    cursor.space()
    if cursor.at_end:
        return None
    name = mailbox(cursor)
    return AppendPrefix(name, _append_message(cursor))


def append_next(text: bytes, limits: Limits = DEFAULT_LIMITS) -> AppendMessage:
    """Read the text between two message literals.  RFC 3502."""
    return _append_message(Cursor((text,), limits))


def append_end(text: bytes) -> None:
    """Read the text after the last message literal: there must be none."""
    Cursor((text,)).end()


#   append-message = append-opts SP append-data
#   append-opts    = [SP flag-list] [SP date-time]          ; RFC 4466 §3
def _append_message(cursor: Cursor) -> AppendMessage:
    """Read what precedes one message literal, with the SP that ends it."""
    cursor.space()
    flags: tuple[bytes, ...] = ()
    if cursor.peek() == b"(":
        flags = flag_list(cursor)
        cursor.space()
    internal_date = None
    if cursor.peek() == b'"':
        internal_date = date_time(cursor)
        cursor.space()
    if not cursor.at_end:
        raise SyntaxRejected("expected flags, a date-time or the message literal")
    return AppendMessage(flags, internal_date)
