"""SASL mechanisms as credentials: PLAIN, LOGIN, CRAM-MD5.

Each class works as a challenger of ``IMAP4Server`` and is what its checkers see:
ask for a challenge, set the response, until there are no more; then log in.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.mail.interfaces import IChallengeResponse
from zope.interface import Interface, implementer

from imapd.auth import md5state
from imapd.auth.hashes import PASSWORD_OCTETS
from imapd.auth.names import user_name
from imapd.auth.refusals import IdentityRefused, LoginRefused
from imapd.errors import SyntaxRejected

__all__ = [
    "MECHANISMS",
    "CramMd5",
    "LoginMechanism",
    "Mechanism",
    "Plain",
    "decode_base64",
    "encode_base64",
    "initial_response",
    "login_credentials",
    "user_name",
]


#   base64 = *(4base64-char) [base64-terminal]              ; RFC 3501 §9
def decode_base64(line: bytes) -> bytes:
    """Decode one response line, without its CRLF.  RFC 4648 §3.3, §3.5.

    Strict: no white space, no foreign octets, padding there and its bits zero, so
    that one value has one form.

    Raises:
        SyntaxRejected: it is anything else.
    """
    try:
        octets = base64.b64decode(line, validate=True)
    except ValueError:
        raise SyntaxRejected("not base64") from None
    if base64.b64encode(octets) != line:
        raise SyntaxRejected("not base64")
    return octets


def encode_base64(challenge: bytes) -> bytes:
    """One line, however long: no line breaks inside."""
    return base64.b64encode(challenge)


#   initial-resp = base64 / "="                             ; RFC 4959 §7
def initial_response(argument: bytes) -> bytes:
    """Decode the initial response of AUTHENTICATE; ``=`` is the empty one.

    Raises:
        SyntaxRejected: neither base64 nor ``=``.
    """
    return b"" if argument == b"=" else decode_base64(argument)


def _utf8(octets: bytes) -> bytes:
    try:
        octets.decode()
    except UnicodeDecodeError:
        raise LoginRefused("bad-response") from None
    return octets


def _password(octets: bytes) -> bytes:
    if b"\0" in octets or len(octets) > PASSWORD_OCTETS:
        raise LoginRefused("bad-response")
    return _utf8(octets)


class _Exchange:
    """What the mechanisms share: an exchange that ends."""

    #: The client's address, which the server sets; for ``allow_nets``.
    peer: str | None = None
    username: bytes = b""
    _prompts: ClassVar[tuple[bytes, ...]] = (b"",)

    def __init__(self, host: bytes = b"localhost") -> None:
        self._host = host
        self._taken = 0

    def getChallenge(self) -> bytes:  # noqa: N802  (IChallengeResponse)
        """The next challenge, not yet in base64."""
        return self._prompts[min(self._taken, len(self._prompts) - 1)]

    def moreChallenges(self) -> bool:  # noqa: N802
        """Whether the server has to ask on."""
        return self._taken < len(self._prompts)

    def setResponse(self, response: bytes) -> None:  # noqa: N802
        """Take one decoded response.

        Raises:
            LoginRefused: it cannot be one, or the exchange is over.
        """
        if not self.moreChallenges():
            raise LoginRefused("bad-response")
        step, self._taken = self._taken, self._taken + 1
        self._take(step, response)

    def _take(self, step: int, response: bytes) -> None:
        raise LoginRefused("bad-response")


class _Cleartext(_Exchange):
    """A mechanism that hands us the password itself."""

    password: bytes = b""

    def checkPassword(self, password: bytes) -> bool:  # noqa: N802
        """Compare in constant time; for checkers that know the password."""
        return bool(password) and hmac.compare_digest(self.password, password)


@implementer(IChallengeResponse, IUsernamePassword)
class Plain(_Cleartext):
    """SASL PLAIN.  RFC 4616."""

    #   message = [authzid] UTF8NUL authcid UTF8NUL passwd      ; RFC 4616 §2
    def _take(self, step: int, response: bytes) -> None:
        """Read the message.  The password is taken as sent, without SASLprep.

        Raises:
            IdentityRefused: an authzid that is not the authcid: nobody acts for
                another here.
        """
        if response.count(b"\0") != 2:
            raise LoginRefused("bad-response")
        identity, name, password = response.split(b"\0")
        if not name or not password:
            raise LoginRefused("bad-response")
        name, password = user_name(_utf8(name)), _password(password)
        if identity and identity != name:
            raise IdentityRefused
        self.username, self.password = name, password


#   login = "LOGIN" SP userid SP password                   ; RFC 3501 §9
def login_credentials(name: bytes, password: bytes) -> Plain:
    """Make the credentials of the LOGIN command, under the rules of PLAIN.

    Raises:
        LoginRefused: no login has such a name or password.
    """
    credentials = Plain()
    credentials.username = user_name(_utf8(name))
    credentials.password = _password(password)
    return credentials


@implementer(IChallengeResponse, IUsernamePassword)
class LoginMechanism(_Cleartext):
    """SASL LOGIN, as old clients speak it: two prompts, two answers.

    An initial response is taken as the name.
    """

    _prompts = (b"Username:", b"Password:")

    def _take(self, step: int, response: bytes) -> None:
        if step == 0:
            self.username = user_name(_utf8(response))
        else:
            self.password = _password(response)


@implementer(IChallengeResponse, IUsernameHashedPassword)
class CramMd5(_Exchange):
    """SASL CRAM-MD5.  RFC 2195 §2."""

    def __init__(self, host: bytes = b"localhost") -> None:
        super().__init__(host)
        self._challenge = b"<%b.%d@%b>" % (
            secrets.token_hex(16).encode(),  # 128 bits that nobody can foresee
            int(time.time()),
            host,
        )
        self.response = b""

    def getChallenge(self) -> bytes:  # noqa: N802
        """``<random.timestamp@host>``, the same for the whole exchange."""
        return self._challenge

    #   response = user-name SP 32(%x30-39 / %x61-66)           ; RFC 2195 §2
    def _take(self, step: int, response: bytes) -> None:
        name, space, digest = response.rpartition(b" ")
        hexadecimal = len(digest) == 32 and not digest.strip(b"0123456789abcdef")
        if not space or not hexadecimal:
            raise LoginRefused("bad-response")
        self.username, self.response = user_name(_utf8(name)), digest

    def checkPassword(self, password: bytes) -> bool:  # noqa: N802
        """Compare with what a client that knows ``password`` must answer."""
        expected = hmac.digest(password, self._challenge, "md5").hex().encode()
        return bool(password) and hmac.compare_digest(expected, self.response)

    def check_contexts(self, stored: bytes) -> bool:
        """Like ``checkPassword``, from the 32 octets of a {CRAM-MD5} record.

        Raises:
            ValueError: not 32 octets.
        """
        expected = md5state.hmac_md5(stored, self._challenge).hex().encode()
        return hmac.compare_digest(expected, self.response)


Exchange = Plain | LoginMechanism | CramMd5


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One row of ``MECHANISMS``."""

    name: bytes
    factory: Callable[[bytes], Exchange]  # the host; b"localhost" if left out
    cleartext: bool  # the password crosses the connection: TLS first
    interface: type[Interface]  # what a checker must be able to do
    client_first: bool  # takes an initial response, RFC 4959 §3


#: In the order in which they are offered.
MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(b"PLAIN", Plain, True, IUsernamePassword, True),
    Mechanism(b"LOGIN", LoginMechanism, True, IUsernamePassword, True),
    Mechanism(b"CRAM-MD5", CramMd5, False, IUsernameHashedPassword, False),
)
