"""The examples of ``docs/embedding.rst`` run, and services share a process."""

import os
import re
import resource
import signal
import tempfile
import textwrap
import threading
from pathlib import Path
from typing import Any, cast
from unittest import mock

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from imapd.service.config import Config
from imapd.service.service import ImapService
from imapd.service.templates import MailTemplate
from tests.support.foreign import Account
from tests.support.server import Transport

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/embedding.rst"


class ExampleTests(SynchronousTestCase):
    def setUp(self) -> None:
        blocks = re.findall(
            r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)",
            DOCUMENT.read_text("utf-8"),
        )
        self.foreign, self.stock = map(textwrap.dedent, blocks)

    def run_example(self, text: str, names: dict[str, Any]) -> Any:
        """Listen as the text says; return a call that sends octets to it."""
        reactor = MemoryReactorClock()
        exec(compile(text, str(DOCUMENT), "exec"), names)
        before = process_state()
        self.successResultOf(names["listen"](reactor))
        self.assertEqual(process_state(), before)
        ((port, factory, _, interface),) = reactor.tcpServers
        self.assertEqual((port, interface), (0, "::1"))
        transport = Transport("127.0.0.1")
        protocol: Any = factory.buildProtocol(cast(Any, None))
        protocol.callLater = reactor.callLater
        transport.protocol = protocol
        protocol.makeConnection(transport)
        self.addCleanup(transport.loseConnection)

        def say(octets: bytes) -> bytes:
            transport.clear()
            protocol.dataReceived(octets)
            for _ in range(10):
                reactor.advance(0)
            answer: bytes = transport.value()
            return answer

        return say

    def test_your_mail_behind_our_server(self) -> None:
        def your_account(user: bytes) -> Account:
            account = Account(user.decode())
            account.create("INBOX")
            return account

        say = self.run_example(self.foreign, {"YourAccount": your_account})
        self.assertIn(b"a OK", say(b"a LOGIN alice wonderland\r\n"))
        self.assertIn(b"* LIST ", say(b'b LIST "" *\r\n'))
        self.assertIn(b"c OK [READ-WRITE]", say(b"c SELECT INBOX\r\n"))
        self.assertIn(b"d OK", say(b"d LOGOUT\r\n"))

    def test_our_maildirs_behind_twisteds_server(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "alice").mkdir()
            text = self.stock.replace("/srv/mail", folder)
            say = self.run_example(text, {})
            self.assertIn(b"a OK", say(b"a LOGIN alice wonderland\r\n"))
            self.assertIn(b"b OK", say(b"b CREATE Work\r\n"))
            self.assertIn(b"Work", say(b'c LIST "" *\r\n'))
            self.assertIn(b"d OK", say(b"d SELECT INBOX\r\n"))
            self.assertIn(b"e OK", say(b"e LOGOUT\r\n"))
            self.assertTrue((Path(folder) / "alice/Maildir/cur").is_dir())


def process_state() -> tuple[object, ...]:
    umask = os.umask(0o077)
    os.umask(umask)
    limits = (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)
    return (
        umask,
        signal.getsignal(signal.SIGHUP),
        *map(resource.getrlimit, limits),
    )


class ServiceTests(SynchronousTestCase):
    """Two services in one process, started and stopped in any order."""

    def setUp(self) -> None:
        config = Config(mail=MailTemplate("/nowhere/{user}"), auth=(), allow_root=True)
        self.addCleanup(os.umask, os.umask(0o077))
        self.before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, self.before)
        own = mock.patch("imapd.service.service._prepare_process")
        own.start()
        self.addCleanup(own.stop)
        self.first, self.second = ImapService(config), ImapService(config)
        for service in (self.first, self.second):
            self.patch(service, "_reactor", _AtOnce)

    def start(self, *services: ImapService) -> None:
        for service in services:
            service.privilegedStartService()
            service.startService()

    def stop(self, *services: ImapService) -> None:
        for service in services:
            self.successResultOf(service.stopService())

    def reloaded(self) -> list[str]:
        asked: list[str] = []
        self.patch(self.first, "reload", lambda: asked.append("first"))
        self.patch(self.second, "reload", lambda: asked.append("second"))
        handler = signal.getsignal(signal.SIGHUP)
        assert callable(handler)
        handler(signal.SIGHUP, None)
        return sorted(asked)

    def test_in_the_order_of_twistd(self) -> None:
        self.start(self.first, self.second)
        self.assertIsNot(self.first.factory, self.second.factory)
        self.assertEqual(self.reloaded(), ["first", "second"])
        self.stop(self.second)
        self.assertEqual(self.reloaded(), ["first"])
        self.stop(self.first)
        self.assertEqual(signal.getsignal(signal.SIGHUP), self.before)

    def test_the_first_stops_and_starts_again(self) -> None:
        self.start(self.first, self.second)
        self.stop(self.first)
        self.assertIn("second", self.reloaded())
        self.start(self.first)
        self.assertEqual(self.reloaded(), ["first", "second"])
        self.stop(self.second, self.first)
        self.assertEqual(signal.getsignal(signal.SIGHUP), self.before)

    def test_not_in_the_main_thread(self) -> None:
        thread = threading.Thread(target=self.start, args=(self.first,))
        thread.start()
        thread.join()
        self.assertTrue(self.first.running)
        self.assertEqual(signal.getsignal(signal.SIGHUP), self.before)
        self.stop(self.first)


class _AtOnce(MemoryReactorClock):
    def callFromThread(self, call: Any, *args: Any, **kwargs: Any) -> None:
        call(*args, **kwargs)
