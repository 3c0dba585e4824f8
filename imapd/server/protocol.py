"""``ImapServer``: Twisted's IMAP4 protocol over our framer and command table.

Two seams carry everything.  Framing: ``dataReceived`` feeds ``CommandFramer``,
and one coroutine a connection takes its events in order, one command at a time.
Dispatch: a frame's name finds a row of ``COMMANDS``.  What a client sends while a
command runs waits unread, and beyond a bound the transport is paused.
"""

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.mail.interfaces import IAccountIMAP

from imapd.auth import sasl
from imapd.errors import (
    ClientGone,
    ImapError,
    PrivacyRequired,
    ServerBug,
    SyntaxRejected,
    WrongState,
)
from imapd.server import commands as handlers
from imapd.server import logins
from imapd.server.addresses import is_near
from imapd.server.capabilities import listed, offered, usable_mechanisms
from imapd.server.connection import ClientConnection
from imapd.server.literals import StreamedLiterals
from imapd.server.registry import COMMANDS, NOT_YET, Command, Handler
from imapd.server.session import Session
from imapd.server.settings import CleartextLogin
from imapd.server.states import State
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

#   request-line = method SP request-target SP HTTP-version   ; RFC 9112 §3
_HTTP = re.compile(rb"[A-Z]{3,8} [^ ]+ HTTP/")

assert handlers.GROUPS  # importing them has filled the table


