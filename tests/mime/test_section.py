"""Part numbers and sections.  RFC 3501 §6.4.5."""

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from imapd.mime.scan import to_wire
from imapd.mime.section import extract, locate
from imapd.mime.structure import parse
from imapd.model.structure import BodyPart, Section, SectionText
from tests.support.shared import SHARED, needs_shared

HEADER, TEXT, MIME = SectionText.HEADER, SectionText.TEXT, SectionText.MIME
FIELDS, FIELDS_NOT = SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT

PLAIN = b"From: a@b\r\nSubject: x\r\n\r\nbody\r\n"
NO_EMPTY_LINE = b"From: a@b\r\nSubject: x\r\n"
INNER = b"Subject: inner\r\n\r\nhello\r\n"
HOLDER = b"Content-Type: message/rfc822\r\n\r\n" + INNER
INNER_MULTIPART = (
    b"Subject: mp\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
    b"--q\r\n\r\nin\r\n--q\r\nContent-Type: text/html\r\n\r\n<p>\r\n--q--\r\n"
)
MIXED = (
    b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n"
    b"--x\r\n\r\none\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\nX: y\r\n\r\n" + INNER + b"\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\n\r\n" + INNER_MULTIPART + b"\r\n"
    b"--x\r\nContent-Type: multipart/alternative; boundary=z\r\n\r\n"
    b"--z\r\n\r\nfour one\r\n--z--\r\n\r\n--x--\r\nepilogue"
)
CASES = {
    "all": (PLAIN, Section(), PLAIN),
    "header": (PLAIN, Section((), HEADER), b"From: a@b\r\nSubject: x\r\n\r\n"),
    "text": (PLAIN, Section((), TEXT), b"body\r\n"),
    "1 of a single part": (PLAIN, Section((1,)), b"body\r\n"),
    "1.MIME of a single part": (PLAIN, Section((1,), MIME), PLAIN[:25]),
    "MIME without a number": (PLAIN, Section((), MIME), None),
    "1.1 of a single part": (PLAIN, Section((1, 1)), None),
    "2 of a single part": (PLAIN, Section((2,)), None),
    "0": (MIXED, Section((0,)), None),
    "1.HEADER of a text": (PLAIN, Section((1,), HEADER), None),
    "1.TEXT of a text": (PLAIN, Section((1,), TEXT), None),
    "fields": (PLAIN, Section((), FIELDS, (b"SUBJECT",)), b"Subject: x\r\n\r\n"),
    "not fields": (PLAIN, Section((), FIELDS_NOT, (b"from",)), b"Subject: x\r\n\r\n"),
    "fields, none": (PLAIN, Section((), FIELDS, (b"To",)), b"\r\n"),
    "fields, no empty line": (
        NO_EMPTY_LINE,
        Section((), FIELDS, (b"Subject",)),
        b"Subject: x\r\n",
    ),
    "text, no empty line": (NO_EMPTY_LINE, Section((), TEXT), b""),
    "rfc822: 1": (HOLDER, Section((1,)), INNER),
    "rfc822: 1.1": (HOLDER, Section((1, 1)), b"hello\r\n"),
    "rfc822: 1.1.MIME": (HOLDER, Section((1, 1), MIME), b"Subject: inner\r\n\r\n"),
    "rfc822: 1.HEADER": (HOLDER, Section((1,), HEADER), b"Subject: inner\r\n\r\n"),
    "rfc822: 1.TEXT": (HOLDER, Section((1,), TEXT), b"hello\r\n"),
    "rfc822: 1.2": (HOLDER, Section((1, 2)), None),
    "rfc822: 1.1.1": (HOLDER, Section((1, 1, 1)), None),
    "mixed: 1": (MIXED, Section((1,)), b"one"),
    "mixed: 1.MIME": (MIXED, Section((1,), MIME), b"\r\n"),
    "mixed: 1.1": (MIXED, Section((1, 1)), None),
    "mixed: 2": (MIXED, Section((2,)), INNER),
    "mixed: 2.MIME": (
        MIXED,
        Section((2,), MIME),
        b"Content-Type: message/rfc822\r\nX: y\r\n\r\n",
    ),
    "mixed: 2.HEADER": (MIXED, Section((2,), HEADER), b"Subject: inner\r\n\r\n"),
    "mixed: 2.fields": (
        MIXED,
        Section((2,), FIELDS, (b"Subject", b"To")),
        b"Subject: inner\r\n\r\n",
    ),
    "mixed: 2.TEXT": (MIXED, Section((2,), TEXT), b"hello\r\n"),
    "mixed: 2.1": (MIXED, Section((2, 1)), b"hello\r\n"),
    "mixed: 3.TEXT": (
        MIXED,
        Section((3,), TEXT),
        INNER_MULTIPART.partition(b"\r\n\r\n")[2],
    ),
    "mixed: 3.1": (MIXED, Section((3, 1)), b"in"),
    "mixed: 3.2": (MIXED, Section((3, 2)), b"<p>"),
    "mixed: 3.2.MIME": (
        MIXED,
        Section((3, 2), MIME),
        b"Content-Type: text/html\r\n\r\n",
    ),
    "mixed: 3.3": (MIXED, Section((3, 3)), None),
    "mixed: 4": (MIXED, Section((4,)), b"--z\r\n\r\nfour one\r\n--z--\r\n"),
    "mixed: 4.HEADER": (MIXED, Section((4,), HEADER), None),
    "mixed: 4.1": (MIXED, Section((4, 1)), b"four one"),
    "mixed: 5": (MIXED, Section((5,)), None),
}


