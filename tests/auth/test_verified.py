"""What is remembered of passwords that were right: nothing that fits another."""

from twisted.trial.unittest import SynchronousTestCase

from imapd.auth import verified
from imapd.auth.verified import KEEP_SECONDS, VerifiedPasswords

RIGHT = ("alice", "$6$salt$hash", b"wonderland")
OTHERS = {
    "password": ("alice", "$6$salt$hash", b"Wonderland"),
    "no password": ("alice", "$6$salt$hash", b""),
    "hash": ("alice", "$6$salt$other", b"wonderland"),
    "user": ("alicf", "$6$salt$hash", b"wonderland"),
    "border of name and hash": ("alice$", "6$salt$hash", b"wonderland"),
    "border of hash and password": ("alice", "$6$salt$has", b"hwonderland"),
}


class VerifiedTests(SynchronousTestCase):
    # Hardening: A05.

    def setUp(self) -> None:
        self.now = 0.0
        self.verified = VerifiedPasswords(lambda: self.now)
        self.verified.add(*RIGHT)

    def test_only_exactly_what_was_verified(self) -> None:
        self.assertTrue(self.verified.has(*RIGHT))
        for name, other in OTHERS.items():
            self.assertFalse(self.verified.has(*other), name)

    def test_another_list_has_another_key(self) -> None:
        # Hardening: F04.
        other = VerifiedPasswords(lambda: self.now)
        self.assertFalse(other.has(*RIGHT))
        other.add(*RIGHT)
        self.assertNotEqual([*other._until], [*self.verified._until])

    def test_not_for_long_however_often_it_is_used(self) -> None:
        self.now = KEEP_SECONDS - 1
        self.assertTrue(self.verified.has(*RIGHT))
        self.now = KEEP_SECONDS
        self.assertFalse(self.verified.has(*RIGHT))
        self.verified.add("bob", "$6$a$b", b"builder")
        self.assertEqual(len(self.verified), 1)

    def test_forgetting(self) -> None:
        self.verified.forget()
        self.assertFalse(self.verified.has(*RIGHT))

    def test_so_many_at_most(self) -> None:
        self.patch(verified, "MOST", 3)
        for number in range(5):
            self.verified.add("alice", "$6$salt$hash", b"%d" % number)
        self.assertEqual(len(self.verified), 3)
        self.assertFalse(self.verified.has(*RIGHT))

    def test_no_secret_is_kept(self) -> None:
        # Hardening: A14.
        kept = repr([*self.verified._until])
        for secret in ("wonderland", "hash", "alice"):
            self.assertNotIn(secret, kept)