class ImapServer(ClientConnection):
    """One client's connection.

    The constructor, ``portal``, ``challengers``, ``ctx``, ``authenticateLogin``,
    ``IDENT`` and the names of the states are those of ``IMAP4Server``.
    """

    __slots__ = ()

    IDENT = b"imapd ready"

    portal: Any
    challengers: dict[bytes, Callable[[], Any]]

    def make_session(self) -> Session:
        """The state of this client."""
        return Session(self, self.settings)

    def connectionMade(self) -> None:  # noqa: N802
        """Greet the client; where TLS comes first, it has to come soon."""
        super().connectionMade()
        if self.secure and not self._closing:
            self.expect_handshake()

    def handshake_missed(self) -> None:
        """Close without a word: there is no TLS to say it in."""
        if not self._closing:
            self.abort("TLS did not stand in time")

    async def clean_up(self) -> None:
        """Give back what the session held; the connection is gone."""
        try:
            await self.session.unselect()
        finally:
            if self.session.state is not State.NOT_AUTHENTICATED:
                self.session.state = State.LOGOUT
            try:
                await self._log_out()
            finally:
                self.session.end()
                self.registered(self, False)

    async def _log_out(self) -> None:
        on_logout, self._onLogout = self._onLogout, None
        if on_logout is None:
            return
        logins.logged_out(self)
        self.settings.events.session_ended(
            peer=self.peer_host,
            user=self.session.user.decode("utf-8", "replace"),
            reason=self._ended_because,
        )
        await maybeDeferred(on_logout)

    def handle(self, event: Event) -> Coroutine[Deferred[Any], Any, None]:
        """Answer one event of the framer."""
        if type(event) is Frame:  # nearly always
            return self._frame(event.parts)
        return self._other(event)

    async def _other(self, event: Event) -> None:
        match event:
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
        preauth = self.session.state is State.NOT_AUTHENTICATED
        if preauth and _HTTP.match(parts[0]):
            # A browser was led here to make it send commands of somebody else's.
            self.refuse(b"This is no web server")
            return
        tag: bytes | None = None
        try:
            cursor = Cursor(parts, self.settings.limits)
            tag, name = grammar.command_start(cursor)
            row = self._row(name)
            arguments = row.grammar(cursor)
        except ImapError as error:
            self._failed(tag or leading_tag(parts[0], self.settings.limits), error)
        else:
            await self._execute(tag, row, row.handler, arguments)

    def next_line(self) -> Coroutine[Deferred[Any], Any, None] | None:
        """Answer the command that waits for a line, if the line is there."""
        line: bytes | ImapError | None
        try:
            line = self.framer.next_line()
        except ImapError as error:
            line = error
        row = self.waiting
        if line is None or row is None or row.on_line is None:
            return None
        self.waiting = None
        return self._execute(self.session.tag, row, row.on_line, line)

    def _row(self, name: bytes) -> Command:
        row = COMMANDS.get(name)
        if row is None:
            raise SyntaxRejected("Unknown command")
        if self.session.state not in row.states:
            raise WrongState("Not in this state")
        return row

    async def _literal(self, prompt: LiteralPrompt) -> None:
        """A literal is announced: into memory, or to the command that streams it."""
        tag = leading_tag(prompt.parts[0], self.settings.limits)
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
            await self._execute(tag or b"", row, row.handler, arguments)
            if not self._closing:
                await literals.finish()
            if literals.lost is not None:
                self.hang_up(b"What follows cannot be read", literals.lost.code)
        finally:
            self.session.stream = None

    def _streamed(self, prompt: LiteralPrompt) -> tuple[Command, Any] | None:
        limits = self.settings.limits
        _tag, name = grammar.command_start(Cursor(prompt.parts, limits))
        if name == b"LOGIN" and not self.may_send_password:
            raise PrivacyRequired("A password may only be sent through TLS")
        row = COMMANDS.get(name)
        if row is None or not row.streams:
            return None
        self._row(name)
        prefix = grammar.append_prefix(prompt.parts, limits)
        return None if prefix is None else (row, prefix)

    async def _execute(
        self, tag: bytes, row: Command, handler: Handler, arguments: Any
    ) -> None:
        session = self.session
        session.tag, before = tag, session.state
        if session.lost is not None:
            # The UIDs the client knows may mean other messages now.
            self._hang_up_lost(session.lost)
            return
        try:
            done = await handler(session, arguments)
        except ImapError as error:
            await self._tell_news(row)
            self._failed(tag, error)
        except ClientGone:
            raise
        except Exception:
            _log.failure("{name} failed", name=row.name)
            self._failed(tag, ServerBug("Internal error; the log has it"))
        else:
            if done is NOT_YET:
                self.waiting = row
                return
            if not session.is_told_all:
                await self._tell_news(row)
            self._bad_commands = 0
            text, code = (
                (done, None) if isinstance(done, bytes) else (done.text, done.code)
            )
            self.send(response.tagged(tag, b"OK", text, code))
            self._after_answer()
        if session.state is not before:
            self.state = session.state.value
        if self._finish_because is not None:
            self.hang_up(self._finish_because)
        elif session.lost is not None:
            self._hang_up_lost(session.lost)

    def _hang_up_lost(self, why: str) -> None:
        self.hang_up(why.encode("ascii", "replace"), b"UNAVAILABLE")

    async def _tell_news(self, row: Command) -> None:
        session = self.session
        if session.selected is None:
            return
        await session.refresh()
        if session.lost is None:
            await session.tell_much_news(may_expunge=row.may_expunge)

    def _failed(self, tag: bytes | None, error: ImapError) -> None:
        self.send(response.error(tag, error))
        limits = self.settings.limits
        known = self.session.state is not State.NOT_AUTHENTICATED
        if error.condition != b"BAD":
            if not known:  # for whatever reason: nothing else can be refused
                self._refused_logins += 1
                if self._refused_logins >= limits.sasl_attempts:
                    self.refuse(b"Too many logins refused")
            return
        self._bad_commands += 1
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

    def sendServerGreeting(self) -> None:  # noqa: N802
        """Say who we are and what we can.  RFC 3501 §7.1.1."""
        self.send(response.greeting(self.IDENT, self.capability_names()))

    async def log_in(self, mechanism: bytes, credentials: Any) -> None:
        """Ask the portal."""
        await logins.log_in(self, mechanism, credentials)
        self.registered(self, True)

    def authenticateLogin(self, user: bytes, passwd: bytes) -> Any:  # noqa: N802
        """Ask the portal about a name and a password."""
        if self.portal is None:
            raise UnauthorizedLogin
        credentials = sasl.login_credentials(user, passwd)
        credentials.peer = self.peer_host  # for checkers that hold users to addresses
        return self.portal.login(credentials, None, IAccountIMAP)

    async def refuse_login(self, mechanism: bytes, reason: str, sent: bytes) -> None:
        """Count and log a try that no checker was asked about."""
        await logins.refuse(self, mechanism, reason, sent)

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
            raise ClientGone("octets after STARTTLS")
        self._turn_to_tls = True

    def reminded(self) -> None:
        """The session idles: routers forget connections on which nothing moves."""
        self.session.untagged_ok(b"Still here")

    def look(self, now: float) -> float | None:
        """Do what is due; see whether one is still there whom we read nothing from.

        The reactor does not look at who may send no more for now.  And its system
        tells us nothing either, behind what it has not sent yet, unless we say
        something to it.
        """
        again = super().look(now)
        if not self._reading_paused or self._closing:
            return again
        if self.session.searching and not self.gate.paused:
            self.reminded()
        return now  # that is, within a second

    def _begin_tls(self) -> None:
        self._flush()
        self.startedTLS = True
        self.framer = CommandFramer(self.settings.limits)
        self.session.identity = ()
        self._bad_commands = 0
        self.expect_handshake()
        self.transport.startTLS(self.ctx)

    # What is offered.

    def capabilities(self) -> dict[bytes, list[bytes] | None]:
        """What ``listCapabilities`` makes CAPABILITY of."""
        return offered(self)

    def capability_names(self) -> Sequence[bytes]:
        """What CAPABILITY lists now."""
        kind = type(self)
        if (kind.capabilities, kind.listCapabilities) == _OUR_LISTS:
            return listed(self)
        hidden = self.settings.hidden_capabilities
        names: list[bytes] = self.listCapabilities()  # with what a subclass adds
        return [name for name in names if name.upper() not in hidden]

    @property
    def secure(self) -> bool:
        """Whether the connection has TLS."""
        # Behind a wrapper (haproxy:) the transport keeps what it provided at first.
        return self._began_in_tls or bool(self.startedTLS)

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
            return is_near(self.peer_host)
        return allowed is CleartextLogin.ALWAYS


#: What makes the list where no subclass has its own way.
_OUR_LISTS: Final = ImapServer.capabilities, ImapServer.listCapabilities
