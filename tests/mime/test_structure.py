"""The tree of parts, of regular and of broken messages."""

from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from unittest import TestCase

from imapd.limits import DEFAULT_LIMITS
from imapd.mime.scan import to_lines, to_wire
from imapd.mime.structure import parse, parse_stored
from imapd.model.structure import BodyPart, Envelope
from tests.mime.test_section import assert_consistent, assert_sections_reassemble
from tests.support.shared import SHARED, needs_shared

MIXED = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"


def outline(part: BodyPart, message: bytes) -> str:
    """``mixed(plain[one],rfc822{plain[two]})``: the shape, and contents in brackets."""
    if part.parts:
        inside = ",".join(outline(child, message) for child in part.parts)
        return f"{part.subtype.decode().lower()}({inside})"
    if part.message is not None:
        return f"rfc822{{{outline(part.message, message)}}}"
    content = message[part.body_start : part.end].decode("latin-1")
    return f"{part.subtype.decode().lower()}[{content}]"


SHAPES = {
    "empty message": (b"", "plain[]"),
    "only a header": (b"A: b\r\n", "plain[]"),
    "no header": (b"\r\nx", "plain[x]"),
    "plain": (b"A: b\r\n\r\nx\r\n", "plain[x\r\n]"),
    "one part": (MIXED + b"--x\r\n\r\na\r\n--x--\r\n", "mixed(plain[a])"),
    "two parts": (
        MIXED + b"pre\r\n--x\r\n\r\na\r\n--x\r\n\r\nb\r\n--x--\r\npost",
        "mixed(plain[a],plain[b])",
    ),
    "no end": (MIXED + b"--x\r\n\r\na\r\n", "mixed(plain[a\r\n])"),
    "no parts": (MIXED + b"hello\r\n", "mixed(plain[])"),
    "no parts but an end": (MIXED + b"hello\r\n--x--\r\n", "mixed(plain[])"),
    "no boundary": (b"Content-Type: multipart/mixed\r\n\r\na\r\n", "mixed(plain[])"),
    "empty boundary": (
        b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\na\r\n',
        "mixed(plain[])",
    ),
    "delimiter at the end": (MIXED + b"--x", "mixed(plain[])"),
    "empty part": (MIXED + b"--x\r\n--x--\r\n", "mixed(plain[])"),
    "empty part, empty line": (MIXED + b"--x\r\n\r\n--x--\r\n", "mixed(plain[])"),
    "two empty parts": (MIXED + b"--x\r\n--x\r\n--x--\r\n", "mixed(plain[],plain[])"),
    "part without a body": (
        MIXED + b"--x\r\nContent-Type: text/html\r\n--x--\r\n",
        "mixed(html[])",
    ),
    "blanks after the boundary": (
        MIXED + b"--x \t\r\n\r\na\r\n--x-- \r\n",
        "mixed(plain[a])",
    ),
    "begins with the boundary": (
        MIXED + b"--x\r\n\r\na\r\n--xy\r\n\r\nb\r\n--x--\r\n",
        "mixed(plain[a],plain[b])",
    ),
    "end with more": (
        MIXED + b"--x\r\n\r\na\r\n--x--y\r\n--x\r\n\r\nb",
        "mixed(plain[a])",
    ),
    "two hyphens alone": (
        MIXED + b"--x\r\n\r\n--\r\n--y\r\n--x--",
        "mixed(plain[--\r\n--y])",
    ),
    "not at the line's start": (
        MIXED + b"--x\r\n\r\na --x\r\n --x\r\n--x--",
        "mixed(plain[a --x\r\n --x])",
    ),
    "nothing after the end": (
        MIXED + b"--x\r\n\r\na\r\n--x--\r\n--x\r\n\r\nb\r\n--x--\r\n",
        "mixed(plain[a])",
    ),
    "quoted boundary": (
        b'Content-Type: multipart/mixed; boundary="a b=(c)"\r\n\r\n'
        b"--a b=(c)\r\n\r\na\r\n--a b=(c)--\r\n",
        "mixed(plain[a])",
    ),
    "unquoted boundary": (
        b"Content-Type: multipart/mixed; boundary=--a/b=?\r\n\r\n----a/b=?\r\n\r\na",
        "mixed(plain[a])",
    ),
    "split boundary": (
        b"Content-Type: multipart/mixed; boundary*0=ab; boundary*1=cd\r\n\r\n"
        b"--abcd\r\n\r\na",
        "mixed(plain[a])",
    ),
    "no semicolon": (
        b'Content-Type: multipart/mixed\r\n\tboundary="x"\r\n\r\n--x\r\n\r\na',
        "mixed(plain[a])",
    ),
    "nested": (
        MIXED + b"--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n"
        b"--y\r\n\r\na\r\n--y\r\n\r\nb\r\n--y--\r\n\r\n--x\r\n\r\nc\r\n--x--",
        "mixed(alternative(plain[a],plain[b]),plain[c])",
    ),
    "inner without an end": (
        MIXED + b"--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n"
        b"--y\r\n\r\na\r\n--x\r\n\r\nc\r\n--x--",
        "mixed(alternative(plain[a]),plain[c])",
    ),
    "same boundary inside": (
        MIXED + b"--x\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n"
        b"--x\r\n\r\na\r\n--x--\r\n--x\r\n\r\nc\r\n--x--",
        "mixed(alternative(plain[a]),plain[c])",
    ),
    "inner boundary is longer": (
        MIXED + b"--x\r\nContent-Type: multipart/alternative; boundary=xy\r\n\r\n"
        b"--xy\r\n\r\na\r\n--xy--\r\n--x\r\n\r\nc\r\n--x--",
        "mixed(alternative(plain[a]),plain[c])",
    ),
    "inner boundary is shorter": (
        b"Content-Type: multipart/mixed; boundary=xy\r\n\r\n"
        b"--xy\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n"
        b"--x\r\n\r\na\r\n--x--\r\n--xy\r\n\r\nc\r\n--xy--",
        "mixed(alternative(plain[a]),plain[c])",
    ),
    "outer ends in the inner": (
        MIXED + b"--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n"
        b"--y\r\n\r\na\r\n--x--\r\n--y\r\n\r\nb",
        "mixed(alternative(plain[a]))",
    ),
    "digest": (
        b"Content-Type: multipart/digest; boundary=x\r\n\r\n"
        b"--x\r\n\r\nSubject: s\r\n\r\na\r\n"
        b"--x\r\nContent-Type: text/html\r\n\r\nb\r\n--x--",
        "digest(rfc822{plain[a]},html[b])",
    ),
    "rfc822": (
        b"Content-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\na",
        "rfc822{plain[a]}",
    ),
    "rfc822 in rfc822": (
        b"Content-Type: message/rfc822\r\n\r\nContent-Type: MESSAGE/RFC822\r\n\r\n"
        b"A: b\r\n\r\na",
        "rfc822{rfc822{plain[a]}}",
    ),
    "multipart in rfc822": (
        b"Content-Type: message/rfc822\r\n\r\n" + MIXED + b"--x\r\n\r\na\r\n--x--\r\n",
        "rfc822{mixed(plain[a])}",
    ),
    "rfc822 cut by a delimiter": (
        MIXED + b"--x\r\nContent-Type: message/rfc822\r\n\r\n--x\r\n\r\na\r\n--x--",
        "mixed(rfc822{plain[]},plain[a])",
    ),
    "message/partial": (
        b"Content-Type: message/partial; id=a\r\n\r\nA: b\r\n\r\na",
        "partial[A: b\r\n\r\na]",
    ),
}
US_ASCII = (b"charset", b"us-ascii")
PARAMS = {
    "none": (b"text/plain", (US_ASCII,)),
    "charset": (b"text/plain; charset=utf-8", ((b"charset", b"utf-8"),)),
    "case kept": (b"Text/HTML; CharSet=UTF-8", ((b"CharSet", b"UTF-8"),)),
    "quoted": (rb'text/plain; charset="a\"b;c"', ((b"charset", b'a"b;c'),)),
    "empty": (b'a/b; c=; d=""', ((b"c", b""), (b"d", b""))),
    "comments": (b"(x) a (y) / (z) b (w); (q) c (r) = (s) d (t)", ((b"c", b"d"),)),
    "comment in quotes": (b'a/b; c="(d)"', ((b"c", b"(d)"),)),
    "8-bit": (b"a/b; c=\xfc", ((b"c", b"\xfc"),)),
    "words": (b"a/b; c=d e f; g=h", ((b"c", b"d"), (b"g", b"h"))),
    "no value": (b"a/b; c; d=e", ((b"d", b"e"),)),
    "no name": (b"a/b; =c; d=e", ((b"d", b"e"),)),
    "repeated": (b"a/b; c=d; C=e", ((b"c", b"d"), (b"C", b"e"))),
    "unclosed quote": (b'a/b; c="d; e=f', ((b"c", b"d; e=f"),)),
    "folded": (b"a/b;\r\n\tc=d", ((b"c", b"d"),)),
    "RFC 2231, one": (b"a/b; c*=utf-8''%20", ((b"c*", b"utf-8''%20"),)),
    "RFC 2231, sections": (
        b'a/b; c*0=d; x=y; c*1="e f"',
        ((b"c", b"de f"), (b"x", b"y")),
    ),
    "RFC 2231, out of order": (b"a/b; c*1=e; c*0=d", ((b"c", b"de"),)),
    "RFC 2231, encoded": (
        b"a/b; c*0*=utf-8'en'd%20; c*1=\"e%f g\"",
        ((b"c*", b"utf-8'en'd%20e%25f%20g"),),
    ),
    "RFC 2231, late": (b"a/b; c*0=it's; c*1*=%41", ((b"c*", b"''it%27s%41"),)),
    "RFC 2231, no first": (b"a/b; c*1=d; c*2=e", ((b"c*1", b"d"), (b"c*2", b"e"))),
    "RFC 2231, gap": (b"a/b; c*0=d; c*2=e", ((b"c", b"d"),)),
    "RFC 2231, charset": (
        b"text/plain; charset*=''utf-8",
        ((b"charset*", b"''utf-8"),),
    ),
    "broken type": (b"text", (US_ASCII,)),
    "broken type, parameters": (b"/; charset=x", (US_ASCII,)),
    "no type": (b"", (US_ASCII,)),
}


