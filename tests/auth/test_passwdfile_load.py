"""Many logins, and many users: no hash twice, and no file read on the reactor."""

import os
import pathlib
import tempfile
from collections.abc import Callable
from io import StringIO
from typing import Any
from unittest import mock

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import globalLogPublisher, textFileLogObserver
from twisted.trial.unittest import SynchronousTestCase

from imapd.auth import passwdfile
from imapd.auth.hashes import verify
from imapd.auth.passwdfile import GLANCE_SECONDS, PasswdFileChecker
from imapd.auth.refusals import LoginRefused, LoginUnavailable
from imapd.auth.sasl import Plain
from imapd.auth.verified import KEEP_SECONDS

HASHED = "$5$nBwez50.0RupaAek$.Kf/v/qV7Z9UPKRj5XRcz4omskzCeS0/Vm6wpOmED82"


def credentials(user: bytes, word: bytes) -> Plain:
    mechanism = Plain()
    mechanism.username, mechanism.password = user, word
    return mechanism


class LoadCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name, "users")
        self.now = 0.0
        self.waiting: list[tuple[Deferred[Any], Callable[[], Any]]] = []
        self.checker = PasswdFileChecker(self.path, self.later, lambda: self.now)

    def later(self, function: Any, *arguments: Any) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.waiting.append((result, lambda: function(*arguments)))
        return result

    def finish(self) -> int:
        """Do what waits for a thread now; return how much it was."""
        waiting, self.waiting = self.waiting, []
        for result, call in waiting:
            maybeDeferred(call).chainDeferred(result)
        return len(waiting)

    def write(self, text: str) -> None:
        self.path.write_text(text)
        os.utime(self.path, (1, len(text)))  # long ago: its times tell a change

    def ask(self, user: bytes, word: bytes) -> Deferred[Any]:
        return self.checker.requestAvatarId(credentials(user, word))


class VerifiedTests(LoadCase):
    # Hardening: A05.

    def setUp(self) -> None:
        super().setUp()
        self.write(f"alice:{HASHED}\nbob:{HASHED}\n")
        spy = mock.patch.object(passwdfile, "verify", wraps=self.fits)
        self.spy = spy.start()
        self.addCleanup(spy.stop)

    def fits(self, stored: str, password: bytes) -> bool:
        return password == b"right"

    def login(self, user: bytes, word: bytes) -> Deferred[Any]:
        asked = self.ask(user, word)
        self.finish()
        return asked

    def test_a_thousand_logins_hash_once(self) -> None:
        # Hardening: V05.
        for _ in range(1000):
            self.assertEqual(
                self.successResultOf(self.login(b"alice", b"right")), b"alice"
            )
        self.assertEqual(self.spy.call_count, 1)

    def test_what_is_wrong_is_hashed_each_time(self) -> None:
        self.successResultOf(self.login(b"alice", b"right"))
        for user, word in (
            (b"alice", b"wrong"),
            (b"alice", b"wrong"),
            (b"nobody", b"right"),
            (b"nobody", b"right"),
        ):
            self.failureResultOf(self.login(user, word), LoginRefused)
        self.successResultOf(self.login(b"bob", b"right"))
        self.assertEqual(self.spy.call_count, 6)

    def test_a_scheme_that_breaks_tells_neither_password_nor_hash(self) -> None:
        # Hardening: A14.
        told = StringIO()
        observer = textFileLogObserver(told)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for words in ("cannot hash b'c4n4ry'", f"a bad salt in {HASHED!r}"):
            self.spy.side_effect = ValueError(words)
            self.failureResultOf(self.login(b"alice", b"c4n4ry"), LoginUnavailable)
        self.assertEqual(told.getvalue().count("was not verified"), 2)
        self.assertNotIn("c4n4ry", told.getvalue())
        self.assertNotIn(HASHED, told.getvalue())

    def test_not_after_the_file_changed_nor_for_long(self) -> None:
        self.successResultOf(self.login(b"alice", b"right"))
        self.write(f"alice:{HASHED}\n")
        self.successResultOf(self.login(b"alice", b"right"))
        self.assertEqual(self.spy.call_count, 2)
        self.now = KEEP_SECONDS
        self.successResultOf(self.login(b"alice", b"right"))
        self.assertEqual(self.spy.call_count, 3)

    def test_a_changed_password_counts_at_once(self) -> None:
        self.successResultOf(self.login(b"alice", b"right"))
        self.write("alice:{PLAIN}new\n")
        with mock.patch.object(passwdfile, "verify", verify):
            self.failureResultOf(self.login(b"alice", b"right"), LoginRefused)
            self.successResultOf(self.login(b"alice", b"new"))


