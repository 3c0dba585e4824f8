"""The quick ways give what the plain ways give, whatever a message is made of."""

from unittest import TestCase, mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imapd.mime import headers
from imapd.mime.addresses import addresses
from imapd.mime.envelope import envelope
from imapd.mime.headers import select_fields, stored_header, stored_header_end
from imapd.mime.scan import to_lines, to_wire
from imapd.mime.structure import parse, parse_stored
from imapd.mime.text import all_header_texts
from tests.mime import plain
from tests.mime.test_structure import SHAPES

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\n", b"\r\r\n", b"\r", b""])
NAMES = st.sampled_from(
    [
        *(b"From", b"TO", b"cc", b"Bcc", b"Reply-To", b"sender", b"Subject", b"Date"),
        *(b"Message-ID", b"In-Reply-To", b"X-To", b"Subject ", b"To\t", b" To", b""),
        *(b"Content-Type", b"content-id", b"From\0", b"Received"),
    ]
)
PIECES = st.sampled_from(
    [
        *(
            b"a@b",
            b"A B <c@d>",
            b'"A, \\"B\\"" <c@d>',
            b"c@d (E)",
            b"G: a@b;",
            b",",
            b";",
        ),
        *(
            b" ",
            b"\t",
            b"\n ",
            b"\r\n\t",
            b"\n\t \n ",
            b"\r",
            b"\0",
            b":",
            b"\xfc",
            b"<",
        ),
        *(b"=?utf-8?q?=C3=BC?=", b"text", b'"', b"\\", b"(", b"A\tB\n C <d@e>"),
    ]
)
VALUES = st.lists(PIECES, max_size=6).map(b"".join)
FIELDS = st.tuples(
    NAMES, st.sampled_from([b":", b": ", b"", b" : "]), VALUES, LINE_ENDS
)
HEADERS = st.tuples(
    st.lists(FIELDS.map(b"".join), max_size=8).map(b"".join),
    st.sampled_from([b"", b"\n", b"\r\n", b"\nbody: x\n\n", b"\r\nTo: x\r\n\r\n"]),
).map(b"".join)
BOUNDARIES = st.sampled_from([b"x", b"xy", b"xyz", b"z", b"--x", b"b" * 40, b"b" * 39])
PARTS = st.one_of(
    BOUNDARIES.map(lambda one: b"--" + one),
    BOUNDARIES.map(lambda one: b"--" + one + b"--"),
    BOUNDARIES.map(lambda one: b"Content-Type: multipart/mixed; boundary=" + one),
    BOUNDARIES.map(lambda one: b'Content-type: multipart/digest; boundary="%b"' % one),
    st.sampled_from(
        [
            *(b"", b"", b"text", b"--", b" ", b"\0", b"--\0x", b"Subject: s", b"A"),
            *(b"Content-Type: message/rfc822", b"CONTENT-TYPE: text/html", b"To: a@b"),
            *(b"Content-ID: <a>", b"Content-Transfer-Encoding: base64", b"\xff"),
            *(b'Content-Type: multipart/mixed; boundary="x\r"', b"--x\r"),
            *(b'Content-Type: multipart/mixed; boundary="\0"', b"--\x80"),
        ]
    ),
)
ONE_LINE_END = st.sampled_from([b"\n", b"\r\n"]).flatmap(
    lambda end: st.lists(PARTS, max_size=40).map(end.join)
)
MIXED_LINE_ENDS = st.lists(st.tuples(PARTS, LINE_ENDS).map(b"".join), max_size=40).map(
    b"".join
)
SELECTED = frozenset((b"from", b"to", b"subject", b"content-type", b"x-to"))


