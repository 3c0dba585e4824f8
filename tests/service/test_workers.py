"""Two processes that serve the same clients, as these see them."""

import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

from tests.service.test_events import banned
from tests.service.worker_case import (
    AUTHORITY,
    SECONDS,
    Client,
    WorkerCase,
    is_alive,
    wait_for,
)

MESSAGE = b"Subject: x\r\n\r\nx\r\n"
APPENDS = 15


def append(client: Client, mailbox: bytes = b"INBOX") -> bytes:
    client.send(b"t APPEND %b {%d+}\r\n%b\r\n" % (mailbox, len(MESSAGE), MESSAGE))
    return client.until(rb"^t ")


class SharedMailTests(WorkerCase):
    """What one worker's sessions do, the other's see."""

    options = ("--watch=inotify",)

    def test_idle_sees_what_the_other_worker_does(self) -> None:
        one, other = self.on_both_workers()
        self.assertIn(b"t OK", one.command(b"CREATE Idle"))
        self.assertIn(b"t OK", one.command(b"SELECT Idle"))
        self.assertIn(b"t OK", other.command(b"SELECT Idle"))
        other.idle()
        self.assertIn(b"t OK", append(one, b"Idle"))
        other.until(rb"^\* 1 EXISTS")
        self.assertIn(b"t OK", one.command(rb"STORE 1 +FLAGS (\Flagged $x)"))
        self.assertIn(b"$x", other.until(rb"^\* 1 FETCH .*\\Flagged"))
        one.command(rb"STORE 1 +FLAGS (\Deleted)")
        other.until(rb"^\* 1 FETCH .*\\Deleted")
        self.assertIn(b"* 1 EXPUNGE", one.command(b"EXPUNGE"))
        other.until(rb"^\* 1 EXPUNGE")

    def test_a_command_sees_what_the_other_worker_did(self) -> None:
        one, other = self.on_both_workers()
        one.command(b"CREATE Noop")
        for client in (one, other):
            self.assertIn(b"t OK", client.command(b"SELECT Noop"))
        append(one, b"Noop")
        self.assertIn(b"* 1 EXISTS", other.command(b"NOOP"))
        one.command(rb"STORE 1 +FLAGS (\Deleted)")
        self.assertRegex(other.command(b"NOOP"), rb"\* 1 FETCH .*\\Deleted")
        one.command(b"EXPUNGE")
        self.assertIn(b"* 1 EXPUNGE", other.command(b"NOOP"))

    def test_a_mailbox_that_the_other_worker_removes_is_lost(self) -> None:
        one, other = self.on_both_workers()
        for name, command in (
            (b"Gone", b"DELETE Gone"),
            (b"Old/Child", b"RENAME Old New"),
        ):
            one.command(b"CREATE " + name)
            self.assertIn(b"t OK", other.command(b"SELECT " + name))
            other.idle()
            # inotify does not see a folder renamed; whoever looks each half minute,
            # does so too late.
            other.sock.settimeout(15)
            self.assertIn(b"t OK", one.command(command))
            other.until(rb"^\* BYE")
            _, other = self.on_both_workers()

    def test_no_uid_is_given_twice(self) -> None:
        # Hardening: D10.
        clients = self.on_both_workers()
        clients[0].command(b"CREATE Many")
        answers: list[bytes] = []

        def add(client: Client) -> None:
            answers.extend(append(client, b"Many") for _ in range(APPENDS))

        threads = [threading.Thread(target=add, args=(each,)) for each in clients]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        uids = {
            int(uid) for uid in re.findall(rb"APPENDUID \d+ (\d+)", b"".join(answers))
        }
        self.assertEqual(uids, set(range(1, 2 * APPENDS + 1)), answers)
        for client in clients:
            client.command(b"SELECT Many")
            answer = client.command(b"UID SEARCH ALL")
            found = {int(uid) for uid in re.findall(rb" (\d+)", answer.splitlines()[0])}
            self.assertEqual(found, uids)

    def test_the_log_is_one_and_fail2ban_reads_it(self) -> None:
        # Hardening: A13.
        client = self.connect("192.0.2.77")
        client.command(b"LOGIN alice wrong")
        wait_for(lambda: "peer=192.0.2.77" in self.log(), "the line is there")
        (line,) = (line for line in self.log().splitlines() if "192.0.2.77" in line)
        self.assertRegex(
            line,
            r"\[imapd#warn\] login refused peer=192\.0\.2\.77 mechanism='LOGIN' "
            r"reason='unknown-user|wrong-password|refused' user='alice' worker=[12]$",
        )
        self.assertEqual(banned(line), "192.0.2.77")

    def test_a_unix_socket_is_the_masters(self) -> None:
        path = self.folder / "socket"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                self.assertIn(b"* OK", Client(sock).greeting)


