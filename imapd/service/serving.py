"""What answers clients in one process, whoever opened the ports."""

import socket
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred

from imapd.auth.chain import ChainChecker
from imapd.auth.throttle import LoginThrottle, Throttle
from imapd.mailbox.accounts import KEEP_ACCOUNTS, Accounts
from imapd.mailbox.flushing import Flusher
from imapd.mailbox.notices import NO_NOTICES, Notices
from imapd.mailbox.notified import WatchMode, make_watch
from imapd.mailbox.threads import ThreadWorkers
from imapd.server.counts import ConnectionCounts
from imapd.server.factory import ALL_MECHANISMS, ImapFactory
from imapd.server.realm import MailRealm
from imapd.server.settings import CleartextLogin, Settings
from imapd.server.tls import TlsContext
from imapd.service import arenas, events, hashing, settled
from imapd.service.accounts import locate
from imapd.service.config import Config, make_checkers
from imapd.service.indexing import make_ahead
from imapd.service.portions import portion
from imapd.service.watchdog import Watchdog

#: How long sessions may take to end when we stop.
STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Shared:
    """What processes that serve together have in common; each for one alone."""

    throttle: LoginThrottle
    counts: ConnectionCounts
    notices: Notices = NO_NOTICES


def alone(config: Config) -> Shared:
    """For a process that serves by itself."""
    return Shared(Throttle(config.limits), ConnectionCounts(config.limits))


class Serving:
    """The factory of connections, and all that is behind it."""

    def __init__(
        self, reactor: Any, config: Config, tls: TlsContext | None, shared: Shared
    ) -> None:
        """Build everything; nothing runs yet.

        Raises:
            ConfigError: a checker does not take its arguments.
        """
        self._threads = ThreadWorkers(reactor)
        self.watch = make_watch(reactor, WatchMode(config.watch))
        self._ahead = make_ahead(reactor, config.index)
        self._accounts = Accounts(
            self._threads,
            self.watch,
            shared.notices,
            ahead=self._ahead,
            clock=reactor,
            keep=KEEP_ACCOUNTS,
            flushing=Flusher(reactor),
            kept_octets=config.mailbox_memory_mib << 20,
            at_rest=arenas.give_back,
        )
        self._reactor = reactor
        self._watchdog = Watchdog(reactor)
        self.factory = make_factory(config, tls, self._accounts, shared)

    def start(self) -> None:
        """Start the threads: who starts one waits for it, and clients with him."""
        arenas.share()
        self._threads.start()
        portion(self._reactor)
        hashing.start()
        self._watchdog.start()
        self._reactor.callWhenRunning(settled.settle)

    async def stop(self, ports_closed: "Deferred[Any]") -> None:
        """End every session once no more can begin, then the threads."""
        try:
            await ports_closed
            await self.factory.close_all()
            await self._ahead.close()
            await self._accounts.close()
            self.watch.close()
            await self._threads.stop()
        finally:  # also where nobody waits for the sessions any longer
            self._watchdog.stop()


def make_factory(
    config: Config, tls: TlsContext | None, accounts: Accounts, shared: Shared
) -> ImapFactory:
    """Put the server floor together: the one place that knows how.

    Raises:
        ConfigError: a checker does not take its arguments.
    """
    chain = ChainChecker(make_checkers(config))
    portal = Portal(MailRealm(accounts, partial(locate, config)))
    # The portal keeps one checker for each interface: ours stands for all of them,
    # and is asked at each login what it can do.
    portal.registerChecker(chain, IUsernamePassword, IUsernameHashedPassword)
    settings = Settings(
        limits=config.limits,
        cleartext_login=CleartextLogin(config.cleartext_login),
        events=events,
        throttle=shared.throttle,
        counts=shared.counts,
    )
    return ImapFactory(
        portal,
        settings,
        context=tls,
        host=socket.gethostname().encode("ascii", "replace"),
        # Who names the mechanisms knows that one of them is not for every user.
        offers=chain.offers_to_all if config.mechanisms is None else chain.offers,
        mechanisms=config.mechanisms or ALL_MECHANISMS,
    )
