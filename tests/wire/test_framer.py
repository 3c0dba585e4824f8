"""Octets to commands: any cut gives the same events, and every bound holds."""

import time
import unittest

from imapd.errors import LimitReached, SyntaxRejected, TooBig
from imapd.limits import Limits
from imapd.wire.framer import (
    CommandFramer,
    Frame,
    LiteralChunk,
    LiteralPrompt,
)
from tests.support.framing import (
    NOOP,
    SMALL,
    Answer,
    accept,
    drain,
    events,
    prompt,
    refuse,
    rejected,
    stream,
)

# name: (sent, answer, expected)
CASES: dict[str, tuple[bytes, Answer, list[object]]] = {
    "plain line": (b"a NOOP\r\n", accept, [Frame((b"a NOOP",))]),
    "LF alone": (b"a NOOP\nz NOOP\n", accept, [Frame((b"a NOOP",)), NOOP]),
    "empty line": (b"\r\nz NOOP\r\n", accept, [Frame((b"",)), NOOP]),
    "bare CR is kept": (b"a NO\rOP\r\n", accept, [Frame((b"a NO\rOP",))]),
    "two CR": (b"a NOOP\r\r\n", accept, [Frame((b"a NOOP\r",))]),
    "synchronising literal": (
        b"a LOGIN {1}\r\nu p\r\n",
        accept,
        [prompt(1, True, b"a LOGIN "), Frame((b"a LOGIN ", b"u", b" p"))],
    ),
    "LITERAL+, empty": (
        b"a LOGIN {0+}\r\n p\r\nz NOOP\r\n",
        accept,
        [prompt(0, False, b"a LOGIN "), Frame((b"a LOGIN ", b"", b" p")), NOOP],
    ),
    "two zeros": (
        b"a X {00}\r\n\r\n",
        accept,
        [prompt(0, True, b"a X "), Frame((b"a X ", b"", b""))],
    ),
    "two literals": (
        b"a LOGIN {1+}\r\nu {2}\r\npw\r\nz NOOP\r\n",
        accept,
        [
            prompt(1, False, b"a LOGIN "),
            prompt(2, True, b"a LOGIN ", b"u", b" "),
            Frame((b"a LOGIN ", b"u", b" ", b"pw", b"")),
            NOOP,
        ],
    ),
    "a command inside a literal": (
        b"a X {10+}\r\nb LOGOUT\r\n\r\nz NOOP\r\n",
        accept,
        [
            prompt(10, False, b"a X "),
            Frame((b"a X ", b"b LOGOUT\r\n", b"")),
            NOOP,
        ],
    ),
    "braces in quotes": (
        b'a X "{5}"\r\na X "{" x}\r\na X x}\r\n',
        accept,
        [Frame((b'a X "{5}"',)), Frame((b'a X "{" x}',)), Frame((b"a X x}",))],
    ),
    "streamed": (
        b"a APPEND b {5}\r\nhello\r\nz NOOP\r\n",
        stream,
        [
            prompt(5, True, b"a APPEND b "),
            LiteralChunk(b"hello", True),
            Frame((b"a APPEND b ", b"", b"")),
            NOOP,
        ],
    ),
    "streamed, empty": (
        b"a APPEND b {0+}\r\n\r\n",
        stream,
        [
            prompt(0, False, b"a APPEND b "),
            LiteralChunk(b"", True),
            Frame((b"a APPEND b ", b"", b"")),
        ],
    ),
    "refused, synchronising": (
        b"a X {5}\r\nz NOOP\r\n",
        refuse,
        [prompt(5, True, b"a X "), NOOP],
    ),
    "refused, not synchronising": (
        b"a X {8+}\r\nb NOOP\r\n c {3+}\r\nd\r\n e\r\nz NOOP\r\n",
        refuse,
        [prompt(8, False, b"a X "), NOOP],
    ),
    "refused, then one that waits": (
        b"a X {2+}\r\nhi {3}\r\nz NOOP\r\n",
        refuse,
        [prompt(2, False, b"a X "), NOOP],
    ),
    "refused, too large to read": (
        b"a X {10001+}\r\nz NOOP\r\n",
        refuse,
        [prompt(10001, False, b"a X ", problem=TooBig), rejected(None, TooBig, True)],
    ),
    "refused, malformed literal in the rest": (
        b"a X {1+}\r\nx {z+}\r\nz NOOP\r\n",
        refuse,
        [prompt(1, False, b"a X "), rejected(None, TooBig, True)],
    ),
    "too big, not synchronising": (
        b"a X {4097+}\r\n" + b"x" * 4097 + b"\r\nz NOOP\r\n",
        accept,
        [prompt(4097, False, b"a X ", problem=TooBig), NOOP],
    ),
    "too big together": (
        b"a X {4096+}\r\n" + b"x" * 4096 + b" {1}\r\nz NOOP\r\n",
        accept,
        [
            prompt(4096, False, b"a X "),
            prompt(1, True, b"a X ", b"x" * 4096, b" ", problem=TooBig),
            NOOP,
        ],
    ),
    "longest line": (
        b"a " + b"x" * 8190 + b"\r\nz NOOP\r\n",
        accept,
        [Frame((b"a " + b"x" * 8190,)), NOOP],
    ),
    "line too long": (
        b"a " + b"x" * 8191 + b"\r\nz NOOP\r\n",
        accept,
        [rejected(b"a", TooBig), NOOP],
    ),
    "line too long, LF alone": (
        b"a " + b"x" * 8191 + b"\nz NOOP\n",
        accept,
        [rejected(b"a", TooBig), NOOP],
    ),
    "line too long, with a literal": (
        b"a " + b"x" * 9000 + b" {8+}\r\nb NOOP\r\n c\r\nz NOOP\r\n",
        accept,
        [rejected(b"a", TooBig), NOOP],
    ),
    "line too long, with a malformed literal": (
        b"a " + b"x" * 9000 + b" {" + b"0" * 40 + b"5+}\r\nb NOOP\r\n",
        accept,
        [rejected(b"a", TooBig), rejected(None, TooBig, True)],
    ),
    "line too long, with a brace": (
        b"a " + b"x" * 9000 + b"}\r\nz NOOP\r\n",
        accept,
        [rejected(b"a", TooBig), NOOP],
    ),
    "text too long in two lines": (
        b"a " + b"x" * 5000 + b"{1+}\r\nx" + b"y" * 5000 + b"\r\nz NOOP\r\n",
        accept,
        [
            prompt(1, False, b"a " + b"x" * 5000),
            rejected(b"a", TooBig),
            NOOP,
        ],
    ),
    "line without an end": (
        b"a " + b"x" * 20000,
        accept,
        [rejected(b"a", TooBig), rejected(None, TooBig, True)],
    ),
    "number of 32 bits": (
        b"a X {4294967295}\r\n",
        accept,
        [prompt(4294967295, True, b"a X ", problem=TooBig)],
    ),
}
for malformed in (
    *b"-1 1e3 + 5- 4294967296 9223372036854775808 00000000000 x".split(),
    *(b"-1+", b"1e3+", b"5++", b"+5+", b"4294967296+", b"5 +"),
    *(b"", b" 5", b"5 ", b"\xb2", b"9" * 5000),
):
    lost = malformed.endswith(b"+")
    CASES[f"malformed {malformed[:20]!r}"] = (
        b"a X {" + malformed + b"}\r\nz NOOP\r\n",
        accept,
        [rejected(b"a", SyntaxRejected, lost)] + ([] if lost else [NOOP]),
    )


