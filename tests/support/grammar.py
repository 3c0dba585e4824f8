"""The ``response`` grammar of IMAP, strictly: what a server sends must be this.

Written from the RFCs alone and sharing nothing with the server, so that one
misreading is not made twice.  RFC 3501 §9, with RFC 2342 and 4466 (NAMESPACE,
ESEARCH), 2971 (ID), 4315 (UIDPLUS), 5161 (ENABLED), 5256 (SORT, THREAD), 5258 and
6154 (LIST), 5267 (PARTIAL), 5530 (codes), 7162 (CONDSTORE, QRESYNC), 7889
(APPENDLIMIT) and 8438 (STATUS=SIZE).  Where an RFC says more about a value than its
grammar does, that is checked too.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.grammar_cursor import ATOM, Cursor, NotGrammatical
from tests.support.grammar_fetch import Fetched, msg_att
from tests.support.grammar_text import (
    FLAG,
    Code,
    capabilities,
    capability_data,
    flag_list,
    mod_sequence,
    number_set,
    resp_text,
)
from tests.support.grammar_threads import partial_data, thread_data

__all__ = [
    "Code",
    "Continuation",
    "Fetched",
    "NotGrammatical",
    "Response",
    "ResponseReader",
    "Tagged",
    "Untagged",
    "parse_responses",
]

SELECTABILITY = {rb"\NOSELECT", rb"\MARKED", rb"\UNMARKED", rb"\NONEXISTENT"}
ATTRIBUTES = SELECTABILITY | {
    *(rb"\NOINFERIORS", rb"\HASCHILDREN", rb"\HASNOCHILDREN"),
    *(rb"\SUBSCRIBED", rb"\REMOTE"),
    *(rb"\ALL", rb"\ARCHIVE", rb"\DRAFTS", rb"\FLAGGED", rb"\JUNK"),
    *(rb"\SENT", rb"\TRASH"),
}
CONTRADICTIONS = (
    {rb"\HASCHILDREN", rb"\HASNOCHILDREN"},  # RFC 5258 §4
    {rb"\NOINFERIORS", rb"\HASCHILDREN"},
)
STATUS_LARGEST = {
    b"MESSAGES": (0, 2**32 - 1),
    b"RECENT": (0, 2**32 - 1),
    b"UNSEEN": (0, 2**32 - 1),
    b"DELETED": (0, 2**32 - 1),
    b"UIDNEXT": (1, 2**32 - 1),
    b"UIDVALIDITY": (1, 2**32 - 1),
    b"APPENDLIMIT": (0, 2**32 - 1),
    b"SIZE": (0, 2**63 - 1),
    b"HIGHESTMODSEQ": (0, 2**63 - 1),
}


ESEARCH_RESULTS = (b"MIN", b"MAX", b"ALL", b"COUNT", b"PARTIAL", b"MODSEQ")


@dataclass(frozen=True, slots=True)
class Tagged:
    """``tag condition [code] text``."""

    tag: bytes
    condition: bytes
    code: Code | None
    text: bytes


@dataclass(frozen=True, slots=True)
class Continuation:
    """``+ text``."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Untagged:
    """``* kind data``, the kind in upper case.

    ``data`` is (code, text) for OK, NO, BAD, BYE and PREAUTH, the number for
    EXISTS, RECENT and EXPUNGE, ``Fetched`` for FETCH, else what its rule returns.
    """

    kind: bytes
    data: Any


Response = Tagged | Continuation | Untagged


# --- mailbox data ------------------------------------------------------------------


def _flags(cursor: Cursor) -> tuple[bytes, ...]:
    return flag_list(cursor, set())


def _attribute(cursor: Cursor) -> bytes:
    start = cursor.position
    name = cursor.expect(FLAG, "an attribute")
    if name.upper() not in ATTRIBUTES:
        raise cursor.wrong("an attribute of LIST", start)
    return name


def _separator(cursor: Cursor) -> bytes | None:
    separator = cursor.nil_or(Cursor.quoted)
    if separator is not None and len(separator) != 1:
        raise cursor.wrong("one separator")
    return separator


def _mailbox_list(cursor: Cursor) -> tuple[tuple[bytes, ...], bytes | None, str]:
    """``"(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox``."""
    attributes = cursor.listed(_attribute, empty=True)
    names = {name.upper() for name in attributes}
    if len(names) < len(attributes) or len(names & SELECTABILITY) > 1:
        raise cursor.wrong("each attribute once, one selectability")
    if any(pair <= names for pair in CONTRADICTIONS):
        raise cursor.wrong("attributes that do not contradict each other")
    cursor.skip(b" ")
    separator = _separator(cursor)
    cursor.skip(b" ")
    return attributes, separator, cursor.mailbox()


