"""What is meant to exhaust us costs little, and answers with a limit."""

import sys
import time
import unittest

from imapd.errors import ImapError, LimitReached, SyntaxRejected
from imapd.limits import Limits
from imapd.wire import commands, condstore, sets
from imapd.wire.cursor import Cursor
from tests.support.grammar_case import Rule, many

# As if the framer had let everything through.
DEEP = 1_000_000

# name: (grammar, octets, the error, seconds)
BOMBS: dict[str, tuple[Rule, bytes, type[ImapError], float]] = {
    "( in SEARCH": (commands.search, b" " + b"(" * DEEP, LimitReached, 0.05),
    "( in FETCH": (commands.fetch, b" 1 " + b"(" * DEEP, SyntaxRejected, 0.05),
    "( in LIST": (commands.list_mailboxes, b" " + b"(" * DEEP, SyntaxRejected, 0.05),
    "( in patterns": (
        commands.list_mailboxes,
        b' "" ' + b"(" * DEEP,
        SyntaxRejected,
        0.05,
    ),
    "( in STATUS": (commands.status, b" a " + b"(" * DEEP, SyntaxRejected, 0.05),
    "( in STORE": (commands.store, b" 1 FLAGS " + b"(" * DEEP, SyntaxRejected, 0.05),
    "( in ID": (commands.identify, b" " + b"(" * DEEP, SyntaxRejected, 0.05),
    "( in CREATE": (commands.create, b" a " + b"(" * DEEP, SyntaxRejected, 0.05),
    "( in RETURN": (
        commands.search,
        b" RETURN " + b"(" * DEEP,
        SyntaxRejected,
        0.05,
    ),
    "NOT": (commands.search, b" " + b"NOT " * 10000 + b"ALL", LimitReached, 0.05),
    "OR": (commands.search, b" " + b"OR " * 10000 + b"ALL", LimitReached, 0.05),
    "OR ALL": (commands.search, b" " + b"OR ALL " * 10000 + b"ALL", LimitReached, 0.05),
    "NOT (": (commands.search, b" " + b"NOT (" * 10000 + b"ALL", LimitReached, 0.05),
    "section": (
        commands.fetch,
        b" 1 BODY[" + b"1." * 10000 + b"1]",
        LimitReached,
        0.1,
    ),
    "HEADER.FIELDS": (
        commands.fetch,
        b" 1 BODY[HEADER.FIELDS (" + many(100000) + b")]",
        LimitReached,
        0.5,
    ),
    "fetch items": (
        commands.fetch,
        b" 1 (" + many(100000, b"UID") + b")",
        LimitReached,
        0.5,
    ),
    "flags": (commands.store, b" 1 FLAGS (" + many(100000) + b")", LimitReached, 0.5),
    "digits": (commands.search, b" LARGER " + b"9" * DEEP, SyntaxRejected, 0.1),
    "in a set": (commands.uid_expunge, b" " + b"9" * DEEP, SyntaxRejected, 0.1),
    "in MODSEQ": (
        commands.search,
        b" MODSEQ " + b"9" * DEEP,
        SyntaxRejected,
        0.1,
    ),
    "in CHANGEDSINCE": (
        commands.fetch,
        b" 1 UID (CHANGEDSINCE " + b"9" * DEEP,
        SyntaxRejected,
        0.1,
    ),
    "in QRESYNC": (
        condstore.select,
        b" a (QRESYNC (1 1 (1:4294967295" + b",1" * 30000 + b" 1)))",
        SyntaxRejected,
        0.5,
    ),
    "escapes": (commands.login, b' "' + rb"\\" * 100000, SyntaxRejected, 0.5),
    "dots": (commands.fetch, b" 1 BODY[" + b"." * DEEP, SyntaxRejected, 0.5),
    "colons": (commands.uid_expunge, b" " + b":" * DEEP, SyntaxRejected, 0.5),
    "commas": (commands.uid_expunge, b" " + b"," * DEEP, SyntaxRejected, 0.5),
    "ampersands": (commands.mailbox_name, b" " + b"&" * DEEP, ImapError, 0.1),
}


class BombTests(unittest.TestCase):
    def test_bombs(self) -> None:
        # Hardening: P11.
        for name, (rule, octets, error, seconds) in BOMBS.items():
            started = time.thread_time()
            with self.assertRaises(error, msg=name):
                rule(Cursor((octets,)))
            self.assertLess(time.thread_time() - started, seconds, name)

    def test_no_recursion(self) -> None:
        # Hardening: X4, P11.
        limits = Limits(nesting_depth=100_000, search_key_count=1_000_000)
        texts = {
            "(": b" " + b"(" * 50000 + b"ALL" + b")" * 50000,
            "NOT": b" " + b"NOT " * 50000 + b"ALL",
            "OR, left": b" " + b"OR " * 50000 + many(50001, b"ALL"),
            "OR, right": b" " + b"OR ALL " * 50000 + b"ALL",
        }
        self.assertLess(sys.getrecursionlimit(), 50000)
        for name, text in texts.items():
            cursor = Cursor((text,), limits)
            key = commands.search(cursor).key
            self.assertTrue(cursor.at_end, name)
            # Taken apart from the top: Python 3.11 would recurse to free it.
            stack: list[object] = [key]
            while stack:
                node = stack.pop()
                for slot in ("key", "left", "right"):
                    if (child := getattr(node, slot, None)) is not None:
                        stack.append(child)

    def test_sets_of_64_kib(self) -> None:
        # Hardening: X4, P12.
        odd = b",".join(b"%d" % n for n in range(1, 40000, 2))[:65536].rstrip(b",")
        texts = {
            "odd numbers": odd,
            "the same range": b",".join([b"1:4294967295"] * 5000),
            "star ranges": b",".join([b"*:1"] * 16000),
            "stars": b",".join([b"*"] * 32000),
            "one digit": b",".join([b"1"] * 32000),
            "falling": b",".join(b"%d" % n for n in range(9999, 0, -1)),
        }
        for name, text in texts.items():
            started = time.thread_time()
            numbers = sets.sequence_set(Cursor((text,)))
            numbers.resolve(100_000)
            self.assertLess(time.thread_time() - started, 1.0, name)

    def test_a_literal_for_every_octet(self) -> None:
        # Hardening: P09.
        # No quadratic work in the number of parts either.
        parts = (b" 1 BODY[HEADER.FIELDS (", *([b"x", b" "] * 9999), b"x", b")]")
        started = time.thread_time()
        fetch = commands.fetch(Cursor(parts))
        self.assertLess(time.thread_time() - started, 0.5)
        self.assertEqual(len(fetch.items), 1)
