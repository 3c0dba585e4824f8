"""The service that ``twistd`` runs: first ports and keys, then privileges drop."""

import ctypes
import os
import resource
import signal
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService, MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as OutOfTime
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from imapd.server.factory import ImapFactory
from imapd.server.tls import TlsContext
from imapd.service import events, listening, loglines, readiness
from imapd.service.config import Config, ConfigError, make_checkers
from imapd.service.held import HeldEndpoint, Nobody
from imapd.service.options import Options
from imapd.service.order import PortOrder
from imapd.service.portions import PortionedEndpoint
from imapd.service.scarce import CalmEndpoint
from imapd.service.serving import STOP_SECONDS, Serving, alone
from imapd.service.signals import SignalHandler
from imapd.service.uncaught import Uncaught
from imapd.service.workers import PATIENCE_SECONDS, Workers

_log = Logger(namespace="imapd")

#: Of Linux, <sys/prctl.h>; kept over fork and exec, and never taken back.
_PR_SET_NO_NEW_PRIVS = 38


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
    """Ports, certificate and sessions, from start to stop.

    With ``workers`` it opens the ports and reads the key, and serves nobody itself.
    """

    def __init__(self, config: Config, umask_given: bool = False) -> None:
        """Build everything that needs neither a port nor a key.

        Args:
            config: checked.
            umask_given: twistd was told a umask; otherwise ours is 077.
        """
        super().__init__()
        self.config = config
        self.tls: TlsContext | None = None
        self.serving: Serving | None = None
        self.workers: Workers | None = None
        self._held: list[tuple[HeldEndpoint, PortOrder]] = []
        self._umask_given = umask_given
        self._stopped: Deferred[Any] = Deferred()
        self._hangup = SignalHandler(
            signal.SIGHUP, self._hung_up, self._soon, shared=True
        )
        self._uncaught = Uncaught(self._soon)
        self._hurry = [
            SignalHandler(number, self._stop_now, self._soon, shared=False)
            for number in (signal.SIGTERM, signal.SIGINT)
        ]

    @property
    def factory(self) -> ImapFactory | None:
        """Of the connections; None before the start, and where workers serve."""
        return None if self.serving is None else self.serving.factory

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
        try:
            self._prepare_to_serve()
        except ConfigError as error:
            raise CannotStart("; ".join(error.problems)) from None
        for description in config.imap:
            self._add_port(description, tls=False)
        for description in config.imaps:
            self._add_port(description, tls=True)
        super().privilegedStartService()

    def _prepare_to_serve(self) -> None:
        config, reactor = self.config, self._reactor()
        self._held.clear()
        if not config.workers:
            self.serving = Serving(reactor, config, self.tls, alone(config))
            return
        make_checkers(config)  # what is wrong with one is told here, once
        self.workers = Workers(reactor, config, self.tls, lambda: self._held)

    def _add_port(self, description: str, *, tls: bool) -> None:
        try:
            endpoint = listening.make_endpoint(description)
        except ValueError as error:
            raise CannotStart(f"{description}: {error}") from None
        factory: Any = Nobody()
        if self.serving is None:
            # The port knows its family when it is open; the workers start later.
            held = HeldEndpoint(endpoint)
            self._held.append((held, PortOrder(description, tls)))
            endpoint = held
        else:
            endpoint = PortionedEndpoint(endpoint)
            factory = self.serving.factory
            if tls:
                assert self.tls is not None  # config.py insists
                factory = self.tls.wrap(factory)
            endpoint = CalmEndpoint(endpoint, self._reactor())
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
        problems = readiness.auth_problems(self.config)
        if self.workers is not None:
            problems += readiness.worker_problems()
        if problems:
            raise CannotStart("; ".join(problems))
        for problem in readiness.renewal_problems(self.config):
            _log.warn(
                "SIGHUP will not renew the certificate: {problem}", problem=problem
            )
        for problem in readiness.python_problems():
            _log.error("some commands will fail: {problem}", problem=problem)
        _prepare_process()
        loglines.hasten()
        self._stopped = Deferred()
        self._uncaught.take()
        self._hangup.take()
        if self.serving is not None:
            self.serving.start()
        if self.workers is not None:
            self.workers.start()
        super().startService()

    def stopService(self) -> "Deferred[None]":  # noqa: N802 - Twisted's name
        """Close the ports, then end the sessions, within ``STOP_SECONDS``.

        A second SIGTERM or SIGINT meanwhile ends it at once.
        """
        self._hangup.give_back()
        for each in self._hurry:
            each.take()
        events.stopping()  # who reads this may tell us again
        closed: Deferred[Any] = super().stopService()
        patience: float = STOP_SECONDS
        if self.workers is not None:
            # The ports of all are closed where the workers close theirs too.
            ended = self.workers.stop()
            closed.addCallback(lambda _: ended)
            patience += 2 * PATIENCE_SECONDS
        elif self.serving is not None:
            closed = Deferred.fromCoroutine(self.serving.stop(closed))
        self._stopped = stopped = _waiting_for(closed)
        stopped.addTimeout(patience, self._reactor())
        return stopped.addErrback(self._not_stopped).addBoth(self._at_end)

    def _stop_now(self) -> None:
        """Told twice: whoever is busy is waited for no longer."""
        if self.workers is not None:
            self.workers.kill()
        else:
            self._stopped.cancel()

    def _at_end(self, _: object) -> None:
        self._uncaught.give_back()
        if self.serving is not None:  # who may not have come to it
            self.serving.watch.close()
        for each in self._hurry:
            each.give_back()

    def _not_stopped(self, failure: Failure) -> None:
        """Sessions that would not end do not keep the process from ending."""
        if failure.check(OutOfTime):
            _log.warn("sessions were still busy after {n} s", n=STOP_SECONDS)
        elif failure.check(CancelledError):
            _log.warn("told twice to stop: sessions were not waited for")
        else:
            _log.failure("stopping did not go well", failure)

    def _reactor(self) -> Any:
        """Imported late: which one it is may be chosen by twistd."""
        from twisted.internet import reactor  # noqa: PLC0415

        return reactor

    def _soon(self, call: Any) -> None:
        self._reactor().callFromThread(call)

    def _hung_up(self) -> None:
        self.reload()

    def reload(self) -> None:
        """Read the certificate again; new connections see it."""
        if self.tls is not None and self.tls.reload():
            events.certificate_reloaded(
                path=str(self.tls.certificate), serial=self.tls.serial
            )
            if self.workers is not None:
                self.workers.reload()


