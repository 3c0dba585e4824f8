"""One folder in memory: names, and the flags that were told."""

import unittest
from unittest import mock

from imapd.ids import Uid
from imapd.store.maildir import index as indexes
from imapd.store.maildir.index import FileIndex
from tests.store.folders import FolderTestCase


class KeywordTests(unittest.TestCase):
    """Clients make sets of flags up as they like."""

    def test_sets_are_forgotten_and_keywords_are_not(self) -> None:
        index = FileIndex()
        count = 12
        with mock.patch.object(indexes, "_MOST_SETS", 50):
            for number in range(1 << count):
                words = [b"K%d" % bit for bit in range(count) if number >> bit & 1]
                index.tell(Uid(1), frozenset([*words, rb"\Seen"]))
                self.assertLessEqual(len(index._seen), 50)
        self.assertEqual(index.keywords, {b"k%d" % n: b"K%d" % n for n in range(count)})

    def test_the_first_spelling_stays(self) -> None:
        index = FileIndex()
        with mock.patch.object(indexes, "_MOST_SETS", 1):
            for word in (b"Work", b"home", b"WORK", b"work"):
                index.tell(Uid(1), frozenset([word]))
        self.assertEqual(index.keywords, {b"work": b"Work", b"home": b"home"})


class KnownKeywordTests(FolderTestCase):
    def test_many_sets_of_few_keywords_are_collected_once(self) -> None:
        """Sessions ask after every command: not each time for all the sets."""
        letters = "abcdefghijk"
        (self.folder() / "dovecot-keywords").write_text(
            "".join(f"{at} word{at}\n" for at in range(len(letters)))
        )
        for number in range(1500):
            flags = "".join(one for at, one in enumerate(letters) if number >> at & 1)
            self.deliver(f"1{number:04}.x.host:2,{flags}", part="cur")
        box = self.open()
        self.assertEqual(len({each.flags for each in box.sync(False).added}), 1500)
        known = box.keywords
        self.assertEqual(len(known), len(letters))
        index = box._core.index
        for uid in sorted(index)[:200]:
            index.tell(uid, frozenset([b"word0", b"word1", b"\\Draft"]))
            self.assertIs(box.keywords, known)
