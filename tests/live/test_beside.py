"""Dovecot and we on one Maildir at the same time, both changing it."""

import os
import random
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path

from tests.live import mail
from tests.live.client import Client, Refused
from tests.live.peers import (
    PEER_UNDER_TEST,
    DovecotServer,
    ImapdServer,
    needs,
    temporary_folder,
)
from tests.live.snapshot import Snapshot, difference, snapshot

USER = "user1"
FOLDERS = ("INBOX", "Sent", "Archive", "Grüße/Köln")
KEYWORDS = ("work", "NonJunk", "$Forwarded", "later")
SECONDS = float(os.environ.get("IMAPD_LIVE_SECONDS", "6"))
SEEDS = (1, 2)


class Ledger:
    """What servers acknowledged, and what may therefore be asked of them."""

    def __init__(self) -> None:
        """Start empty; several threads write into one."""
        self._lock = threading.Lock()
        self.appended: set[int] = set()
        self.removals: set[int] = set()
        self.named: dict[tuple[str, int, int], int] = {}
        self.failures: list[str] = []
        self.operations = 0

    def saw(self, folder: str, uidvalidity: int, uid: int, number: int) -> None:
        """A UID must name the same message for everybody and for ever."""
        with self._lock:
            known = self.named.setdefault((folder, uidvalidity, uid), number)
        if known != number:
            self.failures.append(f"{folder} UID {uid} is {known} and {number}")


class Worker(threading.Thread):
    """One client that does what chance tells it, on one of the two servers."""

    def __init__(
        self,
        server: DovecotServer | ImapdServer,
        ledger: Ledger,
        seed: int,
        index: int,
        end: float,
    ) -> None:
        """``seed`` and ``index`` decide what it does; ``end`` is a monotonic time."""
        super().__init__(name=f"{server.folder.name}-{index}")
        self._server, self._ledger, self._end = server, ledger, end
        self._random = random.Random(f"{seed}/{index}")
        self._numbers = iter(range(index * 1_000_000, (index + 1) * 1_000_000))
        self._uidvalidity = 0
        self._folder = ""

    def run(self) -> None:
        actions: tuple[Callable[[Client], None], ...] = (
            *(self._append, self._append, self._look, self._flag, self._flag),
            *(self._copy, self._move, self._remove, self._enter),
        )
        try:
            with self._server.connect(USER) as client:
                self._enter(client)
                while time.monotonic() < self._end:
                    self._random.choice(actions)(client)
                    self._ledger.operations += 1
        except Exception as error:  # of any kind: the main thread tells it
            self._ledger.failures.append(f"{self.name}: {error!r}")

    def _enter(self, client: Client) -> None:
        self._folder = self._random.choice(FOLDERS)
        told = client.select(self._folder)
        self._uidvalidity = told[b"UIDVALIDITY"]

    def _append(self, client: Client) -> None:
        number = next(self._numbers)
        folder = self._random.choice(FOLDERS)
        octets = b"Subject: beside\r\nX-Number: %d\r\n\r\nGr\xfc\xdfe\r\n" % number
        told = client.append(folder, octets, mail.flags(self._random.getrandbits(6)))
        self._ledger.appended.add(number)
        if told is not None:
            self._ledger.saw(folder, *told, number)

    def _look(self, client: Client) -> None:
        self._read_numbers(client)

    def _read_numbers(self, client: Client) -> dict[int, int]:
        """UIDs of the selected folder with the numbers of their messages."""
        numbers = {}
        item = b"BODY.PEEK[HEADER.FIELDS (X-Number)]"
        try:
            rows = client.fetch(b"1:*", item)
        except Refused as refusal:
            self._must_be_about_an_expunge(refusal)
            client.command(b"NOOP")  # and now the server may tell what is gone
            return {}
        for uid, row in rows.items():
            header = next((row[key] for key in row if key.startswith(b"BODY[")), None)
            if isinstance(header, bytes) and b":" in header:
                numbers[uid] = int(header.partition(b":")[2])
                self._ledger.saw(self._folder, self._uidvalidity, uid, numbers[uid])
        return numbers

    def _pick(self, client: Client) -> tuple[bytes, int] | None:
        numbers = self._read_numbers(client)
        if not numbers:
            return None
        uid = self._random.choice(sorted(numbers))
        return b"%d" % uid, numbers[uid]

    def _flag(self, client: Client) -> None:
        if picked := self._pick(client):
            word = self._random.choice((*KEYWORDS, r"\Seen", r"\Flagged", r"\Answered"))
            sign = self._random.choice("+-")
            self._tolerant(client.store, picked[0], f"{sign}FLAGS ({word})")

    def _copy(self, client: Client) -> None:
        if picked := self._pick(client):
            target = client.wire_name(self._random.choice(FOLDERS))
            self._tolerant(client.command, b"UID COPY %s %s" % (picked[0], target))

    def _move(self, client: Client) -> None:
        if picked := self._pick(client):
            target = self._random.choice(
                [one for one in FOLDERS if one != self._folder]
            )
            self._tolerant(client.move, picked[0], target)

    def _remove(self, client: Client) -> None:
        if picked := self._pick(client):
            self._ledger.removals.add(picked[1])
            self._tolerant(client.expunge, picked[0])

    def _tolerant(self, action: Callable[..., object], *arguments: object) -> None:
        """A message may be gone by now; a server may say so, and nothing else."""
        try:
            action(*arguments)
        except Refused as refusal:
            self._must_be_about_an_expunge(refusal)

    def _must_be_about_an_expunge(self, refusal: Refused) -> None:
        words = str(refusal).upper()
        if "EXPUNGEISSUED" not in words and "NO LONGER EXIST" not in words:
            raise refusal