def _waiting_for(closed: "Deferred[Any]") -> "Deferred[Any]":
    """Fires as the other does, or at once if it is cancelled, wherever that stands.

    Cancelled itself, the other may go on: the list of ports that are being closed
    takes it for the end of closing, and sessions would be waited for after all.
    """

    def cancel(_: object) -> None:
        closed.addErrback(lambda failure: failure.trap(CancelledError) and None)
        closed.cancel()

    waiting: Deferred[Any] = Deferred(cancel)
    closed.addBoth(lambda result: None if waiting.called else waiting.callback(result))
    return waiting


class PortService(StreamServerEndpointService):
    """One port; it cannot be opened: the program ends, at once and with words."""

    # Private, and the same as what strports.service sets: no public way there is.
    _raiseSynchronously = True  # noqa: N815 - Twisted's name

    def __init__(
        self, endpoint: IStreamServerEndpoint, factory: Any, description: str, tls: bool
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
    """No core file may hold mail or passwords; as many clients as we are allowed.

    And no program that is started from here gains what was given up, be it setuid.
    """
    if (prctl := getattr(ctypes.CDLL(None), "prctl", None)) is not None:
        prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def makeService(options: Options) -> IService:  # noqa: N802 - ServiceMaker's name
    """Make the service from parsed options; nothing is opened yet."""
    parent = getattr(options, "parent", None) or {}
    return ImapService(options.config, umask_given=parent.get("umask") is not None)