class HeaderTests(TestCase):
    @given(HEADERS)
    def test_envelope(self, octets: bytes) -> None:
        expected = plain.envelope(octets)
        self.assertEqual(envelope(octets), expected)
        self.assertEqual(envelope(to_wire(octets)), expected)

    @given(HEADERS, st.booleans(), st.sets(NAMES.map(bytes.lower), max_size=3))
    def test_selected_fields(
        self, octets: bytes, negate: bool, more: set[bytes]
    ) -> None:
        names = SELECTED | {name for name in more if b"\0" not in name}
        expected = plain.select_fields(octets, names, negate)
        self.assertEqual(select_fields(octets, names, negate), expected)
        self.assertEqual(select_fields(to_wire(octets), names, negate), expected)
        # As it is done for long headers, and for many names.
        many = names | {b"other%d" % number for number in range(40)}
        with mock.patch.object(headers, "_USUAL_OCTETS", 1):
            self.assertEqual(select_fields(octets, names, negate), expected)
            self.assertEqual(select_fields(octets, many, negate), expected)

    def test_names_that_no_field_has(self) -> None:
        for octets in (b" x: y\nA: b\n\n", b"x\n: y\nA\n : b\n\n", b": y\n\n", b"\n"):
            for name in (b" x", b"x", b"", b"a", b" "):
                for negate in (False, True):
                    expected = plain.select_fields(octets, frozenset((name,)), negate)
                    found = select_fields(octets, frozenset((name,)), negate)
                    self.assertEqual(found, expected, (octets, name, negate))
                    with mock.patch.object(headers, "_USUAL_OCTETS", 1):
                        found = select_fields(octets, frozenset((name,)), negate)
                    self.assertEqual(found, expected, (octets, name, negate))

    def test_long_headers(self) -> None:
        for field in (
            b"To: a@b\n",
            b"Subject: x\n\ty\n",
            b"Subject: x\r\n \r\n  y\r\n",
            b"From: =?utf-8?q?=C3=BC?=\n <a@b>\nX: y\n",
            b" x: y\nno field\nTO :\r\n\tc@d (e)\n",
        ):
            for end in (b"", b"\n", b"\r\n\r\nCc: body\n"):
                octets = field * (80_000 // len(field)) + b"Cc: c@d" + end
                name = (field, end)
                self.assertEqual(envelope(octets), plain.envelope(octets), name)
                self.assertEqual(
                    "\n".join(all_header_texts(octets)),
                    "\n".join(plain.header_texts(octets)),
                    name,
                )
                for negate in (False, True):
                    self.assertEqual(
                        select_fields(octets, SELECTED, negate),
                        plain.select_fields(octets, SELECTED, negate),
                        name,
                    )

    @given(HEADERS)
    def test_texts(self, octets: bytes) -> None:
        self.assertEqual(list(all_header_texts(octets)), plain.header_texts(octets))

    @given(HEADERS)
    def test_where_it_ends(self, octets: bytes) -> None:
        self.assertEqual(to_wire(stored_header(octets)), plain.header_of(octets))
        end = stored_header_end(octets)
        for cut in range(len(octets)):
            # What begins a message says where its header ends, or that it does not.
            found = stored_header_end(octets[:cut])
            self.assertEqual(found, end if 0 <= end <= cut else -1, cut)

    @given(HEADERS)
    def test_line_form(self, octets: bytes) -> None:
        self.assertEqual(
            to_lines(octets).replace(b"\n", b"\r\n"), to_wire(octets), octets
        )

    # On a busy machine it is the making of the lists that is slow, not what they test.
    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(st.lists(PIECES, max_size=12))
    def test_an_address_does_not_depend_on_those_before(
        self, pieces: list[bytes]
    ) -> None:
        # After an empty group the slow reader has begun, and goes on.
        value = b"".join(pieces).replace(b"\n", b"")
        self.assertEqual(addresses([b":;," + value])[2:], addresses([value]))


class StructureTests(TestCase):
    def check(self, octets: bytes, name: object = None) -> None:
        expected = plain.structure(octets)
        self.assertEqual(parse(to_wire(octets)), expected, name)
        self.assertEqual(parse_stored(octets), expected, name)

    def test_boundaries_with_odd_octets(self) -> None:
        mixed = b'Content-Type: multipart/mixed; boundary="%b"\n\n'
        for name, boundary in {
            "CR": b"x\r",
            "NUL": b"\0",
            "CR inside": b"x\ry",
        }.items():
            for line in (b"x", b"x\r", b"x\r\r", b"\0", b"\x80", b"x\ry"):
                octets = (mixed % boundary) + b"--%b\nA: b\n\ntext\n" % line
                self.check(octets, (name, line))
                self.check(octets.replace(b"\n", b"\r\n"), (name, line))

    def test_shapes(self) -> None:
        for name, (message, _) in SHAPES.items():
            for cut in range(len(message) + 1):
                self.check(message[:cut], (name, cut))
                self.check(message[:cut].replace(b"\r\n", b"\n"), (name, cut))

    @settings(max_examples=300, deadline=None)
    @given(ONE_LINE_END)
    def test_one_line_end(self, octets: bytes) -> None:
        self.check(octets)

    @settings(max_examples=300, deadline=None)
    @given(MIXED_LINE_ENDS)
    def test_mixed_line_ends(self, octets: bytes) -> None:
        self.check(octets)

    @given(st.binary(max_size=200))
    def test_random_octets(self, octets: bytes) -> None:
        # Hardening: P15.
        self.check(octets)
