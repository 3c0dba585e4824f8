"""The fuzzers for some seconds each, with seeds that stay the same.

Where something is found, ``make torture`` with the seed and name that it prints does
the trial again.
"""

import unittest

from imapd.server.registry import COMMANDS
from tests.support.grammar import NotGrammatical
from tests.torture import fuzz, guided, saslfuzz, wirefuzz
from tests.torture.budget import chance
from tests.torture.gate import keeps
from tests.torture.grammar import GENERATORS, command
from tests.torture.plainutf7 import decoded, encoded
from tests.torture.responses import Conversation


class GateTests(unittest.TestCase):
    # Hardening: P15.

    def test_whole_server(self) -> None:
        # Hardening: P07, P24.
        keeps(self, fuzz.run, 12)

    def test_what_reads_commands(self) -> None:
        # Hardening: P11.
        keeps(self, wirefuzz.run, 5)

    @unittest.skipUnless(guided.IS_THERE, "atheris is not installed")
    def test_guided_by_coverage(self) -> None:
        keeps(self, guided.run, 5)

    def test_sasl(self) -> None:
        # Hardening: P06.
        keeps(self, saslfuzz.run, 3)


class GeneratorTests(unittest.TestCase):
    def test_every_command_has_a_generator(self) -> None:
        self.assertEqual(set(GENERATORS), set(COMMANDS))

    def test_commands_are_the_same_for_a_seed(self) -> None:
        for name in GENERATORS:
            made = [command(name, chance("x:1")) for _ in range(2)]
            self.assertEqual(made[0].pieces, made[1].pieces)

    def test_the_other_coding(self) -> None:
        # RFC 3501 §5.1.3, and what it forbids.
        self.assertEqual(encoded("~peter/mail/台北/日本語"), _PETER)
        self.assertEqual(decoded(_PETER), "~peter/mail/台北/日本語")
        for wrong in (b"&", b"&A-", b"&AC8-", b"&Jjo!", b"\xe4", b"&2AA-", b"&AOT"):
            self.assertIsNone(decoded(wrong), wrong)


_PETER = b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"


class ConversationTests(unittest.TestCase):
    """What the checker itself refuses."""

    def refuses(self, *octets: bytes, name: bytes = b"FETCH") -> None:
        conversation = Conversation()
        conversation.begins(b"s", b"SELECT")
        conversation.feed(b"* 2 EXISTS\r\ns OK x\r\n")
        conversation.begins(b"a", name)
        with self.assertRaises(AssertionError):
            for each in octets:
                conversation.feed(each)

    def test_what_no_grammar_says(self) -> None:
        self.refuses(b"b OK x\r\n")
        self.refuses(b"a OK x\r\n", b"a OK x\r\n")
        self.refuses(b"a OK x\r\n", b"+ x\r\n")
        self.refuses(b"* 1 EXISTS\r\n")
        self.refuses(b"* 1 EXPUNGE\r\n")
        self.refuses(b"* 3 EXPUNGE\r\n", name=b"NOOP")
        self.refuses(b"* VANISHED 1:3\r\n", name=b"NOOP")
        self.refuses(b"* 3 FETCH (UID 1)\r\n")
        self.refuses(b"* SEARCH 3\r\n", name=b"SEARCH")
        self.refuses(b"* BYE x\r\n", b"* OK x\r\n")
        self.refuses(b"* BYE x\r\n", b"* BYE x\r\n")
        self.refuses(b"* BYE x\r\n", b"a OK x\r\n")
        self.refuses(b"a NO [SERVERBUG] x\r\n")

    def test_what_the_grammar_says(self) -> None:
        conversation = Conversation()
        conversation.begins(b"a", b"NOOP")
        with self.assertRaises(NotGrammatical):
            conversation.feed(b"* 1 FETCH (FLAGS (\\Seen \r\n")
