import hmac
import os
import pathlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from unittest import mock

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import (
    Anonymous,
    IUsernameHashedPassword,
    IUsernamePassword,
    UsernamePassword,
)
from twisted.cred.error import UnhandledCredentials
from twisted.internet.defer import Deferred, succeed
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from imapd.auth import passwdfile
from imapd.auth.avatar import AvatarId
from imapd.auth.hashes import verify
from imapd.auth.passwdfile import GLANCE_SECONDS, PasswdFileChecker, parse_users
from imapd.auth.passwdline import parse_line
from imapd.auth.refusals import REASONS, LoginRefused, LoginUnavailable
from imapd.auth.sasl import CramMd5, Plain
from imapd.auth.syscrypt import crypt
from imapd.auth.verified import VerifiedPasswords

CANARY = "canary-in-the-mine"
CONTEXTS = "4638c77f1a70c6fda4ddfa6fbe34e6ee090a0f0088f15da8fed5e0a5ff2b4152"

FILE = f"""\
# a comment

alice@example.org:{{PLAIN}}{CANARY}:1000:1001::/home/alice::userdb_mail=maildir:~/Mail
Bob:{{CRAM-MD5}}{CONTEXTS}
carol:{{SHA}}EfatjsUqKYSrqv18O1FlA3hcIHI=
locked:!$6$abc$def
closed:{{PLAIN}}x::::::nologin
moved:{{PLAIN}}x::::::proxy=y host=192.0.2.9
near:{{PLAIN}}x::::::allow_nets=127.0.0.0/8,2001:db8::/32
local:{{PLAIN}}x::::::allow_nets=local
open:::::::nopassword
other:{{PLAIN}}x::::::user=alice@example.org
nopass
broken:{{NOPE}}{CANARY}
"""

#: user, password, peer -> the avatar or the reason
LOGINS: dict[str, tuple[bytes, bytes, str | None, bytes | str]] = {
    "right": (b"alice@example.org", CANARY.encode(), None, b"alice@example.org"),
    "case of the name": (
        b"Alice@EXAMPLE.org",
        CANARY.encode(),
        None,
        b"alice@example.org",
    ),
    "case in the file": (b"bob", b"x", None, b"bob"),
    "digest": (b"carol", b"x", None, b"carol"),
    "wrong": (b"carol", b"y", None, "wrong-password"),
    "empty": (b"carol", b"", None, "wrong-password"),
    "unknown": (b"nobody", b"x", None, "unknown-user"),
    "bad name": (b"../carol", b"x", None, "bad-name"),
    "locked": (b"locked", b"!$6$abc$def", None, "disabled"),
    "nologin": (b"closed", b"x", None, "disabled"),
    "nologin, wrong": (b"closed", b"y", None, "disabled"),
    "proxy": (b"moved", b"x", None, "disabled"),
    "in the network": (b"near", b"x", "127.0.0.1", b"near"),
    "mapped": (b"near", b"x", "::ffff:127.0.0.1", b"near"),
    "IPv6": (b"near", b"x", "2001:db8::5", b"near"),
    "out of the network": (b"near", b"x", "192.0.2.1", "address"),
    "no address known": (b"near", b"x", None, "address"),
    "not an address": (b"near", b"x", "example", "address"),
    "Unix socket": (b"local", b"x", "", b"local"),
    "Unix socket, as a session tells it": (b"local", b"x", "unix", b"local"),
    "no Unix socket": (b"local", b"x", "127.0.0.1", "address"),
    "nopassword": (b"open", b"anything", None, b"open"),
    "user=": (b"other", b"x", None, b"alice@example.org"),
    "no password field": (b"nopass", b"", None, "disabled"),
    "broken": (b"broken", CANARY.encode(), None, "unreadable"),
}


def inline(function: Any, *arguments: Any) -> Deferred[Any]:
    return succeed(function(*arguments))


def password(user: bytes, word: bytes, peer: str | None = None) -> Plain:
    mechanism = Plain()
    mechanism.username, mechanism.password, mechanism.peer = user, word, peer
    return mechanism


