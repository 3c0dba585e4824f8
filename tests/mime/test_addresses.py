"""Address lists, well-formed and not."""

from dataclasses import replace
from email.headerregistry import AddressHeader, HeaderRegistry
from typing import cast
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from imapd.limits import DEFAULT_LIMITS
from imapd.mime.addresses import Words, addresses
from imapd.model.structure import Address

NO_MAILBOX, NO_DOMAIN = b"MISSING_MAILBOX", b"MISSING_DOMAIN"
END = Address(None, None, None, None)


def address(
    mailbox: bytes, host: bytes, name: bytes | None = None, adl: bytes | None = None
) -> Address:
    return Address(name, adl, mailbox, host)


def group(name: bytes) -> Address:
    return Address(None, None, name, None)


AB = address(b"a", b"b")
CD = address(b"c", b"d")
NAMED = address(b"a", b"b", b"A")
CASES = {
    "empty": (b"", ()),
    "blanks": (b" \t ", ()),
    "bare": (b"a@b", (AB,)),
    "angle": (b"<a@b>", (AB,)),
    "name": (b"A <a@b>", (NAMED,)),
    "name without a blank": (b"A<a@b>", (NAMED,)),
    "two": (b"a@b, c@d", (AB, CD)),
    "two named": (b"A <a@b>,C D <c@d>", (NAMED, address(b"c", b"d", b"C D"))),
    "quoted name": (b'"A, B" <a@b>', (address(b"a", b"b", b"A, B"),)),
    "quoted pairs": (rb'"A \"x\" \\" <a@b>', (address(b"a", b"b", rb'A "x" \ '[:-1]),)),
    "quoted pairs, blanks around": (
        rb'" \"A\" \\ " <a@b>',
        (address(b"a", b"b", b'"A" ' + b"\\"),),
    ),
    "many quoted pairs": (
        b'"%b" <a@b>' % (b'\\"' * 500),
        (address(b"a", b"b", b'"' * 500),),
    ),
    "blanks around, quoted": (b'" A " <a@b>', (address(b"a", b"b", b" A "),)),
    "blanks around in a comment": (
        b"a@b ( A\t),c@d(B  C) ,a@b()",
        (NAMED, address(b"c", b"d", b"B  C"), AB),
    ),
    "two comments": (b"a@b (A) (B)", (address(b"a", b"b", b"B"),)),
    "empty name": (b'"" <a@b>', (AB,)),
    "dots in a name": (b"J. Q. P <a@b>", (address(b"a", b"b", b"J. Q. P"),)),
    "many blanks": (b"A  \t B   <a@b>", (address(b"a", b"b", b"A B"),)),
    "mixed phrase": (b'A "B  C" D <a@b>', (address(b"a", b"b", b"A B  C D"),)),
    "tab in quotes": (b'"A,\tB" <a@b>', (address(b"a", b"b", b"A, B"),)),
    "blanks and tab in quotes": (
        b'"A \t\tB  C" <a@b>, c@d',
        (address(b"a", b"b", b"A B  C"), CD),
    ),
    "tab in a mixed phrase": (
        b'A\t"B\tC" \t D <a@b>',
        (address(b"a", b"b", b"A B C D"),),
    ),
    "tab in a comment as name": (b"a@b (A\tB)", (address(b"a", b"b", b"A B"),)),
    "tab in a group's name": (b'"G\tH": a@b;', (group(b"G H"), AB, END)),
    "tab in a mailbox": (b'"a\tb"@c', (address(b"a\tb", b"c"),)),
    "encoded word": (
        b"=?utf-8?q?=C3=BC_b?= <a@b>",
        (address(b"a", b"b", b"=?utf-8?q?=C3=BC_b?="),),
    ),
    "8-bit": (b"\xc3\xbc <\xe4@b>", (address(b"\xe4", b"b", b"\xc3\xbc"),)),
    "comment as name": (b"a@b (A B)", (address(b"a", b"b", b"A B"),)),
    "comments in it": (b"(c)a(d)@(e)b(f)", (address(b"a", b"b", b"f"),)),
    "nested comment": (b"a@b (A (B) \\) C)", (address(b"a", b"b", b"A (B) ) C"),)),
    "comment in name": (b"A (x) B <a@b>", (address(b"a", b"b", b"A B"),)),
    "comment in angle": (b"A <a@b (x, y)>, c@d", (NAMED, CD)),
    "unclosed comment": (b"a@b (A, c@d", (address(b"a", b"b", b"A, c@d"),)),
    "route": (b"<@r1,@r2:a@b>, c@d", (address(b"a", b"b", None, b"@r1,@r2"), CD)),
    "route with blanks": (
        b"<@r1 , @r2 : a@b>",
        (address(b"a", b"b", None, b"@r1,@r2"),),
    ),
    "quoted mailbox": (b'"a b"@c', (address(b"a b", b"c"),)),
    "quoted mailbox in angle": (b'<"a\\"b".c@d>', (address(b'a"b.c', b"d"),)),
    "domain literal": (b"a@[192.0.2.1]", (address(b"a", b"[192.0.2.1]"),)),
    "brackets in a name": (
        b"John [x] <j@[1.2.3.4]>",
        (address(b"j", b"[1.2.3.4]", b"John [x]"),),
    ),
    "blanks around dots": (b"<a . b @ c . d>", (address(b"a.b", b"c.d"),)),
    "dot at the end": (b"a.@b., c@d", (address(b"a.", b"b."), CD)),
    "group": (b"G: a@b, c@d;", (group(b"G"), AB, CD, END)),
    "group, quoted": (b'"G H": a@b;', (group(b"G H"), AB, END)),
    "empty group": (
        b"undisclosed-recipients:;",
        (group(b"undisclosed-recipients"), END),
    ),
    "group and more": (b"G:a@b;, c@d", (group(b"G"), AB, END, CD)),
    "group not closed": (b"G: a@b", (group(b"G"), AB, END)),
    "group in a group": (
        b"G: a@b, H: c@d;;",
        (group(b"G"), AB, END, group(b"H"), CD, END),
    ),
    "group without a name": (b": a@b;", (group(b""), AB, END)),
    "empty elements": (b", ,a@b,,c@d,", (AB, CD)),
    "semicolon": (b"a@b; c@d", (AB, CD)),
    "no domain": (b"x", (address(b"x", NO_DOMAIN),)),
    "no domain, angle": (b"A <a>", (address(b"a", NO_DOMAIN, b"A"),)),
    "empty domain": (b"a@", (address(b"a", NO_DOMAIN),)),
    "empty mailbox": (b"@b", (address(NO_MAILBOX, b"b"),)),
    "empty angle": (b"<>", (address(NO_MAILBOX, NO_DOMAIN),)),
    "words": (b"a b c", (address(NO_MAILBOX, NO_DOMAIN, b"a b c"),)),
    "unclosed angle": (b"<a@b, c@d", (AB, CD)),
    "unclosed quote": (b'a@b, "c d', (AB, address(b"c d", NO_DOMAIN))),
    "only a quote": (b'a@b, "', (AB, address(NO_MAILBOX, NO_DOMAIN))),
    "rubbish after angle": (b"<a@b> rubbish, c@d", (AB, CD)),
    "no comma between": (b"A <a@b> C <c@d>", (NAMED, address(b"c", b"d", b"C"))),
    "two without comma": (b"a@b c@d", (AB,)),
    "two at signs": (b"a@b@c", (AB,)),
    "stray brackets": (b")>]<a@b>", (address(b"a", b"b", b")]"),)),
    "backslash": (b"\\ <a@b>", (address(b"a", b"b", b"\\"),)),
    "control octets": (b"A\x01B\0 <a@b>", (address(b"a", b"b", b"A B"),)),
}


