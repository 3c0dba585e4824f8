"""From credentials to an account: portal, throttle, limits, log."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from twisted.cred.error import LoginFailed, UnauthorizedLogin, UnhandledCredentials
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.mail.interfaces import IAccountIMAP

from imapd.auth.discreet import log_broken
from imapd.auth.throttle import LoginThrottle, Turns
from imapd.errors import AuthenticationFailed, ClientGone, ImapError, Unavailable
from imapd.mailbox.api import MailAccount
from imapd.server.addresses import is_near
from imapd.server.session import Session
from imapd.server.settings import Settings
from imapd.wire.framer import CommandFramer

_log = Logger()


class LoginConnection(Protocol):
    """What logging in needs of a connection."""

    session: Session
    settings: Settings
    framer: CommandFramer
    portal: Any
    account: Any
    counted_user: bytes | None
    _closing: bool  # the client was told BYE, or has left
    _onLogout: Any  # noqa: N815  the stock protocol's name

    @property
    def peer_host(self) -> str:
        """The client's address."""

    @property
    def secure(self) -> bool:
        """Whether the connection has TLS."""

    @property
    def clock(self) -> IReactorTime:
        """Where timers come from."""

    def authenticateLogin(self, user: bytes, passwd: bytes) -> Any:  # noqa: N802
        """``IMAP4Server``'s hook: ask about a name and a password."""

    def setTimeout(self, period: float | None) -> Any:  # noqa: N802
        """``TimeoutMixin``'s."""

    async def while_connected(self, awaited: "Deferred[Any]") -> None:
        """Wait for it, or raise ClientGone when the session ends."""


async def log_in(
    connection: LoginConnection, mechanism: bytes, credentials: Any
) -> None:
    """Ask the portal; on success the session has its account.

    Raises:
        AuthenticationFailed, AuthorizationFailed, Unavailable, LimitReached.
        ClientGone: the session ended meanwhile.
    """
    peer = connection.peer_host
    user: bytes = getattr(credentials, "username", None) or b""
    credentials.peer = peer  # for checkers that hold a user to addresses
    await _in_turn(
        connection, user, partial(_try, connection, mechanism, user, credentials)
    )


async def refuse(
    connection: LoginConnection, mechanism: bytes, reason: str, sent: bytes
) -> None:
    """Log a login that no checker is asked about, as late as a wrong password.

    Each is a line of the log, too.  ``sent`` is what makes it equal to another.

    Raises:
        ClientGone: the session ended meanwhile.
    """
    await _in_turn(
        connection, b"", partial(_refuse, connection, mechanism, reason, sent)
    )


async def _refuse(
    connection: LoginConnection, mechanism: bytes, reason: str, sent: bytes
) -> None:
    throttle, peer = _throttle(connection), connection.peer_host
    if throttle is not None:
        throttle.failed(peer, b"", _now(connection), sent)
    connection.settings.events.login_refused(
        peer=peer, user="", mechanism=mechanism.decode("ascii"), reason=reason
    )


async def _in_turn(
    connection: LoginConnection, user: bytes, work: Callable[[], Awaitable[None]]
) -> None:
    """Do it when the network of the client has waited for what it failed at."""
    throttle, peer = _throttle(connection), connection.peer_host
    if throttle is None:
        await work()
        return
    held: list[Turns] = []
    try:
        for turns in throttle.turns(peer, user):
            _still_there(connection)  # or a turn taken would never be given back
            mine = turns.acquire()
            waited = not mine.called
            await connection.while_connected(mine)
            held.append(turns)
            if waited:  # in a turn of our own, not inside of what ends another's try
                await _pause(connection, 0)
            while (wait := turns.delay_seconds(_now(connection))) > 0:
                await _pause(connection, wait)
        await work()
    finally:
        for turns in reversed(held):
            turns.release()


def _throttle(connection: LoginConnection) -> LoginThrottle | None:
    """Who slows the client down, and is told what it fails at; None: nobody.

    Behind a webmail on this machine are all its users: it is the one that knows whom
    to slow down.
    """
    return None if is_near(connection.peer_host) else connection.settings.throttle


