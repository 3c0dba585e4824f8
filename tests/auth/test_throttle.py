import tracemalloc
import unittest

from imapd.auth.throttle import (
    LONGEST_SECONDS,
    PARALLEL_TRIES,
    REMEMBERED_TRIES,
    TABLE_ROWS,
    Throttle,
    network,
)


class ThrottleTests(unittest.TestCase):
    # Hardening: A01.

    def test_grows_and_is_forgiven(self) -> None:
        throttle = Throttle()
        now, waits = 0.0, []
        for try_number in range(8):
            wait = throttle.delay_seconds("192.0.2.1", b"a", now)
            waits.append(wait)
            now += wait
            throttle.failed("192.0.2.1", b"a", now, b"%d" % try_number)
        self.assertEqual(waits, [0, 0, 0, 2, 4, 8, 16, 16])
        self.assertEqual(throttle.delay_seconds("192.0.2.9", b"b", now), 16.0)
        self.assertEqual(throttle.delay_seconds("192.0.3.1", b"a", now), 0.0)
        self.assertEqual(throttle.delay_seconds("192.0.2.1", b"a", now + 16), 0.0)
        throttle.failed("192.0.2.1", b"a", now + 3600, b"once more")
        self.assertEqual(throttle.delay_seconds("192.0.2.1", b"a", now + 3600), 0.0)

    def test_an_old_password_in_a_client_counts_once(self) -> None:
        throttle = Throttle()
        for now in range(100):
            throttle.failed("192.0.2.1", b"alice", now, b"old")
        self.assertEqual(throttle.delay_seconds("192.0.2.1", b"alice", 100), 0.0)
        for now in range(100, 104):  # without a password each one counts
            throttle.failed("192.0.2.1", b"alice", now)
        self.assertGreater(throttle.delay_seconds("192.0.2.1", b"alice", 104), 0.0)

    def test_the_same_password_again_and_again_keeps_no_core_busy(self) -> None:
        throttle, now, tries = Throttle(), 0.0, 0
        while now < 60:
            now += throttle.delay_seconds("192.0.2.1", b"nobody", now)
            for _ in range(PARALLEL_TRIES):
                throttle.failed("192.0.2.1", b"nobody", now, b"same")
                tries += 1
            now += 0.01
        self.assertLess(tries, 250)
        self.assertLess(throttle.delay_seconds("192.0.2.9", b"else", now), 1.0)

    def test_no_account_is_locked(self) -> None:
        throttle = Throttle()
        for number in range(1000):
            throttle.failed(f"198.51.{number % 100}.1", b"alice", 1.0)
        self.assertEqual(throttle.delay_seconds("192.0.2.1", b"alice", 1.0), 0.0)

    def test_known_users_do_not_wait_for_a_neighbour(self) -> None:
        throttle = Throttle()
        throttle.succeeded("192.0.2.1", b"alice", 0.0)
        for number in range(20):
            throttle.failed("192.0.2.1", b"bob", 1.0, b"%d" % number)
        self.assertEqual(throttle.delay_seconds("192.0.2.1", b"alice", 1.0), 0.0)
        self.assertEqual(
            throttle.delay_seconds("192.0.2.1", b"bob", 1.0), LONGEST_SECONDS
        )
        throttle.failed("192.0.2.1", b"alice", 1.0, b"guess")
        self.assertGreater(throttle.delay_seconds("192.0.2.1", b"alice", 1.0), 0.0)

    def test_own_account_buys_nothing(self) -> None:
        throttle = Throttle()
        for number in range(20):
            throttle.failed("192.0.2.1", b"bob", 1.0, b"%d" % number)
            throttle.succeeded("192.0.2.1", b"mallory", 1.0)
        self.assertGreater(throttle.delay_seconds("192.0.2.1", b"bob", 1.0), 40.0)

    def test_an_hour_of_guessing(self) -> None:
        throttle, now, tries = Throttle(), 0.0, 0
        while now < 3600:
            throttle.failed("192.0.2.1", b"alice", now, b"%d" % tries)
            tries += 1
            now += throttle.delay_seconds("192.0.2.1", b"alice", now)
        self.assertLessEqual(tries, 240)

    def test_a_full_table_takes_no_more_than_16_mib(self) -> None:
        throttle = Throttle()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for number in range(2000):
            for guess in range(REMEMBERED_TRIES + 1):
                peer = f"2001:db8:{number:x}::1"
                throttle.failed(peer, b"a", 1.0 + number / 7, b"%d" % guess)
        each = tracemalloc.get_traced_memory()[0] / 2000
        self.assertLess(each * TABLE_ROWS, 16 << 20)

    def test_tables_are_bounded(self) -> None:
        throttle = Throttle(rows=100, known_rows=100)
        for number in range(5000):
            throttle.failed(f"2001:db8:{number:x}::1", b"a", 1.0, b"x")
            throttle.succeeded(f"2001:db8:{number:x}::1", b"a", 1.0)
        self.assertEqual(len(throttle._networks), 100)
        self.assertEqual(len(throttle._known), 100)
        self.assertNotIn(b"secret", repr(vars(throttle)).encode())

    def test_keeps_no_password(self) -> None:
        throttle = Throttle()
        throttle.failed("192.0.2.1", b"alice", 1.0, b"canary-password")
        self.assertNotIn("canary", repr(throttle._networks))

    def test_network(self) -> None:
        same = {
            "IPv4": ("192.0.2.1", "192.0.2.255"),
            "mapped": ("192.0.2.1", "::ffff:192.0.2.7"),
            "IPv6": ("2001:db8::1", "2001:db8::ffff:1"),
            "scope": ("fe80::1%eth0", "fe80::2"),
        }
        for name, (first, second) in same.items():
            self.assertEqual(network(first), network(second), name)
        self.assertNotEqual(network("192.0.2.1"), network("192.0.3.1"))
        self.assertNotEqual(network("2001:db8::1"), network("2001:db8:0:1::1"))
        self.assertEqual(network("/run/socket" * 20), ("/run/socket" * 20)[:64])
