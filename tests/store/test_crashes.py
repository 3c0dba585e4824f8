"""Every write path, stopped or failed at every operation: nothing is lost."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from imapd.errors import ImapError
from imapd.ids import Uid
from imapd.model.flags import DELETED, SEEN, StoreMode
from imapd.store.maildir.mailbox import MaildirMailbox
from tests.store.faults import ERRNOS, Killed, faults
from tests.store.folders import MEMORY, FolderTestCase, append, uids_of

MESSAGES = [b"Subject: %d\r\n\r\nbody %d\r\n" % (n, n) for n in range(5)]


def on_disk(message: bytes) -> bytes:
    return message.replace(b"\r\n", b"\n")


@dataclass
class History:
    """What was ever told: a UID names one message, for ever."""

    seen: dict[tuple[str, int, int], bytes] = field(default_factory=dict)

    def tell(self, box: str, validity: int, uid: int, octets: bytes, case: str) -> None:
        old = self.seen.setdefault((box, validity, uid), octets)
        assert old == octets, f"{case}: UID {uid} of {box} is two messages"


Action = Callable[[MaildirMailbox, MaildirMailbox], object]


def deliver_three(box: MaildirMailbox, other: MaildirMailbox) -> object:
    delivery = box.begin_delivery()
    try:
        for number in range(3):
            delivery.begin([SEEN] if number else [], 1_500_000_000)
            delivery.write(b"Subject: new %d\r\n" % number)
            delivery.write(b"\r\nx\r\n")
            delivery.end()
        return box.commit(delivery, False)
    finally:
        delivery.abort()


ACTIONS: dict[str, Action] = {
    "append": deliver_three,
    "store": lambda box, other: box.store_flags(
        [Uid(1), Uid(2), Uid(3)], StoreMode.ADD, [SEEN, b"NewWord"]
    ),
    "expunge": lambda box, other: box.expunge([Uid(4), Uid(5)]),
    "copy": lambda box, other: other.copy_from(
        box, [Uid(1), Uid(2), Uid(4)], False, False
    ),
    "move": lambda box, other: other.copy_from(
        box, [Uid(1), Uid(2), Uid(4)], True, False
    ),
    "sync with new mail": lambda box, other: box.sync(True),
}


class CrashTests(FolderTestCase):
    # Hardening: D13.

    parent = MEMORY

    def prepare(self, number: str) -> tuple[MaildirMailbox, MaildirMailbox, History]:
        self.box, self.other = f"a{number}", f"b{number}"
        box, other = self.open(self.box), self.open(self.other)
        box.sync(True)
        other.sync(True)
        history = History()
        for message in MESSAGES:
            append(box, message, [b"Word"])
        append(other, b"Subject: there\r\n\r\n")
        box.store_flags([Uid(4), Uid(5)], StoreMode.ADD, [DELETED])
        self.deliver("1600000000.M1P1.h", b"Subject: foreign\n\n", box=self.box)
        self.look(box, self.box, history, "before")
        self.look(other, self.other, history, "before")
        return box, other, history

    def look(
        self, box: MaildirMailbox, name: str, history: History, case: str
    ) -> dict[int, bytes]:
        """Open afresh, as after a restart; return what is there."""
        fresh = self.open(name)
        changes = fresh.sync(False)
        contents = {}
        for uid in uids_of(changes):
            octets = fresh.read(Uid(uid))
            history.tell(name, fresh.uid_validity, uid, octets, case)
            contents[uid] = octets
        uids = uids_of(changes)
        self.assertEqual(uids, sorted(set(uids)), case)
        self.assertEqual(len(set(contents.values())), len(contents.values()), case)
        self.assertTrue(all(uid < fresh.uid_next for uid in uids), case)
        if box.uid_validity:
            self.assertEqual(fresh.uid_validity, box.uid_validity, case)
        return contents

    def check(
        self,
        box: MaildirMailbox,
        other: MaildirMailbox,
        history: History,
        name: str,
        case: str,
        done: bool,
        whole: bool,
    ) -> None:
        here = self.look(box, self.box, history, case)
        there = self.look(other, self.other, history, case)
        everything = set(here.values()) | set(there.values())
        kept = MESSAGES[:3] if name == "expunge" else MESSAGES
        for message in kept:
            self.assertIn(on_disk(message), everything, f"{case}: lost")
        self.assertIn(b"Subject: foreign\n\n", everything, f"{case}: lost")
        if name == "append":
            count = sum(octets.startswith(b"Subject: new") for octets in here.values())
            if whole:
                self.assertEqual(count, 3 if done else 0, case)
            for octets in here.values():
                self.assertTrue(
                    octets.endswith(b"\n\nx\n") or b"new" not in octets, case
                )
        if name in ("copy", "move") and whole:
            self.assertIn(len(there), (1, 4), case)
        # The next delivery works without repair, under a UID of its own.
        fresh = self.open(self.box)
        fresh.sync(True)
        uid = append(fresh, b"Subject: after\r\n\r\n")
        history.tell(self.box, fresh.uid_validity, uid, b"Subject: after\n\n", case)
        self.look(fresh, self.box, history, case)
        litter = os.listdir(self.root / self.box / "tmp")
        self.assertLess(len(litter), 12, case)

    def sweep(self, name: str, number: int | None) -> int:
        action = ACTIONS[name]
        for k in range(1, 400):
            how = "killed" if number is None else errno.errorcode[number]
            case = f"{name}, {how} at {k}"
            tag = f"{name[:6]}{number}-{k}"
            box, other, history = self.prepare(tag)
            done = False
            with faults(k, number) as state:
                try:
                    action(box, other)
                    done = True
                except Killed:
                    pass
                except ImapError:
                    self.assertTrue(state.hit, case)
            self.check(
                box,
                other,
                history,
                name,
                f"{case} ({state.hit})",
                done,
                number is not None,
            )
            if not state.hit:
                self.assertTrue(done, case)
                return k
        raise AssertionError(f"{name} never ends")

    def test_killed_at_every_operation(self) -> None:
        # Hardening: D01.
        for name in ACTIONS:
            self.assertGreaterEqual(self.sweep(name, None), 3, name)

    def test_every_operation_fails_once(self) -> None:
        # Hardening: D03, D04, D20.
        for name in ACTIONS:
            for number in ERRNOS[:2]:
                self.sweep(name, number)

    def test_operations_fail_for_want_of_files_or_rights(self) -> None:
        # Hardening: D05.
        for name in ("append", "move"):
            for number in ERRNOS[2:]:
                self.sweep(name, number)
