"""``ImapServer``: Twisted's IMAP4 protocol over our framer and command table.

Two seams carry everything.  Framing: ``dataReceived`` feeds ``CommandFramer``,
and one coroutine a connection takes its events in order, one command at a time.
Dispatch: a frame's name finds a row of ``COMMANDS``.  What a client sends while a
command runs waits unread, and beyond a bound the transport is paused.
"""

import time
from collections.abc import Callable
from typing import Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport, ITLSTransport
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.mail import imap4
from twisted.mail.interfaces import IAccountIMAP
from twisted.python.failure import Failure

from imapd.auth import sasl
from imapd.errors import ImapError, ServerBug, SyntaxRejected, WrongState
from imapd.server import commands as handlers
from imapd.server import logins
from imapd.server.capabilities import offered, usable_mechanisms
from imapd.server.gate import OutputGate
from imapd.server.literals import StreamedLiterals
from imapd.server.registry import COMMANDS, Command, Completed, State
from imapd.server.session import Session
from imapd.server.settings import CleartextLogin, Settings
from imapd.wire import commands as grammar
from imapd.wire import response
from imapd.wire.cursor import Cursor
from imapd.wire.framer import (
    CommandFramer,
    Event,
    Frame,
    LiteralChunk,
    LiteralPrompt,
    Rejected,
)
from imapd.wire.strings import leading_tag

_log = Logger()

assert handlers.GROUPS  # importing them has filled the table

#: Work of one connection before the reactor looks at the others.
TURN_SECONDS = 0.005
#: What a client may send ahead while its command runs.
AHEAD_OCTETS = 65536
#: How long a connection that was told BYE may take to read it.
CLOSING_SECONDS = 10