class FramerTests(unittest.TestCase):
    def test_cases(self) -> None:
        # Hardening: X3.
        for name, (sent, answer, expected) in CASES.items():
            self.assertEqual(events(sent, answer=answer), expected, name)

    def test_any_cut_gives_the_same_events(self) -> None:
        for name, (sent, answer, expected) in CASES.items():
            step = max(1, len(sent) // 100)
            for cut in [*range(0, len(sent), step), *range(len(sent) - 30, len(sent))]:
                got = events(sent[: max(0, cut)], sent[max(0, cut) :], answer=answer)
                self.assertEqual(got, expected, f"{name}, cut at {cut}")

    def test_octet_by_octet_gives_the_same_events(self) -> None:
        for name, (sent, answer, expected) in CASES.items():
            pieces = [sent[i : i + 1] for i in range(len(sent))]
            self.assertEqual(events(*pieces, answer=answer), expected, name)

    def test_preauth(self) -> None:
        table: dict[str, tuple[bytes, list[object]]] = {
            "line at the limit": (
                b"a " + b"x" * 1022 + b"\r\n",
                [Frame((b"a " + b"x" * 1022,))],
            ),
            "line too long is the end": (
                b"a " + b"x" * 1023 + b"\r\nz NOOP\r\n",
                [rejected(b"a", TooBig, True)],
            ),
            "literal too big": (
                b"a X {129}\r\nz NOOP\r\n",
                [prompt(129, True, b"a X ", problem=TooBig), NOOP],
            ),
            "third literal": (
                b"a X {1+}\r\nb {1+}\r\nc {1+}\r\nd\r\nz NOOP\r\n",
                [
                    prompt(1, False, b"a X "),
                    prompt(1, False, b"a X ", b"b", b" "),
                    prompt(
                        1, False, b"a X ", b"b", b" ", b"c", b" ", problem=LimitReached
                    ),
                    NOOP,
                ],
            ),
            "refused literal too large to read": (
                b"a X {4097+}\r\nz NOOP\r\n",
                [
                    prompt(4097, False, b"a X ", problem=TooBig),
                    rejected(None, TooBig, True),
                ],
            ),
        }
        for name, (sent, expected) in table.items():
            self.assertEqual(events(sent, preauth=True), expected, name)

    def test_literal_count(self) -> None:
        sent = b"a X " + b"{0+}\r\n" * 17 + b"\r\nz NOOP\r\n"
        *prompts, last, noop = events(sent)
        self.assertEqual(len(prompts), 16)
        assert isinstance(last, tuple)
        self.assertEqual((last[4], noop), (LimitReached, NOOP))

    def test_thousands_of_empty_literals(self) -> None:
        # Hardening: P09.
        for answer in (accept, stream, refuse):
            started = time.thread_time()
            got = events(
                b"a X " + b"{0+}\r\n" * 10000 + b"\r\nz NOOP\r\n",
                answer=answer,
                limits=Limits(),
            )
            self.assertEqual(got[-1], NOOP, answer.__name__)
            self.assertLess(time.thread_time() - started, 2, answer.__name__)

    def test_tag_of_a_rejected_command(self) -> None:
        table: dict[str, tuple[bytes, bytes | None]] = {
            "tag": (b"A1 X {z}\r\n", b"A1"),
            "no tag": (b" X {z}\r\n", None),
            "bad octet": (b"A\x00 X {z}\r\n", None),
            "plus": (b"A+ X {z}\r\n", None),
            "too long": (b"A" * 65 + b" X {z}\r\n", None),
            "longest": (b"A" * 64 + b" X {z}\r\n", b"A" * 64),
        }
        for name, (sent, expected) in table.items():
            got = events(sent)
            self.assertEqual(got, [rejected(expected, SyntaxRejected)], name)

    def test_discard(self) -> None:
        # Hardening: P01.
        framer = CommandFramer(SMALL)
        framer.receive(b"a STARTTLS\r\nb LOGIN {3}\r\n")
        self.assertEqual(framer.next_event(), Frame((b"a STARTTLS",)))
        self.assertEqual(framer.buffered, 13)
        self.assertEqual(framer.discard(), 13)
        self.assertEqual(framer.buffered, 0)
        self.assertIsNone(framer.next_event())
        framer.receive(b"z NOOP\r\n")
        self.assertEqual(framer.next_event(), NOOP)

    def test_discard_forgets_half_a_command(self) -> None:
        # Hardening: P01.
        framer = CommandFramer(SMALL)
        framer.receive(b"a LOGIN {5+}\r\nab")
        drain(framer, accept)
        self.assertEqual(framer.discard(), 2)
        framer.receive(b"z NOOP\r\n")
        self.assertEqual(drain(framer, accept), [NOOP])

    def test_nothing_is_kept_after_a_fatal_rejection(self) -> None:
        # Hardening: P10.
        framer = CommandFramer(SMALL)
        framer.receive(b"a" * 2000)
        self.assertEqual(drain(framer, accept), [rejected(None, TooBig, True)])
        framer.receive(b"\r\nz NOOP\r\n")
        self.assertEqual(framer.buffered, 0)
        self.assertIsNone(framer.next_event())
        self.assertIsNone(framer.next_line())

    def test_a_prompt_must_be_answered(self) -> None:
        framer = CommandFramer(SMALL)
        self.assertRaises(RuntimeError, framer.accept)
        framer.receive(b"a X {500}\r\n")
        self.assertIsInstance(framer.next_event(), LiteralPrompt)
        self.assertRaises(RuntimeError, framer.next_event)
        self.assertRaises(RuntimeError, framer.next_line)
        self.assertRaises(RuntimeError, framer.accept)  # over the limit