class LimitTests(WorkerCase):
    """Limits and delays hold for all workers together."""

    # Hardening: V06.

    options = (
        "--limits=user_connections=4",
        "--limits=address_connections=5",
        "--watch=poll",
    )

    def test_connections_of_a_user(self) -> None:
        clients = [*self.on_both_workers("bob")]
        # Those that were closed on the way are forgotten by both.
        while len(clients) < 4:
            clients.append(self.logged_in("bob")[0])
        for _ in range(4):
            client = self.connect()
            self.assertIn(b"t NO [LIMIT]", client.command(b"LOGIN bob builder"))
            client.close()
        # The other worker hears of it a moment later.
        clients.pop().command(b"LOGOUT")
        again = self.connect()
        wait_for(
            lambda: b"t OK" in again.command(b"LOGIN bob builder"), "there is room"
        )

    def test_what_a_worker_says_before_it_serves(self) -> None:
        words = "watch: mailboxes are looked at twice a second, as configured"
        for number in (1, 2):
            self.assertIn(f"{words} worker={number}\n", self.log())

    def admitted(self, clients: list[Client]) -> int:
        """How many of them are served; the others were told BYE."""
        return sum(
            b"BYE" not in each.greeting and b"t OK" in each.command(b"NOOP", b"")
            for each in clients
        )

    def test_connections_of_an_address(self) -> None:
        # What two workers let in at the same moment is ended a moment later.
        clients = [self.connect("192.0.2.1") for _ in range(12)]
        wait_for(lambda: self.admitted(clients) == 5, "five are left")
        self.assertTrue(any(b"* BYE [LIMIT]" in each.greeting for each in clients))

    def kill_worker(self, number: int) -> None:
        """Return when another one serves in its place."""
        process = self.serving()[number]
        os.kill(process, signal.SIGKILL)
        wait_for(lambda: self.serving()[number] != process, "another one serves")

    def test_a_dead_worker_has_no_connections(self) -> None:
        clients = [self.connect("192.0.2.2") for _ in range(5)]
        for number in (1, 2):  # now and then one of them has accepted all
            self.kill_worker(number)
            if self.admitted(clients) < 5:
                break
        # Its connections are gone with it.
        self.assertLess(self.admitted(clients), 5)
        clients += [self.connect("192.0.2.2") for _ in range(10)]
        wait_for(lambda: self.admitted(clients) == 5, "five are left")

    def test_guessing_at_two_workers_is_no_faster(self) -> None:
        """Two guesses are free; what comes after waits, wherever it comes."""
        # Hardening: A01.
        for number in range(3):
            client = self.connect("192.0.2.3")
            answer = client.command(b"LOGIN alice guess%d" % number)
            self.assertIn(b"t NO", answer)
            client.close()
        waiting = [self.connect("192.0.2.3") for _ in range(4)]
        for number, each in enumerate(waiting):
            each.send(b"t LOGIN alice other%d\r\n" % number)
        # Three are let in at a time, and what these cost the fourth has to wait for:
        # half a minute.  Two workers that did not know of each other let in all.
        left = {each.sock for each in waiting}
        while len(left) > 1:
            answered, _, _ = select.select(list(left), [], [], SECONDS)
            self.assertTrue(answered)
            left -= set(answered)
        self.assertEqual(len(left), 1)
        self.assertEqual(select.select(list(left), [], [], 0.5)[0], [])
        # Nobody else waits.
        self.logged_in("alice", "198.51.100.1")


class TlsTests(WorkerCase):
    """The workers have certificate and key from their master."""

    def serials(self) -> set[int]:
        found = set()
        for _ in range(8):
            client = self.connect_tls()
            certificate = client.sock.getpeercert()  # type: ignore[attr-defined]
            found.add(int(certificate["serialNumber"], 16))
            client.close()
        return found

    def test_hangup_renews_the_certificate_everywhere(self) -> None:
        # Hardening: A11.
        old = self.connect_tls()
        before = self.certificate.serial_number
        self.assertEqual(self.serials(), {before})
        renewed = AUTHORITY.write(self.folder)
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "certificate reloaded" in self.log(), "it is logged")
        wait_for(lambda: self.serials() == {renewed.serial_number}, "all have it")
        self.assertIn(b"t OK", old.command(b"NOOP"))
        # What cannot be read now is not needed by one that starts now.
        (self.folder / "key.pem").write_bytes(b"broken")
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "certificate not reloaded" in self.log(), "it is refused")
        victim = self.serving()[2]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: self.serving()[2] != victim, "another one serves")
        self.assertEqual(self.serials(), {renewed.serial_number})
        self.assertEqual(self.log().count("certificate reloaded"), 1)
        self.assertNotIn("Traceback", self.log())

    def test_keys_are_told_to_nobody_else(self) -> None:
        key = b"PRIVATE KEY"
        for pid in self.serving().values():
            for name in ("cmdline", "environ"):
                said = Path(f"/proc/{pid}/{name}").read_bytes()
                self.assertNotIn(b"wonderland", said)
                self.assertNotIn(key, said)


