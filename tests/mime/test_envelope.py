"""Headers, and the envelope they give."""

from dataclasses import replace
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from imapd.limits import DEFAULT_LIMITS
from imapd.mime.envelope import envelope
from imapd.mime.headers import fields, header_end, select_fields, unfold
from imapd.mime.scan import to_wire
from imapd.model.structure import Address, Envelope

A = (Address(None, None, b"a", b"b"),)
C = (Address(None, None, b"c", b"d"),)
ENVELOPES = {
    "empty": (b"", Envelope()),
    "only the empty line": (b"\r\n", Envelope()),
    "from": (b"From: a@b\r\n\r\n", Envelope(from_=A, sender=A, reply_to=A)),
    "sender": (
        b"From: a@b\r\nSender: c@d\r\n\r\n",
        Envelope(from_=A, sender=C, reply_to=A),
    ),
    "reply-to": (
        b"From: a@b\r\nReply-To: c@d\r\n\r\n",
        Envelope(from_=A, sender=A, reply_to=C),
    ),
    "empty sender": (
        b"From: a@b\r\nSender:\r\nReply-To: \r\n\r\n",
        Envelope(from_=A, sender=A, reply_to=A),
    ),
    "sender only": (b"Sender: c@d\r\n\r\n", Envelope(sender=C)),
    "texts": (
        b"Date: x\r\nSubject: y\r\nMessage-ID: <z>\r\nIn-Reply-To: <w>\r\n\r\n",
        Envelope(date=b"x", subject=b"y", message_id=b"<z>", in_reply_to=b"<w>"),
    ),
    "present but empty": (
        b"Subject:\r\nDate: \r\n\r\n",
        Envelope(date=b"", subject=b""),
    ),
    "folded": (b"Subject: x\r\n\ty\r\n  z\r\n\r\n", Envelope(subject=b"x\ty  z")),
    "folded at once": (b"Subject:\r\n x\r\n\r\n", Envelope(subject=b"x")),
    "folded blank line": (b"Subject: x\r\n \r\n y\r\n\r\n", Envelope(subject=b"x  y")),
    "encoded stays": (
        b"Subject: =?utf-8?q?a?=\r\n\r\n",
        Envelope(subject=b"=?utf-8?q?a?="),
    ),
    "8-bit stays": (b"Subject: \xfc\r\n\r\n", Envelope(subject=b"\xfc")),
    "the last subject": (b"Subject: x\r\nSubject: y\r\n\r\n", Envelope(subject=b"y")),
    "two To": (b"To: a@b\r\nTo: c@d\r\n\r\n", Envelope(to=A + C)),
    "case": (b"SUBJECT: x\r\ncC: a@b\r\n\r\n", Envelope(subject=b"x", cc=A)),
    "blank before the colon": (b"Subject : x\r\n\r\n", Envelope(subject=b"x")),
    "no line end": (b"Subject: x", Envelope(subject=b"x")),
    "lines that are none": (
        b"From me Mon\r\nnothing\r\nSubject: x\r\n\r\n",
        Envelope(subject=b"x"),
    ),
    "not the body": (b"Subject: x\r\n\r\nSubject: y\r\n", Envelope(subject=b"x")),
    "folded To": (b"To: a@b,\r\n c@d\r\n\r\n", Envelope(to=A + C)),
    "bcc": (b"Bcc: a@b\r\n\r\n", Envelope(bcc=A)),
}
HEADER = b"From x\r\nTo: a\r\n b\r\nsubject: s\r\nTO : c\r\n\r\n"
SELECTED = {
    "one": (HEADER, {b"subject"}, False, b"subject: s\r\n\r\n"),
    "all of a name": (HEADER, {b"to"}, False, b"To: a\r\n b\r\nTO : c\r\n\r\n"),
    "none": (HEADER, {b"cc"}, False, b"\r\n"),
    "no names": (HEADER, set[bytes](), False, b"\r\n"),
    "not": (HEADER, {b"to"}, True, b"From x\r\nsubject: s\r\n\r\n"),
    "not, no names": (HEADER, set[bytes](), True, HEADER),
    "no empty line": (b"A: b\r\nC: d\r\n", {b"a"}, False, b"A: b\r\n"),
    "no empty line, not": (b"A: b\r\nC: d\r\n", {b"a"}, True, b"C: d\r\n"),
    "no line end": (b"A: b\r\nC: d", {b"c"}, False, b"C: d"),
    "nothing": (b"", {b"a"}, False, b""),
    "only the empty line": (b"\r\n", {b"a"}, True, b"\r\n"),
    "folded first": (b" x: y\r\nA: b\r\n\r\n", {b"x"}, False, b"\r\n"),
}
ENDS = {
    "usual": (b"A: b\r\n\r\nx", 8),
    "none": (b"A: b\r\n", 6),
    "at once": (b"\r\nx", 2),
    "empty": (b"", 0),
    "bare LF is none": (b"A: b\n\nx", 7),
}


