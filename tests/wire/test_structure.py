"""ENVELOPE and BODYSTRUCTURE, literally: the examples of the RFC and the odd cases."""

import unittest

from imapd.model.structure import Address, BodyPart, Envelope
from imapd.wire.structure import body, bodystructure, envelope

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