class LargeTests(LoadCase):
    # Hardening: V04.

    def setUp(self) -> None:
        super().setUp()
        self.patch(passwdfile, "SMALL_OCTETS", 10)
        self.write("alice:{PLAIN}one\n")

    def test_logins_wait_for_one_reading(self) -> None:
        # Hardening: V05.
        asked = [self.ask(b"alice", b"one") for _ in range(20)]
        for each in asked:
            self.assertNoResult(each)
        self.assertEqual(self.finish(), 1)
        for each in asked:
            self.assertEqual(self.successResultOf(each), b"alice")
        self.successResultOf(self.ask(b"alice", b"one"))
        self.assertEqual(self.finish(), 0)

    def test_a_new_password_counts_at_once(self) -> None:
        first = self.ask(b"alice", b"one")
        self.finish()
        self.successResultOf(first)
        self.write("alice:{PLAIN}number two\n")
        old, new = self.ask(b"alice", b"one"), self.ask(b"alice", b"number two")
        self.assertNoResult(old)
        self.assertEqual(self.finish(), 1)
        self.failureResultOf(old, LoginRefused)
        self.successResultOf(new)

    def test_what_changes_while_it_is_read_is_read_again(self) -> None:
        first = self.ask(b"alice", b"one")
        (result, call), *_ = self.waiting
        self.waiting.clear()
        users = call()
        self.write("alice:{PLAIN}number two\n")
        second = self.ask(b"alice", b"number two")
        result.callback(users)
        self.assertEqual(self.successResultOf(first), b"alice")
        self.assertNoResult(second)
        self.assertEqual(self.finish(), 1)
        self.assertEqual(self.successResultOf(second), b"alice")

    def test_one_that_may_still_change_is_read_for_each_who_comes_later(self) -> None:
        self.path.write_text("alice:{PLAIN}one\n")  # now: within a tick of its clock
        for _ in range(3):
            asked = self.ask(b"alice", b"one")
            self.assertEqual(self.finish(), 1)
            self.assertEqual(self.successResultOf(asked), b"alice")

    def test_what_is_offered_does_not_wait(self) -> None:
        self.assertEqual(self.checker.credentialInterfaces, (IUsernamePassword,))
        self.assertFalse(self.checker.answers_hashed_for_all)
        self.assertEqual(self.finish(), 1)
        self.now += GLANCE_SECONDS
        both = (IUsernamePassword, IUsernameHashedPassword)
        self.assertEqual(self.checker.credentialInterfaces, both)
        self.write("alice:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=\n")
        self.now += GLANCE_SECONDS
        self.assertEqual(self.checker.credentialInterfaces, both, "as it was")
        self.assertEqual(self.finish(), 1)
        self.now += GLANCE_SECONDS
        self.assertEqual(self.checker.credentialInterfaces, (IUsernamePassword,))

    def test_one_who_leaves_does_not_take_the_others_along(self) -> None:
        first, second = self.ask(b"alice", b"one"), self.ask(b"alice", b"one")
        first.addErrback(lambda _: None)
        first.cancel()
        self.assertEqual(self.finish(), 1)
        self.assertEqual(self.successResultOf(second), b"alice")

    def test_a_reading_that_fails(self) -> None:
        asked = [self.ask(b"alice", b"one") for _ in range(2)]
        (result, _), *_ = self.waiting
        self.waiting.clear()
        result.errback(ZeroDivisionError())
        for each in asked:
            self.failureResultOf(each, LoginUnavailable)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        again = self.ask(b"alice", b"one")
        self.assertEqual(self.finish(), 1)
        self.successResultOf(again)

    def test_a_file_that_vanishes_before_it_is_read(self) -> None:
        asked = self.ask(b"alice", b"one")
        self.path.unlink()
        self.finish()
        self.failureResultOf(asked, LoginUnavailable)
