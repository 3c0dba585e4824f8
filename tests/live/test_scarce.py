"""The real server where descriptors are few, and beside a neighbour that stopped."""

import imaplib
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from tests.live.peers import (
    PASSWORD,
    PEER_UNDER_TEST,
    ImapdServer,
    temporary_folder,
)

LOCK_SECONDS = 2
MESSAGE = b"Subject: x\r\n\r\nx\r\n"


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class PlainServer(ImapdServer):
    """Nothing is recorded: that takes a descriptor for each answer."""

    program = ("-c", "from twisted.scripts.twistd import run; run()")


@unittest.skipIf(PEER_UNDER_TEST, "a test of ours alone")
class ScarceTests(unittest.TestCase):
    def setUp(self) -> None:
        root = self.enterContext(temporary_folder())
        config = root / "imapd.toml"
        config.write_text(f"[limits]\nlock_seconds = {LOCK_SECONDS}\n")
        options = (f"--config={config}",)
        self.server = self.enterContext(PlainServer(root, options=options))
        self.pid = int((self.server.folder / "pid").read_text())

    def session(self, user: str = "user1") -> imaplib.IMAP4:
        context = ssl.create_default_context(cafile=str(self.server.ca))
        made = imaplib.IMAP4_SSL(
            "localhost", self.server.tls_port, ssl_context=context, timeout=20
        )
        self.addCleanup(made.shutdown)
        self.assertEqual(made.login(user, PASSWORD)[0], "OK")
        self.assertEqual(made.select()[0], "OK")
        return made

    def seconds_of_noop(self, session: imaplib.IMAP4) -> float:
        began = time.monotonic()
        self.assertEqual(session.noop()[0], "OK")
        return time.monotonic() - began

    def test_more_clients_than_descriptors(self) -> None:
        # Hardening: D05.  Who is there is served, and nothing spins meanwhile.
        session = self.session()
        used = len(os.listdir(f"/proc/{self.pid}/fd"))
        most = used + 20
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (most, most))
        crowd = []
        for _ in range(100):
            crowd.append(self.enterContext(socket.socket()))
            crowd[-1].setblocking(False)
            crowd[-1].connect_ex(("127.0.0.1", self.server.port))
        time.sleep(0.5)
        self.assertGreaterEqual(len(os.listdir(f"/proc/{self.pid}/fd")), most - 2)
        before = cpu_seconds(self.pid)
        for _ in range(10):
            self.assertLess(self.seconds_of_noop(session), 2)
            time.sleep(0.1)
        self.assertLess(cpu_seconds(self.pid) - before, 0.5)
        # Opening a mailbox takes descriptors: it is answered, whatever comes of it.
        for command in (("STATUS", "INBOX", "(MESSAGES)"), ("SELECT", "INBOX")):
            self.assertIn(session._simple_command(*command)[0], ("OK", "NO"))
        for each in crowd:
            each.close()
        # And when they have gone, all is as it was.
        time.sleep(0.5)
        self.assertEqual(session.append("INBOX", "", "", MESSAGE)[0], "OK")
        self.assertEqual(self.session("user2").noop()[0], "OK")
        self.assertEqual(self.server.complaints(), [])
        # A flood does not fill the disk: it is told of once a minute.
        told = [line for line in self.server.log().splitlines() if "EMFILE" in line]
        self.assertEqual(len(told), 1, told)

    def test_a_neighbour_that_stopped_with_the_lock(self) -> None:
        # Hardening: D18, V04.  It lives, so the lock is its own: we wait, and say so.
        sessions = [self.session(), self.session(), self.session("user2")]
        holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        lock = self.server.maildir("user1") / "dovecot-uidlist.lock"
        lock.write_text(f"{holder.pid}:{os.uname().nodename}")
        holder.send_signal(signal.SIGSTOP)
        answers: list[tuple[str, float]] = []

        def append() -> None:
            began = time.monotonic()
            status, _ = sessions[0].append("INBOX", "", "", MESSAGE)
            answers.append((status, time.monotonic() - began))

        waiting = threading.Thread(target=append)
        waiting.start()
        delays: list[float] = []
        while waiting.is_alive():
            delays += map(self.seconds_of_noop, sessions[1:])
            time.sleep(0.02)
        waiting.join()
        ((status, seconds),) = answers
        self.assertEqual(status, "NO")
        self.assertGreater(seconds, LOCK_SECONDS * 0.9)
        self.assertLess(seconds, LOCK_SECONDS + 10)
        # Of a busy machine: who waited for the lock too would have waited once.
        self.assertGreater(len(delays), 4)
        self.assertLess(sorted(delays)[len(delays) // 2], LOCK_SECONDS / 4)
        self.assertLess(max(delays), LOCK_SECONDS * 0.9)
        # It dies, and with it the lock.
        holder.kill()
        holder.wait()
        self.assertEqual(sessions[0].append("INBOX", "", "", MESSAGE)[0], "OK")
        self.assertEqual(self.server.complaints(), [])
