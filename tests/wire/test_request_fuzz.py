"""Whatever a client sends: a value within the grammar, or an error for the client.

Any exception but an ImapError is a bug of ours.
"""

import unittest
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.errors import ImapError, SyntaxRejected
from imapd.wire import commands, condstore
from imapd.wire.cursor import Cursor

Parts = tuple[bytes, ...]
Rule = Callable[[Cursor], object]

GRAMMARS: tuple[Rule, ...] = (
    commands.no_arguments,
    commands.login,
    commands.authenticate,
    commands.mailbox_name,
    condstore.select,
    commands.create,
    commands.rename,
    commands.list_mailboxes,
    commands.lsub,
    commands.status,
    commands.fetch,
    commands.uid_fetch,
    commands.store,
    commands.uid_store,
    commands.search,
    commands.uid_search,
    commands.copy,
    commands.uid_copy,
    commands.uid_expunge,
    commands.enable,
    commands.identify,
)

CTL = frozenset(range(0x20)) | frozenset(range(0x7F, 0x100))
ATOM = frozenset(range(0x100)) - CTL - frozenset(b'(){ %*"\\]')
ASTRING = ATOM | frozenset(b"]}")
QUOTED = frozenset(range(1, 0x100)) - frozenset(b'\r\n"\\')
CHAR8 = frozenset(range(1, 0x100))
PRINTABLE = frozenset(range(0x20, 0x7F))
ATOM |= frozenset(b"}")  # only "{" is special

# name: (grammar, what precedes and follows the octet, octets that are right there)
PLACES: dict[str, tuple[Rule, Callable[[bytes], Parts], frozenset[int]]] = {
    "user": (commands.login, lambda o: (b" a" + o + b"b x",), ASTRING - {0x20}),
    "user, quoted": (commands.login, lambda o: (b' "a' + o + b'b" x',), QUOTED),
    "user, literal": (commands.login, lambda o: (b" ", b"a" + o, b" x"), CHAR8),
    "user, escape": (
        commands.login,
        lambda o: (b' "\\' + o + b'" x',),
        frozenset(b'"\\'),
    ),
    "mechanism": (commands.authenticate, lambda o: (b" a" + o,), ATOM),
    "initial response": (
        commands.authenticate,
        lambda o: (b" X A" + o,),
        frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="),
    ),
    "mailbox": (
        commands.mailbox_name,
        lambda o: (b" a" + o + b"b",),
        ASTRING - frozenset(b"&"),
    ),
    "mailbox, literal": (
        commands.mailbox_name,
        lambda o: (b" ", b"a" + o + b"b", b""),
        PRINTABLE - frozenset(b"&"),
    ),
    "mailbox, in a shift": (
        commands.mailbox_name,
        lambda o: (b" &AO" + o + b"-",),
        frozenset(b"AEIMQUYcgkosw048"),
    ),
    "pattern": (
        commands.lsub,
        lambda o: (b' "" a' + o,),
        ASTRING | frozenset(b"*%"),
    ),
    "flag": (commands.store, lambda o: (b" 1 FLAGS (a" + o + b"b)",), ATOM | {0x20}),
    "system flag": (commands.store, lambda o: (b" 1 FLAGS (\\" + o + b")",), ATOM),
    "keyword to search": (commands.search, lambda o: (b" KEYWORD a" + o,), ATOM),
    "set": (
        commands.uid_expunge,
        lambda o: (b" 1" + o + b"2",),
        frozenset(b"0123456789:,"),
    ),
    "header field": (
        commands.fetch,
        lambda o: (b" 1 BODY[HEADER.FIELDS (a" + o + b"b)]",),
        ASTRING | {0x20},
    ),
    "section": (
        commands.fetch,
        lambda o: (b" 1 BODY[1" + o + b"2]",),
        frozenset(b".0123456789"),
    ),
    "partial": (
        commands.fetch,
        lambda o: (b" 1 BODY[]<1" + o + b"2.5>",),
        frozenset(b"0123456789"),
    ),
    "search text": (commands.search, lambda o: (b" TEXT a" + o + b"b",), ASTRING),
    "search text, literal": (
        commands.search,
        lambda o: (b" TEXT ", b"a" + o + b"b", b""),
        frozenset(range(1, 0x80)),
    ),
    "number": (
        commands.search,
        lambda o: (b" LARGER 1" + o + b"2",),
        frozenset(b"0123456789 "),
    ),
    "date": (
        commands.search,
        lambda o: (b" ON " + o + b"-Feb-2020",),
        frozenset(b"123456789"),
    ),
    "capability": (commands.enable, lambda o: (b" a" + o + b"b",), ATOM | {0x20}),
    "id, name": (commands.identify, lambda o: (b' ("a' + o + b'b" NIL)',), QUOTED),
    "tag": (
        commands.command_start,
        lambda o: (b"a" + o + b"b NOOP",),
        ASTRING - frozenset(b"+") | {0x20},
    ),
}

