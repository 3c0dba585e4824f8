"""ENVELOPE and BODYSTRUCTURE, literally: the examples of the RFC and the odd cases."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.mime.structure import parse
from imapd.model.structure import Address, BodyPart, Envelope
from imapd.wire.structure import (
    STRUCTURE_OCTETS,
    body,
    bodystructure,
    envelope,
    forms,
)
from tests.support.grammar import parse_responses

GRAY = (Address(b"Terry Gray", None, b"gray", b"cac.washington.edu"),)
TEXT = BodyPart(b"TEXT", b"PLAIN", ((b"CHARSET", b"US-ASCII"),), end=1152, lines=23)
PATCH = BodyPart(
    *(b"TEXT", b"PLAIN", ((b"CHARSET", b"US-ASCII"), (b"NAME", b"cc.diff"))),
    id=b"<960723163407.20117h@cac.washington.edu>",
    description=b"Compiler diff",
    encoding=b"BASE64",
    end=4554,
    lines=73,
)
TEXT_OUT = b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)'
PATCH_OUT = (
    b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") '
    b'"<960723163407.20117h@cac.washington.edu>" "Compiler diff" "BASE64" 4554 73)'
)
PICTURE = BodyPart(
    *(b"image", b"png"),
    encoding=b"base64",
    md5=b"Q2hlY2s=",
    disposition=(b"attachment", ((b"filename", b"dot.png"),)),
    language=(b"en", b"de"),
    location=b"dot.png",
    header_start=10,
    body_start=100,
    end=170,
)
MESSAGE = BodyPart(
    *(b"message", b"rfc822"),
    end=1152,
    lines=26,
    message=BodyPart(b"TEXT", b"PLAIN", end=3, lines=1, envelope=Envelope(b"now")),
)

ENVELOPES = {
    "RFC 3501 §8": (
        Envelope(
            *(b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)", b"IMAP4rev1 WG mtg"),
            *(GRAY, GRAY, GRAY),
            (Address(None, None, b"imap", b"cac.washington.edu"),),
            (
                Address(None, None, b"minutes", b"CNRI.Reston.VA.US"),
                Address(b"John Klensin", None, b"KLENSIN", b"MIT.EDU"),
            ),
            message_id=b"<B27397-0100000@cac.washington.edu>",
        ),
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg" '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) '
        b'((NIL NIL "imap" "cac.washington.edu")) '
        b'((NIL NIL "minutes" "CNRI.Reston.VA.US")'
        b'("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL '
        b'"<B27397-0100000@cac.washington.edu>")',
    ),
    "empty": (Envelope(), b"(" + b" ".join([b"NIL"] * 10) + b")"),
    "an equal sender that is another tuple": (
        Envelope(from_=GRAY, sender=(), reply_to=tuple(list(GRAY))),
        b'(NIL NIL (("Terry Gray" NIL "gray" "cac.washington.edu")) NIL '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) NIL NIL NIL NIL NIL)',
    ),
    "group": (
        Envelope(
            to=(
                Address(None, None, b"A Group", None),
                Address(None, None, b"x", b"y"),
                Address(None, None, None, None),
            )
        ),
        b"(NIL NIL NIL NIL NIL "
        b'((NIL NIL "A Group" NIL)(NIL NIL "x" "y")(NIL NIL NIL NIL))'
        b" NIL NIL NIL NIL)",
    ),
    "a subject that would break out": (
        Envelope(subject=b'")\r\n* BYE "', in_reply_to=b'a"b\\', message_id=b""),
        b'(NIL {11}\r\n")\r\n* BYE " NIL NIL NIL NIL NIL NIL "a\\"b\\\\" "")',
    ),
}

BODIES = {
    "RFC 3501 §7.4.2, text": (TEXT, TEXT_OUT),
    "RFC 3501 §7.4.2, two parts": (
        BodyPart(b"multipart", b"MIXED", parts=[TEXT, PATCH]),
        b"(" + TEXT_OUT + PATCH_OUT + b' "MIXED")',
    ),
    "message": (
        MESSAGE,
        b'("message" "rfc822" NIL NIL NIL "7BIT" 1152 ("now"'
        + b" NIL" * 9
        + b') ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1) 26)',
    ),
    "picture": (PICTURE, b'("image" "png" NIL NIL NIL "base64" 70)'),
    "message/partial": (
        BodyPart(b"message", b"partial", ((b"number", b"1"),), end=5),
        b'("message" "partial" ("number" "1") NIL NIL "7BIT" 5)',
    ),
    "message/rfc822 that was not read": (
        BodyPart(b"Message", b"RFC822", end=9),
        b'("APPLICATION" "OCTET-STREAM" NIL NIL NIL "7BIT" 9)',
    ),
}
STRUCTURES = {
    "text": (TEXT, TEXT_OUT[:-1] + b" NIL NIL NIL NIL)"),
    "picture": (
        PICTURE,
        b'("image" "png" NIL NIL NIL "base64" 70 "Q2hlY2s=" '
        b'("attachment" ("filename" "dot.png")) ("en" "de") "dot.png")',
    ),
    "multipart": (
        BodyPart(
            *(b"multipart", b"mixed", ((b"boundary", b"b"),)),
            parts=[TEXT],
            disposition=(b"inline", ()),
            language=(b"en",),
        ),
        b"(%b NIL NIL NIL NIL) " % TEXT_OUT[:-1]
        + b'"mixed" ("boundary" "b") ("inline" NIL) "en" NIL)',
    ),
    "message": (
        MESSAGE,
        b'("message" "rfc822" NIL NIL NIL "7BIT" 1152 ("now"'
        + b" NIL" * 9
        + b') ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1 NIL NIL NIL NIL)'
        + b" 26 NIL NIL NIL NIL)",
    ),
}


def nested(octets: bytes) -> BodyPart:
    """A message of those octets in its header, in a message, in a multipart."""
    inner = BodyPart(b"TEXT", b"PLAIN", end=3, envelope=Envelope(octets))
    return BodyPart(
        *(b"multipart", b"mixed"),
        end=900,
        parts=[
            BodyPart(b"message", b"rfc822", end=300, message=inner),
            BodyPart(b"image", b"png", encoding=b"base64", end=200),
        ],
    )


LONG = b"x" * (STRUCTURE_OCTETS // 2)
OPAQUE = b'("APPLICATION" "OCTET-STREAM" NIL NIL NIL %b %d NIL NIL NIL NIL)'
IMAGE = b'("image" "png" NIL NIL NIL "base64" 200 NIL NIL NIL NIL)'
#: What is too long, and how it is sent then.
TOO_LONG = {
    "a leaf": (
        BodyPart(b"a", b"b", id=LONG * 2, encoding=b"quoted-printable", end=7),
        OPAQUE % (b'"quoted-printable"', 7),
    ),
    "a leaf of two halves": (
        BodyPart(b"a", b"b", id=LONG, description=LONG, end=7),
        OPAQUE % (b'"7BIT"', 7),
    ),
    "quotes count twice": (
        BodyPart(b"a", b"b", ((b'"' * 999, b""),) * 600, end=7),
        OPAQUE % (b'"7BIT"', 7),
    ),
    "an encoding": (
        BodyPart(b"a", b"b", encoding=LONG * 2, end=7),
        OPAQUE % (b'"8BIT"', 7),
    ),
    "an encoding with a quote": (
        BodyPart(b"a", b"b", id=LONG * 2, encoding=b'"' * 16, end=7),
        OPAQUE % (b'"8BIT"', 7),
    ),
    "the end of a multipart": (
        BodyPart(b"multipart", b"mixed", location=LONG * 2, end=9, parts=[TEXT]),
        OPAQUE % (b'"7BIT"', 9),
    ),
    "an envelope": (
        nested(LONG * 2),
        b"(%b%b" % (OPAQUE % (b'"7BIT"', 300), IMAGE) + b' "mixed" NIL NIL NIL NIL)',
    ),
    "the second half": (
        BodyPart(
            *(b"multipart", b"mixed"),
            parts=[TEXT, BodyPart(b"a", b"b", id=LONG * 2, end=7), TEXT],
        ),
        b"(%b%b%b"
        % (TEXT_OUT[:-1] + b" NIL NIL NIL NIL)", OPAQUE % (b'"7BIT"', 7), TEXT_OUT[:-1])
        + b' NIL NIL NIL NIL) "mixed" NIL NIL NIL NIL)',
    ),
}


class LongStructureTests(unittest.TestCase):
    """Hardening P16: whoever wrote the message, the answer stays bounded."""

    def test_what_is_too_long_is_an_opaque_leaf(self) -> None:
        for name, (part, expected) in TOO_LONG.items():
            self.assertEqual(bodystructure(part), expected, name)
            self.assertLessEqual(len(body(part)), STRUCTURE_OCTETS, name)

    def test_it_may_be_just_as_long(self) -> None:
        rest = len(bodystructure(BodyPart(b"a", b"b", id=b"")))
        # In quotes or as a literal: a string of this length has a count of 7 digits.
        longest = STRUCTURE_OCTETS - rest - len(b"{1048576}\r\n") + len(b'""')
        for more in (0, 1):
            part = BodyPart(b"a", b"b", id=b"x" * (longest + more))
            length = len(bodystructure(part))
            self.assertEqual(length == STRUCTURE_OCTETS, not more, length)

    def test_every_part_keeps_its_number(self) -> None:
        parts = [BodyPart(b"a", b"b", id=b"x" * 200, end=7) for _ in range(9_998)]
        message = BodyPart(b"multipart", b"mixed", parts=[*parts, PICTURE])
        for render in (body, bodystructure):
            octets = render(message)
            self.assertLessEqual(len(octets), STRUCTURE_OCTETS)
            told = octets.count(b'("a" "b" ')
            opaque = octets.count(b'("APPLICATION" "OCTET-STREAM" ')
            self.assertEqual(told + opaque, 9_998 + (b"image" not in octets), render)
            self.assertGreater(told, 100, render)

    def test_a_message_made_to_be_long(self) -> None:
        part = b'--x\r\nContent-Type: a/b; name="%b"\r\n\r\n' % (rb"\\" * 1_000)
        head = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        for name, message in {
            "parts": head + part * 1_500,
            "messages": b"Content-Type: message/rfc822\r\nTo: %b\r\n\r\n"
            % (b"a@b, " * 5_000)
            * 15,
        }.items():
            octets = bodystructure(parse(message))
            self.assertLessEqual(len(octets), STRUCTURE_OCTETS, name)
            self.assertGreater(len(octets), STRUCTURE_OCTETS // 2, name)
            parse_responses(b"* 1 FETCH (BODYSTRUCTURE %b)\r\n" % octets)

    @given(st.recursive(st.integers(0, 300), st.lists, max_leaves=30))
    def test_any_tree_stays_within_any_bound(self, tree: object) -> None:
        part = BodyPart(b"multipart", b"mixed", parts=[_tree(tree)])
        for most in (100, 150, 300, 600, 1200, 5000):
            both = body(part, most=most), bodystructure(part, most=most)
            self.assertEqual(forms(part, most=most), both)
            for render in (body, bodystructure):
                octets = render(part, most=most)
                self.assertLessEqual(len(octets), most)
                word = b"BODYSTRUCTURE" if render is bodystructure else b"BODY"
                parse_responses(b"* 1 FETCH (%b %b)\r\n" % (word, octets))


def _tree(tree: object) -> BodyPart:
    """Lists are multiparts or, where they are empty, messages; numbers are leaves."""
    if isinstance(tree, list):
        if tree:
            return BodyPart(b"multipart", b"x", parts=[_tree(one) for one in tree])
        held = BodyPart(b"text", b"plain", envelope=Envelope(b"x" * 50))
        return BodyPart(b"message", b"rfc822", message=held)
    return BodyPart(b"a", b"b", id=b"x" * int(str(tree)))


class StructureTests(unittest.TestCase):
    def test_envelopes(self) -> None:
        for name, (data, expected) in ENVELOPES.items():
            self.assertEqual(envelope(data), expected, name)

    def test_bodies(self) -> None:
        for name, (data, expected) in BODIES.items():
            self.assertEqual(body(data), expected, name)

    def test_structures(self) -> None:
        for name, (data, expected) in STRUCTURES.items():
            self.assertEqual(bodystructure(data), expected, name)

    def test_both_at_once(self) -> None:
        for name, (data, expected) in BODIES.items():
            self.assertEqual(forms(data)[0], expected, name)
        for name, (data, expected) in STRUCTURES.items():
            self.assertEqual(forms(data)[1], expected, name)