def _list(
    cursor: Cursor,
) -> tuple[tuple[bytes, ...], bytes | None, str, dict[bytes, Any]]:
    """With ``[SP mbox-list-extended]``.  RFC 5258 §6."""
    listed = _mailbox_list(cursor)
    if not cursor.at(b" "):
        return *listed, {}
    cursor.skip(b" ")
    return *listed, dict(cursor.listed(_list_extended, empty=True))


def _list_extended(cursor: Cursor) -> tuple[bytes, Any]:
    start = cursor.position
    if (name := cursor.astring().upper()) != b"CHILDINFO":
        raise cursor.wrong("an item of extended LIST in use", start)
    cursor.skip(b" ")
    return name, cursor.listed(Cursor.quoted)


def _status(cursor: Cursor) -> tuple[str, dict[bytes, int]]:
    name = cursor.mailbox()
    cursor.skip(b" ")
    pairs = cursor.listed(_status_att, empty=True)
    if len(dict(pairs)) < len(pairs):
        raise cursor.wrong("each item once")
    return name, dict(pairs)


def _status_att(cursor: Cursor) -> tuple[bytes, int]:
    start = cursor.position
    name = cursor.expect(ATOM, "a status item").upper()
    if name not in STATUS_LARGEST:
        raise cursor.wrong("a status item in use", start)
    cursor.skip(b" ")
    return name, cursor.number(*STATUS_LARGEST[name])


def _search(cursor: Cursor) -> "SearchData":
    """``[1*(SP nz-number) [SP "(" "MODSEQ" SP mod-sequence-value ")"]]``."""
    numbers = SearchData()
    while cursor.at(b" ") and numbers.modseq is None:
        cursor.skip(b" ")
        if numbers and cursor.at(b"("):
            cursor.skip(b"(MODSEQ ")
            numbers.modseq = mod_sequence(cursor)
            cursor.skip(b")")
        else:
            numbers.append(cursor.nz_number())
    return numbers


class SearchData(list[int]):
    """The numbers of SEARCH, and the highest modification sequence.  RFC 7162."""

    modseq: int | None = None


def _vanished(cursor: Cursor) -> tuple[bool, list[tuple[int, int]]]:
    """``["(EARLIER)" SP] known-uids``: (earlier, ranges)."""
    earlier = cursor.at(b"(")
    if earlier:
        cursor.skip(b"(EARLIER) ")
    return earlier, number_set(cursor)


def _esearch(cursor: Cursor) -> tuple[bytes | None, bool, dict[bytes, Any]]:
    """``[SP "(" "TAG" SP tag-string ")"] [SP "UID"] *(SP search-return-data)``."""
    tag, uid = None, False
    results: dict[bytes, Any] = {}
    if cursor.at(b" ("):
        cursor.skip(b" (TAG ")
        tag = cursor.string()
        cursor.skip(b")")
    while cursor.at(b" "):
        cursor.skip(b" ")
        start = cursor.position
        name = cursor.expect(ATOM, "a search result").upper()
        if name == b"UID" and not uid and not results:
            uid = True
            continue
        if name not in ESEARCH_RESULTS or name in results:
            raise cursor.wrong("a search result, once", start)
        cursor.skip(b" ")
        if name == b"ALL":
            results[name] = number_set(cursor)
        elif name == b"MODSEQ":
            results[name] = mod_sequence(cursor)
        elif name == b"PARTIAL":
            results[name] = partial_data(cursor)
        else:
            results[name] = cursor.number(0 if name == b"COUNT" else 1)
    return tag, uid, results


# --- server data -------------------------------------------------------------------


def _id(cursor: Cursor) -> dict[bytes, bytes | None] | None:
    pairs = cursor.nil_or(lambda cursor: cursor.listed(_id_pair, empty=True))
    if pairs is None:
        return None
    if len(pairs) > 30 or len({name.lower() for name, _ in pairs}) < len(pairs):
        raise cursor.wrong("at most 30 fields, each once")  # RFC 2971 §3.3
    return dict(pairs)


def _id_pair(cursor: Cursor) -> tuple[bytes, bytes | None]:
    name = cursor.string()
    cursor.skip(b" ")
    value = cursor.nstring()
    if len(name) > 30 or len(value or b"") > 1024:
        raise cursor.wrong("a field of 30 and a value of 1024 octets at most")
    return name, value


def _namespace(cursor: Cursor) -> tuple[Any, Any, Any]:
    """``NAMESPACE SP namespace SP namespace SP namespace``.  RFC 4466 §3."""

    def group(cursor: Cursor) -> Any:
        return cursor.nil_or(
            lambda cursor: cursor.listed(_namespace_descr, between=b"")
        )

    personal = group(cursor)
    cursor.skip(b" ")
    others = group(cursor)
    cursor.skip(b" ")
    return personal, others, group(cursor)


def _namespace_descr(cursor: Cursor) -> tuple[bytes, bytes | None]:
    cursor.skip(b"(")
    prefix = cursor.string()
    cursor.skip(b" ")
    separator = _separator(cursor)
    cursor.skip(b")")
    return prefix, separator