class ShapeTests(TestCase):
    def test_shapes(self) -> None:
        for name, (message, expected) in SHAPES.items():
            root = parse(message)
            self.assertEqual(outline(root, message), expected, name)
            assert_consistent(self, message, root, name)
            assert_sections_reassemble(self, message, root, name)

    def test_any_cut_is_consistent(self) -> None:
        for name, (message, _) in SHAPES.items():
            for cut in range(len(message)):
                piece = message[:cut]
                where = f"{name}, cut at {cut}"
                assert_consistent(self, piece, parse(piece), where)

    def test_offsets(self) -> None:
        message = MIXED + b"--x\r\nA: b\r\n\r\none\r\ntwo\r\n--x--\r\n"
        part = parse(message).parts[0]
        self.assertEqual(message[part.header_start : part.body_start], b"A: b\r\n\r\n")
        self.assertEqual((part.octets, part.lines), (8, 1))

    def test_nested_envelope(self) -> None:
        message = (
            b"Subject: o\r\nContent-Type: message/rfc822\r\n\r\nSubject: i\r\n\r\n"
        )
        root = parse(message)
        assert root.message is not None
        self.assertEqual(root.message.envelope, Envelope(subject=b"i"))
        self.assertIsNone(root.envelope)

    @needs_shared
    def test_corpus_as_the_standard_library(self) -> None:
        compared = 0
        for file in sorted((SHARED / "corpus" / "eml").glob("*.eml")):
            message = to_wire(file.read_bytes())
            theirs = message_from_bytes(message)
            if any(part.defects for part in theirs.walk()) or file.name in ODD_FILES:
                continue
            compared += 1
            self.assertEqual(types(parse(message)), their_types(theirs), file.name)
        self.assertGreater(compared, 40)


