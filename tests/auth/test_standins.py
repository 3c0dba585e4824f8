"""What the time of a refusal tells of a name: nothing."""

import os
import tempfile
from collections import Counter
from hashlib import pbkdf2_hmac
from unittest import mock

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from imapd.auth import passwdfile
from imapd.auth.hashes import verify
from imapd.auth.passwdfile import PasswdFileChecker
from imapd.auth.sasl import CramMd5, Plain

CONTEXTS = "4638c77f1a70c6fda4ddfa6fbe34e6ee090a0f0088f15da8fed5e0a5ff2b4152"
SLOW = "{PBKDF2}$1$salt$9$" + "0" * 40
NAMES = [f"nobody{number}" for number in range(1000)]


class WholeTests(SynchronousTestCase):
    # Hardening: A03.

    def checker(self, *lines: str) -> PasswdFileChecker:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "users")
        with open(path, "w") as file:
            file.write("".join(f"{line}\n" for line in lines))
        os.utime(path, (1, 1))  # it is not about to change
        return PasswdFileChecker(path, lambda f, *args: succeed(f(*args)))

    def asked(self, checker: PasswdFileChecker, name: str) -> str:
        """The scheme of what is verified for a name."""
        credentials = Plain()
        credentials.username, credentials.password = name.encode(), b"guess"
        with mock.patch.object(passwdfile, "verify", wraps=verify) as spy:
            self.failureResultOf(checker.requestAvatarId(credentials))
        ((stored, _), _) = spy.call_args
        return str(stored).partition("}")[0][1:]

    def test_no_cost_is_that_of_users_alone(self) -> None:
        """Three of four have a slow hash: so have three of four who are nobody."""
        checker = self.checker(
            *(f"user{n}:{SLOW}" for n in range(3)), "dave:{PLAIN}x", "henry:!"
        )
        found = Counter(self.asked(checker, name) for name in NAMES)
        self.assertLess(abs(found["PBKDF2"] / len(NAMES) - 0.75), 0.06)
        self.assertEqual(found.total(), found["PBKDF2"] + found["PLAIN"])

    def test_a_locked_user_is_as_nobody(self) -> None:
        users = [f"user{n}:{SLOW}" for n in range(3)] + ["dave:{PLAIN}x"]
        without = self.checker(*users)
        locked = self.checker(*users, *(f"{name}:!" for name in NAMES))
        for name in NAMES[:100]:
            self.assertEqual(self.asked(without, name), self.asked(locked, name))

    def test_a_name_keeps_its_own(self) -> None:
        """After a restart, in another worker, and mostly when users come and go."""
        users = [f"slow{n}:{SLOW}" for n in range(50)]
        users += [f"fast{n}:{{PLAIN}}x" for n in range(50)]
        one, again = self.checker(*users), self.checker(*reversed(users))
        more = self.checker(*users, "eve:{PLAIN}x")
        kept = [self.asked(one, name) for name in NAMES]
        self.assertEqual(kept, [self.asked(again, name) for name in NAMES])
        changed = [self.asked(more, name) for name in NAMES]
        different = sum(a != b for a, b in zip(kept, changed, strict=True))
        self.assertLess(different, 20)

    def test_hashed_responses_too(self) -> None:
        """{CRAM-MD5} takes longer than {PLAIN}; who has neither is as nobody."""
        checker = self.checker(
            "alice:{PLAIN}x", f"bob:{{CRAM-MD5}}{CONTEXTS}", f"carol:{SLOW}"
        )
        found: Counter[int] = Counter()
        for name in NAMES[:400]:
            credentials = CramMd5()
            credentials.setResponse(name.encode() + b" " + b"0" * 32)
            with mock.patch.object(
                CramMd5, "check_contexts", autospec=True, return_value=False
            ) as spy:
                self.failureResultOf(checker.requestAvatarId(credentials))
            found[spy.call_count] += 1
        self.assertLess(abs(found[1] / 400 - 0.5), 0.1)

    def test_a_right_password_from_elsewhere_takes_as_long(self) -> None:
        """Also while it is remembered as right: its user has just logged in."""
        # Hardening: A02.
        stored = "{PBKDF2}$1$salt$9$" + pbkdf2_hmac("sha1", b"x", b"salt", 9, 20).hex()
        checker = self.checker(f"near:{stored}::::::allow_nets=127.0.0.0/8")
        asked: list[int] = []
        for peer in ("127.0.0.1", "127.0.0.1", "192.0.2.1"):
            credentials = Plain()
            credentials.username, credentials.password = b"near", b"x"
            credentials.peer = peer
            with mock.patch.object(passwdfile, "verify", wraps=verify) as spy:
                checker.requestAvatarId(credentials).addErrback(lambda _: None)
            asked.append(spy.call_count)
        self.assertEqual(asked, [1, 0, 1])
