"""Ready lines look as Twisted's own do, in Twisted's own logs and nowhere else."""

import io
import os
import time
from typing import Any, cast

from twisted.logger import (
    FileLogObserver,
    Logger,
    LogLevel,
    LogPublisher,
    formatEvent,
    jsonFileLogObserver,
    textFileLogObserver,
)
from twisted.trial.unittest import SynchronousTestCase

from imapd.service import loglines


class LogLinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.publisher = LogPublisher()
        self.log = Logger(namespace="imapd", observer=self.publisher)

    def file(self, make: Any = textFileLogObserver, *more: Any) -> io.StringIO:
        """What an observer writes to that is there from now on."""
        file = io.StringIO()
        self.publisher.addObserver(make(file, *more))
        return file

    def both(self) -> tuple[io.StringIO, io.StringIO]:
        """A log that was hastened, and one that was not."""
        hastened = self.file()
        loglines.hasten(self.publisher)
        return hastened, self.file()

    def test_the_same_lines(self) -> None:
        hastened, usual = self.both()
        for text in ("one", "", "{two} %s {", "a\nb\r\nc", "\u2028\0 é", "x"):
            loglines.inform(self.log, text)
            loglines.inform(Logger(namespace="other", observer=self.publisher), text)
            self.log.warn("not {ready}", ready=text)
            self.log.failure("broken", cast(Any, _failure()))
        self.assertEqual(hastened.getvalue(), usual.getvalue())
        self.assertIn("[imapd#info] {two} %s {\n", hastened.getvalue())

    def test_the_time_goes_on(self) -> None:
        now = 1_700_000_000.25
        self.patch(loglines, "time", _Clock(lambda: now))
        hastened, usual = self.both()
        for step in (0, 0.5, 0.5, 3600, 86_400 * 182):  # and into summer, where it is
            now += step
            loglines.inform(self.log, "x")
        self.assertEqual(hastened.getvalue(), usual.getvalue())
        self.assertEqual(len({line[:24] for line in usual.getvalue().split("\n")}), 5)

    def test_the_zone_of_the_machine(self) -> None:
        self.addCleanup(time.tzset)
        self.patch(os, "environ", {**os.environ, "TZ": "Europe/Berlin"})
        os.putenv("TZ", "Europe/Berlin")
        self.addCleanup(os.unsetenv, "TZ")
        time.tzset()
        hastened, usual = self.both()
        for now in (1_761_440_399.0, 1_761_440_400.0):  # the end of summer time
            self.patch(loglines, "time", _Clock(lambda now=now: now))
            loglines.inform(self.log, "x")
        self.assertEqual(hastened.getvalue(), usual.getvalue())
        self.assertIn("+0200", usual.getvalue())
        self.assertIn("+0100", usual.getvalue())

    def test_what_others_format_is_left_alone(self) -> None:
        files = [
            self.file(textFileLogObserver, "%H"),
            self.file(jsonFileLogObserver),
            self.file(FileLogObserver, lambda event: formatEvent(event) + "!\n"),
        ]
        before = [each.formatEvent for each in self._observers()]
        loglines.hasten(self.publisher)
        self.assertEqual([each.formatEvent for each in self._observers()], before)
        loglines.inform(self.log, "one", user="al")
        self.assertRegex(files[0].getvalue(), r"\A\d\d \[imapd#info\] one\n\Z")
        self.assertIn('"user": "al"', files[1].getvalue())
        self.assertEqual(files[2].getvalue(), "one!\n")

    def _observers(self) -> list[Any]:
        return cast(list[Any], cast(Any, self.publisher)._observers)

    def test_twice_is_once(self) -> None:
        file = self.file()
        loglines.hasten(self.publisher)
        once = self._observers()[0].formatEvent
        loglines.hasten(self.publisher)
        self.assertIs(self._observers()[0].formatEvent, once)
        loglines.inform(self.log, "one")
        self.assertTrue(file.getvalue().endswith(" [imapd#info] one\n"))

    def test_an_event_like_any_other(self) -> None:
        got: list[dict[str, Any]] = []
        self.publisher.addObserver(cast(Any, got.append))
        loglines.inform(self.log, "{one}", user="al")
        event = got[0]
        self.assertEqual(formatEvent(event), "{one}")
        self.assertEqual((event["log_level"], event["user"]), (LogLevel.info, "al"))
        self.log.info("two")
        self.assertLessEqual(got[1].keys(), event.keys())


class _Clock:
    def __init__(self, now: Any) -> None:
        self.time = now


def _failure() -> object:
    from twisted.python.failure import Failure

    return Failure(ZeroDivisionError("x"))