class ImapServer(imap4.IMAP4Server):
    """One client's connection.

    The constructor, ``portal``, ``challengers``, ``ctx``, ``authenticateLogin``,
    ``IDENT`` and the names of the states are those of ``IMAP4Server``.
    """

    IDENT = b"imapd ready"

    transport: Any  # the stock class types it as less than it must be
    portal: Any
    challengers: dict[bytes, Callable[[], Any]]

    def __init__(
        self,
        chal: Any = None,
        contextFactory: Any = None,  # noqa: N803
        scheduler: Any = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(chal, contextFactory, scheduler)
        self.settings = settings or Settings()
        self.framer = CommandFramer(self.settings.limits)
        self.session = Session(self, self.settings)
        self.gate = OutputGate(self._gate_changed)
        self._running = False
        self._closing = False
        self._reading_paused = False
        self._waiter: Deferred[None] | None = None
        self._bad_commands = 0
        self._turn_began = 0.0
        self._turn_to_tls = False
        self._finish_because: bytes | None = None
        self._ended_because = "the client left"
        self.counted_user: bytes | None = None
        #: Told when the connection opens and when it has given back everything.
        self.registered: Callable[[ImapServer, bool], None] = lambda *unused: None

    # The transport.

    def connectionMade(self) -> None:  # noqa: N802
        """Greet the client."""
        self.canStartTLS = ITLSTransport(self.transport, None) is not None
        self.registered(self, True)
        self.transport.registerProducer(self.gate, True)
        self.setTimeout(self.settings.limits.preauth_seconds)
        counts = self.settings.counts
        if counts is not None and not counts.connected(self.peer_host):
            self.refuse(b"Too many connections from your address", b"LIMIT")
            return
        self.sendServerGreeting()

    def sendServerGreeting(self) -> None:  # noqa: N802
        """Say who we are and what we can.  RFC 3501 §7.1.1."""
        self.send(response.greeting(self.IDENT, self.capability_names()))

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take octets; run the commands that they complete."""
        if self._closing:
            return
        self.framer.receive(data)
        if self.session.state is not State.NOT_AUTHENTICATED:
            self.resetTimeout()  # before login the deadline is absolute
        if self._waiter is not None:
            self._wake()
        elif not self._running:
            self._start()
        self._regulate()

    def _start(self) -> None:
        self._running = True
        Deferred.fromCoroutine(self._run()).addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        _log.failure("a session broke", failure)
        self.abort("a defect of ours")

    def _regulate(self) -> None:
        """Stop reading from a client that is too far ahead of us."""
        too_far = self._running and self.framer.buffered > AHEAD_OCTETS
        if too_far and self._waiter is None and not self._reading_paused:
            self._reading_paused = True
            self.transport.pauseProducing()
        elif self._reading_paused and not too_far:
            self._resume_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            if not self._closing and not self.gate.lost:
                self.transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Give back everything the session held."""
        self.setTimeout(None)
        self._closing = True
        self.gate.stopProducing()
        if self.settings.counts is not None:
            self.settings.counts.disconnected(self.peer_host)
        if self._waiter is not None:
            self._wake()
        if not self._running:
            self._running = True
            Deferred.fromCoroutine(self._clean_up()).addErrback(
                lambda failure: _log.failure("a session did not end cleanly", failure)
            )

    async def _clean_up(self) -> None:
        try:
            await self.session.unselect()
        finally:
            self.registered(self, False)
            if self.session.state is not State.NOT_AUTHENTICATED:
                self.session.state = State.LOGOUT
            on_logout, self._onLogout = self._onLogout, None
            if on_logout is not None:
                logins.logged_out(self)
                on_logout()
                self.settings.events.session_ended(
                    peer=self.peer_host,
                    user=self.session.user.decode("utf-8", "replace"),
                    reason=self._ended_because,
                )

    # Commands, one at a time.

    async def _run(self) -> None:
        self._turn_began = time.monotonic()
        try:
            while not self._closing:
                event = self.framer.next_event()
                if event is None:
                    break
                await self._handle(event)
                self._regulate()
                await self.ready()
        except ConnectionError as error:
            _log.debug("session ends: {error}", error=error)
        finally:
            self._running = False
            self._resume_reading()
            if self.gate.lost:
                self._running = True
                await self._clean_up()

    async def _handle(self, event: Event) -> None:
        match event:
            case Frame(parts):
                await self._frame(parts)
            case LiteralPrompt():
                await self._literal(event)
            case Rejected(tag, error, fatal):
                if fatal:
                    self.send(response.error(tag, error))
                    self.hang_up(b"What follows cannot be read", error.code)
                else:
                    self._failed(tag, error)
            case LiteralChunk():
                raise RuntimeError("a literal without its command")

    async def _frame(self, parts: tuple[bytes, ...]) -> None:
        tag: bytes | None = leading_tag(parts[0])
        try:
            cursor = Cursor(parts, self.settings.limits)
            tag, name = grammar.command_start(cursor)
            row = self._row(name)
            arguments = row.grammar(cursor)
        except ImapError as error:
            self._failed(tag, error)
        else:
            await self._execute(tag, row, arguments)

    def _row(self, name: bytes) -> Command:
        row = COMMANDS.get(name)
        if row is None:
            raise SyntaxRejected("Unknown command")
        if self.session.state not in row.states:
            raise WrongState("Not in this state")
        return row

    async def _literal(self, prompt: LiteralPrompt) -> None:
        """A literal is announced: into memory, or to the command that streams it."""
        tag = leading_tag(prompt.parts[0])
        try:
            streamed = self._streamed(prompt)
            if streamed is None and prompt.problem is not None:
                raise prompt.problem
        except ImapError as error:
            self.framer.refuse()
            self._failed(tag, error)
            return
        if streamed is None:
            if prompt.sync:
                self.send(response.continuation(b"Ready for the literal"))
            self.framer.accept()
            return
        row, arguments = streamed
        self.session.stream = literals = StreamedLiterals(self, prompt)
        try:
            await self._execute(tag or b"", row, arguments)
            await literals.finish()
        finally:
            self.session.stream = None

    def _streamed(self, prompt: LiteralPrompt) -> tuple[Command, Any] | None:
        _tag, name = grammar.command_start(Cursor(prompt.parts, self.settings.limits))
        row = COMMANDS.get(name)
        if row is None or not row.streams:
            return None
        self._row(name)
        prefix = grammar.append_prefix(prompt.parts)
        return None if prefix is None else (row, prefix)

    async def _execute(self, tag: bytes, row: Command, arguments: Any) -> None:
        session = self.session
        session.tag = tag
        try:
            done = await row.handler(session, arguments)
        except ImapError as error:
            await self._tell_news(row)
            self._failed(tag, error)
        except ConnectionError:
            raise
        except Exception:
            _log.failure("{name} failed", name=row.name)
            self._failed(tag, ServerBug("Internal error; the log has it"))
        else:
            await self._tell_news(row)
            self._bad_commands = 0
            completed = Completed(done) if isinstance(done, bytes) else done
            self.send(response.tagged(tag, b"OK", completed.text, completed.code))
            self._after_answer()
        self.state = session.state.value
        if self._finish_because is not None:
            self.hang_up(self._finish_because)
        elif session.lost is not None:
            self.hang_up(session.lost.encode("ascii", "replace"), b"UNAVAILABLE")

    async def _tell_news(self, row: Command) -> None:
        await self.session.refresh()
        if self.session.lost is None:
            self.session.tell_news(may_expunge=row.may_expunge)

    def _failed(self, tag: bytes | None, error: ImapError) -> None:
        self.send(response.error(tag, error))
        if error.condition != b"BAD":
            return
        self._bad_commands += 1
        limits = self.settings.limits
        known = self.session.state is not State.NOT_AUTHENTICATED
        if self._bad_commands >= (
            limits.bad_commands if known else limits.preauth_bad_commands
        ):
            self.refuse(b"Too many commands that make no sense")

    def _after_answer(self) -> None:
        if self._turn_to_tls:
            self._turn_to_tls = False
            self._begin_tls()
        if self.session.state is State.LOGOUT:
            self._ended_because = "logout"
            self._close()

    # What the session asks of its connection.

    def send(self, octets: bytes) -> None:
        """Write octets, whether or not the client reads."""
        if not self.gate.lost:
            self.transport.write(octets)

    async def ready(self) -> None:
        """Wait until the client has read enough, and let others have their turn."""
        if self.gate.paused or self.gate.lost:
            await self.gate.opened()
        if time.monotonic() - self._turn_began > TURN_SECONDS:
            await deferLater(self.clock, 0, lambda: None)
            self._turn_began = time.monotonic()

    async def next_event(self) -> Event:
        """The next event of the framer, inside a command that streams."""
        while True:
            event = self.framer.next_event()
            if event is not None:
                return event
            await self._more()

    async def read_line(self) -> bytes:
        """The client's next line, inside a command."""
        while True:
            line = self.framer.next_line()
            if line is not None:
                return line
            await self._more()

    async def _more(self) -> None:
        if self._closing:
            raise ConnectionAbortedError("the client left")
        self._waiter = Deferred()
        self._resume_reading()
        await self._waiter
        if self._closing or self.session.lost is not None:
            raise ConnectionAbortedError("the session is over")

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)

    def stop_reading_lines(self) -> None:
        """The selected mailbox is lost while the client waits in IDLE."""
        lost = self.session.lost or "The mailbox is gone"
        self.hang_up(lost.encode("ascii", "replace"), b"UNAVAILABLE")
        self._wake()

    async def log_in(self, mechanism: bytes, credentials: Any) -> None:
        """Ask the portal."""
        await logins.log_in(self, mechanism, credentials)

    def authenticateLogin(self, user: bytes, passwd: bytes) -> Any:  # noqa: N802
        """Ask the portal about a name and a password."""
        if self.portal is None:
            raise UnauthorizedLogin
        credentials = sasl.Plain()
        credentials.username, credentials.password = user, passwd
        credentials.peer = self.peer_host  # for checkers that hold users to addresses
        return self.portal.login(credentials, None, IAccountIMAP)

    def refused(self, mechanism: bytes, reason: str) -> None:
        """Log a try that no checker was asked about."""
        self.settings.events.login_refused(
            peer=self.peer_host,
            user="",
            mechanism=mechanism.decode("ascii", "replace"),
            reason=reason,
        )

    def challenger(self, mechanism: bytes) -> Any:
        """The factory of a mechanism, None if there is none."""
        return self.challengers.get(mechanism)

    def usable_mechanisms(self) -> list[bytes]:
        """The mechanisms this connection may use as it is now."""
        return usable_mechanisms(self)

    def start_tls(self) -> None:
        """Turn to TLS once the command is answered; nothing may be waiting."""
        if self.framer.buffered:
            self.abort("octets after STARTTLS")
            raise ConnectionAbortedError("octets after STARTTLS")
        self._turn_to_tls = True

    def _begin_tls(self) -> None:
        self.startedTLS = True
        self.framer = CommandFramer(self.settings.limits)
        self.session.identity = ()
        self._bad_commands = 0
        self.transport.startTLS(self.ctx)

    def refuse(self, why: bytes, code: bytes | None = None) -> None:
        """End a connection for what its client did."""
        self.settings.events.connection_refused(
            peer=self.peer_host, reason=why.decode("ascii")
        )
        self.hang_up(why, code)

    def finish(self, why: bytes) -> None:
        """Say BYE as soon as no command runs: the server stops."""
        if self._running and self._waiter is None:
            self._finish_because = why
        else:
            self.hang_up(why)

    def hang_up(self, why: bytes, code: bytes | None = None) -> None:
        """Say BYE and close."""
        if not self._closing:
            self._ended_because = why.decode("ascii", "replace")
            self.send(response.untagged(response.bye(why, code)))
            self._close()

    def _close(self) -> None:
        self._closing = True
        self.framer.discard()
        self._reading_paused = False
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self.setTimeout(CLOSING_SECONDS)
        self._wake()

    def abort(self, why: str) -> None:
        """Close at once, without a word."""
        self._ended_because = why
        self._closing = True
        self.settings.events.connection_refused(peer=self.peer_host, reason=why)
        self.transport.abortConnection()

    # Time.

    @property
    def clock(self) -> Any:
        """Where timers come from."""
        if self.settings.clock is not None:
            return self.settings.clock
        from twisted.internet import reactor  # noqa: PLC0415  not chosen before

        return reactor

    def callLater(self, period: float, func: Any) -> Any:  # noqa: N802
        """Let ``TimeoutMixin`` use our clock."""
        return self.clock.callLater(period, func)

    def _gate_changed(self) -> None:
        """Output stopped or goes on: another time limit holds."""
        limits = self.settings.limits
        if self.gate.paused:
            self.setTimeout(limits.output_stall_seconds)
        elif self.session.state is not State.NOT_AUTHENTICATED:
            self.setTimeout(limits.idle_seconds)

    def timeoutConnection(self) -> None:  # noqa: N802
        """A time limit has passed: which one says where the session stands."""
        if self._closing:
            self.transport.abortConnection()
        elif self.gate.paused:
            self.abort("the client does not read")
        elif self.session.state is State.NOT_AUTHENTICATED:
            self.refuse(b"Too slow to log in")
        elif self._running and self._waiter is None:
            self.setTimeout(self.settings.limits.idle_seconds)  # we are the slow one
        else:
            self.hang_up(b"Autologout; idle for too long")

    # What is offered.

    def capabilities(self) -> dict[bytes, list[bytes] | None]:
        """What ``listCapabilities`` makes CAPABILITY of."""
        return offered(self)

    def capability_names(self) -> list[bytes]:
        """What CAPABILITY lists now."""
        hidden = self.settings.hidden_capabilities
        names: list[bytes] = self.listCapabilities()
        return [name for name in names if name.upper() not in hidden]

    @property
    def peer_host(self) -> str:
        """The client's address, or what stands for it."""
        peer = self.transport.getPeer()
        if isinstance(peer, IPv4Address | IPv6Address):
            return peer.host
        return "unix" if isinstance(peer, UNIXAddress) else str(peer)

    @property
    def secure(self) -> bool:
        """Whether the connection has TLS."""
        return ISSLTransport.providedBy(self.transport)

    @property
    def may_start_tls(self) -> bool:
        """Whether STARTTLS is offered now."""
        return bool(self.ctx) and self.canStartTLS and not self.secure

    @property
    def may_send_password(self) -> bool:
        """Whether a password may cross this connection as it is now."""
        if self.secure:
            return True
        allowed = self.settings.cleartext_login
        if allowed is CleartextLogin.LOOPBACK:
            host = self.peer_host
            return host in ("unix", "::1") or host.startswith(("127.", "::ffff:127."))
        return allowed is CleartextLogin.ALWAYS
