"""What several clients deliver to one mailbox, published together."""

import errno
import os
from typing import Any
from unittest import mock

from imapd.errors import Cannot, ImapError, LimitReached, Unavailable
from imapd.limits import Limits
from imapd.model.flags import SEEN
from imapd.model.mailbox import Appended
from imapd.store import fsops
from imapd.store.api import Delivery
from tests.store.faults import faults
from tests.store.test_publish import MESSAGE, PublishCase


class CommitAllTests(PublishCase):
    def delivery(self, *flags: list[bytes]) -> Delivery:
        delivery = self.box.begin_delivery()
        for each in flags:
            delivery.begin(each, 1_500_000_000)
            delivery.write(MESSAGE)
            delivery.end()
        return delivery

    def told(self, outcomes: list[Appended | ImapError]) -> list[object]:
        """UIDs, or the kind of the error."""
        return [
            each.uids if isinstance(each, Appended) else type(each) for each in outcomes
        ]

    def test_uids_in_their_order_and_changes_once(self) -> None:
        deliveries = [self.delivery([]), self.delivery(), self.delivery([SEEN], [])]
        outcomes = self.box.commit_all(deliveries, False)
        self.assertEqual(self.told(outcomes), [[1], [], [2, 3]])
        added = [
            [state.uid for state in each.target.added]
            for each in outcomes
            if isinstance(each, Appended)
        ]
        self.assertEqual(added, [[1, 2, 3], [], []])
        self.assertEqual(self.names("tmp"), [])
        again = self.open()
        self.assertEqual([one.uid for one in again.sync(True).added], [1, 2, 3])

    def test_one_lock_and_one_record_for_all(self) -> None:
        self.commit([])
        deliveries = [self.delivery([]) for _ in range(10)]
        counts: dict[str, int] = {}

        def counted(name: str) -> Any:
            real = getattr(fsops, name)

            def operation(*arguments: Any) -> Any:
                counts[name] = counts.get(name, 0) + 1
                return real(*arguments)

            return operation

        names = ("open_append", "fdatasync", "fsync_directory", "fsync")
        with mock.patch.multiple(fsops, **{name: counted(name) for name in names}):
            self.box.commit_all(deliveries, False)
        self.assertEqual(
            counts,
            {"open_append": 1, "fdatasync": 1, "fsync_directory": 1, "fsync": 10},
        )

    def test_a_keyword_too_many_fails_one(self) -> None:
        self.box = self.open(limits=Limits(keyword_count=26))
        self.box.sync(True)
        many = [b"k%d" % number for number in range(27)]
        deliveries = [self.delivery([]), self.delivery([], many), self.delivery([])]
        outcomes = self.box.commit_all(deliveries, False)
        self.assertEqual(self.told(outcomes), [[1], LimitReached, [2]])
        self.assertEqual(self.names("tmp"), [])
        self.assertEqual(len(self.names("new")), 2)

    def test_a_failed_sync_fails_one_and_is_not_tried_again(self) -> None:
        deliveries = [self.delivery([]), self.delivery([]), self.delivery([])]
        real, seen = fsops.fsync, list[int]()

        def fsync(descriptor: int) -> None:
            seen.append(descriptor)
            if len(seen) == 2:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(descriptor)

        with mock.patch.object(fsops, "fsync", fsync):
            outcomes = self.box.commit_all(deliveries, False)
        self.assertEqual(self.told(outcomes), [[1], Unavailable, [2]])
        self.assertEqual(len(seen), 3)

    def test_one_that_failed_before_is_not_published(self) -> None:
        delivery = self.delivery([])
        with faults(1, errno.EIO), self.assertRaises(Unavailable):
            delivery.settle()
        with self.assertRaises(Unavailable):
            delivery.settle()
        with self.assertRaises(Unavailable):
            self.box.commit(delivery, False)
        self.assertEqual(self.names("new"), [])

    def test_all_refused(self) -> None:
        self.deliver("1600000000.M1P1.h")
        self.box.sync(False)
        many = [b"k%d" % number for number in range(5000)]
        outcomes = self.box.commit_all([self.delivery(many), self.delivery(many)], True)
        self.assertEqual(self.told(outcomes), [LimitReached] * 2)
        self.assertEqual(self.names("tmp"), [])

    def test_a_failed_record_fails_all_and_leaves_none(self) -> None:
        self.commit([])
        deliveries = [self.delivery([]), self.delivery([SEEN])]
        fail = mock.patch.object(
            fsops, "fdatasync", side_effect=OSError(errno.ENOSPC, "full")
        )
        with fail:
            outcomes = self.box.commit_all(deliveries, False)
        self.assertTrue(all(isinstance(each, ImapError) for each in outcomes))
        self.assertEqual([len(self.names(part)) for part in ("new", "cur")], [1, 0])
        self.assertGreater(self.commit([])[0], 3)  # their UIDs are burnt

    def test_those_of_another_mailbox(self) -> None:
        other = self.open("other").begin_delivery()
        with self.assertRaises(Cannot):
            self.box.commit_all([self.delivery([]), other], False)
