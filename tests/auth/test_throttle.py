import tracemalloc
import unittest
from collections.abc import Sequence

from imapd.auth.networks import networks
from imapd.auth.throttle import (
    LONGEST_SECONDS,
    PARALLEL_TRIES,
    REMEMBERED_TRIES,
    TABLE_ROWS,
    WIDE_ROWS,
    Throttle,
    Turns,
)
from imapd.limits import Limits


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

    def test_nor_where_the_user_is_at_home(self) -> None:
        """One client has the new password, and another tries the old one again."""
        throttle, now, tries = Throttle(), 0.0, 0
        throttle.failed("192.0.2.1", b"alice", now, b"old")
        throttle.succeeded("192.0.2.1", b"alice", now)
        while now < 60:
            now += throttle.delay_seconds("192.0.2.1", b"alice", now)
            for _ in range(PARALLEL_TRIES):
                throttle.failed("192.0.2.1", b"Alice", now, b"old")
                tries += 1
            now += 0.01
        self.assertLess(tries, 250)
        # She still waits for nobody else, and hardly for that client.
        for guess in range(20):
            throttle.failed("192.0.2.1", b"bob", now, b"%d" % guess)
        self.assertLess(throttle.delay_seconds("192.0.2.1", b"alice", now), 1.0)

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
        narrow = self.octets_each("192.{0}.{1}.1")
        wide = self.octets_each("2a{0:02x}:{1:x}::1") - narrow  # of both widths
        self.assertGreater(wide, 0)
        self.assertLess(narrow * TABLE_ROWS + wide * WIDE_ROWS, 16 << 20)

    def octets_each(self, peers: str) -> float:
        """What is kept of a network where nothing more can be."""
        throttle = Throttle()
        networks.cache_clear()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for number in range(2000):
            peer = peers.format(number >> 8, number & 255)
            for guess in range(REMEMBERED_TRIES + 1):
                throttle.failed(peer, b"a", 1.0 + number / 7, b"%d" % guess)
        networks.cache_clear()
        return tracemalloc.get_traced_memory()[0] / 2000

    def test_tables_are_bounded(self) -> None:
        throttle = Throttle(rows=100, known_rows=100, wide_rows=50)
        for number in range(5000):
            throttle.failed(f"2001:db8:{number:x}::1", b"a", 1.0, b"x")
            throttle.succeeded(f"2001:db8:{number:x}::1", b"a", 1.0)
        self.assertEqual(len(throttle._networks), 100)
        self.assertEqual([len(wide) for wide in throttle._wide], [50, 50])
        self.assertEqual(len(throttle._known), 100)
        self.assertNotIn(b"secret", repr(vars(throttle)).encode())

    def test_keeps_no_password(self) -> None:
        throttle = Throttle()
        throttle.failed("192.0.2.1", b"alice", 1.0, b"canary-password")
        row = throttle._networks.get(networks("192.0.2.1")[0])
        self.assertIsNotNone(row)
        self.assertNotIn("canary", repr(row))


