"""Commands that end in the authenticated state.  RFC 3501 §6.2."""

from typing import Any

from imapd.auth import sasl
from imapd.auth.refusals import LoginRefused
from imapd.errors import (
    AuthenticationFailed,
    ImapError,
    PrivacyRequired,
    SyntaxRejected,
    WrongState,
)
from imapd.model.requests import Authenticate, Enable, Login, Nothing
from imapd.server.registry import Completed, command
from imapd.server.session import Session
from imapd.server.states import LOGGED_IN, NOT_LOGGED_IN
from imapd.wire import commands as grammar
from imapd.wire import response

#: Longer exchanges than any mechanism of ours has.
MOST_STEPS = 8


@command(b"STARTTLS", NOT_LOGGED_IN, grammar=grammar.no_arguments)
async def starttls(session: Session, arguments: Nothing) -> bytes:
    """Turn to TLS; octets sent ahead in the clear end the connection.

    RFC 3501 §6.2.1.
    """
    if not session.connection.may_start_tls:
        raise WrongState("TLS is not offered here, or begun already")
    session.connection.start_tls()
    return b"Begin TLS negotiation now"


@command(b"LOGIN", NOT_LOGGED_IN, grammar=grammar.login)
async def login(session: Session, arguments: Login) -> Completed:
    """Log in with a password in the clear, inside TLS.  RFC 3501 §6.2.3."""
    if not session.connection.may_send_password:
        raise PrivacyRequired("A password may only be sent through TLS")
    try:
        credentials = sasl.login_credentials(arguments.user, arguments.password)
    except LoginRefused as error:
        sent = arguments.user + b" " + arguments.password
        await session.connection.refuse_login(b"LOGIN", error.reason, sent)
        raise
    await session.connection.log_in(b"LOGIN", credentials)
    return logged_in(session)


def logged_in(session: Session) -> Completed:
    """The answer to a good login: capabilities spare the client a question."""
    names = session.connection.capability_names()
    return Completed(b"Logged in", response.capability(names))


@command(b"AUTHENTICATE", NOT_LOGGED_IN, grammar=grammar.authenticate)
async def authenticate(session: Session, arguments: Authenticate) -> Completed:
    """A SASL exchange.  RFC 3501 §6.2.2, RFC 4959."""
    connection = session.connection
    mechanism = arguments.mechanism
    factory = connection.challenger(mechanism)
    if factory is None:
        raise Unsupported("The mechanism is not offered here")
    if mechanism not in connection.usable_mechanisms():
        raise PrivacyRequired("A password may only be sent through TLS")
    challenge = factory()
    row = next((each for each in sasl.MECHANISMS if each.name == mechanism), None)
    initial = arguments.initial
    if initial is not None and row is not None and not row.client_first:
        # RFC 4959 §3: the server speaks first, so the response is out of place.
        raise SyntaxRejected("The mechanism takes no initial response")
    await _exchange(session, mechanism, challenge, initial)
    await connection.log_in(mechanism, challenge)
    return logged_in(session)


class Unsupported(AuthenticationFailed):
    """The mechanism does not exist here.  RFC 3501 §6.2.2: NO."""

    code = b"CANNOT"


async def _exchange(
    session: Session, mechanism: bytes, challenge: Any, initial: bytes | None
) -> None:
    """Ask until the mechanism has what it needs; ``*`` from the client ends it.

    At least once: ``IChallengeResponse`` tells of more challenges only after one.
    """
    answer = b""
    for _ in range(MOST_STEPS):
        question = challenge.getChallenge()
        if initial is not None:
            answer, initial = sasl.initial_response(initial), None
        else:
            line = sasl.encode_base64(question)
            session.connection.send(response.continuation(line))
            read = await session.connection.read_line()
            if read == b"*":
                raise SyntaxRejected("AUTHENTICATE cancelled")
            answer = sasl.decode_base64(read)
        await _answer(session, mechanism, challenge, answer)
        if not challenge.moreChallenges():
            return
    await session.connection.refuse_login(mechanism, "bad-response", answer)
    raise LoginRefused("bad-response")


async def _answer(
    session: Session, mechanism: bytes, challenge: Any, answer: bytes
) -> None:
    try:
        challenge.setResponse(answer)
    except ImapError as error:
        reason = getattr(error, "reason", str(error))
        await session.connection.refuse_login(mechanism, reason, answer)
        raise
    except Exception as error:  # a challenger that is not ours, and nonsense
        await session.connection.refuse_login(mechanism, "bad-response", answer)
        raise LoginRefused("bad-response") from error


@command(b"ENABLE", LOGGED_IN, grammar=grammar.enable)
async def enable(session: Session, arguments: Enable) -> bytes:
    """Switch extensions on; those we do not have are passed over.  RFC 5161 §3.1."""
    fresh = [
        name
        for name in dict.fromkeys(arguments.capabilities)
        if name in ENABLEABLE and name not in session.enabled
    ]
    session.enabled |= frozenset(fresh)
    session.untagged(response.enabled(fresh))
    if fresh:
        await session.enable_condstore(may_expunge=True)
    return b"ENABLE completed"


#: Extensions that change what the server sends only when they are enabled.
#: Either of them enables CONDSTORE.  RFC 7162 §3.2.3.
ENABLEABLE = frozenset((b"CONDSTORE", b"QRESYNC"))
