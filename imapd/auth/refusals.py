"""Why a login failed: a word for the log, never for the client."""

from twisted.cred.error import LoginFailed, UnauthorizedLogin

from imapd.errors import AuthenticationFailed, AuthorizationFailed, Unavailable

#: Every ``reason`` this floor gives.  The log's readers match on these words.
REASONS = frozenset(
    {
        "wrong-password",
        "unknown-user",
        "disabled",  # locked hash, nologin, deny, or served elsewhere (proxy)
        "unreadable",  # the user's line cannot be used; the log has its number
        "address",  # allow_nets does not hold the peer
        "scheme",  # a hashed response, but this user's hash cannot check one
        "bad-name",  # outside the allow-list
        "bad-response",  # a SASL response that is base64 of nonsense
        "identity",  # PLAIN asked to act as another user
        "refused",  # a checker that is not ours said no
        "unavailable",
        "no-checker",
    }
)


class LoginRefused(AuthenticationFailed, UnauthorizedLogin):
    """The login is not accepted.  The text is one for all reasons.

    Attributes:
        reason: one of ``REASONS``, for the log.
    """

    def __init__(self, reason: str = "refused") -> None:
        super().__init__("wrong user name or password")
        self.reason = reason


class IdentityRefused(AuthorizationFailed, UnauthorizedLogin):
    """PLAIN named an authorization identity other than its own.  RFC 4616 §2."""

    def __init__(self) -> None:
        super().__init__("no login on behalf of another user")
        self.reason = "identity"


class LoginUnavailable(Unavailable, LoginFailed):
    """No checker accepted, and one of them could not work.  The log says what."""

    def __init__(self, reason: str = "unavailable") -> None:
        super().__init__("logins cannot be checked just now")
        self.reason = reason
