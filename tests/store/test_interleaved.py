"""Several of us on one account, in one process and in two: nobody loses anything."""

import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from imapd.ids import INBOX
from imapd.model.flags import StoreMode
from imapd.store.maildir.account import MaildirAccount
from tests.store.actor import NAMES, OTHER, Actor, Record, look
from tests.store.folders import MEMORY, append

REPOSITORY = Path(__file__).resolve().parents[2]
SEEDS = range(4)


class InterleavedTests(unittest.TestCase):
    # Hardening: D10.

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(dir=MEMORY)
        self.addCleanup(directory.cleanup)
        self.parent = Path(directory.name)

    def root(self, name: str) -> Path:
        root = self.parent / name / "Maildir"
        account = MaildirAccount(root)
        account.create(OTHER)
        account.close()
        return root

    def judge(self, root: Path, records: dict[str, Record], case: str) -> None:
        """Compare what is there now with what each was told and did."""
        meanings: dict[tuple[str, int, int], str] = {}
        for name, record in records.items():
            self.assertEqual(record.problems, [], f"{case}, {name}")
            for box, validity, uid, body in record.told:
                meaning = meanings.setdefault((box, validity, uid), body)
                self.assertEqual(meaning, body, f"{case}: UID {uid} of {box}")
        account = MaildirAccount(root)
        there = {
            box: look(account.mailbox(path))
            for box, path in zip(NAMES, (INBOX, OTHER), strict=True)
        }
        account.close()
        found = {
            (body, box, uid)
            for box, rows in there.items()
            for uid, (body, _) in rows.items()
        }
        kept = {
            (body, *where)
            for record in records.values()
            for body, where in record.kept.items()
        }
        self.assertEqual(found, kept, case)
        moved = {one for record in records.values() for one in record.moved}
        for box, rows in there.items():
            self.assertEqual(len({body for body, _ in rows.values()}), len(rows), case)
            for uid, (body, flags) in rows.items():
                for key, known in meanings.items():
                    if (key[0], key[2]) == (box, uid):
                        self.assertEqual(known, body, f"{case}: UID {uid} of {box}")
                for name, record in records.items():
                    expected = record.flags.get(f"{box} {uid}")
                    own = {
                        flag.decode()
                        for flag in flags
                        if flag.startswith(name.encode() + b"word")
                        or flag == {"a": rb"\Flagged", "b": rb"\Answered"}[name]
                    }
                    if expected is not None and f"{box} {uid}" not in moved:
                        self.assertEqual(
                            own, set(expected), f"{case}: {name}'s flags of {box} {uid}"
                        )

    def test_keywords_without_letters(self) -> None:
        """They are in one place for all: nobody writes over what another added."""
        root = self.root("words")
        accounts = [MaildirAccount(root) for _ in range(2)]
        one, two = (account.mailbox(INBOX) for account in accounts)
        uid = append(one, b"x: y\r\n")
        one.sync(True)
        one.store_flags([uid], StoreMode.ADD, [b"w%d" % n for n in range(30)])
        two.sync(True)
        one.store_flags([uid], StoreMode.ADD, [b"ours"])
        two.store_flags([uid], StoreMode.ADD, [b"theirs"])
        two.store_flags([uid], StoreMode.REMOVE, [b"w29"])
        self.assertTrue(one.changed())
        told = one.sync(True).flags[uid]
        self.assertLessEqual({b"ours", b"theirs"}, told)
        self.assertNotIn(b"w29", told)
        one.store_flags([uid], StoreMode.ADD, [b"more"])
        two.store_flags([uid], StoreMode.REPLACE, [rb"\Seen"])
        self.assertEqual(one.sync(True).flags, {uid: {rb"\Seen"}})
        for account in accounts:
            account.close()

    def test_two_in_one_process(self) -> None:
        for seed in SEEDS:
            root = self.root(f"one{seed}")
            actors = {name: Actor(root, name, seed) for name in "ab"}
            chooser = random.Random(seed)
            for _ in range(160):
                actors[chooser.choice("ab")].step()
            for _ in range(2):
                for actor in actors.values():
                    actor.finish()
            for actor in actors.values():
                actor.close()
            records = {name: actor.record for name, actor in actors.items()}
            self.judge(root, records, f"seed {seed}")

    def test_two_processes(self) -> None:
        for seed in SEEDS:
            root = self.root(f"two{seed}")
            command = [sys.executable, "-m", "tests.store.actor", str(root)]
            children = {
                name: subprocess.Popen(
                    [*command, name, str(seed), "120"],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=REPOSITORY,
                )
                for name in "ab"
            }
            records = {}
            for name, child in children.items():
                out, errors = child.communicate(timeout=60)
                self.assertEqual(child.returncode, 0, errors.decode())
                records[name] = Record(**json.loads(out))
            self.judge(root, records, f"seed {seed}")
