"""Several checkers behind one: ``Portal`` keeps a single checker an interface."""

from collections.abc import Sequence
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernameHashedPassword
from twisted.cred.error import UnauthorizedLogin, UnhandledCredentials
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import Interface, implementer

from imapd.auth.discreet import log_broken
from imapd.auth.promptly import deferred
from imapd.auth.refusals import LoginRefused, LoginUnavailable

_log = Logger()


@implementer(ICredentialsChecker)
class ChainChecker:
    """Ask checkers in order until one accepts.

    ``credentialInterfaces`` is what they can do now.  Portal reads it once, so
    register the chain for every interface by name, and ask ``offers`` before a
    mechanism is shown to a client.
    """

    def __init__(self, checkers: Sequence[ICredentialsChecker]) -> None:
        self._checkers = tuple(checkers)

    @property
    def credentialInterfaces(self) -> tuple[type[Interface], ...]:  # noqa: N802
        """The union over the checkers, in their order, at this moment."""
        return tuple(
            dict.fromkeys(
                interface
                for checker in self._checkers
                for interface in checker.credentialInterfaces
            )
        )

    def offers(self, interface: type[Interface]) -> bool:
        """Whether some checker can check this kind of credentials now."""
        return interface in self.credentialInterfaces

    def offers_to_all(self, interface: type[Interface]) -> bool:
        """Whether it can be checked for every user of every checker.

        A client that finds a mechanism offered takes it, and does not try another
        when it fails for a user whose password is kept so that it cannot work.
        """
        hashed = interface is IUsernameHashedPassword
        for checker in self._checkers:  # no expression: each new connection asks
            if interface not in checker.credentialInterfaces:
                return False
            if hashed and not getattr(checker, "answers_hashed_for_all", True):
                return False
        return bool(self._checkers)

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:  # noqa: N802
        """Fire with the first avatar that a checker gives.

        Raises:
            LoginRefused: all that could say, said no.
            LoginUnavailable: none said yes, and one of them broke.
        """
        return deferred(self._ask_all(credentials))

    async def _ask_all(self, credentials: Any) -> bytes | tuple[()]:
        reason, unavailable = "no-checker", False
        for checker in self._checkers:
            if not _can_check(checker, credentials):
                continue
            try:
                avatar: bytes | tuple[()] = await maybeDeferred(
                    checker.requestAvatarId, credentials
                )
            except UnauthorizedLogin as refused:
                reason = _weightier(reason, getattr(refused, "reason", "refused"))
            except UnhandledCredentials:
                continue
            except LoginUnavailable:  # the checker has written its log line
                unavailable = True
            except Exception:
                log_broken(_log, f"checker {type(checker).__name__} broke", credentials)
                unavailable = True
            else:
                return avatar
        if unavailable:
            raise LoginUnavailable
        raise LoginRefused(reason)


def _can_check(checker: ICredentialsChecker, credentials: object) -> bool:
    for interface in checker.credentialInterfaces:
        if interface.providedBy(credentials):
            return True
    return False


def _weightier(reason: str, further: str) -> str:
    """Of two refusals the one that says more: not "I do not know that user"."""
    return further if reason in {"no-checker", "unknown-user"} else reason