def _after_space(rule: Callable[[Cursor], Any]) -> Callable[[Cursor], Any]:
    def with_space(cursor: Cursor) -> Any:
        cursor.skip(b" ")
        return rule(cursor)

    return with_space


KINDS: dict[bytes, Callable[[Cursor], Any]] = {
    b"CAPABILITY": capability_data,
    b"FLAGS": _after_space(_flags),
    b"LIST": _after_space(_list),
    b"LSUB": _after_space(_mailbox_list),
    b"STATUS": _after_space(_status),
    b"SEARCH": _search,
    b"ESEARCH": _esearch,
    b"VANISHED": _after_space(_vanished),
    b"SORT": _search,
    b"THREAD": thread_data,
    b"ID": _after_space(_id),
    b"ENABLED": capabilities,
    b"NAMESPACE": _after_space(_namespace),
}
CONDITIONS = (b"OK", b"NO", b"BAD")
COUNTS = {b"EXISTS": 0, b"RECENT": 0, b"EXPUNGE": 1}


# --- responses ---------------------------------------------------------------------

_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]+')


def response(cursor: Cursor) -> Response:
    """One ``response``, with its CRLF."""
    parsed: Response
    if cursor.at(b"+ "):
        cursor.skip(b"+ ")
        parsed = Continuation(b"" if cursor.at(b"\r\n") else resp_text(cursor)[1])
    elif cursor.at(b"* "):
        cursor.skip(b"* ")
        parsed = _response_data(cursor)
    else:
        tag = cursor.expect(_TAG, "a tag, an asterisk or a plus, and a space")
        cursor.skip(b" ")
        condition = cursor.word(CONDITIONS, "OK, NO or BAD")
        cursor.skip(b" ")
        parsed = Tagged(tag, condition, *resp_text(cursor))
    cursor.skip(b"\r\n")
    return parsed


def _response_data(cursor: Cursor) -> Untagged:
    if cursor.at_digit():
        number = cursor.number()
        cursor.skip(b" ")
        kind = cursor.word((*COUNTS, b"FETCH"), "EXISTS, RECENT, EXPUNGE or FETCH")
        if number < COUNTS.get(kind, 1):
            raise cursor.wrong("a message number")
        if kind == b"FETCH":
            cursor.skip(b" ")
            return Untagged(kind, msg_att(cursor, number, flag_list))
        return Untagged(kind, number)
    kind = cursor.word((*CONDITIONS, b"PREAUTH", b"BYE", *KINDS), "a response")
    if kind in KINDS:
        return Untagged(kind, KINDS[kind](cursor))
    cursor.skip(b" ")
    return Untagged(kind, resp_text(cursor))


#: Status responses and continuations hold text, in which ``{1}`` is no literal.
_TEXTUAL = re.compile(rb"\+ |[^ \r\n]+ (?:OK|NO|BAD|BYE|PREAUTH) ", re.IGNORECASE)
_LITERAL_END = re.compile(rb"\{([0-9]{1,10})\}\Z")


def _end_of_response(octets: bytes | bytearray, start: int) -> int | None:
    """Where the response that begins at ``start`` ends; None: not all is there."""
    textual = _TEXTUAL.match(octets, start)
    position = start
    while (end := octets.find(b"\r\n", position)) >= 0:
        found = _LITERAL_END.search(octets[max(position, end - 12) : end])
        if textual or not found:
            return end + 2
        position = end + 2 + int(found[1])
    return None


def _split(octets: bytes | bytearray) -> Iterator[Cursor]:
    start = 0
    while start < len(octets) and (end := _end_of_response(octets, start)) is not None:
        yield Cursor(bytes(octets[start:end]), start)
        start = end


def parse_responses(octets: bytes) -> list[Response]:
    """All responses in ``octets``, which must end with a whole one.

    Raises:
        NotGrammatical: with the offset, and what was expected there.
    """
    responses: list[Response] = []
    end = 0
    for cursor in _split(octets):
        responses.append(response(cursor))
        cursor.end()
        end = cursor.base + cursor.position
    if end < len(octets):
        raise NotGrammatical(len(octets), "the rest of a response", octets[end:])
    return responses


class ResponseReader:
    """The same for a stream: feed what arrives, get what is complete."""

    def __init__(self) -> None:
        self._octets = bytearray()
        self._offset = 0

    def feed(self, octets: bytes) -> list[Response]:
        """Return the responses that ``octets`` completes.

        Raises:
            NotGrammatical: with the offset in the stream.
        """
        self._octets += octets
        responses, taken = [], 0
        for cursor in _split(self._octets):
            taken = cursor.base + len(cursor.octets)
            cursor.base += self._offset
            responses.append(response(cursor))
            cursor.end()
        del self._octets[:taken]
        self._offset += taken
        return responses

    @property
    def rest(self) -> bytes:
        """What was fed and is not complete yet."""
        return bytes(self._octets)