class EndTests(WorkerCase):
    """How workers end, and that others go on."""

    @classmethod
    def setUpClass(cls) -> None:
        """Each test has its own server."""

    def setUp(self) -> None:
        super().setUpClass()
        self.addCleanup(type(self).doClassCleanups)

    def test_a_worker_that_dies_is_replaced_and_the_port_refuses_nobody(self) -> None:
        # Hardening: V10.
        one, other = self.on_both_workers()
        victim = self.serving()[1]
        os.kill(victim, signal.SIGKILL)
        while self.serving()[1] == victim:
            client = self.connect()
            self.assertIn(b"* OK", client.greeting)
            client.close()
            time.sleep(0.05)
        self.assertIn(b"t OK", other.command(b"NOOP"))
        self.assertEqual(one.line(), b"")
        self.assertIn("worker 1 ended: signal 9; another starts in 1 s", self.log())
        self.on_both_workers()
        # A worker that is told to end says BYE.
        second = self.serving()[2]
        os.kill(second, signal.SIGTERM)
        other.until(rb"^\* BYE")
        wait_for(lambda: self.serving()[2] != second, "another one serves")
        # The path of the socket is not the worker's to remove.
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.folder / "socket"))
            self.assertIn(b"* OK", Client(sock).greeting)
        # While there is none, clients wait.
        pids = self.serving().values()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(is_alive, pids)), "they are gone")
        self.assertIn(b"* OK", self.connect().greeting)

    def test_terminate_says_bye_everywhere(self) -> None:
        # Hardening: V09.
        clients = self.on_both_workers()
        log = self.stop()
        for client in clients:
            self.assertIn(b"* BYE", client.line())
        self.assertEqual(self.process.returncode, -signal.SIGTERM)
        self.assertNotIn("Traceback", log)
        self.assertNotIn("ended:", log)
        self.assertFalse((self.folder / "socket").exists())
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", self.port), 5)

    def test_told_twice_it_waits_for_nobody(self) -> None:
        client, _ = self.logged_in()
        client.command(b"SELECT INBOX")
        # A neighbour that lives holds the lock: the next command waits for it.
        lock = self.folder / "mail/alice/dovecot-uidlist.lock"
        lock.write_text(f"{os.getpid()}:{os.uname().nodename}")
        client.send(b"t APPEND INBOX {%d+}\r\n%b\r\n" % (len(MESSAGE), MESSAGE))
        drafts = self.folder / "mail/alice/tmp"
        wait_for(lambda: any(drafts.iterdir()), "the command runs")
        self.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in self.log(), "it stops")
        log = self.stop()
        self.assertNotIn("still busy", log)

    def test_no_worker_outlives_its_master(self) -> None:
        clients = self.on_both_workers()
        self.stop(signal.SIGKILL)
        for client in clients:
            self.assertIn(b"* BYE", client.line())


class PrivilegeTests(WorkerCase):
    """Workers are started by the user that is left."""

    before = ("--uid=65534", "--gid=65534")
    options = ("--allow-root=no",)

    @classmethod
    def setUpClass(cls) -> None:
        """The test starts the server."""

    def test_privileges_are_dropped_before_workers_start(self) -> None:
        # Hardening: F06.
        if os.geteuid() != 0:
            self.skipTest("not root")
        self.make_folder()
        (self.folder / "key.pem").chmod(0o600)
        self.folder.chmod(0o777)
        if not may_run(sys.executable, 65534):
            with self.assertRaisesRegex(
                AssertionError, "uid 65534, as workers must be"
            ):
                self.start_server()
            return
        self.start_server()
        self.assertIn(b"* OK", self.connect_tls().greeting)
        for pid in self.serving().values():
            status = Path(f"/proc/{pid}/status").read_text()
            self.assertIn("Uid:\t65534\t65534\t65534\t65534", status)
            self.assertIn("Gid:\t65534\t65534\t65534\t65534", status)
            self.assertIn("CapEff:\t0000000000000000", status)
            self.assertIn("NoNewPrivs:\t1", status)
            self.assertIn("Umask:\t0077", status)
            limits = Path(f"/proc/{pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size\s+0\s+0")


def may_run(program: str, user: int) -> bool:
    """Whether another user may start a program."""
    tried = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os; os.setuid({user}); os.execv({program!r}, "
            f"[{program!r}, '-c', ''])",
        ],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


#: In each of the processes, once it says what nobody catches.
BREAKS = """
import sys, threading, time

def work():
    while sys.unraisablehook is sys.__unraisablehook__:
        time.sleep(0.01)
    raise KeyError("in a thread")

threading.Thread(target=work, name="broken", daemon=True).start()
"""


class UncaughtTests(WorkerCase):
    @classmethod
    def make_folder(cls) -> None:
        super().make_folder()
        (cls.folder / "site").mkdir()
        (cls.folder / "site" / "sitecustomize.py").write_text(BREAKS)

    def is_logged(self, words: str) -> bool:
        return words in self.log()

    def test_what_nobody_catches_is_one_event_of_the_log(self) -> None:
        said = "nobody caught what was raised in thread broken:"
        for whose in (f"{said}\n", f"{said} worker=1\n", f"{said} worker=2\n"):
            wait_for(partial(self.is_logged, whose), whose)
            _, _, rest = self.log().partition(whose)
            first, *lines = rest.splitlines()
            self.assertEqual(first, "\tTraceback (most recent call last):")
            self.assertIn("\tKeyError: 'in a thread'", lines[:8])