@needs("dovecot")
class BesideDovecotTests(unittest.TestCase):
    def second(self, root: Path) -> DovecotServer | ImapdServer:
        """Ours; or, when the harness tests itself, a Dovecot with its own indexes."""
        if PEER_UNDER_TEST:
            return DovecotServer(root, label="second", own_indexes=True)
        return ImapdServer(root)

    def test_both_change_one_maildir(self) -> None:
        # Hardening: D10.
        for seed in SEEDS:
            with self.subTest(seed=seed), temporary_folder() as root:
                self.both_change_one_maildir(root, seed)

    def both_change_one_maildir(self, root: Path, seed: int) -> None:
        ledger = Ledger()
        with DovecotServer(root) as dovecot:
            with dovecot.connect(USER) as client:
                for folder in FOLDERS[1:]:
                    client.command(b"CREATE " + client.wire_name(folder))
                for number in range(20):
                    client.append("INBOX", mail.message(number), mail.flags(number))
                # Letters that two servers make at the same moment are not safe with
                # Dovecot, which does not read their names again under the lock.
                for folder in FOLDERS:
                    client.append(folder, mail.message(99), list(KEYWORDS))
            with self.second(root) as second:
                end = time.monotonic() + SECONDS / len(SEEDS)
                workers = [
                    Worker(server, ledger, seed, index, end)
                    for index, server in enumerate((dovecot, second, dovecot, second))
                ]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
                self.assertEqual(ledger.failures, [])
                self.assertGreater(ledger.operations, 40, "hardly anything was tried")
                # Dovecot may look at a folder a second after it changed it, and write
                # what it put off when it is asked.
                time.sleep(1.5)
                snapshot(dovecot, USER)
                theirs, ours = snapshot(dovecot, USER), snapshot(second, USER)
                self.assertEqual(difference(theirs, ours), [])
                self.assert_nothing_lost(ledger, dovecot, ours)
                for one in (dovecot, second):
                    said = one.complaints(races=False)
                    self.assertEqual(said, [], one.folder.name)

    def assert_nothing_lost(
        self, ledger: Ledger, server: DovecotServer, now: Snapshot
    ) -> None:
        """What was acknowledged, and what nobody tried to remove, is there."""
        there = set()
        with server.connect(USER) as client:
            for folder in FOLDERS:
                client.select(folder, examine=True)
                rows = client.fetch(b"1:*", b"BODY.PEEK[HEADER.FIELDS (X-Number)]")
                for row in rows.values():
                    for value in row.values():
                        if isinstance(value, bytes) and value.startswith(b"X-Number:"):
                            there.add(int(value.partition(b":")[2]))
        self.assertEqual(ledger.appended - ledger.removals - there, set(), "lost")
        self.assertTrue(now.contents())