def response(user: bytes, word: bytes) -> CramMd5:
    mechanism = CramMd5()
    digest = hmac.digest(word, mechanism.getChallenge(), "md5").hex()
    mechanism.setResponse(user + b" " + digest.encode())
    return mechanism


@contextmanager
def logged() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(observer)


class CheckerCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name, "users")
        self.path.write_text(FILE)
        self.now = 0.0
        self.checker = self.make()

    def make(self) -> PasswdFileChecker:
        return PasswdFileChecker(self.path, inline, lambda: self.now)

    def login(self, credentials: Any) -> bytes | tuple[()]:
        return self.successResultOf(self.checker.requestAvatarId(credentials))

    def reason(self, credentials: Any) -> str:
        failure = self.failureResultOf(self.checker.requestAvatarId(credentials))
        failure.trap(LoginRefused, LoginUnavailable)
        self.assertIn(failure.value.reason, REASONS)
        return str(failure.value.reason)

    def settle(self) -> None:
        """Make the file old enough that its times tell a change."""
        os.utime(self.path, (1, 1))


class LoginTests(CheckerCase):
    def test_logins(self) -> None:
        for name, (user, word, peer, expected) in LOGINS.items():
            credentials = password(user, word, peer)
            if isinstance(expected, bytes):
                self.assertEqual(self.login(credentials), expected, name)
            else:
                self.assertEqual(self.reason(credentials), expected, name)

    def test_the_client_reads_one_text(self) -> None:
        # Hardening: A03.
        texts = set()
        for user, word, peer, expected in LOGINS.values():
            if isinstance(expected, str):
                made = self.checker.requestAvatarId(password(user, word, peer))
                failure = self.failureResultOf(made)
                texts.add((str(failure.value), failure.value.code))
        self.assertEqual(len(texts), 1)

    def test_one_verification_whoever_it_is(self) -> None:
        # Hardening: A02.
        for name, (user, word, peer, _) in LOGINS.items():
            with mock.patch.object(passwdfile, "verify", wraps=verify) as spy:
                made = self.checker.requestAvatarId(password(user, word, peer))
                made.addErrback(lambda _: None)
            calls = 0 if name == "bad name" else 1
            self.assertEqual(spy.call_count, calls, name)

    def test_what_was_verified_is_looked_for_whoever_it_is(self) -> None:
        # Hardening: A02.
        self.path.write_bytes(b"alice:{PBKDF2}$1$salt$9$%b\nhenry:!\n" % (b"0" * 40))
        self.settle()
        asks = VerifiedPasswords.has
        for user in (b"alice", b"nobody", b"henry"):
            with mock.patch.object(
                VerifiedPasswords, "has", autospec=True, side_effect=asks
            ) as spy:
                self.assertIsNotNone(self.reason(password(user, b"guess")))
            self.assertEqual(spy.call_count, 1, user)

    def test_unknown_users_take_as_long_as_wrong_passwords(self) -> None:
        """By the median of the time that the processor takes for a refusal."""
        # Hardening: A02.
        stored = crypt(b"right", b"$5$rounds=6000$saltsalt$")
        if stored is None:
            self.skipTest("no crypt(3) that knows SHA-256")
        self.path.write_bytes(b"alice:%b\nbob:%b\n" % (stored, stored))
        self.settle()
        # A difference that can be measured is there each time; noise is not.
        self.assertTrue(any(self.difference() < 0.05 for _ in range(6)))

    def difference(self) -> float:
        """By what part the medians of both refusals differ."""
        taken: dict[bytes, list[float]] = {b"alice": [], b"nobody": []}
        for number in range(100):
            for user, times in taken.items():
                asked = password(user, b"guess%d" % number)
                began = time.thread_time()
                self.assertIsNotNone(self.reason(asked))
                times.append(time.thread_time() - began)
        known, unknown = (statistics.median(times) for times in taken.values())
        self.assertGreater(known, 0.0005)  # it was hashed
        return abs(known / unknown - 1)

    def test_record(self) -> None:
        avatar = self.login(password(b"alice@example.org", CANARY.encode()))
        assert isinstance(avatar, AvatarId)
        got = (avatar.home, avatar.mail, avatar.uid, avatar.gid)
        self.assertEqual(got, ("/home/alice", "maildir:~/Mail", 1000, 1001))

    def test_hashed_responses(self) -> None:
        right = response(b"alice@example.org", CANARY.encode())
        self.assertEqual(self.login(right), b"alice@example.org")
        self.assertEqual(self.login(response(b"BOB", b"x")), b"bob")
        for user, word, reason in (
            (b"bob", b"y", "wrong-password"),
            (b"alice@example.org", b"y", "wrong-password"),
            (b"carol", b"x", "scheme"),
            (b"nobody", b"nobody", "unknown-user"),
            (b"nobody", CANARY.encode(), "unknown-user"),
            (b"closed", b"x", "disabled"),
            (b"near", b"x", "address"),
            (b"open", b"nobody", "scheme"),
            (b"broken", b"x", "unreadable"),
        ):
            self.assertEqual(self.reason(response(user, word)), reason, user)

    def test_no_hash_for_a_response(self) -> None:
        self.path.write_text("carol:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=\n")
        self.assertEqual(self.reason(response(b"carol", b"x")), "scheme")
        self.assertEqual(self.reason(response(b"nobody", b"")), "unknown-user")

    def test_foreign_credentials_see_only_their_own_password(self) -> None:
        seen: list[bytes] = []

        @implementer(IUsernameHashedPassword)
        class Foreign:
            username = b""

            def checkPassword(self, password: bytes) -> Deferred[bool]:
                seen.append(password)
                return succeed(password == CANARY.encode())

        credentials = Foreign()
        for user in (b"nobody", b"carol", b"closed"):
            credentials.username = user
            self.reason(credentials)
        self.assertEqual(len(seen), 3)
        self.assertNotIn(CANARY.encode(), seen)
        credentials.username = b"bob"  # contexts, and these cannot take them
        self.assertEqual(self.reason(credentials), "scheme")
        credentials.username = b"alice@example.org"
        self.assertEqual(self.login(credentials), b"alice@example.org")

    def test_plain_credentials_of_twisted(self) -> None:
        self.assertEqual(self.login(UsernamePassword(b"carol", b"x")), b"carol")
        missing: Any = UsernamePassword(None, None)  # type: ignore[arg-type]
        self.assertEqual(self.reason(missing), "bad-name")
        made = self.checker.requestAvatarId(Anonymous())
        self.failureResultOf(made, UnhandledCredentials)

    def test_interface(self) -> None:
        self.assertTrue(verifyObject(ICredentialsChecker, self.checker))
        both = (IUsernamePassword, IUsernameHashedPassword)
        self.assertEqual(self.checker.credentialInterfaces, both)
        self.path.write_text("carol:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=\n")
        self.now = GLANCE_SECONDS
        self.assertEqual(self.checker.credentialInterfaces, (IUsernamePassword,))

    def test_slow_schemes_go_to_the_thread(self) -> None:
        # Hardening: A04.
        asked: list[Any] = []

        def run(function: Any, *arguments: Any) -> Deferred[Any]:
            asked.append(arguments[0])
            return Deferred()

        hashed = "$5$nBwez50.0RupaAek$.Kf/v/qV7Z9UPKRj5XRcz4omskzCeS0/Vm6wpOmED82"
        self.path.write_text(f"a:{hashed}\nb:{hashed}\nc:{{PLAIN}}x\n")
        self.checker = PasswdFileChecker(self.path, run)
        for user in (b"a", b"unknown"):
            self.assertNoResult(self.checker.requestAvatarId(password(user, b"x")))
        self.assertEqual(asked, [hashed, hashed])
        self.assertEqual(self.login(password(b"c", b"x")), b"c")

    def test_no_thread_is_unavailable(self) -> None:
        # Hardening: A04.
        def full(*_: Any) -> Deferred[Any]:
            raise RuntimeError("queue full")

        self.path.write_text("a:$1$XKritxUK$vfC/eZmCyjusQuai8x6g80\n")
        self.checker = PasswdFileChecker(self.path, full)
        # A password that is not in the words of the error, which would be left out.
        asked = password(b"a", b"a-wrong-password")
        self.assertEqual(self.reason(asked), "unavailable")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_threads_side_by_side(self) -> None:
        stored = "$1$XKritxUK$vfC/eZmCyjusQuai8x6g80"
        wrong: list[int] = []

        def work(number: int) -> None:
            for _ in range(50):
                if verify(stored, b"x" if number % 2 else b"y") is not bool(number % 2):
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class FileTests(CheckerCase):
    def test_a_change_counts_at_once(self) -> None:
        self.settle()
        self.login(password(b"carol", b"x"))
        for word in ("one", "two", "six"):  # one size, maybe one tick of the clock
            self.path.write_text(f"carol:{{PLAIN}}{word}\n")
            self.assertEqual(self.login(password(b"carol", word.encode())), b"carol")
        self.assertEqual(self.reason(password(b"carol", b"two")), "wrong-password")

    def test_it_is_read_once_while_it_is_the_same(self) -> None:
        self.settle()
        with mock.patch.object(passwdfile, "parse_users", wraps=parse_users) as spy:
            for _ in range(5):
                self.login(password(b"carol", b"x"))
        self.assertEqual(spy.call_count, 1)

    def test_vanished_for_a_moment(self) -> None:
        self.login(password(b"carol", b"x"))
        self.path.unlink()
        self.assertEqual(self.login(password(b"carol", b"x")), b"carol")
        self.now = 60.0
        with logged() as events:
            for _ in range(3):
                self.assertEqual(self.reason(password(b"carol", b"x")), "unavailable")
        self.assertEqual(len(events), 1)
        self.path.write_text("carol:{PLAIN}new\n")
        self.assertEqual(self.login(password(b"carol", b"new")), b"carol")

    def test_never_there(self) -> None:
        self.path.unlink()
        self.checker = self.make()
        self.assertEqual(self.reason(password(b"carol", b"x")), "unavailable")
        self.assertEqual(self.checker.credentialInterfaces, (IUsernamePassword,))

    def test_not_a_file(self) -> None:
        self.path.unlink()
        for make in (os.mkdir, os.mkfifo):
            make(self.path)
            self.checker = self.make()
            self.assertEqual(self.reason(password(b"a", b"x")), "unavailable")
            (os.rmdir if self.path.is_dir() else os.unlink)(self.path)

    def test_too_large(self) -> None:
        with mock.patch.object(passwdfile, "FILE_OCTETS", 10):
            self.assertEqual(self.reason(password(b"carol", b"x")), "unavailable")

    def test_bad_lines_are_told_once(self) -> None:
        with logged() as events:
            for _ in range(2):
                self.login(password(b"carol", b"x"))
                self.path.write_text(FILE + "# changed\n")
            told = [formatEvent(event) for event in events]
            self.assertTrue(any("line 14: unknown password scheme" in t for t in told))
            self.assertEqual(len(told), 2, told)  # and nopassword

    def test_no_secret_in_the_log(self) -> None:
        # Hardening: A14.
        with logged() as events:
            for user, word, peer, _ in LOGINS.values():
                made = self.checker.requestAvatarId(password(user, word, peer))
                made.addErrback(lambda _: None)
            users = parse_users(self.path.read_bytes())
        self.assertTrue(events)
        texts = [f"{formatEvent(event)} {event!r}" for event in events]
        for text in (*texts, repr(users), repr(users.records), repr(self.checker)):
            self.assertNotIn(CANARY, text)
            self.assertNotIn(CONTEXTS, text)

    def test_known_lines_are_not_parsed_again(self) -> None:
        first = parse_users(FILE.encode())
        changed = FILE.replace("{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=", "{PLAIN}new")
        with mock.patch.object(passwdfile, "parse_line", wraps=parse_line) as spy:
            second = parse_users(changed.encode(), first.lines)
        self.assertEqual(spy.call_count, 2)  # the new one, and the broken one
        self.assertEqual(second.records, parse_users(changed.encode()).records)
        self.assertEqual(second.records["carol"].password, "{PLAIN}new")
        self.assertEqual(second.problems, first.problems)