class AddressTests(TestCase):
    def test_cases(self) -> None:
        for name, (value, expected) in CASES.items():
            self.assertEqual(addresses([value]), expected, name)

    def test_values_follow_each_other(self) -> None:
        self.assertEqual(addresses([b"a@b", b"", b"c@d"]), (AB, CD))

    def test_count_is_bounded_and_groups_are_closed(self) -> None:
        # Hardening: P17.
        limits = replace(DEFAULT_LIMITS, address_count=100)
        for name, value in {
            "flat": b"a@b," * 500,
            "in a group": b"G:" + b"a@b," * 500,
            "groups": b"G:;" * 500,
            "groups in groups": b"G:" * 500,
            "odd": b"a@b," * 98 + b"G:;" * 5,
            "last place": b"a@b," * 99 + b"G:;" * 5,
        }.items():
            found = addresses([value, b"z@z"], limits)
            self.assertLessEqual(len(found), 100, name)
            self.assertGreaterEqual(len(found), 98, name)
            self.assert_balanced(found, name)

    def assert_balanced(self, found: tuple[Address, ...], name: object) -> None:
        inside = False
        for one in found:
            if one.host is None:
                self.assertEqual(one.mailbox is None, inside, name)
                self.assertIsNone(one.name, name)
                inside = not inside
            else:
                self.assertTrue(one.mailbox, name)
                self.assertTrue(one.host, name)
        self.assertFalse(inside, name)

    @given(st.lists(st.sampled_from([bytes([c]) for c in b'ab@<>,;:."()[]\\ \t\xfc'])))
    def test_marks_are_balanced_whatever_comes(self, pieces: list[bytes]) -> None:
        value = b"".join(pieces)
        self.assert_balanced(addresses([value]), value)

    @given(st.binary(max_size=100))
    def test_random_octets(self, value: bytes) -> None:
        self.assert_balanced(addresses([value]), value)

    def test_well_formed_as_the_standard_library(self) -> None:
        registry = HeaderRegistry()
        for value in (
            "A B <a@b.example>, c@d.example",
            '"A, B" <a.b@c.example>, "x" <y@z.example>',
            "G: a@b.example, C <c@d.example>;",
            "(c) a@b.example",
        ):
            header = cast(AddressHeader, registry("To", value))
            theirs = [(a.username, a.domain) for a in header.addresses]
            ours = [
                ((one.mailbox or b"").decode(), one.host.decode())
                for one in addresses([value.encode()])
                if one.host is not None
            ]
            self.assertEqual(ours, theirs, value)


class WordTests(TestCase):
    # Hardening: P17.

    def test_no_more_is_read_than_is_left(self) -> None:
        values = {
            "usual": b"a@b, " * 20_000,
            "comments": b"(c)" * 20_000,
            "angles": b"<a.b.c@d " * 4_000,
            "in one angle": b"<" + b"a." * 20_000,
            "groups": b"G:" * 20_000,
        }
        for name, value in values.items():
            for count in (0, 1, 7, 1000):
                words = Words(count)
                found = addresses([value] * 3, words=words)
                self.assertLessEqual(len(found), count + 2, name)
                self.assertLessEqual(words.left, 0, name)
                self.assertEqual(addresses([b"a@b"], words=words), (), name)

    def test_what_is_left_is_what_was_not_read(self) -> None:
        words = Words(10)
        self.assertEqual(len(addresses([b"a@b, c@d"], words=words)), 2)
        self.assertEqual(words.left, 7)
        self.assertEqual(len(addresses([b"(c) a@b"], words=words)), 1)
        self.assertEqual(words.left, 1)  # the field, (c), a blank, three words
