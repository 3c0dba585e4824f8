"""Input made to be slow: twice as much may take about twice the time."""

import gc
import tracemalloc
from collections.abc import Callable
from functools import partial
from time import process_time
from unittest import TestCase

from imapd.mime.dates import parse_date
from imapd.mime.envelope import envelope
from imapd.mime.folding import fold
from imapd.mime.headers import select_fields
from imapd.mime.scan import to_wire
from imapd.mime.section import extract
from imapd.mime.structure import parse, parse_stored
from imapd.mime.text import all_header_texts, body_texts, decode_header
from imapd.model.structure import Section, SectionText

MIXED = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"

INNER = b"Content-Type: multipart/mixed; boundary=inner%d\r\n\r\n"


def levels(count: int, boundary: Callable[[int], bytes]) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n"
        % (boundary(i), boundary(i))
        for i in range(count)
    )


def structure(message: bytes) -> object:
    return parse(message)


def stored(message: bytes) -> object:
    return parse_stored(message)


def bodies(message: bytes) -> object:
    return sum(map(len, body_texts(message, parse(message))))


def all_headers(message: bytes) -> object:
    return sum(map(len, all_header_texts(message)))


def selected(message: bytes) -> object:
    section = Section((), SectionText.HEADER_FIELDS_NOT, (b"b",))
    return extract(message, parse(message), section)


def lf_form(build: Callable[[int], bytes], count: int) -> bytes:
    return build(count).replace(b"\r\n", b"\n")


#: What is run, the input of a size, and the smaller size.
BOMBS: dict[str, tuple[Callable[[bytes], object], Callable[[int], bytes], int]] = {
    "To lines": (envelope, lambda n: b"To: a@b\r\n" * n, 40_000),
    "addresses": (envelope, lambda n: b"To: " + b"a@b," * n, 100_000),
    "slow addresses": (envelope, lambda n: b"To: " + b"(c)a@b," * n, 50_000),
    "empty addresses": (envelope, lambda n: b"To: " + b"," * n, 50_000),
    "groups": (envelope, lambda n: b"To: " + b"G:" * n, 100_000),
    "words": (envelope, lambda n: b"To: " + b"a " * n, 40_000),
    "dots": (envelope, lambda n: b"To: " + b"." * n, 40_000),
    "at signs": (envelope, lambda n: b"To: " + b"@" * n, 40_000),
    "angles": (envelope, lambda n: b"To: " + b"<" * n, 100_000),
    "route": (envelope, lambda n: b"To: <" + b"@a," * n, 30_000),
    "route of comments": (envelope, lambda n: b"To: <@" + b"(c)," * n, 50_000),
    "quotes": (envelope, lambda n: b"To: " + b'"' * n, 80_000),
    "open quotes": (envelope, lambda n: b"To: " + b'"a, ' * n, 100_000),
    "escapes": (envelope, lambda n: b'To: "' + b"\\" * n, 200_000),
    "blanks in a name": (envelope, lambda n: b'To: "\t' + b" " * n, 500_000),
    "comments": (envelope, lambda n: b"To: " + b"(" * n, 200_000),
    "comments, closed": (envelope, lambda n: b"To: " + b"(" * n + b")" * n, 200_000),
    "literals": (envelope, lambda n: b"To: " + b"[" * n, 200_000),
    "one long header": (envelope, lambda n: b"Subject: " + b"x" * n, 4 << 20),
    "folded lines": (envelope, lambda n: b"Subject: x" + b"\r\n y" * n, 200_000),
    "lines without a colon": (envelope, lambda n: b"x\r\n" * n + b":", 50_000),
    "many words": (envelope, lambda n: b"To: " + b"a " * n + b"<a@b>", 100_000),
    "fields selected, few": (
        lambda m: select_fields(m, frozenset((b"b",)), False),
        lambda n: b"A: b\r\nB: c\r\n d\r\n" * n + b"\r\n",
        20_000,
    ),
    "fields selected": (selected, lambda n: b"A: b\r\nB: c\r\n" * n, 20_000),
    "sections of a parameter": (
        structure,
        lambda n: b"Content-Type: a/b" + b"".join(b";a*%d*=b" % i for i in range(n)),
        100_000,
    ),
    "parameters": (structure, lambda n: b"Content-Type: a/b" + b";" * n, 500_000),
    "blanks": (structure, lambda n: b"Content-Type: a/b" + b" " * n + b";;", 500_000),
    "blank parameters": (
        structure,
        lambda n: b"Content-Type: a/b" + b"; " * n,
        200_000,
    ),
    "comments in a type": (
        structure,
        lambda n: b"Content-Type: a/b" + b"(c)" * n,
        30_000,
    ),
    "parts": (structure, lambda n: MIXED + b"--x\r\n\r\n\r\n" * n, 4_000),
    "parts over the limit": (structure, lambda n: MIXED + b"--x\r\n\r\n" * n, 50_000),
    "parts without empty lines": (
        structure,
        lambda n: MIXED + b"--x\r\na\r\n" * n,
        4_000,
    ),
    "hyphens": (structure, lambda n: MIXED + b"--\r\n" * n, 200_000),
    "nearly boundaries": (
        structure,
        lambda n: levels(90, lambda i: b"b" * (i + 2)) + b"--b\r\n" * n,
        100_000,
    ),
    "prefixes of boundaries": (
        structure,
        lambda n: levels(90, lambda i: b"ab" * (i + 1) + b"c") + b"--abab\r\n" * n,
        50_000,
    ),
    "depth": (structure, lambda n: levels(n, lambda i: b"%06d" % i), 10_000),
    "same boundary": (structure, lambda n: levels(n, lambda i: b"x"), 10_000),
    "long boundary": (
        structure,
        lambda n: levels(2, lambda i: b"b" * n) + (b"--" + b"b" * n + b"\r\n") * 3,
        500_000,
    ),
    "multiparts that never begin": (
        structure,
        lambda n: (
            MIXED + b"".join(b"--x\r\n" + INNER % i + b"text\r\n" * 9 for i in range(n))
        ),
        1_000,
    ),
    "alike, and none of the open ones": (
        structure,
        lambda n: levels(90, lambda i: b"ab%d" % i) + b"--ab\r\n--\r\n" * n,
        30_000,
    ),
    "rfc822": (
        structure,
        lambda n: b"Content-Type: message/rfc822\r\n\r\n" * n,
        10_000,
    ),
    "digests": (
        structure,
        lambda n: (
            b"Content-Type: multipart/digest; boundary=x\r\n\r\n"
            + b"--x\r\n\r\nTo: a@b\r\n\r\n" * n
        ),
        2_000,
    ),
    "bare LF": (to_wire, lambda n: b"\n\r\n" * n, 500_000),
    "encoded words": (decode_header, lambda n: b"=?utf-8?q?a?= " * n, 50_000),
    "open encoded words": (decode_header, lambda n: b"=?a?q?b" * n, 100_000),
    "encoded word marks": (decode_header, lambda n: b"=?" * n, 200_000),
    "header texts": (all_headers, lambda n: b"A: =?utf-8?q?a?=\r\n" * n, 5_000),
    "quoted-printable": (
        bodies,
        lambda n: b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * n,
        1 << 21,
    ),
    "base64 padding": (
        bodies,
        lambda n: b"Content-Transfer-Encoding: base64\r\n\r\n" + b"a=" * n,
        200_000,
    ),
    "invalid UTF-8": (bodies, lambda n: b"\r\n" + b"\xff" * n, 1 << 20),
    "UTF-7 in one run": (
        bodies,
        lambda n: b"Content-Type: text/plain; charset=utf-7\r\n\r\n+" + b"A" * n,
        1 << 21,
    ),
    "combining marks": (
        lambda m: fold(m.decode()),
        lambda n: b"a" + b"\xcc\x81\xcc\xa3" * n,
        100_000,
    ),
    "dates": (parse_date, lambda n: b"1 Jul " + b" (" * n, 200_000),
}


