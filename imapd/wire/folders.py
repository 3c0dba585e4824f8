"""Options of LIST, STATUS and CREATE.  RFC 3501, 5258, 5819, 6154, 8438."""

from collections.abc import Callable
from dataclasses import dataclass

from imapd.errors import LimitReached, SyntaxRejected
from imapd.model.requests import ListMailboxes
from imapd.wire.cursor import Cursor
from imapd.wire.strings import atom, list_mailbox, parenthesised, reference, word

#: RFC 5258 §3.1, RFC 6154 §2.
SELECTION_OPTIONS = frozenset(
    (b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE")
)
#: RFC 5258 §3.2, RFC 5819 §2, RFC 6154 §2.
RETURN_OPTIONS = frozenset((b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE", b"STATUS"))
#: RFC 3501 §6.3.10, RFC 7162 §3.1.7, RFC 7889 §3.2, RFC 8438 §2, RFC 9051 §6.3.11.
STATUS_ITEMS = frozenset(
    (
        b"MESSAGES",
        b"RECENT",
        b"UIDNEXT",
        b"UIDVALIDITY",
        b"UNSEEN",
        b"SIZE",
        b"DELETED",
        b"APPENDLIMIT",
        b"HIGHESTMODSEQ",
    )
)

# Every mailbox is held against every pattern; clients send one or two.
_PATTERN_COUNT = 100

_IMPLIED = frozenset((b"SUBSCRIBED", b"SPECIAL-USE"))


def _one_of(names: frozenset[bytes], what: str) -> Callable[[Cursor], bytes]:
    """Make a rule that reads one of these names, in any case."""

    def rule(cursor: Cursor) -> bytes:
        name = word(cursor, what)
        if name not in names:
            raise SyntaxRejected(f"unknown {what}")
        return name

    return rule


_status_att = _one_of(STATUS_ITEMS, "status item")
_selection_option = _one_of(SELECTION_OPTIONS, "selection option")
_return_name = _one_of(RETURN_OPTIONS, "return option")


#   "(" status-att *(SP status-att) ")"                     ; RFC 3501 §9
def status_items(cursor: Cursor) -> tuple[bytes, ...]:
    """Read items in upper case, in the client's order, without repetition."""
    items = tuple(dict.fromkeys(parenthesised(cursor, _status_att)))
    if not items:
        raise SyntaxRejected("expected a status item")
    return items


#   create-param =/ "USE" SP "(" [use-attr *(SP use-attr)] ")"  ; RFC 6154 §6
#   use-attr     = "\" atom
def special_uses(cursor: Cursor) -> tuple[bytes, ...]:
    r"""Read ``(USE (\Sent))``."""
    cursor.open_paren()
    if word(cursor, "USE") != b"USE":
        raise SyntaxRejected("unknown parameter of CREATE")
    cursor.space()
    uses = parenthesised(cursor, _use_attr)
    cursor.close_paren()
    return tuple(dict.fromkeys(uses))


def _use_attr(cursor: Cursor) -> bytes:
    if not cursor.skip(b"\\"):
        raise SyntaxRejected("expected a special use")
    return b"\\" + atom(cursor, "a special use")


@dataclass(frozen=True, slots=True)
class _ReturnOption:
    name: bytes
    status: tuple[bytes, ...] = ()


#   return-option  =/ status-option
#   status-option  = "STATUS" SP "(" status-att *(SP status-att) ")"
#                                                           ; RFC 5819 §4
def _return_option(cursor: Cursor) -> _ReturnOption:
    name = _return_name(cursor)
    if name != b"STATUS":
        return _ReturnOption(name)
    cursor.space()
    return _ReturnOption(name, status_items(cursor))


#   list-select-opts = "(" [list-select-opt *(SP list-select-opt)] ")"
#   mbox-or-pat      = list-mailbox / patterns
#   patterns         = "(" list-mailbox *(SP list-mailbox) ")"
#   list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"
#                                                           ; RFC 5258 §6
def extended_list(cursor: Cursor) -> ListMailboxes:
    """Read the arguments of LIST to the end; see ``commands.list_mailboxes``."""
    extended = False
    selection: frozenset[bytes] = frozenset()
    if cursor.peek() == b"(":
        extended = True
        selection = _selection(cursor)
        cursor.space()
    prefix = reference(cursor)
    cursor.space()
    if cursor.peek() == b"(":
        extended = True
        patterns = tuple(parenthesised(cursor, list_mailbox))
        if not patterns:
            raise SyntaxRejected("expected a mailbox pattern")
        if len(patterns) > _PATTERN_COUNT:
            raise LimitReached("too many mailbox patterns")
    else:
        patterns = (list_mailbox(cursor),)
    options: list[_ReturnOption] = []
    if not cursor.at_end:
        extended = True
        cursor.space()
        if word(cursor, "RETURN") != b"RETURN":
            raise SyntaxRejected("expected RETURN")
        cursor.space()
        options = parenthesised(cursor, _return_option)
        cursor.end()
    returns = frozenset(option.name for option in options) | (selection & _IMPLIED)
    status = dict.fromkeys(item for option in options for item in option.status)
    return ListMailboxes(prefix, patterns, extended, selection, returns, tuple(status))


def _selection(cursor: Cursor) -> frozenset[bytes]:
    selection = frozenset(parenthesised(cursor, _selection_option))
    if b"RECURSIVEMATCH" in selection and selection <= {b"RECURSIVEMATCH", b"REMOTE"}:
        raise SyntaxRejected("RECURSIVEMATCH needs another selection option")
    return selection
