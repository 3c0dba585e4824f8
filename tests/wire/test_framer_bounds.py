"""Single lines, linear time, and any octets in any cut."""

import time
import unittest
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.errors import TooBig
from imapd.limits import Limits
from imapd.wire.framer import (
    CommandFramer,
    Frame,
    LiteralChunk,
)
from tests.support.framing import (
    NOOP,
    Answer,
    accept,
    drain,
    events,
    refuse,
    stream,
)


class LineTests(unittest.TestCase):
    def setUp(self) -> None:
        self.framer = CommandFramer(Limits(sasl_line_octets=1024))

    def test_lines(self) -> None:
        self.framer.receive(
            b"a AUTHENTICATE X\r\nAGE=\r\nx {5+}\r\nDONE\n\r\nz NOOP\r\n"
        )
        self.assertEqual(self.framer.next_event(), Frame((b"a AUTHENTICATE X",)))
        for expected in (b"AGE=", b"x {5+}", b"DONE", b""):
            self.assertEqual(self.framer.next_line(), expected)
        self.assertEqual(self.framer.next_event(), NOOP)

    def test_half_a_line(self) -> None:
        for octet in b"DONE\r":
            self.framer.receive(bytes([octet]))
            self.assertIsNone(self.framer.next_line())
        self.framer.receive(b"\n")
        self.assertEqual(self.framer.next_line(), b"DONE")

    def test_too_long_is_thrown_away(self) -> None:
        # Hardening: P10.
        for size in (1025, 5000):
            with self.subTest(size=size):
                self.framer.receive(b"x" * size)
                with self.assertRaises(TooBig):
                    self.framer.receive(b"{5+}\r\n")
                    self.framer.next_line()
                self.framer.receive(b"y\r\nz NOOP\r\n")
                self.assertEqual(self.framer.next_line(), b"y")
                self.assertEqual(self.framer.next_event(), NOOP)

    def test_longest(self) -> None:
        for end in (b"\r\n", b"\n"):
            self.framer.receive(b"x" * 1024 + end)
            self.assertEqual(self.framer.next_line(), b"x" * 1024)


class LinearTests(unittest.TestCase):
    def test_octet_by_octet(self) -> None:
        # Hardening: P14.
        # Quadratic work would need minutes for any of these.
        size = 1 << 17
        limits = Limits(
            command_octets=size, literal_octets=size, append_octets=size * 2
        )
        table: dict[str, tuple[bytes, Answer]] = {
            "line": (b"a " + b"x" * (size - 2) + b"\r\n", accept),
            "literal": (b"a X {%d+}\r\n%b\r\n" % (size, b"x" * size), accept),
            "stream": (b"a X {%d+}\r\n%b\r\n" % (size, b"x" * size), stream),
            "refused": (b"a X {%d+}\r\n%b\r\n" % (size, b"x" * size), refuse),
            "too long": (b"a " + b"x" * size + b"\r\n", accept),
        }
        for name, (sent, answer) in table.items():
            framer = CommandFramer(limits)
            framer.authenticated()
            started = time.thread_time()
            for octet in sent:
                framer.receive(b"%c" % octet)
                drain(framer, answer)
            self.assertLess(time.thread_time() - started, 3, name)
            self.assertEqual(framer.buffered, 0, name)


PIECES = st.sampled_from(
    (
        *(b"a X ", b"{3+}", b"{3}", b"{0+}", b"{z}", b"{", b"}", b'"', b"\r", b"\n"),
        *(b"\r\n", b"xyz", b"\x00", b"\xff", b"{5000+}", b"{99999+}", b"x" * 700),
    )
)


class FramerProperties(unittest.TestCase):
    @given(
        st.lists(PIECES, max_size=30).map(b"".join),
        st.sampled_from([accept, stream, refuse]),
        st.booleans(),
        st.lists(st.integers(0, 200), max_size=10),
    )
    @settings(max_examples=300, deadline=None)
    def test_any_octets_in_any_cut(
        self, sent: bytes, answer: Answer, preauth: bool, cuts: list[int]
    ) -> None:
        # Hardening: P08, P15.
        whole = events(sent, answer=answer, preauth=preauth)
        places = sorted({0, len(sent), *(min(cut, len(sent)) for cut in cuts)})
        pieces = [sent[a:b] for a, b in pairwise(places)]
        got = events(*pieces, answer=answer, preauth=preauth)

        def complete(found: list[object]) -> list[object]:
            # A literal that has not ended yet: how much of it came is timing.
            return [
                event
                for event in found
                if not (isinstance(event, LiteralChunk) and not event.last)
            ]

        self.assertEqual(complete(got), complete(whole))
