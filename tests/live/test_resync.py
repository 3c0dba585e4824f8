"""QRESYNC against the real server, stopped, killed, and with its state lost."""

import os
import re
import signal
import time
import unittest
from typing import Any

from tests.live.base import USERS
from tests.live.client import Client
from tests.live.peers import ImapdServer, temporary_folder

USER = USERS[0]


def flat(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"(%b)" % b" ".join(map(flat, value)) if value is not None else b"NIL"


def raw(client: Client, command: bytes) -> bytes:
    """The answer as octets that regular expressions find things in."""
    return b"\n".join(map(flat, client.command(command)))


def highest(answer: bytes) -> int:
    found = re.findall(rb"HIGHESTMODSEQ (\d+)", answer)
    return int(found[-1])


class ResyncTests(unittest.TestCase):
    def setUp(self) -> None:
        self.root = self.enterContext(temporary_folder())

    def test_a_client_comes_back(self) -> None:
        # Hardening: D14.
        server = ImapdServer(self.root)
        with server:
            with server.connect(USER) as client:
                for _ in range(5):
                    client.command(b"APPEND INBOX", b"Subject: x\r\n\r\n\r\n")
                client.command(b"ENABLE QRESYNC")
                answer = raw(client, b"SELECT INBOX")
                found = re.search(rb"UIDVALIDITY (\d+)", answer)
                assert found is not None
                validity = found[1]
            told = highest(answer)
            self.check(server, validity, told, changed=[], vanished=False)
            told = self.change(server, rb"UID STORE 2 +FLAGS (\Flagged)")
            time.sleep(3)  # it is written by now
            self.change(server, rb"UID STORE 3 +FLAGS (\Flagged)")
            self.change(server, rb"UID STORE 4 +FLAGS (\Deleted)", b"EXPUNGE")
            self.kill(server)
        with ImapdServer(self.root) as server:
            told = self.check(server, validity, told, changed=[3], vanished=True)
            self.check(server, validity, told, changed=[], vanished=False)
        (server.maildir(USER) / "imapd-state.sqlite3").unlink()
        with ImapdServer(self.root) as server:
            self.check(server, validity, told, changed=[1, 2, 3, 5], vanished=True)

    def kill(self, server: ImapdServer) -> None:
        child = server._child
        assert child is not None
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()

    def change(self, server: ImapdServer, *commands: bytes) -> int:
        with server.connect(USER) as client:
            client.command(b"SELECT INBOX (CONDSTORE)")
            for command in commands:
                client.command(command)
            return highest(raw(client, b"SELECT INBOX"))

    def check(
        self,
        server: ImapdServer,
        validity: bytes,
        told: int,
        *,
        changed: list[int],
        vanished: bool,
    ) -> int:
        with server.connect(USER) as client:
            client.command(b"ENABLE QRESYNC")
            answer = raw(client, b"SELECT INBOX (QRESYNC (%b %d))" % (validity, told))
        uids = [int(uid) for uid in re.findall(rb"FETCH \(UID (\d+)", answer)]
        self.assertEqual(uids, changed, answer)
        self.assertEqual(b"VANISHED" in answer, vanished, answer)
        self.assertGreaterEqual(highest(answer), told)
        return highest(answer)


if __name__ == "__main__":
    unittest.main()