async def _pause(connection: LoginConnection, seconds: float) -> None:
    await connection.while_connected(
        deferLater(connection.clock, seconds, lambda: None)
    )


def _now(connection: LoginConnection) -> float:
    clock = connection.settings.clock  # the reactor's would follow the wall clock
    return time.monotonic() if clock is None else float(clock.seconds())


async def _try(
    connection: LoginConnection, mechanism: bytes, user: bytes, credentials: Any
) -> None:
    throttle, peer = _throttle(connection), connection.peer_host
    try:
        avatar, logout = await _ask(connection, credentials)
        if throttle is not None:
            throttle.succeeded(peer, user, _now(connection))
        _enter(connection, mechanism, user, avatar, logout)
    except ImapError as error:
        if throttle is not None and isinstance(error, AuthenticationFailed):
            secret = getattr(credentials, "password", None)
            throttle.failed(peer, user, _now(connection), secret)
        connection.settings.events.login_refused(
            peer=peer,
            user=user.decode("utf-8", "replace"),
            mechanism=mechanism.decode("ascii"),
            reason=getattr(error, "reason", None) or str(error),
        )
        _still_there(connection)
        raise


def _still_there(connection: LoginConnection) -> None:
    """Whoever was told BYE, or has left, is told nothing more."""
    if connection._closing:
        raise ClientGone("the session ended before its login")


async def _ask(connection: LoginConnection, credentials: Any) -> tuple[Any, Any]:
    """(avatar, logout), or an ImapError that the client may see."""
    try:
        password = getattr(credentials, "password", None)
        if password is not None:  # the hook of IMAP4Server that others override
            asked: Deferred[Any] = maybeDeferred(
                connection.authenticateLogin, credentials.username, password
            )
        else:
            asked = maybeDeferred(
                connection.portal.login, credentials, None, IAccountIMAP
            )
        _interface, avatar, logout = await asked
    except ImapError:
        raise
    except (UnauthorizedLogin, UnhandledCredentials, LoginFailed) as error:
        raise AuthenticationFailed("Wrong user name or password") from error
    except Exception as error:
        log_broken(_log, "checking a login", credentials)
        raise Unavailable("Logins cannot be checked just now") from error
    return avatar, logout


def _enter(
    connection: LoginConnection,
    mechanism: bytes,
    user: bytes,
    avatar: Any,
    logout: Any,
) -> None:
    """Into the authenticated state; or, with an exception, out of the account."""
    session, settings = connection.session, connection.settings
    try:
        _still_there(connection)
        account = mail_account(avatar)
        if settings.counts is not None:
            settings.counts.logged_in(user, connection.peer_host)
            connection.counted_user = user
    except Exception:
        # A realm that is not ours may fail here too; why we are here counts more.
        maybeDeferred(logout).addErrback(
            lambda failure: _log.failure("a login did not end cleanly", failure)
        )
        raise
    connection._onLogout = logout
    connection.account = avatar
    session.logged_in(user, account)
    connection.framer.authenticated()
    connection.setTimeout(settings.limits.idle_seconds)
    settings.events.login_ok(
        peer=connection.peer_host,
        user=user.decode("utf-8", "replace"),
        mechanism=mechanism.decode("ascii"),
        tls=connection.secure,
    )


def mail_account(avatar: Any) -> MailAccount:
    """The avatar's own ``mail_account``, or an adapter over any ``IAccountIMAP``."""
    ours: MailAccount | None = getattr(avatar, "mail_account", None)
    if ours is not None:
        return ours
    from imapd.server.foreign import ForeignAccount  # noqa: PLC0415  seldom needed

    return ForeignAccount(avatar)


def logged_out(connection: LoginConnection) -> None:
    """Take back what ``log_in`` counted."""
    counts, user = connection.settings.counts, connection.counted_user
    if counts is not None and user is not None:
        connection.counted_user = None
        counts.logged_out(user, connection.peer_host)
