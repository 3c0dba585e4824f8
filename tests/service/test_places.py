"""Workers that end, and when the next one starts; and one that outlives its master."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imapd.service import order
from imapd.service.config import Config
from imapd.service.order import Order
from imapd.service.readiness import worker_problems
from imapd.service.templates import MailTemplate
from imapd.service.workers import Workers
from tests.service.worker_case import CHECKOUT, SECONDS

CONFIG = Config(
    mail=MailTemplate("/nowhere/{user}"),
    auth=("memory:alice:hunter2",),
    workers=1,
    special_use=MappingProxyType({b"\\Sent": "Sent"}),
)


class FakeTransport:
    def __init__(self) -> None:
        self.pid = 4711
        self.written = b""
        self.signals: list[str] = []

    def writeToChild(self, descriptor: int, octets: bytes) -> None:
        self.written += octets

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)


class FakeReactor(Clock):
    """Starts nothing, and remembers what was to be started."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Any] = []
        self.commands: list[tuple[Any, ...]] = []
        self.fails = self.is_full = False

    def callWhenRunning(self, call: Any) -> None:
        call()

    def spawnProcess(self, protocol: Any, *command: Any, **settings: Any) -> None:
        if self.fails:
            raise OSError("no memory")
        self.processes.append(protocol)
        self.commands.append((*command, settings))
        protocol.makeConnection(FakeTransport())

    def adoptStreamConnection(self, *_: Any) -> None:
        if self.is_full:
            raise OSError("Too many open files in system")


class PlaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.workers = Workers(self.reactor, CONFIG, None, lambda: [])
        self.logged: list[str] = []
        observer = cast(ILogObserver, self.observe)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def observe(self, event: Any) -> None:
        self.logged.append(f"{event['log_level'].name} {formatEvent(event)}")

    def end(self, *, ready: bool = True, status: int | None = 1) -> None:
        """Let the process that runs end."""
        process = self.reactor.processes[-1]
        if ready:
            process._is_ready()
        reason = ProcessDone(0) if status == 0 else ProcessTerminated(exitCode=status)
        process.member.channel.connectionLost()
        process.processEnded(Failure(reason))

    def test_each_try_waits_twice_as_long(self) -> None:
        self.workers.start()
        for count, seconds in enumerate((1, 2, 4, 8, 16, 30, 30), 1):
            self.assertEqual(len(self.reactor.processes), count)
            self.end(ready=count > 3)
            self.reactor.advance(seconds - 0.01)
            self.assertEqual(len(self.reactor.processes), count, seconds)
            self.reactor.advance(0.02)
        self.assertIn(
            "critical worker 1 cannot start: exit status 1; another try in 1 s",
            self.logged,
        )
        self.assertIn(
            "error worker 1 ended: exit status 1; another starts in 30 s", self.logged
        )

    def test_a_good_life_is_a_new_beginning(self) -> None:
        self.workers.start()
        for _ in range(4):
            self.end()
            self.reactor.advance(30)
        self.reactor.advance(60)
        self.end(status=0)
        self.assertIn(
            "error worker 1 ended: exit status 0; another starts in 1 s", self.logged
        )

    def test_what_it_wrote_last_says_why(self) -> None:
        self.workers.start()
        process = self.reactor.processes[0]
        process.childDataReceived(2, b"\x1b[2J\n  File\nImportErr")
        process.childDataReceived(2, b"or: no\r\n" + b"x" * 100_000)
        process.childDataReceived(2, b"y" * 100_000)
        self.assertIn("warn worker 1: ImportError: no", self.logged)
        self.assertIn("warn worker 1: \ufffd[2J", self.logged)
        self.assertLess(len(process._rest[2]), 2000)
        process._rest[2] = b""
        self.end(ready=False)
        self.assertIn(
            "critical worker 1 cannot start: exit status 1: ImportError: no; "
            "another try in 1 s",
            self.logged,
        )

    def test_one_that_cannot_be_started_is_tried_again(self) -> None:
        self.reactor.fails = True
        self.workers.start()
        self.assertEqual(
            self.logged,
            ["critical worker 1 cannot start: OSError: no memory; another try in 1 s"],
        )
        self.reactor.fails = False
        self.reactor.advance(1)
        self.assertEqual(len(self.reactor.processes), 1)

    def test_one_that_was_started_by_half_is_tried_again_once(self) -> None:
        self.reactor.is_full = True
        self.workers.start()
        self.reactor.is_full = False
        self.end(ready=False)  # there is nobody behind its channel
        self.reactor.advance(1)
        self.assertEqual(len(self.reactor.processes), 2)
        self.reactor.advance(100)
        self.assertEqual(len(self.reactor.processes), 2)
        stopped = self.workers.stop()
        self.assertNoResult(stopped)
        self.end(status=0)
        self.successResultOf(stopped)

    def test_none_starts_after_the_stop(self) -> None:
        self.workers.start()
        self.end()
        self.successResultOf(self.workers.stop())
        self.reactor.advance(100)
        self.assertEqual(len(self.reactor.processes), 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_who_does_not_stop_is_killed(self) -> None:
        self.workers.start()
        stopped = self.workers.stop()
        transport = self.reactor.processes[0].transport
        self.reactor.advance(11)
        self.assertEqual(transport.signals, [])
        self.reactor.advance(2)
        self.assertEqual(transport.signals, ["KILL"])
        self.assertNoResult(stopped)
        self.end()
        self.successResultOf(stopped)

    def test_passwords_go_through_the_pipe_alone(self) -> None:
        # Hardening: A14.
        self.workers.start()
        (program, command, settings) = self.reactor.commands[0]
        self.assertEqual(program, sys.executable)
        self.assertNotIn("hunter2", repr((command, settings)))
        self.assertNotIn("LISTEN_FDS", settings["env"])
        self.assertIn(b"hunter2", self.reactor.processes[0].transport.written)

    def test_a_program_that_cannot_be_run(self) -> None:
        self.assertEqual(worker_problems(), [])
        self.patch(sys, "executable", "/nowhere/python")
        (problem,) = worker_problems()
        self.assertIn("/nowhere/python cannot be run by uid", problem)


class OrderTests(unittest.TestCase):
    def order(self) -> Order:
        return Order(
            number=1, config=CONFIG, ports=[], pem=(b"", b""), token_key=b"key"
        )

    def test_it_arrives_as_it_was(self) -> None:
        reader, writer = os.pipe()
        try:
            os.write(writer, order.pack(self.order()))
            self.assertEqual(order.read(reader), self.order())
            os.write(writer, b"\0\0\1\0abc")
            os.close(writer)
            with self.assertRaises(EOFError):
                order.read(reader)
        finally:
            os.close(reader)
        self.assertRaises(TypeError, pickle.dumps, CONFIG)  # why it is packed

    def test_a_busy_worker_ends_with_its_master(self) -> None:
        """The reactor does not run any more; the pipe is closed."""
        script = (
            "import time; from imapd.service import worker\n"
            "worker.STOP_SECONDS = worker.LAST_WORDS_SECONDS = 0\n"
            "worker.Worker.run = lambda self: (print('busy', flush=True), "
            "time.sleep(600))\n"
            "worker.main()"
        )
        reader, writer = os.pipe()
        ours, theirs = socket.socketpair()
        with ours, theirs, open(reader, "rb"):
            move = (
                f"import os; os.dup2({reader}, 30); os.dup2({theirs.fileno()}, 31); "
                "os.dup2(30, 3); os.dup2(31, 4)\n"
            )
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", move + script),
                    *("1", "twisted.internet.epollreactor"),
                ],
                pass_fds=(reader, theirs.fileno()),
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                cwd=Path("/"),
            )
            with process:
                try:
                    os.write(writer, order.pack(self.order()))
                    assert process.stdout is not None
                    self.assertEqual(process.stdout.readline(), b"busy\n")
                    os.close(writer)
                    self.assertEqual(process.wait(SECONDS), 1)
                finally:
                    process.send_signal(signal.SIGKILL)
