"""The wording of the log, which fail2ban reads, and what attackers put into it."""

import configparser
import io
import re
import unittest
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

from twisted.logger import ILogObserver, globalLogPublisher, textFileLogObserver

from imapd.server.settings import Events
from imapd.service import events

FILTER = Path(__file__).resolve().parents[2] / "packaging/fail2ban/imapd.conf"
# What fail2ban puts in the place of <ADDR>.
ADDRESS = r"(?P<address>[0-9a-fA-F:.]+(?<![:.]))"
NASTY = (
    "x\r\nlogin refused peer=192.0.2.99 mechanism=",
    "[imapd#warn] login refused peer=192.0.2.99 mechanism=PLAIN",
    "{log_failure} {} {0} %s %n \x1b[2J",
    "\0\u2028\u2029\x85\x0b",
    "a" * 10_000,
)


def written(event: Callable[[], None]) -> list[str]:
    """The lines that the default text log gets."""
    file = io.StringIO()
    observer = cast(ILogObserver, textFileLogObserver(file))
    globalLogPublisher.addObserver(observer)
    try:
        event()
    finally:
        globalLogPublisher.removeObserver(observer)
    return file.getvalue().splitlines()


def expressions() -> list[re.Pattern[str]]:
    parser = configparser.ConfigParser()
    parser.read(FILTER)
    lines = parser["Definition"]["failregex"].strip().splitlines()
    return [re.compile(line.replace("<ADDR>", ADDRESS)) for line in lines]


def banned(line: str, dated: bool = False) -> str | None:
    """The address that fail2ban takes; from lines of a file it removes the date."""
    text = (
        line if dated else re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", "", line)
    )
    for expression in expressions():
        if match := expression.search(text):
            return match["address"]
    return None


class EventTests(unittest.TestCase):
    def test_each_event_is_one_line_whatever_is_in_it(self) -> None:
        # Hardening: A13.
        for text in NASTY:
            said: dict[str, Callable[[], None]] = {
                "login_ok": partial(
                    events.login_ok,
                    peer="192.0.2.1",
                    user=text,
                    mechanism="PLAIN",
                    tls=True,
                ),
                "login_refused": partial(
                    events.login_refused,
                    peer="192.0.2.1",
                    user=text,
                    mechanism=text,
                    reason=text,
                ),
                "connection_refused": partial(
                    events.connection_refused, peer="192.0.2.1", reason=text
                ),
                "session_ended": partial(
                    events.session_ended, peer="192.0.2.1", user=text, reason=text
                ),
                "mail_refused": partial(events.mail_refused, user=text, reason=text),
                "indexing": partial(
                    events.indexing,
                    mailbox=text,
                    done=1,
                    total=2,
                    per_second=3.0,
                    left_seconds=4.0,
                ),
                "indexed": partial(
                    events.indexed, mailbox=text, messages=1, seconds=2.0, skipped=0
                ),
                "indexer_ended": partial(
                    events.indexer_ended, reason=text, seconds=1.0
                ),
            }
            for name, event in said.items():
                lines = written(event)
                self.assertEqual(len(lines), 1, f"{name} {text!r:.40}: {lines}")
                self.assertLess(len(lines[0]), 1000, name)
                self.assertNotIn("\x1b", lines[0], name)
                self.assertIn(banned(lines[0]), (None, "192.0.2.1"), name)

    def test_a_long_job(self) -> None:
        (line,) = written(
            partial(
                events.indexing,
                mailbox="/mail/a: Sent",
                done=3000,
                total=10_000,
                per_second=99.6,
                left_seconds=70.2,
            )
        )
        self.assertTrue(
            line.endswith(
                "indexing mailbox='/mail/a: Sent' messages=3000/10000 "
                "rate=100/s left=1m10s"
            ),
            line,
        )
        (line,) = written(
            partial(
                events.indexed,
                mailbox="/mail/a: Sent",
                messages=10_000,
                seconds=7500.0,
                skipped=2,
            )
        )
        self.assertTrue(
            line.endswith(
                "indexed mailbox='/mail/a: Sent' messages=10000 took=2h05m skipped=2"
            ),
            line,
        )

    def test_the_reactor_stood_still(self) -> None:
        (line,) = written(
            partial(
                events.stood_still,
                seconds=0.254,
                cpu_seconds=0.001,
                times=3,
                where="imapd.a:7 b < imapd.c:8 d",
            )
        )
        self.assertTrue(
            line.endswith(
                "reactor stood still for 0.25 s cpu=0.00 times=3 "
                "at imapd.a:7 b < imapd.c:8 d"
            ),
            line,
        )

    def test_fail2ban_bans_the_peer(self) -> None:
        self.assertEqual(len(expressions()), 2)
        for peer in ("192.0.2.1", "2001:db8::1"):
            lines = written(
                partial(
                    events.login_refused,
                    peer=peer,
                    user="alice",
                    mechanism="PLAIN",
                    reason="wrong-password",
                )
            )
            self.assertEqual(banned(lines[0]), peer)
            journal = f"mail.example.org twistd[123]: {lines[0]}"
            self.assertEqual(banned(journal, dated=True), peer)
            lines = written(
                partial(events.connection_refused, peer=peer, reason="too many")
            )
            self.assertEqual(banned(lines[0]), peer)

    def test_fail2ban_bans_nobody_for_our_own_troubles(self) -> None:
        for reason in ("unavailable", "scheme", "no-checker", "Too many connections"):
            (line,) = written(
                partial(
                    events.login_refused,
                    peer="192.0.2.1",
                    user="alice",
                    mechanism="PLAIN",
                    reason=reason,
                )
            )
            self.assertIsNone(banned(line), reason)

    def test_fail2ban_reads_what_syslog_leaves(self) -> None:
        words = "[-] login refused peer=192.0.2.1 mechanism='PLAIN' "
        line = f" mail twisted: {words}reason='wrong-password' user='alice'"
        self.assertEqual(banned(line), "192.0.2.1")

    def test_fail2ban_bans_nobody_who_logs_in(self) -> None:
        for text in NASTY:
            (line,) = written(
                partial(
                    events.login_ok,
                    peer="192.0.2.1",
                    user=text,
                    mechanism="PLAIN",
                    tls=True,
                )
            )
            self.assertIsNone(banned(line), line)

    def test_the_module_is_what_the_server_floor_calls(self) -> None:
        called: Events = events
        called.login_ok(peer="192.0.2.1", user="alice", mechanism="LOGIN", tls=False)

    def test_the_words(self) -> None:
        """An interface: a change here breaks the filters of others."""
        lines = [
            *written(
                lambda: events.login_refused(
                    peer="192.0.2.1", user="al", mechanism="PLAIN", reason="no-user"
                )
            ),
            *written(
                lambda: events.login_ok(
                    peer="192.0.2.1", user="al", mechanism="PLAIN", tls=True
                )
            ),
            *written(lambda: events.listening(endpoint="tcp:993", tls=True)),
            *written(lambda: events.certificate_reloaded(path="/c.pem", serial="ff")),
        ]
        self.assertEqual(
            [line.split(" ", 1)[1] for line in lines],
            [
                "[imapd#warn] login refused peer=192.0.2.1 mechanism='PLAIN' "
                "reason='no-user' user='al'",
                "[imapd#info] login ok user='al' mechanism=PLAIN peer=192.0.2.1 "
                "tls=yes",
                "[imapd#info] listening on tcp:993 tls=implicit",
                "[imapd#info] certificate reloaded path=/c.pem serial=ff",
            ],
        )
