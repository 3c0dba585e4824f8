"""Other programs at work in the same folder, at the same time."""

import os
import pwd
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import unittest
from pathlib import Path

from imapd.ids import Uid
from imapd.model.flags import DELETED, SEEN, StoreMode
from tests.store.folders import (
    MEMORY,
    FolderTestCase,
    append,
    settle,
    uids_of,
)

DOVEADM = shutil.which("doveadm") or shutil.which("doveadm", path="/usr/bin:/usr/sbin")

# Dovecot does not work for root: give it a name space in which we are somebody else.
DOVECOT_USER = os.getuid() or 1000
AS_USER = (
    []
    if os.getuid()
    else ["unshare", "-U", f"--map-user={DOVECOT_USER}", f"--map-group={DOVECOT_USER}"]
)


def can_be_somebody() -> bool:
    """Whether Dovecot can be run here at all."""
    if DOVEADM is None:
        return False
    try:
        return subprocess.run([*AS_USER, "true"], check=False).returncode == 0
    except OSError:
        return False


RENAMER = textwrap.dedent(
    """
    import os, sys, time
    directory, end = sys.argv[1], time.time() + float(sys.argv[2])
    count = 0
    names = os.listdir(directory)
    while time.time() < end:
        for index, name in enumerate(names):
            base, _, letters = name.partition(":2,")
            new = base + ":2," + ("S" if "S" not in letters else "")
            try:
                os.rename(directory + "/" + name, directory + "/" + new)
            except FileNotFoundError:
                continue
            names[index] = new
            count += 1
    print(count)
    """
)


class RenamerTests(FolderTestCase):
    parent = MEMORY

    def test_no_phantom_expunge_while_files_are_renamed(self) -> None:
        # Hardening: X7, D09.
        count = 3000
        for number in range(count):
            self.deliver(f"{1600000000 + number}.M1P1.h:2,", part="cur")
        box = self.open()
        self.assertEqual(len(box.sync(True).added), count)
        worker = subprocess.Popen(
            [sys.executable, "-c", RENAMER, str(self.folder() / "cur"), "3"],
            stdout=subprocess.PIPE,
        )
        scans = 0
        while worker.poll() is None:
            changes = box.sync(True)
            scans += 1
            self.assertEqual((changes.expunged, changes.added), ([], []), scans)
            box.store_flags([Uid(1 + scans % count)], StoreMode.ADD, [b"Seen2"])
        out, _ = worker.communicate()
        self.assertGreater(int(out), 1000)
        self.assertGreater(scans, 2)
        settle()
        changes = box.sync(True)
        self.assertEqual((changes.expunged, changes.added), ([], []))
        self.assertEqual(uids_of(self.open().sync(False)), list(range(1, count + 1)))

    def test_reads_find_files_that_are_being_renamed(self) -> None:
        # Hardening: D11.
        path = self.deliver("1600000000.M1P1.h:2,", b"a: b\n\nhere\n", part="cur")
        box = self.open()
        box.sync(True)
        stop = threading.Event()

        def rename() -> None:
            old = path
            while not stop.is_set():
                new = path.with_name(
                    "1600000000.M1P1.h:2," + "SF"[: old.name.count("S") ^ 1]
                )
                os.rename(old, new)
                old = new
                time.sleep(0.0005)

        thread = threading.Thread(target=rename)
        thread.start()
        try:
            for _ in range(300):
                self.assertEqual(box.read(Uid(1)), b"a: b\n\nhere\n")
        finally:
            stop.set()
            thread.join()

    def test_two_of_us_and_a_deliverer_agree(self) -> None:
        # Hardening: D08, D10.
        one, two = self.open(), self.open()
        one.sync(True)
        two.sync(True)
        done = threading.Event()

        def deliver() -> None:
            try:
                for number in range(120):
                    self.deliver(f"{1600000000 + number}.M1P2.h", b"n: %d\n\n" % number)
            finally:
                done.set()

        told: list[dict[int, bytes]] = [{}, {}]
        thread = threading.Thread(target=deliver)
        thread.start()
        appended = 0
        while not done.is_set() or appended < 30:
            for index, box in enumerate((one, two)):
                appended += 1
                uid = append(box, b"by: %d-%d\r\n\r\n" % (index, appended))
                told[index][uid] = box.read(uid)
                for state in box.sync(True).added:
                    told[index][state.uid] = box.read(state.uid)
        thread.join()
        settle()
        fresh = self.open()
        for index, box in enumerate((one, two)):
            for state in box.sync(True).added:
                told[index][state.uid] = box.read(state.uid)
        everything: dict[int, bytes]
        everything = {
            int(uid): fresh.read(Uid(uid)) for uid in uids_of(fresh.sync(False))
        }
        self.assertEqual(len(everything), 120 + appended)
        self.assertEqual(len(set(everything.values())), len(everything))
        for index in range(2):
            for number, octets in told[index].items():
                self.assertEqual(everything[number], octets, f"{number} of {index}")


