"""The service that ``twistd`` runs: first ports and keys, then privileges drop."""

import os
import resource
import signal
import socket
from functools import partial
from types import FrameType
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService, MultiService
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imapd.auth.chain import ChainChecker
from imapd.auth.throttle import Throttle
from imapd.mailbox.accounts import KEEP_ACCOUNTS, Accounts
from imapd.mailbox.flushing import Flusher
from imapd.mailbox.notified import WatchMode, make_watch
from imapd.mailbox.threads import ThreadWorkers
from imapd.mailbox.watch import PollingWatch
from imapd.server.counts import ConnectionCounts
from imapd.server.factory import ALL_MECHANISMS, ImapFactory
from imapd.server.realm import MailRealm
from imapd.server.settings import CleartextLogin, Settings
from imapd.server.tls import TlsContext
from imapd.service import events, listening, readiness
from imapd.service.accounts import locate
from imapd.service.config import Config, ConfigError, make_checkers
from imapd.service.options import Options

_log = Logger(namespace="imapd")

#: How long sessions may take to end when we stop.
STOP_SECONDS = 10


class CannotStart(SystemExit, Exception):
    """We give up before serving; the message is the last line on the terminal.

    Both kinds at once: as an ``Exception`` twistd tells it to the process that
    waits for the daemon and removes its pid file, as a ``SystemExit`` it ends the
    program with status 1 and no traceback.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason, which the log gets too."""
        events.cannot_start(reason=reason)
        super().__init__(f"imapd: {reason}")


class ImapService(MultiService):
    """Ports, certificate and sessions, from start to stop."""

    def __init__(self, config: Config, umask_given: bool = False) -> None:
        """Build everything that needs neither a port nor a key.

        Args:
            config: checked.
            umask_given: twistd was told a umask; otherwise ours is 077.
        """
        super().__init__()
        self.config = config
        self.tls: TlsContext | None = None
        self.factory: ImapFactory | None = None
        self._workers: ThreadWorkers | None = None
        self._watch: PollingWatch | None = None
        self._accounts: Accounts | None = None
        self._umask_given = umask_given
        self._previous_hangup: Any = None

    def privilegedStartService(self) -> None:  # noqa: N802 - Twisted's name
        """Read the key and open the ports, as root where twistd began as root.

        Raises:
            CannotStart: a file or a port is not ours to use.
        """
        if not self._umask_given:
            os.umask(0o077)
        config = self.config
        if config.certificate is not None:
            self.tls = TlsContext(config.certificate, config.key)
            try:
                self.tls.load()
            except ValueError as error:
                raise CannotStart(str(error)) from None
        reactor = self._reactor()
        self._workers = ThreadWorkers(reactor)
        self._watch = make_watch(reactor, WatchMode(config.watch))
        self._accounts = Accounts(
            self._workers,
            self._watch,
            clock=reactor,
            keep=KEEP_ACCOUNTS,
            flushing=Flusher(reactor),
        )
        try:
            self.factory = make_factory(config, self.tls, self._accounts)
        except ConfigError as error:
            raise CannotStart("; ".join(error.problems)) from None
        for description in config.imap:
            self._add_port(description, self.factory, tls=False)
        for description in config.imaps:
            assert self.tls is not None  # config.py insists
            self._add_port(description, self.tls.wrap(self.factory), tls=True)
        super().privilegedStartService()

    def _add_port(self, description: str, factory: Any, *, tls: bool) -> None:
        try:
            endpoint = listening.make_endpoint(description)
        except ValueError as error:
            raise CannotStart(f"{description}: {error}") from None
        self.addService(PortService(endpoint, factory, description, tls))

    def startService(self) -> None:  # noqa: N802 - Twisted's name
        """Begin to serve, as the user that is left now.

        Raises:
            CannotStart: that user is root, or cannot read who may log in.
        """
        if os.geteuid() == 0 and not self.config.allow_root:
            raise CannotStart(
                "will not serve mail as root: give twistd --uid and --gid "
                "(ports and keys are opened before they take effect), or set "
                "allow-root = true"
            )
        if problems := readiness.auth_problems(self.config):
            raise CannotStart("; ".join(problems))
        for problem in readiness.renewal_problems(self.config):
            _log.warn(
                "SIGHUP will not renew the certificate: {problem}", problem=problem
            )
        for problem in readiness.python_problems():
            _log.error("some commands will fail: {problem}", problem=problem)
        _prepare_process()
        self._listen_for_hangup()
        if self._workers is not None:
            self._workers.start()
        super().startService()

    def stopService(self) -> "Deferred[None]":  # noqa: N802 - Twisted's name
        """Close the ports, then end the sessions, within ``STOP_SECONDS``."""
        events.stopping()
        self._restore_hangup()
        stopped = Deferred.fromCoroutine(self._stop(super().stopService()))
        stopped.addTimeout(STOP_SECONDS, self._reactor())
        return stopped.addErrback(self._not_stopped)

    async def _stop(self, ports_closed: "Deferred[Any]") -> None:
        await ports_closed
        if self.factory is not None:
            await self.factory.close_all()
        if self._accounts is not None:
            await self._accounts.close()
        if self._watch is not None:
            self._watch.close()
        if self._workers is not None:
            self._workers.stop()

    def _not_stopped(self, failure: Failure) -> None:
        """Sessions that would not end do not keep the process from ending."""
        if failure.check(OutOfTime):
            _log.warn("sessions were still busy after {n} s", n=STOP_SECONDS)
        else:
            _log.failure("stopping did not go well", failure)

    def _reactor(self) -> Any:
        """Imported late: which one it is may be chosen by twistd."""
        from twisted.internet import reactor  # noqa: PLC0415

        return reactor

    def reload(self) -> None:
        """Read the certificate again; new connections see it."""
        if self.tls is not None and self.tls.reload():
            events.certificate_reloaded(
                path=str(self.tls.certificate), serial=self.tls.serial
            )

    def _listen_for_hangup(self) -> None:
        """SIGHUP reloads; whoever had it before is asked too."""
        if self._previous_hangup is not None:
            return  # a second service still asks us
        try:
            self._previous_hangup = signal.signal(signal.SIGHUP, self._hangup)
        except ValueError:  # not in the main thread: somebody embeds us
            self._previous_hangup = None

    def _hangup(self, number: int, frame: FrameType | None) -> None:
        self._reactor().callFromThread(self.reload)
        if callable(self._previous_hangup):
            self._previous_hangup(number, frame)

    def _restore_hangup(self) -> None:
        ours = signal.getsignal(signal.SIGHUP) == self._hangup
        if ours and self._previous_hangup is not None:
            # Not ours any more: a second service listens, which asks us in turn.
            signal.signal(signal.SIGHUP, self._previous_hangup)
            self._previous_hangup = None


