"""Address lists, as mail really has them.  RFC 5322 §3.4 and §4.4, RFC 3501 §7.4.2.

RFC 3501 lets a host be NIL only in the marks of a group, and says nothing of a
mailbox without one.  We send Dovecot's words for what is missing, which clients
know and hide.  Empty list elements (RFC 5322 §4.4) are no addresses.

A tab in a name comes from folding, and is one space with the blanks around it: a
name is for people.  Spaces that somebody put between quotes are as many as they are.
"""

import re
from collections.abc import Iterable

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime.lexical import comment_end, unescape
from imapd.model.structure import Address

MISSING_MAILBOX = b"MISSING_MAILBOX"
MISSING_DOMAIN = b"MISSING_DOMAIN"

_GROUP_END = Address(None, None, None, None)

_ATOM = rb'[^\x00-\x20"(),.:;<>@\[\\\]\x7f]++'
_DOT_ATOM = rb"(?:" + _ATOM + rb"|\.)++"
#: The engine of ``re`` remembers each word and escape: no usual name has many.
_WORDS = _ATOM + rb"(?>(?:[ \t]++" + _ATOM + rb"){0,99})"
_QUOTED = rb'"((?>(?:[^"\\]++|\\.){0,99}))"'
#: ``Name <user@host>``, ``user@host`` and ``user@host (Name)`` up to the comma:
#: nearly all there is.
_USUAL = re.compile(
    rb"[ \t]*+(?:(?:(?:%b|(%b))?[ \t]*+<(%b)@(%b)>)"
    rb"|(%b)@(%b)(?:[ \t]*+\(([^()\\]*+)\))?)[ \t]*+(?:,|\Z)"
    % (_QUOTED, _WORDS, _DOT_ATOM, _DOT_ATOM, _DOT_ATOM, _DOT_ATOM),
    re.DOTALL,
)
_TOKEN = re.compile(
    rb"(?P<blank>[\x00-\x20\x7f]++)"
    rb'|(?P<quoted>"(?:[^"\\]++|\\.?+)*+"?+)'
    rb"|(?P<literal>\[(?:[^\]\\]++|\\.?+)*+\]?+)"
    rb"|(?P<mark>[<>@,;:.])"
    rb"|(?P<comment>\()"
    rb"|(?P<word>" + _ATOM + rb"|[)\]\\])",
    re.DOTALL,
)
#: Spares the call of a function that only makes the tuple.
_new = tuple.__new__
_AT = [("mark", b"@")]  # begins a route
_BLANKS = re.compile(rb"[ \t]++")
_BLANK = b" "  # between two tokens; never the text of a word


class Words:
    """How much may still be read: an address of the usual form is one, as is a field.

    Of all others each word, mark, comment and blank is one.
    """

    __slots__ = ("left",)

    def __init__(self, count: int) -> None:
        self.left = count


#   address-list = (address *("," address)) / obs-addr-list
#   address = mailbox / group
def addresses(
    values: Iterable[bytes],
    limits: Limits = DEFAULT_LIMITS,
    words: Words | None = None,
) -> tuple[Address, ...]:
    """Return the addresses of all the values, at most ``limits.address_count``.

    The values are unfolded; those of a repeated field follow each other.  No more is
    read of them than ``words`` has left, by default as for one message.
    """
    found: list[Address] = []
    words = words or Words(limits.address_word_count)
    for value in values:
        count_limit = min(limits.address_count, len(found) + words.left)
        if len(found) >= count_limit:
            break
        before = len(found)
        position = _read_usual(value, 0, found, count_limit)
        words.left -= len(found) - before + 1
        if position < len(value) and len(found) < count_limit:
            _Reader(value, position, found, count_limit, words).read()
    return tuple(found)


def _read_usual(
    value: bytes, position: int, found: list[Address], count_limit: int
) -> int:
    """Read addresses of the usual form; return where the first other one begins."""
    match = _USUAL.match(value, position)
    while match is not None and len(found) < count_limit:
        quoted, words, local, domain, bare_local, bare_domain, comment = match.groups()
        name = quoted or words
        if local is None:
            name, local, domain = comment, bare_local, bare_domain
        if name:
            if name is words:
                name = b" ".join(name.split())
            elif b"\\" in name:
                name = _tidy(unescape(name).strip(b" "))
            elif name is comment:
                name = _tidy(name.strip(b" \t"))
            elif b"\t" in name:
                name = _tidy(name)
        found.append(_new(Address, (name or None, None, local, domain)))
        position = match.end()
        match = _USUAL.match(value, position)
    return position


