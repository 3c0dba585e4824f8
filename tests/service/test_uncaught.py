"""What nobody catches is one event of the log, and keeps nothing alive."""

import contextlib
import gc
import io
import os
import subprocess
import sys
import tempfile
import threading
import unittest
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.logger import LogPublisher, textFileLogObserver
from twisted.trial.unittest import SynchronousTestCase

from imapd.service import events
from imapd.service.uncaught import Uncaught

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 30


class Fault(Exception):
    """What nobody catches."""


class Breaks:
    """Its end is a fault, and of its value nothing is told."""

    def __init__(self) -> None:
        self.secret = "wonderland"

    def __repr__(self) -> str:
        return self.secret

    def __del__(self) -> None:
        raise Fault("at the end")


async def forsaken(waited: Any) -> None:
    try:
        await waited
    finally:
        raise Fault("thrown away")


class Waits:
    def __await__(self) -> Any:
        yield


class UncaughtTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(sys, "unraisablehook", sys.__unraisablehook__)
        self.patch(threading, "excepthook", threading.__excepthook__)
        self.calls: list[Callable[[], object]] = []
        self.told: list[tuple[str, str]] = []
        self.uncaught = Uncaught(self.calls.append, self.tell)
        self.uncaught.take()

    def tell(self, *, where: str, traceback: str) -> None:
        self.told.append((where, traceback))

    def turn(self) -> None:
        """What the reactor does in its next turn."""
        while self.calls:
            self.calls.pop(0)()

    def in_thread(self, call: Callable[[], object], name: str = "worker") -> None:
        thread = threading.Thread(target=call, name=name)
        thread.start()
        thread.join()

    def breaks(self) -> None:
        raise Fault("in a thread")

    def test_what_ends_a_thread(self) -> None:
        self.in_thread(self.breaks)
        self.assertEqual(self.told, [], "logged in the thread")
        self.turn()
        ((where, text),) = self.told
        self.assertEqual(where, "thread worker")
        self.assertTrue(text.startswith("Traceback (most recent call last):\n"), text)
        self.assertIn('raise Fault("in a thread")', text)
        self.assertTrue(text.endswith("Fault: in a thread"), text)

    def test_a_thread_may_end_itself(self) -> None:
        self.in_thread(sys.exit)
        self.turn()
        self.assertEqual(self.told, [])

    def test_what_nobody_can_be_told(self) -> None:
        Breaks()
        steps = forsaken(Waits())
        steps.send(None)
        del steps
        gc.collect()
        self.assertEqual(self.told, [], "logged where garbage was collected")
        self.turn()
        (first, text), (second, more) = self.told
        self.assertEqual(first, "Breaks.__del__")
        self.assertTrue(text.endswith("Fault: at the end"), text)
        self.assertNotIn("wonderland", first + text)
        self.assertEqual(second, "forsaken")
        self.assertTrue(more.endswith("Fault: thrown away"), more)

    def test_what_they_say_of_a_hook_they_did_not_call(self) -> None:
        # As where the signal of a reactor cannot be written.
        told: Any = type("Told", (), {"err_msg": "Exception ignored when x"})()
        told.object = None
        told.exc_type, told.exc_value, told.exc_traceback = Fault, Fault("y"), None
        sys.unraisablehook(told)
        self.turn()
        ((where, text),) = self.told
        self.assertEqual(where, "NoneType (Exception ignored when x)")
        self.assertTrue(text.endswith("Fault: y"), text)

    def test_nothing_is_kept_but_words(self) -> None:
        kept: list[weakref.ref[Any]] = []

        class Held:
            pass

        def breaks() -> None:
            held = Held()
            kept.append(weakref.ref(held))
            raise Fault

        self.in_thread(breaks)
        self.assertIsNone(kept[0](), "before it is told")
        self.turn()
        self.assertEqual(len(self.told), 1)

    def test_a_reactor_that_stands_still_is_not_flooded(self) -> None:
        for _ in range(250):
            Breaks()
        self.turn()
        self.assertEqual(len(self.told), 100)

    def test_given_back(self) -> None:
        self.in_thread(self.breaks)
        self.uncaught.give_back()
        self.assertEqual(len(self.told), 1, "what waited")
        self.turn()
        self.assertEqual(len(self.told), 1, "once")
        self.assertIs(sys.unraisablehook, sys.__unraisablehook__)
        self.assertIs(threading.excepthook, threading.__excepthook__)
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            self.in_thread(self.breaks)
        self.assertIn("Fault: in a thread", errors.getvalue())
        self.assertEqual(self.calls, [])

    def test_hooks_of_others_stay(self) -> None:
        others: list[Any] = []
        self.uncaught.give_back()
        sys.unraisablehook = unraisable = others.append
        threading.excepthook = ended = others.append
        self.uncaught.take()
        self.uncaught.give_back()
        self.assertIs(sys.unraisablehook, unraisable)
        self.assertIs(threading.excepthook, ended)

    def test_hooks_that_came_later_stay(self) -> None:
        others: list[Any] = []
        sys.unraisablehook = unraisable = others.append
        self.uncaught.give_back()
        self.assertIs(sys.unraisablehook, unraisable)
        self.assertIs(threading.excepthook, threading.__excepthook__)

    def test_one_event(self) -> None:
        file = io.StringIO()
        publisher = LogPublisher(textFileLogObserver(file))
        self.patch(events, "_log", type(events._log)("imapd", observer=publisher))
        events.uncaught(where="x" * 1000, traceback="Traceback:\nFault: {y}")
        first, *rest = file.getvalue().splitlines()
        self.assertIn("[imapd#critical] nobody caught what was raised in xxx", first)
        self.assertLess(len(first), 300)
        self.assertEqual(rest, ["\tTraceback:", "\tFault: {y}"])


#: A server in which, once it has begun, a thread breaks and something is thrown away.
BREAKS = """
import sys, threading, time

class Breaks:
    def __del__(self):
        raise RuntimeError("at the end")

def work():
    while sys.unraisablehook is sys.__unraisablehook__:
        time.sleep(0.01)
    Breaks()
    raise KeyError("in a thread")

def end():
    thread.join()
    from twisted.internet import reactor
    reactor.callFromThread(reactor.stop)

thread = threading.Thread(target=work, name="worker")
thread.start()
threading.Thread(target=end).start()
from twisted.scripts.twistd import run
run()
"""


class ServerTests(unittest.TestCase):
    def test_in_the_log_of_a_server(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [
                    *(sys.executable, "-c", BREAKS, "--nodaemon", "--pidfile="),
                    *("imapd", "--imap=tcp:0:interface=127.0.0.1"),
                    *(f"--mail={folder}/{{user}}", "--auth=memory:alice:wonderland"),
                    *("--cleartext-login=loopback", "--allow-root=yes"),
                ],
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        lines = done.stdout.splitlines()
        for where, last in (
            ("Breaks.__del__", "\tRuntimeError: at the end"),
            ("thread worker", "\tKeyError: 'in a thread'"),
        ):
            said = f"[imapd#critical] nobody caught what was raised in {where}:"
            (at,) = (n for n, line in enumerate(lines) if line.endswith(said))
            self.assertEqual(lines[at + 1], "\tTraceback (most recent call last):")
            self.assertIn(last, lines[at + 2 : at + 8])
        self.assertNotIn("[stderr#error]", done.stdout)
