"""Everything that the server says can be heard by the tests' own grammar."""

import ast
import unittest
from pathlib import Path

import imapd
from tests.live import mail
from tests.live.peers import PEER_UNDER_TEST, ImapdServer, temporary_folder
from tests.live.sent import violations

GOOD = b"* OK [CAPABILITY IMAP4rev1] ready\r\n* 3 FETCH (BODY[] {4}\r\na\r\nb)\r\n"


class ViolationTests(unittest.TestCase):
    """What the grammar makes of recordings, without a server."""

    def test_recordings(self) -> None:
        for name, octets, suffix, told in (
            ("nothing said", b"", "", None),
            ("all in the grammar", GOOD, "", None),
            ("cut in a literal", GOOD[:-5], "", None),
            ("cut in a line", GOOD + b"* 4 FET", "", None),
            ("a challenge", GOOD + b"+ PDEuMkBhLmI+\r\na OK in\r\n", "", None),
            (
                "not in the grammar",
                GOOD + b"* 0 EXPUNGE\r\n",
                "",
                f"at {len(GOOD) + 11}: ",
            ),
            (
                "bare LF",
                GOOD + b"* 1 EXISTS\n* 2 EXISTS\r\n",
                "",
                f"at {len(GOOD) + 10}: ",
            ),
            ("said beside", b"* OK\r\n", ".beside", "not sent by us"),
        ):
            folder = self.enterContext(temporary_folder())
            (folder / f"17-1{suffix}").write_bytes(octets)
            lines = violations(folder)
            if told is None:
                self.assertEqual(lines, [], name)
            else:
                (line,) = lines
                self.assertIn("17-1", line, name)
                self.assertIn(told, line, name)


@unittest.skipIf(PEER_UNDER_TEST, "a peer plays our part")
class RecordedServerTests(unittest.TestCase):
    """That the recording is there, and that a violation fails a test."""

    def setUp(self) -> None:
        super().setUp()
        self.server = ImapdServer(self.enterContext(temporary_folder()))

    def test_what_is_sent_is_kept_whole(self) -> None:
        with self.server as server, server.connect("user1") as client:
            client.append("INBOX", mail.message(1))
            client.select("INBOX")
            client.fetch(b"1", b"BODY[]")
            (kept,) = self.recordings()
            octets = kept.read_bytes()
        self.assertIn(mail.message(1), octets)
        self.assertTrue(octets.startswith(b"* OK "), octets)

    def test_a_violation_fails_the_test(self) -> None:
        # Hardening: P18.
        with self.assertRaisesRegex(AssertionError, "expected EXISTS"), self.server:
            self.visit()
            self.recordings()[0].write_bytes(b"* 1 EXIST\r\n")

    def test_each_start_has_recordings_of_its_own(self) -> None:
        for runs in (1, 2):
            with self.server:
                self.visit()
            self.assertEqual(len(self.recordings()), runs)

    def visit(self) -> None:
        with self.server.connect("user1"):
            pass

    def recordings(self) -> list[Path]:
        """Those of clients; the test that a port answers leaves one as well."""
        files = self.server.sent.iterdir()
        return sorted(path for path in files if b" OK " in path.read_bytes()[40:])


class OneDoorTests(unittest.TestCase):
    """What the recording takes for granted: one place writes to the transport."""

    WRITES = frozenset({"write", "writeSequence", "writeSomeData", "sendLine"})
    STOCK = frozenset(
        {
            *("sendPositiveResponse", "sendNegativeResponse", "sendBadResponse"),
            *("sendUntaggedResponse", "sendContinuationRequest", "_respond"),
        }
    )

    def test_one_place_writes_to_the_transport(self) -> None:
        # Hardening: X6.
        calls = []
        for path in sorted(Path(imapd.__file__).parent.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Attribute):
                    continue
                holder = ast.unparse(node.value)
                transport = holder.rpartition(".")[2].endswith("transport")
                if (node.attr in self.WRITES and transport) or (
                    node.attr in self.STOCK | {"sendLine"}
                ):
                    calls.append(f"{path.name}: {holder}.{node.attr}")
        # The indexer's transport is the standard input of a child process.
        calls.remove("indexing.py: self.transport.write")
        self.assertEqual(
            set(calls),
            {"outlet.py: transport.write", "outlet.py: transport.writeSomeData"},
        )

    def test_one_method_goes_through_the_door(self) -> None:
        users = {
            path.name
            for path in Path(imapd.__file__).parent.rglob("*.py")
            if "outlet.write(" in path.read_text()
        }
        # The first one's ``send`` is recorded; the second writes what TLS made of it,
        # and the third what processes of ours say to each other.
        self.assertEqual(users, {"gathering.py", "tls.py", "channel.py"})