#: What the standard library reads otherwise: it takes message/partial and
#: message/external-body for messages, and two delimiters in a row for one.
ODD_FILES = frozenset(("malformed-000.eml", "rfc-001.eml", "thirdparty-009.eml"))


def types(root: BodyPart) -> list[str]:
    return [f"{p.type.decode()}/{p.subtype.decode()}".lower() for p in root.walk()]


def their_types(root: "Message[str, str]") -> list[str]:
    return [part.get_content_type() for part in root.walk()]


class FieldTests(TestCase):
    def test_params(self) -> None:
        for name, (value, expected) in PARAMS.items():
            part = parse(b"Content-Type: " + value + b"\r\n\r\nx")
            self.assertEqual(part.params, expected, name)

    def test_types(self) -> None:
        for value, expected in {
            b"Text/HTML": (b"Text", b"HTML"),
            b"text": (b"TEXT", b"PLAIN"),
            b"text/": (b"TEXT", b"PLAIN"),
            b"": (b"TEXT", b"PLAIN"),
            b"text/html charset=x": (b"text", b"html"),
            b"a/b/c": (b"a", b"b"),
        }.items():
            part = parse(b"Content-Type: " + value + b"\r\n\r\nx")
            self.assertEqual((part.type, part.subtype), expected, value)

    def test_the_other_fields(self) -> None:
        part = parse(
            b"Content-ID: <a@b>\r\nContent-Description: =?utf-8?q?d?=\r\n d\r\n"
            b"Content-Transfer-Encoding: (c) Base64; x\r\nContent-MD5: abc= \r\n"
            b'Content-Disposition: attachment; filename*0="a "; filename*1=b\r\n'
            b"Content-Language: de, en (x), fr\r\nContent-Location: http://a/\r\n\r\nx"
        )
        self.assertEqual(part.id, b"<a@b>")
        self.assertEqual(part.description, b"=?utf-8?q?d?= d")
        self.assertEqual(part.encoding, b"Base64")
        self.assertEqual(part.md5, b"abc=")
        self.assertEqual(part.disposition, (b"attachment", ((b"filename", b"a b"),)))
        self.assertEqual(part.language, (b"de", b"en", b"fr"))
        self.assertEqual(part.location, b"http://a/")

    def test_empty_and_broken_fields(self) -> None:
        part = parse(
            b"Content-ID:\r\nContent-Description: \r\nContent-MD5:\r\n"
            b"Content-Transfer-Encoding: 8 bit\r\nContent-Language: \r\n"
            b"Content-Disposition: ;\r\nContent-Location:\r\n\r\nx"
        )
        plain = parse(b"A: b\r\n\r\nx")
        for name in ("id", "description", "md5", "encoding", "language", "location"):
            self.assertEqual(getattr(part, name), getattr(plain, name), name)
        self.assertIsNone(part.disposition)

    def test_disposition(self) -> None:
        for value, expected in {
            b"inline": (b"inline", ()),
            b'"attachment"; filename=x': (b"attachment", ((b"filename", b"x"),)),
            b"; filename=x": (b"attachment", ((b"filename", b"x"),)),
        }.items():
            part = parse(b"Content-Disposition: " + value + b"\r\n\r\n")
            self.assertEqual(part.disposition, expected, value)

    def test_the_first_of_repeated_fields(self) -> None:
        part = parse(b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n")
        self.assertEqual(part.type, b"a")


class LimitTests(TestCase):
    def test_depth(self) -> None:
        limits = replace(DEFAULT_LIMITS, mime_depth=10)
        for name, level in {
            "rfc822": b"Content-Type: message/rfc822\r\n\r\n",
            "multipart": b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n",
        }.items():
            message = b"".join(
                level % (i, i) if b"%" in level else level for i in range(100, 150)
            )
            root = parse(message, limits)
            parts = assert_consistent(self, message, root, name)
            self.assertEqual(parts, 10, name)
            last = list(root.walk())[-1]
            self.assertEqual(last.subtype, b"octet-stream", name)
            self.assertEqual(
                (last.parts, last.message, last.end), ([], None, len(message))
            )

    def test_parts(self) -> None:
        limits = replace(DEFAULT_LIMITS, mime_parts=100)
        message = MIXED + b"--x\r\n\r\na\r\n" * 200
        root = parse(message, limits)
        self.assertEqual(assert_consistent(self, message, root, "parts"), 100)
        last = root.parts[-1]
        self.assertEqual((last.subtype, last.end), (b"octet-stream", len(message)))
        self.assertEqual(message[last.body_start :].count(b"--x"), 101)

    def test_parameters(self) -> None:
        value = b"a/b" + b"; x%d=y" * 1 % 1 + b"; z=w" * 500
        part = parse(b"Content-Type: " + value + b"\r\n\r\n")
        self.assertEqual(len(part.params), DEFAULT_LIMITS.parameter_count)

    def test_words_of_addresses(self) -> None:
        limits = replace(DEFAULT_LIMITS, address_word_count=10_000)
        digest = b"Content-Type: multipart/digest; boundary=x\r\n\r\n"
        held = b"--x\r\n\r\nTo: " + b"a@b," * 3_000 + b"\r\n\r\n"
        root = parse(digest + held * 5, limits)
        found = []
        for part in root.parts:
            assert part.message is not None
            assert part.message.envelope is not None
            found.append(len(part.message.envelope.to))
        self.assertEqual(found[:3], [3_000] * 3)
        self.assertLess(found[3], 1_000)
        self.assertEqual(found[4], 0)

    def test_headers_of_all_parts(self) -> None:
        limits = replace(DEFAULT_LIMITS, header_octets=65_536)
        mixed = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        for name, own in {"short": b"", "long": b"A: " + b"b" * 70_000}.items():
            part = b"--x\r\nB: %b\r\n\r\ntext\r\n" % (b"c" * 1_019)  # 1 KiB in LF
            message = mixed[:-2] + own + b"\r\n\r\n" * bool(own) + b"\r\n" + part * 100
            root = parse(message, limits)
            self.assertEqual(len(root.parts), 65, name)
            self.assertEqual(root.parts[-1].subtype, b"octet-stream", name)
            self.assertEqual(root.parts[-2].subtype, b"PLAIN", name)
            self.assertEqual(parse_stored(to_lines(message), limits), root, name)