#: And each structure from a file whose lines end in LF.
BOMBS |= {
    f"{name}, LF": (stored, partial(lf_form, build), size)
    for name, (work, build, size) in BOMBS.items()
    if work is structure
}


#: What is quadratic takes four times as long in each of them.
ATTEMPTS = 8


def seconds(work: Callable[[bytes], object], octets: bytes) -> float:
    best = float("inf")
    for _ in range(3):
        start = process_time()
        work(octets)
        best = min(best, process_time() - start)
        if best < 0.001:
            break
    return best


class BombTests(TestCase):
    def setUp(self) -> None:
        gc.disable()  # its passes over a growing heap are not our work

    def tearDown(self) -> None:
        gc.enable()

    def test_time_is_linear(self) -> None:
        # Hardening: P16, P17.
        for name, (work, build, size) in BOMBS.items():
            small, large = build(size), build(2 * size)
            once = twice = float("inf")
            for _ in range(ATTEMPTS):  # a busy machine is asked again
                once = min(once, seconds(work, small))
                twice = min(twice, seconds(work, large))
                if twice < 3 * max(once, 0.004):
                    break
            self.assertLess(twice, 3 * max(once, 0.004), name)
            self.assertLess(twice, 1.0, name)

    def test_boundaries_that_begin_each_other(self) -> None:
        # Hardening: P16.
        # A delimiter of each closes many levels: bounded by parts times depth.
        message = levels(40_000, lambda i: b"%d" % i)
        self.assertLess(seconds(structure, message), 1.0)

    def test_nothing_recurses(self) -> None:
        # Hardening: X5, P16.
        for depth in (1_000, 10_000):
            parse(levels(depth, lambda i: b"%d" % i))
            parse(b"Content-Type: message/rfc822\r\n\r\n" * depth)
            envelope(b"To: " + b"(" * depth + b"<" * depth + b"G:" * depth)

    def test_a_header_of_any_size_is_not_copied_as_a_whole(self) -> None:
        long = b"Subject: " + b"x" * (50 << 20)
        for name, message in {
            "of a message": long,
            "of a message in it": b"Content-Type: message/rfc822\n\n" + long,
            "of a part": MIXED.replace(b"\r", b"") + b"--x\n" + long,
        }.items():
            for work in (parse_stored, envelope):
                tracemalloc.start()
                try:
                    work(message)
                    peak = tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()
                self.assertLess(peak, 32 << 20, f"{name}, {work.__name__}")

    def test_fields_chosen_in_turn_take_no_more_than_their_octets(self) -> None:
        # Hardening: P17.
        message = b"a:b\nb:\n" * 400_000 + b"\n"
        for negate in (False, True):
            tracemalloc.start()
            try:
                chosen = select_fields(message, frozenset((b"a",)), negate)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            expected = b"b:\r\n" if negate else b"a:b\r\n"
            self.assertEqual(chosen, expected * 400_000 + b"\r\n")
            self.assertLess(peak, 6 * len(message))
