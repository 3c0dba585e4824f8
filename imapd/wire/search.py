"""``search-key``: octets to the tree of a SEARCH.  RFC 3501 §6.4.4, §9.

Reads with a stack of its own, so that depth costs a list entry, not a Python
frame.  The tree may be as deep as ``search_key_count``.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from imapd.errors import BadCharset, LimitReached, SyntaxRejected
from imapd.mime.charsets import codec_name
from imapd.model import flags
from imapd.model.requests import Search
from imapd.model.search import (
    All,
    And,
    Body,
    Dated,
    DateField,
    DateTest,
    HasFlag,
    Header,
    ModSeqAtLeast,
    Not,
    Numbers,
    Or,
    Return,
    SearchKey,
    Size,
    Text,
    Within,
)
from imapd.wire.condstore import mod_sequence
from imapd.wire.cursor import Cursor
from imapd.wire.dates import date
from imapd.wire.sets import sequence_set
from imapd.wire.strings import (
    astring,
    flag_keyword,
    number,
    nz_number,
    parenthesised,
    string,
    word,
)

_RETURNS = {option.value.encode("ascii"): option for option in Return}


@dataclass(frozen=True, slots=True)
class Charset:
    """How the strings of a SEARCH are encoded: the name of a codec."""

    codec: str

    def decode(self, octets: bytes) -> str:
        """Read a string of the search.

        Raises:
            SyntaxRejected: it is not in that charset.
        """
        try:
            return octets.decode(self.codec)
        except UnicodeError as error:
            raise SyntaxRejected("search text is not in its charset") from error


_UTF_8 = Charset("utf-8")

#: Not in a command: they have NULs, or two spellings for one text.
_UNFIT = re.compile(r"utf_(?:7|16|32)")


def _charset(name: bytes) -> Charset:
    """Any charset of mail; clients older than UTF-8 search in that of their folder.

    Raises:
        BadCharset: we do not know it.
    """
    if name.upper() in (b"US-ASCII", b"ASCII"):
        return Charset("ascii")
    codec = codec_name(name)
    if codec is None or _UNFIT.match(codec):
        raise BadCharset("charset not known")
    return Charset(codec)


class _Rule(Protocol):
    def __call__(self, cursor: Cursor, charset: Charset) -> SearchKey:
        """Read what follows the name of a key."""


def _fixed(key: SearchKey) -> _Rule:
    return lambda cursor, charset: key


def _text(cursor: Cursor, charset: Charset) -> str:
    cursor.space()
    return charset.decode(astring(cursor, "a text to search for"))


def _dated(of: DateField, test: DateTest) -> _Rule:
    def rule(cursor: Cursor, charset: Charset) -> SearchKey:
        cursor.space()
        return Dated(of, test, date(cursor))

    return rule


def _header(name: bytes) -> _Rule:
    return lambda cursor, charset: Header(name, _text(cursor, charset))


#   "HEADER" SP header-fld-name SP astring                  ; RFC 3501 §9
def _any_header(cursor: Cursor, charset: Charset) -> SearchKey:
    cursor.space()
    name = astring(cursor, "the name of a header field")
    return Header(name, _text(cursor, charset))


#   "KEYWORD" SP flag-keyword                               ; RFC 3501 §9
def _keyword(cursor: Cursor, charset: Charset) -> SearchKey:
    cursor.space()
    return HasFlag(flag_keyword(cursor))


#   ( "OLDER" / "YOUNGER" ) SP nz-number                    ; RFC 5032 §3
def _within(younger: bool) -> _Rule:
    def rule(cursor: Cursor, charset: Charset) -> SearchKey:
        cursor.space()
        return Within(younger, nz_number(cursor, "a number of seconds"))

    return rule


#   "LARGER" SP number / "SMALLER" SP number                ; RFC 3501 §9
def _size(larger: bool) -> _Rule:
    def rule(cursor: Cursor, charset: Charset) -> SearchKey:
        cursor.space()
        return Size(larger, number(cursor, "a number of octets"))

    return rule


#   "UID" SP sequence-set                                   ; RFC 3501 §9
def _uid(cursor: Cursor, charset: Charset) -> SearchKey:
    cursor.space()
    return Numbers(sequence_set(cursor), uid=True)


#   search-modsequence = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer
#   search-modseq-ext  = SP entry-name SP entry-type-req    ; RFC 7162 §7
def _modseq(cursor: Cursor, charset: Charset) -> SearchKey:
    """The entry is read and not used: there is one number for all of a message."""
    cursor.space()
    if cursor.peek() in (b'"', b""):
        string(cursor, "the name of a metadata item")
        cursor.space()
        if word(cursor, "priv, shared or all") not in (b"PRIV", b"SHARED", b"ALL"):
            raise SyntaxRejected("expected priv, shared or all")
        cursor.space()
    return ModSeqAtLeast(mod_sequence(cursor))


def _flag_rules() -> dict[bytes, _Rule]:
    rules: dict[bytes, _Rule] = {}
    for flag in flags.SYSTEM_FLAGS:
        name = flag[1:].upper()
        rules[name] = _fixed(HasFlag(flag))
        rules[b"UN" + name] = _fixed(Not(HasFlag(flag)))
    return rules


def _date_rules() -> dict[bytes, _Rule]:
    rules: dict[bytes, _Rule] = {}
    for test in DateTest:
        name = test.value.encode("ascii")
        rules[name] = _dated(DateField.INTERNAL, test)
        rules[b"SENT" + name] = _dated(DateField.SENT, test)
    return rules


_RULES: dict[bytes, _Rule] = {
    **_flag_rules(),
    **_date_rules(),
    b"ALL": _fixed(All()),
    b"RECENT": _fixed(HasFlag(flags.RECENT)),
    b"OLD": _fixed(Not(HasFlag(flags.RECENT))),
    b"NEW": _fixed(And((HasFlag(flags.RECENT), Not(HasFlag(flags.SEEN))))),
    b"BCC": _header(b"Bcc"),
    b"CC": _header(b"Cc"),
    b"FROM": _header(b"From"),
    b"SUBJECT": _header(b"Subject"),
    b"TO": _header(b"To"),
    b"HEADER": _any_header,
    b"BODY": lambda cursor, charset: Body(_text(cursor, charset)),
    b"TEXT": lambda cursor, charset: Text(_text(cursor, charset)),
    b"KEYWORD": _keyword,
    b"UNKEYWORD": lambda cursor, charset: Not(_keyword(cursor, charset)),
    b"LARGER": _size(larger=True),
    b"SMALLER": _size(larger=False),
    b"YOUNGER": _within(younger=True),
    b"OLDER": _within(younger=False),
    b"UID": _uid,
    b"MODSEQ": _modseq,
}


class _Kind(Enum):
    GROUP = auto()
    NOT = auto()
    OR = auto()


@dataclass(slots=True)
class _Open:
    """A key whose operands are still being read."""

    kind: _Kind
    keys: list[SearchKey] = field(default_factory=list)

    def closed(self) -> SearchKey | None:
        """The whole key; None: it takes another operand, or its parenthesis."""
        if self.kind is _Kind.NOT:
            return Not(self.keys[0])
        if self.kind is _Kind.OR and len(self.keys) == 2:
            return Or(self.keys[0], self.keys[1])
        return None

    def group(self) -> SearchKey:
        """All keys of a group at once."""
        return self.keys[0] if len(self.keys) == 1 else And(tuple(self.keys))


_OPERATORS = {b"NOT": _Kind.NOT, b"OR": _Kind.OR}


class _Reader:
    """Reads the keys of one SEARCH."""

    def __init__(self, cursor: Cursor, charset: Charset) -> None:
        self._cursor = cursor
        self._charset = charset
        self._open = [_Open(_Kind.GROUP)]
        self._depth = 0
        self._count = 0

    def read(self) -> SearchKey:
        """Read keys up to the end of the command."""
        while True:
            key = self._next_key()
            if key is not None and self._put(key):
                return self._open[0].group()

    def _next_key(self) -> SearchKey | None:
        """Read one key; None: it was the beginning of one with operands."""
        cursor = self._cursor
        self._count += 1
        if self._count > cursor.limits.search_key_count:
            raise LimitReached("too many search keys")
        if cursor.skip(b"("):
            self._depth += 1
            if self._depth > cursor.limits.nesting_depth:
                raise LimitReached("search keys nested too deeply")
            self._open.append(_Open(_Kind.GROUP))
            return None
        if cursor.peek() in _SET_STARTS:
            return Numbers(sequence_set(cursor), uid=False)
        name = word(cursor, "a search key")
        if name in _OPERATORS:
            cursor.space()
            self._open.append(_Open(_OPERATORS[name]))
            return None
        if name not in _RULES:
            raise SyntaxRejected("unknown search key")
        return _RULES[name](cursor, self._charset)

    def _put(self, key: SearchKey) -> bool:
        """Give the key to what it is an operand of; True: the command is read."""
        cursor = self._cursor
        while True:
            top = self._open[-1]
            top.keys.append(key)
            closed = top.closed()
            in_parens = top.kind is _Kind.GROUP and self._depth > 0
            if in_parens and cursor.skip(b")"):
                self._depth -= 1
                closed = top.group()
            if closed is None:
                break
            self._open.pop()
            key = closed
        if len(self._open) == 1 and cursor.at_end:
            return True
        cursor.space()
        return False


_SET_STARTS = frozenset(bytes([octet]) for octet in b"0123456789*$")


#   search             = "SEARCH" [search-return-opts] SP search-program
#   search-program     = ["CHARSET" SP charset SP] search-key *(SP search-key)
#   search-return-opts = SP "RETURN" SP "(" [search-return-opt
#                        *(SP search-return-opt)] ")"       ; RFC 4466 §3
def search_program(cursor: Cursor, *, uid: bool) -> Search:
    """Read the arguments of SEARCH, from the first SP to the end.

    Strings are decoded by the charset named, or as UTF-8 if none was.
    ``RETURN ()`` is ``RETURN (ALL)``.  RFC 4731 §3.1.

    Raises:
        SyntaxRejected: a key is malformed or unknown, or a string is not in its
            charset.
        BadCharset: no charset of mail that we know.
        LimitReached: too many keys, or nested too deeply.
    """
    cursor.space()
    returns: frozenset[Return] | None = None
    if cursor.skip(b"RETURN "):
        returns = frozenset(parenthesised(cursor, _return_option))
        returns = returns or frozenset((Return.ALL,))
        cursor.space()
    charset = _UTF_8  # of which US-ASCII, the default, is a part
    if cursor.skip(b"CHARSET "):
        charset = _charset(astring(cursor, "a charset"))
        cursor.space()
    return Search(_Reader(cursor, charset).read(), returns, uid)


#   search-criteria = charset 1*(SP search-key)             ; RFC 5256 §5
def search_criteria(cursor: Cursor) -> SearchKey:
    """Read the charset and the keys of SORT and THREAD, to the end of the command.

    Raises:
        SyntaxRejected, BadCharset, LimitReached: as for ``search_program``.
    """
    name = astring(cursor, "a charset")
    cursor.space()  # or else it was a key, and the charset was forgotten
    return _Reader(cursor, _charset(name)).read()


#   search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT"     ; RFC 4731 §4
#   search-return-opt =/ "SAVE"                             ; RFC 5182 §3
def _return_option(cursor: Cursor) -> Return:
    name = word(cursor, "a return option")
    if name not in _RETURNS:
        raise SyntaxRejected("unknown return option")
    return _RETURNS[name]
