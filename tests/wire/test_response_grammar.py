"""Whatever is put into a response, it parses, and the strings come back."""

import unittest
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.errors import ImapError
from imapd.ids import Seq, Uid
from imapd.model.requests import FetchAtom
from imapd.model.structure import (
    Address,
    Addresses,
    BodyPart,
    Envelope,
    Partial,
    Section,
    SectionText,
)
from imapd.wire import encode, msgatt, response, rows, structure
from imapd.wire.sorted import search_data
from tests.support.grammar import Fetched, Tagged, Untagged, parse_responses
from tests.support.grammar_fetch import ParsedBody, ParsedEnvelope

octets = st.binary(max_size=40) | st.sampled_from(
    [b"NIL", b"]", b'"\\', b"\r\n* BYE x", b"{3}", b"a" * 1001, b"{3}\r\nabc", b"\0"]
)
maybe = st.none() | octets
numbers = st.integers(1, 2**32 - 1)
number_lists = st.lists(st.integers(1, 60), unique=True, min_size=1)
names = st.text(
    st.characters(exclude_categories=["Cs"]), max_size=20
) | st.sampled_from(["INBOX", "inbox", "&", "&-", "Entwürfe.ıä&", "nil", "\U0001f600"])
flags = st.frozensets(
    octets | st.sampled_from([rb"\Seen", rb"\Draft", b"$Junk", b"a"]), max_size=5
)
addresses: st.SearchStrategy[Addresses] = st.lists(
    st.builds(Address, maybe, maybe, octets, maybe)
    | st.just(Address(None, None, None, None)),
    max_size=3,
).map(tuple)
envelopes = st.builds(
    Envelope,
    *(maybe, maybe),
    *[addresses] * 6,
    *(maybe, maybe),
)
params = st.lists(st.tuples(octets, octets), max_size=2).map(tuple)


def parts(held: Any = None) -> st.SearchStrategy[BodyPart]:
    """One entity; ``held``: a strategy of what it may hold."""
    fields: dict[str, Any] = {
        "params": params,
        "id": maybe,
        "description": maybe,
        "encoding": octets,
        "md5": maybe,
        "disposition": st.none() | st.tuples(octets, params),
        "language": st.lists(octets, max_size=3).map(tuple),
        "location": maybe,
        "end": st.integers(0, 2**33),
        "lines": st.integers(0, 2**33),
    }
    types = st.sampled_from([b"TEXT", b"text", b"Image", b"MESSAGE", b""]) | octets
    subtypes = st.sampled_from([b"PLAIN", b"rfc822", b"MIXED"]) | octets
    leaf = st.builds(BodyPart, types, subtypes, **fields)
    if held is None:
        return leaf
    multipart = st.builds(
        BodyPart,
        *(st.just(b"multipart"), subtypes),
        **fields,
        parts=st.lists(held, min_size=1, max_size=3),
    )
    message = st.builds(
        BodyPart,
        *(st.sampled_from([b"Message", b"x"]), st.just(b"RFC822")),
        **fields,
        message=held,
    )
    return multipart | message | leaf


trees = st.recursive(parts(), parts, max_leaves=6)