@unittest.skipUnless(can_be_somebody(), "no doveadm that works on this machine")
class DovecotTests(FolderTestCase):
    # Hardening: D10.

    def doveadm(self, *arguments: str) -> str:
        config = self.root / "dovecot.conf"
        if not config.exists():
            for part in ("run", "state", "home"):
                (self.root / part).mkdir(exist_ok=True)
            config.write_text(
                f"base_dir={self.root}/run\nstate_dir={self.root}/state\n"
                f"log_path={self.root}/dovecot.log\nssl=no\n"
                "first_valid_uid=0\nfirst_valid_gid=0\n"
                f"mail_uid={DOVECOT_USER}\nmail_gid={DOVECOT_USER}\n"
                f"mail_location=maildir:{self.folder()}\n"
            )
        result = subprocess.run(
            [*AS_USER, str(DOVEADM), "-c", str(config), *arguments],
            env={
                "HOME": str(self.root / "home"),
                "USER": pwd.getpwuid(os.getuid()).pw_name,
                "PATH": os.environ["PATH"],
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def fetch(self) -> dict[int, tuple[str, str]]:
        rows = {}
        for line in self.doveadm(
            "-f", "tab", "fetch", "uid flags guid", "mailbox", "INBOX"
        ).splitlines()[1:]:
            uid, flags, guid = line.split("\t")
            rows[int(uid)] = (flags, guid)
        return rows

    def status(self) -> dict[str, str]:
        line = self.doveadm(
            "-f",
            "flow",
            "mailbox",
            "status",
            "uidvalidity uidnext guid messages",
            "INBOX",
        )
        return dict(word.split("=") for word in line.split()[1:] if "=" in word)

    def test_dovecot_keeps_what_we_wrote(self) -> None:
        for number in range(3):
            self.deliver(f"{1600000000 + number}.M1P1.h")
        box = self.open()
        box.sync(True)
        append(box, b"a: b\r\n\r\nc\r\n", [SEEN, b"Blue"])
        box.store_flags([Uid(2)], StoreMode.ADD, [DELETED, b"Green"])
        box.store_flags([Uid(3)], StoreMode.ADD, [DELETED])
        box.expunge([Uid(3)])
        status = self.status()
        self.assertEqual(int(status["uidvalidity"]), box.uid_validity)
        self.assertEqual(int(status["uidnext"]), box.uid_next)
        self.assertEqual(status["guid"], box.guid)
        rows = self.fetch()
        self.assertEqual(sorted(rows), [1, 2, 4])
        self.assertIn("Green", rows[2][0])
        self.assertIn("\\Deleted", rows[2][0])
        self.assertIn("Blue", rows[4][0])
        log = self.root / "dovecot.log"
        said = log.read_text() if log.exists() else ""
        self.assertNotIn("Error", said)
        self.assertNotIn("Broken", said)

    def test_we_keep_what_dovecot_wrote(self) -> None:
        for number in range(3):
            self.deliver(f"{1600000000 + number}.M1P1.h")
        self.doveadm("flags", "add", "\\Seen Red", "mailbox", "INBOX", "uid", "2")
        rows, status = self.fetch(), self.status()
        box = self.open()
        changes = box.sync(True)
        self.assertEqual(uids_of(changes), sorted(rows))
        self.assertEqual(box.uid_validity, int(status["uidvalidity"]))
        self.assertEqual(box.guid, status["guid"])
        self.assertEqual(changes.added[1].flags, {SEEN, b"Red"})

    def test_both_at_once(self) -> None:
        box = self.open()
        box.sync(True)
        told: dict[int, bytes] = {}
        for number in range(12):
            self.deliver(f"{1600000000 + number}.M1P1.h", b"n: %d\n\n" % number)
            worker = threading.Thread(target=self.fetch)
            worker.start()
            delivery = box.begin_delivery()
            delivery.begin([SEEN] if number % 2 else [], None)
            delivery.write(b"by: %d\r\n\r\n" % number)
            delivery.end()
            appended = box.commit(delivery, False)
            # Each tells of all that it found, not only of what it did.
            added = appended.target.added + box.sync(True).added
            words = [b"K%d" % (number % 5)]
            added += box.store_flags(appended.uids, StoreMode.ADD, words).added
            for state in added:
                told[state.uid] = box.read(state.uid)
            worker.join()
        settle()
        for state in box.sync(True).added:
            told[state.uid] = box.read(state.uid)
        rows, status = self.fetch(), self.status()
        self.assertEqual(sorted(rows), sorted(told))
        self.assertEqual(len(told), 24)
        self.assertEqual(len(set(told.values())), 24)
        self.assertEqual(int(status["uidvalidity"]), box.uid_validity)
        fresh = self.open()
        self.assertEqual(
            {uid: fresh.read(Uid(uid)) for uid in uids_of(fresh.sync(False))}, told
        )
        log = Path(self.root / "dovecot.log")
        said = log.read_text() if log.exists() else ""
        self.assertNotIn("Broken", said)