class EnvelopeTests(TestCase):
    def test_cases(self) -> None:
        for name, (header, expected) in ENVELOPES.items():
            self.assertEqual(envelope(header), expected, name)

    def test_a_long_field_is_cut(self) -> None:
        # Hardening: P17.
        limits = replace(DEFAULT_LIMITS, header_field_octets=8192, header_octets=65536)
        header = b"Subject: " + b"x" * 20000 + b"\r\nTo: a@b\r\n\r\n"
        found = envelope(header, limits)
        self.assertEqual(len(found.subject or b""), 8192)
        self.assertEqual(found.to, A)

    def test_a_long_header_is_cut(self) -> None:
        # Hardening: P17.
        limits = replace(DEFAULT_LIMITS, header_octets=65536)
        header = b"Subject: x\r\n" + b"X: y\r\n" * 20000 + b"To: a@b\r\n\r\n"
        self.assertEqual(envelope(header, limits), Envelope(subject=b"x"))

    @given(st.binary(max_size=200))
    def test_any_header(self, header: bytes) -> None:
        self.assertIsInstance(envelope(b"To:" + header), Envelope)


class HeaderTests(TestCase):
    def test_select(self) -> None:
        for name, (header, names, negate, expected) in SELECTED.items():
            found = select_fields(header, frozenset(names), negate)
            self.assertEqual(found, expected, name)

    def test_end(self) -> None:
        for name, (message, expected) in ENDS.items():
            self.assertEqual(header_end(message), expected, name)
        self.assertEqual(header_end(b"xxA: b\r\n\r\n", 2, 6), 6)

    def test_fields_of_a_slice(self) -> None:
        message = b"xx" + HEADER + b"body: z\r\n"
        found = list(fields(message, 2, 2 + len(HEADER)))
        self.assertEqual([one.name for one in found], [b"", b"To", b"subject", b"TO"])
        self.assertEqual(message[found[1].value_start : found[1].end], b" a\r\n b\r\n")

    def test_unfold(self) -> None:
        for name, (value, expected) in {
            "plain": (b" x\r\n", b"x"),
            "folded": (b" x\r\n y\r\n\tz\r\n", b"x y\tz"),
            "blanks after stay": (b" x \r\n", b"x "),
        }.items():
            self.assertEqual(unfold(value), expected, name)

    @given(
        st.lists(st.sampled_from([b"\r\n", b" ", b"A", b":", b"\r", b"\n", b"B: c"]))
    )
    def test_fields_are_the_whole_header(self, pieces: list[bytes]) -> None:
        message = to_wire(b"".join(pieces))
        header = message[: header_end(message)]
        found = list(fields(header))
        octets = b"".join(header[one.start : one.end] for one in found)
        self.assertIn(header[len(octets) :], (b"", b"\r\n"))
        self.assertEqual(octets, header[: len(octets)])
        everything = select_fields(header, frozenset(), True)
        self.assertEqual(everything, message[: header_end(message)])

    def test_so_many_fields_of_addresses_are_read_as_there_may_be_addresses(
        self,
    ) -> None:
        limits = replace(DEFAULT_LIMITS, address_count=100)
        header = b"To: ,\n" * 99 + b"To: a@b\nTo: c@d\nCc: e@f\nSubject: g\n\n"
        found = envelope(header, limits)
        self.assertEqual([one.host for one in found.to], [b"b"])
        self.assertEqual([one.host for one in found.cc], [b"f"])
        self.assertEqual(found.subject, b"g")