def assert_consistent(test: TestCase, message: bytes, root: BodyPart, name: str) -> int:
    """Every part lies in its parent, sections put together are the whole."""
    test.assertEqual((root.header_start, root.end), (0, len(message)), name)
    parts = 0
    stack: list[tuple[BodyPart, int]] = [(root, 0)]
    while stack:
        part, start = stack.pop()
        parts += 1
        test.assertLessEqual(start, part.header_start, name)
        test.assertLessEqual(part.header_start, part.body_start, name)
        test.assertLessEqual(part.body_start, part.end, name)
        lines = message.count(b"\r\n", part.body_start, part.end)
        test.assertEqual(part.lines, lines, name)
        last = part.body_start
        for child in part.parts:
            stack.append((child, last))
            last = child.end
        test.assertLessEqual(last, part.end, name)
        test.assertEqual(
            bool(part.parts), part.type.lower() == b"multipart", f"{name}: arity"
        )
        if part.message is not None:
            inner = part.message
            test.assertEqual(inner.header_start, part.body_start, name)
            test.assertEqual(inner.end, part.end, name)
            test.assertIsNotNone(inner.envelope, name)
            stack.append((inner, part.body_start))
    return parts


def assert_sections_reassemble(
    test: TestCase, message: bytes, root: BodyPart, name: str
) -> None:
    test.assertEqual(extract(message, root, Section()), message, name)
    header = extract(message, root, Section((), HEADER))
    text = extract(message, root, Section((), TEXT))
    assert header is not None
    assert text is not None
    test.assertEqual(header + text, message, name)
    paths: list[tuple[int, ...]] = [
        (number,) for number in range(1, 1 + max(1, len(root.parts)))
    ]
    while paths:
        path = paths.pop()
        part = locate(root, path)
        assert part is not None, (name, path)
        mime = extract(message, root, Section(path, MIME))
        content = extract(message, root, Section(path))
        assert mime is not None
        assert content is not None
        test.assertEqual(
            mime + content, message[part.header_start : part.end], f"{name} {path}"
        )
        if part.message is not None:
            head = extract(message, root, Section(path, HEADER))
            body = extract(message, root, Section(path, TEXT))
            assert head is not None
            assert body is not None
            test.assertEqual(head + body, content, f"{name} {path}")
            below = len(part.message.parts) or 1
        else:
            below = len(part.parts)
        paths += [(*path, number) for number in range(1, below + 1)]


class SectionTests(TestCase):
    def test_cases(self) -> None:
        for name, (message, section, expected) in CASES.items():
            root = parse(message)
            self.assertEqual(extract(message, root, section), expected, name)

    def test_named_messages_reassemble(self) -> None:
        for name, message in {"plain": PLAIN, "holder": HOLDER, "mixed": MIXED}.items():
            root = parse(message)
            assert_consistent(self, message, root, name)
            assert_sections_reassemble(self, message, root, name)

    @needs_shared
    def test_corpus_reassembles(self) -> None:
        files = sorted((SHARED / "corpus" / "eml").glob("*.eml"))
        self.assertGreater(len(files), 100)
        parts = 0
        for file in files:
            message = to_wire(file.read_bytes())
            root = parse(message)
            parts += assert_consistent(self, message, root, file.name)
            assert_sections_reassemble(self, message, root, file.name)
        self.assertGreater(parts, 2 * len(files))


LINES = st.sampled_from(
    [
        b"\r\n",
        b"--x\r\n",
        b"--x--\r\n",
        b"--xy\r\n",
        b"--xy--",
        b"--",
        b" \r\n",
        b"text\r\n",
        b"\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n",
        b"Content-Type: multipart/digest; boundary=xy\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/html\r\n",
        b"Subject: s\r\n",
        b"\r",
    ]
)


class FuzzTests(TestCase):
    @given(st.binary(max_size=400))
    def test_random_octets(self, message: bytes) -> None:
        message = to_wire(message)
        root = parse(message)
        assert_consistent(self, message, root, "random")
        assert_sections_reassemble(self, message, root, "random")

    @given(st.lists(LINES, max_size=60))
    def test_random_lines(self, lines: list[bytes]) -> None:
        message = b"".join(lines)
        message = to_wire(message)
        root = parse(message)
        assert_consistent(self, message, root, "lines")
        assert_sections_reassemble(self, message, root, "lines")