def without_nul(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.replace(b"\0", b"\x80")
    return tuple(map(without_nul, value)) if isinstance(value, tuple) else value


def parsed(content: bytes) -> Any:
    [untagged] = parse_responses(response.untagged(content))
    assert isinstance(untagged, Untagged), content
    return untagged.data


def fetched(item: rows.Column) -> tuple[bytes, Any]:
    [untagged] = parse_responses(rows.fetch_rows([Seq(1)], [item]))
    assert isinstance(untagged, Untagged)
    data = untagged.data
    assert isinstance(data, Fetched)
    [pair] = data.items
    return pair


class GrammarTests(unittest.TestCase):
    # Hardening: P18.

    @given(st.none() | octets, st.text(max_size=20) | octets, maybe)
    def test_status_lines(self, tag: bytes | None, text: Any, code: Any) -> None:
        line = response.tagged(tag, b"NO", text, code)
        # A code nobody defined is no grammar; that it cannot break out is tested.
        self.assertEqual((line.count(b"\r"), line.count(b"\n")), (1, 1))
        [got] = parse_responses(response.tagged(tag, b"NO", text))
        if isinstance(got, Tagged):
            self.assertEqual((got.tag, got.code), (tag, None))
        parse_responses(response.continuation(octets_of(text)))
        parse_responses(response.error(tag, ImapError(str(text))))
        parse_responses(response.untagged(response.bye(text)))

    @given(names, st.sampled_from([".", "/", "\\", '"', None]))
    def test_names(self, name: str, separator: str | None) -> None:
        expected = "INBOX" if name.isascii() and name.upper() == "INBOX" else name
        listed = parsed(response.list_response([], separator, name, [b"SUBSCRIBED"]))
        self.assertEqual(listed[2], expected)
        self.assertEqual(parsed(response.lsub([], separator, name))[2], expected)
        pairs = [(b"MESSAGES", 1), (b"SIZE", 2**40)]
        self.assertEqual(parsed(response.status(name, pairs)), (expected, dict(pairs)))
        parsed(response.namespace(name, separator))

    @given(flags, st.booleans(), st.booleans())
    def test_flags(self, some: frozenset[bytes], recent: bool, more: bool) -> None:
        known = {flag.upper(): flag for flag in some if is_known(flag)}
        kept = frozenset(known.values())
        _, got = fetched(rows.flags_column([msgatt.render_flags(kept, recent)]))
        self.assertEqual(set(got) - {rb"\Recent"}, kept)
        self.assertEqual(rb"\Recent" in got, recent)
        self.assertEqual(set(parsed(response.flags(kept))), kept)
        code = response.permanentflags(kept, more)
        parsed(response.status_line(b"OK", b"x", code))
        # With whatever octets, nothing but flags comes out.
        self.assertNotIn(b"\n", response.flags(some))

    @given(number_lists, number_lists, numbers)
    def test_numbers(self, one: list[int], two: list[int], validity: int) -> None:
        line = b"".join(search_data(one))
        self.assertEqual(parsed(line[2:-2]), one)
        found = sorted(one)
        pairs = [(b"MIN", found[0]), (b"COUNT", len(found))]
        _, _, results = parsed(response.esearch(b'a"', True, pairs, found))
        self.assertEqual(expanded(results[b"ALL"]), found)
        copied = [(Uid(a), Uid(b)) for a, b in zip(one, two, strict=False)]
        code, _ = parsed(
            response.status_line(b"OK", b"x", response.copyuid(validity, copied))
        )
        _, sources, targets = code.arguments
        self.assertEqual(
            list(zip(expanded(sources), expanded(targets), strict=True)), copied
        )

    @given(maybe, st.dictionaries(st.sampled_from([b"a", b"b"]), maybe))
    def test_strings(self, value: bytes | None, pairs: Any) -> None:
        got = parsed(response.id_response(pairs))
        wanted = {key: without_nul(value) for key, value in pairs.items()}
        self.assertEqual(got, wanted or None)
        name, octets = fetched(rows.literal_column(b"BODY[]", [value]))
        self.assertEqual((name, octets), (b"BODY[]", without_nul(value)))
        for atom in (FetchAtom.RFC822, FetchAtom.RFC822_HEADER, FetchAtom.RFC822_TEXT):
            item = rows.literal_column(atom.value.encode(), [value or b""])
            self.assertEqual(fetched(item)[1], without_nul(value or b""))

    @given(
        st.lists(numbers, max_size=3).map(tuple),
        st.sampled_from([None, *SectionText]),
        st.lists(octets, min_size=1, max_size=3).map(tuple),
        st.none() | st.builds(Partial, st.integers(0, 2**32 - 1), numbers),
    )
    def test_section_names(
        self,
        path: tuple[int, ...],
        text: SectionText | None,
        fields: tuple[bytes, ...],
        partial: Partial | None,
    ) -> None:
        if text is SectionText.MIME and not path:
            return
        if text not in (SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT):
            fields = ()
        name = msgatt.section_name(Section(path, text, fields), partial)
        self.assertEqual(fetched(rows.literal_column(name, [b"x"])), (name, b"x"))

    @given(st.integers())
    def test_dates_and_sizes(self, number: int) -> None:
        _, moment = fetched(rows.internaldate_column([number]))
        if -62135596800 <= number <= 253402300799:
            self.assertEqual(moment.timestamp(), number)
        fetched(rows.size_column([abs(number)]))

    @given(envelopes)
    def test_envelopes(self, envelope: Envelope) -> None:
        rendered = structure.envelope(envelope)
        item = rows.rendered_column(FetchAtom.ENVELOPE, [rendered])
        self.check_envelope(fetched(item)[1], envelope)

    def check_envelope(self, got: ParsedEnvelope, envelope: Envelope) -> None:
        for name in ParsedEnvelope.__slots__:
            value = getattr(envelope, name)
            if isinstance(value, tuple):
                value = tuple((a.name, a.adl, a.mailbox, a.host) for a in value)
            self.assertEqual(getattr(got, name), without_nul(value), name)

    @given(trees)
    @settings(deadline=None)
    def test_bodies(self, tree: BodyPart) -> None:
        _, body = fetched(rows.rendered_column(FetchAtom.BODY, [structure.body(tree)]))
        self.check_body(body, tree, extended=False)
        rendered = structure.bodystructure(tree)
        _, body = fetched(rows.rendered_column(FetchAtom.BODYSTRUCTURE, [rendered]))
        self.check_body(body, tree, extended=True)

    def check_body(self, got: ParsedBody, part: BodyPart, extended: bool) -> None:
        names = ["disposition", "language", "location"] if extended else []
        if not part.parts:
            names += ["params", "id", "description", "encoding"]
            names += ["md5"] if extended else []
            self.assertEqual(got.octets, min(part.octets, 2**32 - 1))
        for name in names:
            self.assertEqual(getattr(got, name), without_nul(getattr(part, name)))
        self.assertEqual(len(got.parts), len(part.parts))
        for inner, child in zip(got.parts, part.parts, strict=True):
            self.check_body(inner, child, extended)
        if part.message is not None and part.type == b"Message":
            assert got.message is not None
            self.check_body(got.message, part.message, extended)

    def test_depth_is_no_recursion(self) -> None:
        # Hardening: P16.
        tree = BodyPart(b"TEXT", b"PLAIN")
        for _ in range(20_000):
            tree = BodyPart(b"MESSAGE", b"RFC822", message=tree)
            tree = BodyPart(b"MULTIPART", b"MIXED", parts=[tree])
        octets = structure.bodystructure(tree)
        self.assertEqual(octets.count(b"("), octets.count(b")"))

    def test_a_message_too_deep_to_be_read_is_called_something_else(self) -> None:
        octets = structure.body(BodyPart(b"message", b"rfc822", end=9))
        self.assertEqual(octets, b'("APPLICATION" "OCTET-STREAM" NIL NIL NIL "7BIT" 9)')


def is_known(flag: bytes) -> bool:
    return (encode.is_flag(flag) and not flag.startswith(b"\\")) or flag == rb"\Seen"


def octets_of(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def expanded(ranges: list[tuple[int, int]]) -> list[int]:
    return [n for first, last in ranges for n in range(first, last + 1)]