class WideTests(unittest.TestCase):
    # Hardening: A01.

    def guesses(self, throttle: Throttle, peers: Sequence[str], seconds: float) -> int:
        """Guess from one after the other, as often as none of them has to wait."""
        now, tries = 0.0, 0
        while now < seconds:
            peer = peers[tries % len(peers)]
            wait = throttle.delay_seconds(peer, b"alice", now)
            if wait:
                now += wait
                continue
            throttle.failed(peer, b"alice", now, b"%d" % tries)
            tries += 1
        return tries

    def test_an_hour_from_a_whole_prefix(self) -> None:
        prefixes = {
            960: [f"2001:db8:1:{number * 257 % 65536:x}::1" for number in range(65536)],
            480: [f"2001:db8:1:22{number:02x}::1" for number in range(256)],
        }
        for most, peers in prefixes.items():
            tries = self.guesses(Throttle(), peers, 3600)
            self.assertLessEqual(tries, most, most)
            self.assertGreater(tries, most * 0.9, most)

    def test_the_limits_are_settings(self) -> None:
        limits = Limits(prefix56_attempts=4000, prefix48_attempts=2000)
        peers = [f"2001:db8:1:{number * 257:x}::1" for number in range(255)]
        tries = self.guesses(Throttle(limits), peers, 3600)
        self.assertLessEqual(tries, 2000)
        self.assertGreater(tries, 1800)

    def test_a_customer_leaves_as_much_to_the_others(self) -> None:
        customers = {
            "/64": ["2001:db8:1::1"],
            "/56": [f"2001:db8:1:22{number:02x}::1" for number in range(256)],
        }
        for name, peers in customers.items():
            throttle = Throttle()
            neighbour = "2001:db8:1:1::1" if name == "/64" else "2001:db8:1:2300::1"
            for until in range(600, 7200, 600):
                self.guesses(throttle, peers, until)
                self.assertFalse(throttle.delay_seconds(neighbour, b"bob", until), name)

    def test_an_old_password_in_many_clients_of_a_site(self) -> None:
        throttle = Throttle()
        for now in range(600):
            for number in range(8):
                throttle.failed(f"2001:db8:1:{number:x}::1", b"alice", now, b"old")
        self.assertFalse(throttle.delay_seconds("2001:db8:1:9::1", b"bob", 600))

    def test_the_same_again_from_everywhere_keeps_no_core_busy(self) -> None:
        throttle, now, tries = Throttle(), 0.0, 0
        peers = [f"2001:db8:1:{number:x}::1" for number in range(256)]
        for peer in peers:
            throttle.failed(peer, b"alice", -7200.0, b"old")
        while now < 60:
            for peer in peers:
                if not throttle.delay_seconds(peer, b"alice", now):
                    throttle.failed(peer, b"alice", now, b"old")
                    tries += 1
            now += 0.05
        # Each /64 alone might 240 times.
        self.assertLess(tries, 60 * 8 + 24 / 0.0156 + 256)

    def test_known_users_wait_for_no_wider_network(self) -> None:
        throttle = Throttle()
        throttle.succeeded("2001:db8:1::1", b"alice", 0.0)
        for number in range(2000):
            throttle.failed(f"2001:db8:1:{number:x}::1", b"bob", 1.0, b"%d" % number)
        self.assertEqual(throttle.delay_seconds("2001:db8:1::1", b"alice", 1.0), 0.0)
        self.assertGreater(throttle.delay_seconds("2001:db8:1::1", b"x", 1.0), 0.0)

    def test_a_row_is_not_washed_out_by_the_rest_of_the_prefix(self) -> None:
        throttle = Throttle(rows=1000, wide_rows=100)
        for number in range(12):
            throttle.failed("2001:db8:1::1", b"alice", 1.0, b"%d" % number)
        for number in range(20_000):
            throttle.failed(f"2001:db8:1:{number:x}::1", b"alice", 1.0, b"x")
        for name, level in (("/64", 0), ("/48", 2)):
            wait = throttle.delay_seconds("2001:db8:1::1", b"alice", 1.0, level)
            self.assertEqual(wait, LONGEST_SECONDS, name)

    def test_nor_by_a_few_tries_from_each_of_a_million_others(self) -> None:
        throttle = Throttle(rows=1000, wide_rows=100)
        for number in range(200):
            peer = f"2001:db8:1:{number:x}::1"
            throttle.failed(peer, b"alice", 1.0, b"a")
        for number in range(12):
            throttle.failed("192.0.2.1", b"alice", 1.0, b"%d" % number)
        for number in range(5000):
            for guess in (b"a", b"b"):
                throttle.failed(f"2a01:{number:x}::1", b"alice", 1.0, guess)
                throttle.failed(f"10.{number >> 8}.{number & 255}.1", b"b", 1.0, guess)
        wait = throttle.delay_seconds("192.0.2.1", b"alice", 1.0)
        self.assertEqual(wait, LONGEST_SECONDS)
        wait = throttle.delay_seconds("2001:db8:1:ffff::1", b"alice", 1.0)
        self.assertEqual(wait, LONGEST_SECONDS)


class TurnsTests(unittest.TestCase):
    # Hardening: A01.

    def held(self, throttle: Throttle, peers: Sequence[str]) -> int:
        """How many get through to the credentials at the same time."""
        count = 0
        for peer in peers:
            for turns in throttle.turns(peer, b"alice"):
                self.kept.append(turns)
                if not turns.acquire().called:
                    break
            else:
                count += 1
        return count

    def setUp(self) -> None:
        self.kept: list[Turns] = []

    def test_side_by_side(self) -> None:
        throttle = Throttle()
        whole = [f"2001:db8:1:{number % 65536:x}::1" for number in range(0, 65536, 99)]
        part = [f"2001:db8:2:{number % 256:x}::1" for number in range(600)]
        self.assertEqual(self.held(throttle, whole), 12)
        self.assertEqual(self.held(throttle, part), 6)
        self.assertEqual(self.held(throttle, ["2001:db8:2:100::1"] * 9), PARALLEL_TRIES)
        self.assertEqual(self.held(throttle, ["192.0.2.1"] * 9), PARALLEL_TRIES)

    def test_a_known_user_queues_up_behind_nobody(self) -> None:
        throttle = Throttle()
        throttle.succeeded("2001:db8:1:1::1", b"bob", 0.0)
        self.held(throttle, [f"2001:db8:1:{number:x}::1" for number in range(60)])
        (turns,) = throttle.turns("2001:db8:1:1::1", b"bob")
        self.assertTrue(turns.acquire().called)
