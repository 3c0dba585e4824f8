"""Commands sent ahead of the answers: each pair of them, and literals between them.

RFC 3501 §5.5 lets a server do them one after the other, and then the answers must
be those that a client gets who waits.
"""

import re
import unittest
from itertools import product

from tests.support.rfcmailbox import filled
from tests.support.server import Client

COMMANDS = (
    "SELECT INBOX",
    "SELECT Trash",
    "EXAMINE INBOX",
    "CLOSE",
    "EXPUNGE",
    "FETCH 1 FLAGS",
    "UID FETCH 1:* BODY[]",
    r"STORE 1 +FLAGS (\Deleted)",
    "UID MOVE * Trash",
    "SEARCH UNSEEN",
    "STATUS INBOX (MESSAGES UNSEEN)",
    'LIST "" *',
    "APPEND INBOX {2+}\r\nab",
    "CREATE new",
    "DELETE new",
    "IDLE\r\nDONE",
    "NONSENSE",
    "LOGOUT",
)

#: What two servers may differ in: times.
_VALIDITY = re.compile(rb"(UIDVALIDITY|COPYUID|APPENDUID) \d+")
_LINES = re.compile(rb"[^\n]*\n")


def _waiting(client: Client, octets: bytes) -> bytes:
    """Send line by line, waiting for each answer."""
    heard = b""
    for line in _LINES.findall(octets):
        if client.transport.connected:
            client.write(line)
            heard += client.raw
    return heard


class PipeliningTests(unittest.TestCase):
    def test_every_pair(self) -> None:
        # Hardening: V07.
        waiting, ahead = filled(self), filled(self)
        for first, second in product(COMMANDS, repeat=2):
            octets = f"a {first}\r\nb {second}\r\n".encode()
            answers = []
            for server in (waiting, ahead):
                client = server.login(select="INBOX")
                if server is waiting:
                    heard = _waiting(client, octets)
                else:
                    client.write(octets)
                    heard = client.raw
                answers.append(_VALIDITY.sub(rb"\1", heard))
                client.hang_up()
            self.assertEqual(answers[0], answers[1], f"{first} | {second}")
            tags = re.findall(rb"^([ab]) (?:OK|NO|BAD) ", answers[1], re.MULTILINE)
            wanted = [b"a"] if first == "LOGOUT" else [b"a", b"b"]
            self.assertEqual(tags, wanted, f"{first} | {second}")
