"""The service that ``twistd`` runs: first ports and keys, then privileges drop."""

import os
import resource
import signal
from types import FrameType
from typing import Any, cast

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService, MultiService
from twisted.cred import strcred
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.protocol import Factory

from imapd.server.tls import TlsContext
from imapd.service import events, listening
from imapd.service.config import Config, ConfigError
from imapd.service.options import Options

#: How long sessions may take to end when we stop; hardening V09.
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
        self.factory: Factory | None = None
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
        self.factory = make_factory(config, self.tls)
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
            CannotStart: that user is root.
        """
        if os.geteuid() == 0 and not self.config.allow_root:
            raise CannotStart(
                "will not serve mail as root: give twistd --uid and --gid "
                "(ports and keys are opened before they take effect), or set "
                "allow-root = true"
            )
        _prepare_process()
        self._listen_for_hangup()
        super().startService()

    def stopService(self) -> "Deferred[Any]":  # noqa: N802 - Twisted's name
        """Close the ports, then end the sessions, within ``STOP_SECONDS``."""
        from twisted.internet import reactor  # noqa: PLC0415 - chosen by twistd

        events.stopping()
        self._restore_hangup()
        closed: Deferred[Any] = maybeDeferred(super().stopService)
        close_all = getattr(self.factory, "close_all", None)
        if close_all is not None:
            closed = DeferredList([closed, maybeDeferred(close_all)])
        closed.addTimeout(STOP_SECONDS, cast(IReactorTime, reactor))
        return closed.addErrback(lambda _: None)  # out of time: the process ends

    def reload(self) -> None:
        """Read the certificate again; new connections see it."""
        if self.tls is not None and self.tls.reload():
            events.certificate_reloaded(
                path=str(self.tls.certificate), serial=self.tls.serial
            )

    def _listen_for_hangup(self) -> None:
        """SIGHUP reloads; whoever had it before is asked too."""
        try:
            self._previous_hangup = signal.signal(signal.SIGHUP, self._hangup)
        except ValueError:  # not in the main thread: somebody embeds us
            self._previous_hangup = None

    def _hangup(self, number: int, frame: FrameType | None) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - chosen by twistd

        cast(IReactorFromThreads, reactor).callFromThread(self.reload)
        if callable(self._previous_hangup):
            self._previous_hangup(number, frame)

    def _restore_hangup(self) -> None:
        if self._previous_hangup is not None:
            signal.signal(signal.SIGHUP, self._previous_hangup)
            self._previous_hangup = None


class PortService(StreamServerEndpointService):
    """One port; it cannot be opened: the program ends, at once and with words."""

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
            raise CannotStart(f"cannot listen on {self.description}: {error}") from None
        events.listening(endpoint=self.description, tls=self.tls)


def _prepare_process() -> None:
    """No core file may hold mail or passwords; as many clients as we are allowed."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def make_checkers(config: Config) -> list[Any]:
    """One checker for each ``auth``, in order.

    Raises:
        ConfigError: what a checker says about its arguments.
    """
    problems = []
    checkers = []
    for description in config.auth:
        try:
            checkers.append(strcred.makeChecker(description))
        except Exception as error:  # a plugin of anybody's
            problems.append(f"auth {description!r}: {error or type(error).__name__}")
    if problems:
        raise ConfigError(problems)
    return checkers


def makeService(options: Options) -> IService:  # noqa: N802 - ServiceMaker's name
    """Make the service from parsed options; nothing is opened yet."""
    parent = getattr(options, "parent", None) or {}
    return ImapService(options.config, umask_given=parent.get("umask") is not None)


def make_factory(config: Config, tls: TlsContext | None) -> Factory:
    """The one place that knows how the server floor is put together."""
    raise CannotStart("the server floor is not there yet")