# The words of the grammar, so that the fuzzer gets past the first of them.
WORDS = st.sampled_from(
    (
        *b"""
    1 1:* * $ 4294967296 0 inbox a&b &AOQ- "a b" "\\"" "\\x" " \\Seen \\ \\Recent
    + - +FLAGS FLAGS.SILENT -FLAGS ( ) () (( )) (FLAGS) FAST BODY BODY[ BODY[1.MIME]
    BODY[HEADER.FIELDS ] <0.1> <0. [ TEXT HEADER NOT OR ALL SEEN KEYWORD UID ON SINCE
    1-Feb-2020 31-Feb-2020 LARGER OLDER MODSEQ CHARSET UTF-8 US-ASCII X RETURN MIN SAVE
    CONDSTORE QRESYNC CHANGEDSINCE UNCHANGEDSINCE VANISHED (CONDSTORE) (QRESYNC (1 1))
    SUBSCRIBED RECURSIVEMATCH STATUS MESSAGES CHILDREN USE NIL nil PLAIN = AAAA { } {5}
    ~ % *% "17-Jul-1996""".split(),
        *(
            b" ",
            b"  ",
            b"\x00",
            b"\xe4",
            b"\xc3\xa4",
            b"\r",
            b"\n",
            b"\t",
            b"\x7f",
            b"",
        ),
    )
)
TEXTS = st.one_of(
    st.lists(WORDS, max_size=12).map(b" ".join),
    st.lists(WORDS, max_size=12).map(b"".join),
    st.binary(max_size=40),
)


class InjectionTests(unittest.TestCase):
    def test_every_octet_in_every_kind_of_argument(self) -> None:
        # Hardening: P07.
        for name, (rule, around, right) in PLACES.items():
            for octet in range(0x100):
                cursor = Cursor(around(bytes([octet])))
                what = f"{name}, octet {octet:#04x}"
                try:
                    rule(cursor)
                    if rule is not commands.command_start:
                        cursor.end()
                except ImapError as error:
                    self.assertNotIn(octet, right, what)
                    self.assertRegex(str(error), r"\A[ -~]+\Z", what)
                else:
                    self.assertIn(octet, right, what)

    def test_nul_is_nowhere_right(self) -> None:
        # Hardening: P07.
        for name, (_rule, _around, right) in PLACES.items():
            self.assertNotIn(0, right, name)


class FuzzTests(unittest.TestCase):
    # Hardening: P15.

    @given(st.data(), st.integers(0, 3))
    @settings(max_examples=1500, deadline=None)
    def test_any_command(self, data: st.DataObject, literals: int) -> None:
        parts = [b" " + data.draw(TEXTS)]
        for _ in range(literals):
            parts += data.draw(st.binary(max_size=8)), data.draw(TEXTS)
        for rule in GRAMMARS:
            cursor = Cursor(tuple(parts))
            try:
                rule(cursor)
            except ImapError as error:
                self.assertRegex(str(error), r"\A[ -~]+\Z")
            else:
                self.assertTrue(cursor.at_end)
                self.assertFalse(any(b"\0" in part for part in parts))

    @given(TEXTS, st.lists(st.binary(max_size=8) | TEXTS, max_size=4))
    @settings(max_examples=500, deadline=None)
    def test_any_append(self, text: bytes, rest: list[bytes]) -> None:
        parts = (b"a APPEND " + text, *rest[: len(rest) // 2 * 2])
        for rule in (
            lambda: commands.append_prefix(parts),
            lambda: commands.append_next(text),
            lambda: commands.append_end(text),
            lambda: commands.command_start(Cursor((text,))),
        ):
            try:
                rule()
            except ImapError as error:
                self.assertRegex(str(error), r"\A[ -~]+\Z")

    def test_errors_of_the_grammar_are_bad(self) -> None:
        for rule in GRAMMARS[1:]:
            with self.assertRaises(SyntaxRejected):
                rule(Cursor((b" \0",)))
