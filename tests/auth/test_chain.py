from typing import Any

from twisted.cred.checkers import (
    ANONYMOUS,
    AllowAnonymousAccess,
    ICredentialsChecker,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import (
    Anonymous,
    IAnonymous,
    IUsernameHashedPassword,
    IUsernamePassword,
    UsernamePassword,
)
from twisted.cred.error import UnauthorizedLogin, UnhandledCredentials
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface, implementer
from zope.interface.verify import verifyObject

from imapd.auth.chain import ChainChecker
from imapd.auth.refusals import LoginRefused, LoginUnavailable


@implementer(ICredentialsChecker)
class Scripted:
    """Answers as told: an avatar, an exception to raise, or a Deferred."""

    def __init__(self, answer: Any, *interfaces: type[Interface]) -> None:
        self.answer = answer
        self.credentialInterfaces = interfaces or (IUsernamePassword,)
        self.asked = 0

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: Deferred[bytes | tuple[()]] = self.answer
        return answer


ALICE = UsernamePassword(b"alice", b"pw")
NO = LoginRefused("wrong-password")
UNKNOWN = LoginRefused("unknown-user")

#: answers of the checkers -> what the chain says, how many are asked
CASES: dict[str, tuple[list[Any], bytes | str, int]] = {
    "the first": ([b"a", b"b"], b"a", 1),
    "the second": ([UNKNOWN, b"b"], b"b", 2),
    "a Deferred": ([succeed(b"a")], b"a", 1),
    "a Deferred that fails": ([fail(UnauthorizedLogin()), b"b"], b"b", 2),
    "cannot, then can": ([UnhandledCredentials(), b"b"], b"b", 2),
    "broken, then accepted": ([ZeroDivisionError(), b"b"], b"b", 2),
    "broken, then refused": ([ZeroDivisionError(), NO], "unavailable", 2),
    "refused, then unavailable": ([NO, LoginUnavailable()], "unavailable", 2),
    "all refuse": ([UNKNOWN, NO, UNKNOWN], "wrong-password", 3),
    "all do not know": ([UNKNOWN, UNKNOWN], "unknown-user", 2),
    "a foreign refusal": ([UnauthorizedLogin("x")], "refused", 1),
    "nobody there": ([], "no-checker", 0),
}


class ChainTests(SynchronousTestCase):
    def test_answers(self) -> None:
        for name, (answers, expected, asked) in CASES.items():
            checkers = [Scripted(answer) for answer in answers]
            made = ChainChecker(checkers).requestAvatarId(ALICE)
            if isinstance(expected, bytes):
                self.assertEqual(self.successResultOf(made), expected, name)
            else:
                failure = self.failureResultOf(made, LoginRefused, LoginUnavailable)
                self.assertEqual(failure.value.reason, expected, name)
            self.assertEqual(sum(checker.asked for checker in checkers), asked, name)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_waits_for_a_slow_one(self) -> None:
        slow: Deferred[bytes] = Deferred()
        made = ChainChecker([Scripted(slow), Scripted(b"b")]).requestAvatarId(ALICE)
        self.assertNoResult(made)
        slow.errback(UNKNOWN)
        self.assertEqual(self.successResultOf(made), b"b")

    def test_only_those_are_asked_that_can(self) -> None:
        hashed = Scripted(b"wrong", IUsernameHashedPassword)
        chain = ChainChecker([hashed, AllowAnonymousAccess(), Scripted(b"a")])
        self.assertEqual(self.successResultOf(chain.requestAvatarId(ALICE)), b"a")
        made = chain.requestAvatarId(Anonymous())
        self.assertEqual(self.successResultOf(made), ANONYMOUS)
        self.assertEqual(hashed.asked, 0)

    def test_what_it_offers_is_live(self) -> None:
        first = Scripted(b"a")
        chain = ChainChecker([first, AllowAnonymousAccess()])
        self.assertTrue(verifyObject(ICredentialsChecker, chain))
        self.assertEqual(chain.credentialInterfaces, (IUsernamePassword, IAnonymous))
        self.assertFalse(chain.offers(IUsernameHashedPassword))
        first.credentialInterfaces = (IUsernameHashedPassword,)
        self.assertTrue(chain.offers(IUsernameHashedPassword))

    def test_twisteds_own(self) -> None:
        first = InMemoryUsernamePasswordDatabaseDontUse(bob=b"x")
        second = InMemoryUsernamePasswordDatabaseDontUse(alice=b"pw")
        made = ChainChecker([first, second]).requestAvatarId(ALICE)
        self.assertEqual(self.successResultOf(made), b"alice")