class _Reader:
    """Reads a value from a position on, token by token.

    Each octet is looked at a few times.
    """

    __slots__ = (
        "comment",
        "count_limit",
        "found",
        "in_group",
        "pending",
        "position",
        "spoiled",
        "value",
        "words",
    )

    def __init__(
        self,
        value: bytes,
        position: int,
        found: list[Address],
        count_limit: int,
        words: Words,
    ) -> None:
        self.value = value
        self.found = found
        self.count_limit = count_limit
        self.position = position
        self.words = words
        self.in_group = False
        #: (kind, text) of the element so far; kind is a group name of ``_TOKEN``.
        self.pending: list[tuple[str, bytes]] = []
        self.comment: bytes | None = None
        self.spoiled = False  # an address ended and no comma followed

    def read(self) -> None:
        size, words = len(self.value), self.words
        while self.position < size and words.left > 0:
            words.left -= 1
            # A group may need the last place for its end.
            if len(self.found) + self.in_group >= self.count_limit:
                break
            before = self.position
            if not self.pending and not self.spoiled:
                room = self.count_limit - self.in_group
                self.position = _read_usual(self.value, before, self.found, room)
            if self.position == before:
                self._token()
        self._finish_element()
        self._finish_group()

    def _token(self) -> None:
        match = _TOKEN.match(self.value, self.position)
        if match is None or match.lastgroup is None:  # no octet is left out
            self.position += 1
            return
        kind, text = match.lastgroup, match[0]
        self.position = match.end()
        if kind == "comment":
            self._take_comment(match.start())
        elif kind == "blank":
            self.pending.append((kind, _BLANK))
        elif text == b"<":
            self._route_address()
        elif text == b":":
            self._start_group()
        elif text in (b",", b";"):
            self._finish_element()
            self.spoiled = False
            if text == b";":
                self._finish_group()
        elif text != b">":
            self.pending.append((kind, text))

    def _take_comment(self, start: int) -> None:
        self.position = comment_end(self.value, start)
        inside = self.value[start + 1 : self.position]
        self.comment = _tidy(unescape(inside.removesuffix(b")")).strip(b" \t")) or None
        self.pending.append(("blank", _BLANK))

    #   group = display-name ":" [group-list] ";" [CFWS]
    def _start_group(self) -> None:
        name = _phrase(self.pending)
        self._reset()
        if len(self.found) + self.in_group + 2 > self.count_limit:
            self.position = len(self.value)  # no room for its start and its end
            return
        self._finish_group()  # a group within a group is not in the grammar
        self.found.append(Address(None, None, name, None))
        self.in_group = True

    def _finish_group(self) -> None:
        if self.in_group:
            self.found.append(_GROUP_END)
            self.in_group = False

    #   name-addr  = [display-name] angle-addr
    #   obs-route  = obs-domain-list ":"
    #   obs-domain-list = "@" domain *("," ["@" domain])
    def _route_address(self) -> None:
        name = _phrase(self.pending)
        self._reset()
        inside, route = self._angle_tokens()
        local, domain = _addr_spec(inside)
        self._add(name or None, route, local, domain)
        self.spoiled = True

    def _angle_tokens(self) -> tuple[list[tuple[str, bytes]], bytes | None]:
        inside: list[tuple[str, bytes]] = []
        route: bytes | None = None
        while self.words.left > 0 and (
            match := _TOKEN.match(self.value, self.position)
        ):
            self.words.left -= 1
            kind, text = match.lastgroup or "word", match[0]
            if text in (b"<", b";") or (text == b"," and inside[:1] != _AT):
                break  # the bracket was forgotten
            self.position = match.end()
            if text == b">":
                break
            if kind == "comment":
                self.position = comment_end(self.value, match.start())
            elif text == b":" and route is None:
                route = b"".join(_words(inside)) or None
                inside = []
            elif kind != "blank":
                inside.append((kind, text))
            elif inside:
                inside.append((kind, _BLANK))
        return inside, route

    def _finish_element(self) -> None:
        """End an element that has no angle brackets: ``user@host``, or rubbish."""
        pending, comment = self.pending, self.comment
        words = _words(pending)
        spoiled = self.spoiled and b"@" not in words
        self._reset()
        if not words or spoiled:
            return
        if b"@" in words or len(words) == 1:
            local, domain = _addr_spec(pending)
            self._add(comment, None, local, domain)
        else:
            self._add(_phrase(pending), None, b"", b"")

    def _add(
        self, name: bytes | None, route: bytes | None, local: bytes, domain: bytes
    ) -> None:
        self.found.append(
            Address(name, route, local or MISSING_MAILBOX, domain or MISSING_DOMAIN)
        )

    def _reset(self) -> None:
        self.pending = []
        self.comment = None


def _words(tokens: list[tuple[str, bytes]]) -> list[bytes]:
    return [text for kind, text in tokens if kind != "blank"]


def _text(kind: str, text: bytes) -> bytes:
    """Return a token without its quoting."""
    if kind != "quoted":
        return text
    closed = len(text) > 1 and text.endswith(b'"')
    return unescape(text[1:-1] if closed else text[1:])


#   phrase = 1*word / obs-phrase       ; obs-phrase = word *(word / "." / CFWS)
def _phrase(tokens: list[tuple[str, bytes]]) -> bytes:
    """Join the words of a name; any blanks and comments between are one space."""
    pieces: list[bytes] = []
    for kind, text in tokens:
        if kind != "blank":
            pieces.append(_text(kind, text))
        elif pieces and pieces[-1] is not _BLANK:
            pieces.append(_BLANK)
    return _tidy(b"".join(pieces).strip(b" "))


def _tidy(name: bytes) -> bytes:
    """Return a name with one space for each run of blanks that has a tab."""
    return _BLANKS.sub(_untabbed, name) if b"\t" in name else name


def _untabbed(blanks: re.Match[bytes]) -> bytes:
    return b" " if b"\t" in blanks[0] else blanks[0]


#   addr-spec = local-part "@" domain
#   obs-local-part = word *("." word) ; obs-domain = atom *("." atom)
def _addr_spec(tokens: list[tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """Return local part, unquoted (RFC 3501 §9 ``addr-mailbox``), and domain.

    What follows a complete address (``a@b c``, ``a@b@c``) is left out.
    """
    sides: list[list[bytes]] = [[], []]
    side = 0
    last = b"."  # a word may follow
    for kind, text in tokens:
        if kind == "blank":
            continue
        if text == b"@":
            if side:
                break
            side, last = 1, b"."
            continue
        if last != b"." and text != b"." and kind != "mark":
            if side:
                break
            sides[0].append(b" ")
        sides[side].append(_text(kind, text))
        last = text
    return b"".join(sides[0]), b"".join(sides[1])