class PortService(StreamServerEndpointService):
    """One port; it cannot be opened: the program ends, at once and with words."""

    # Private, and the same as what strports.service sets: no public way there is.
    _raiseSynchronously = True  # noqa: N815 - Twisted's name

    def __init__(
        self, endpoint: Any, factory: Any, description: str, tls: bool
    ) -> None:
        """Remember how the port is called in the configuration."""
        super().__init__(endpoint, factory)
        self.description = description
        self.tls = tls

    def privilegedStartService(self) -> None:  # noqa: N802 - Twisted's name
        """Open the port.

        Raises:
            CannotStart: the system, or systemd, does not let us.
        """
        try:
            super().privilegedStartService()
        except Exception as error:
            # Twisted's own words name the port again before they come to the point.
            cause = getattr(getattr(error, "socketError", None), "strerror", None)
            raise CannotStart(
                f"cannot listen on {self.description}: {cause or error}"
            ) from None
        events.listening(endpoint=self.description, tls=self.tls)


def _prepare_process() -> None:
    """No core file may hold mail or passwords; as many clients as we are allowed."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def makeService(options: Options) -> IService:  # noqa: N802 - ServiceMaker's name
    """Make the service from parsed options; nothing is opened yet."""
    parent = getattr(options, "parent", None) or {}
    return ImapService(options.config, umask_given=parent.get("umask") is not None)


def make_factory(
    config: Config, tls: TlsContext | None, accounts: Accounts
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
        throttle=Throttle(),
        counts=ConnectionCounts(config.limits),
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
