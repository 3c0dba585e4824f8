"""The text index: what the linear scan finds, or less known, and never wrong."""

import itertools
import random
import sqlite3
import tempfile
import threading
import unittest
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.ids import Uid
from imapd.mime.folding import fold
from imapd.model import texts as model
from imapd.model.texts import MessageWords, TextFound, message_words
from imapd.store.cache import textindex, textmerge, textrows, textsegment
from imapd.store.cache.textindex import TextDatabase
from imapd.store.cache.textprobe import Probe, VocabularyCache

BOX = "0123456789abcdef" * 2 + ".1"
#: A message: the texts of its body, and those of its header.
Message = tuple[list[str], list[str]]


def words(message: Message) -> MessageWords:
    body, header = message
    return message_words(map(fold, body), map(fold, header))


def scan(message: Message, needle: str, in_header: bool) -> bool:
    """Whether the linear scan finds it."""
    body, header = message
    return any(needle in fold(piece) for piece in body + header * in_header)


def keyed(messages: Iterable[Message]) -> dict[Uid, Message]:
    return {Uid(uid): each for uid, each in enumerate(messages, 1)}


class IndexCase(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "imapd-text.sqlite3")
        self.index = self.open()

    def open(self) -> TextDatabase:
        index = TextDatabase(bytes(self.path))
        self.addCleanup(index.close)
        return index

    def forget_vocabularies(self) -> None:
        """Read from the file again."""
        self.enterContext(
            mock.patch.object(textrows, "_VOCABULARIES", VocabularyCache(1 << 20))
        )

    def add(self, messages: Mapping[Uid, Message], lot: int = 1000) -> None:
        uids = list(messages)
        for start in range(0, len(uids), lot):
            some = uids[start : start + lot]
            self.index.add(BOX, {uid: words(messages[uid]) for uid in some})

    def check(
        self, messages: Mapping[Uid, Message], needle: str, *, in_header: bool
    ) -> TextFound:
        """The answer is what the scan would say, as far as it goes."""
        found = self.index.search(BOX, needle, in_header=in_header)
        case = f"{needle!r}, {in_header=}"
        true = {uid for uid in found.indexed if scan(messages[uid], needle, in_header)}
        self.assertLessEqual(found.found, true, case)
        self.assertLessEqual(true, found.found | found.candidates, case)
        if len(needle.split()) == 1 and needle == needle.strip():
            self.assertEqual((found.found, found.candidates), (true, set()), case)
        return found

    def rows(self, query: str, *values: object) -> list[tuple[int, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                return connection.execute(query, values).fetchall()
        finally:
            connection.close()


PIECES = st.one_of(
    st.text("ab \n", max_size=12),
    st.text("aäÄßﬁİıſ e\u0301\u0300\u0323", max_size=8),
    st.text("漢字カナ\u3000 한글", max_size=8),
    st.text("a.,-@<>\0\x1c\x85\u00a0\u2028", max_size=8),
    st.text(max_size=6),
    st.sampled_from(["the quick", "quick brown", "fox jumps over", "QUICK", "ab" * 40]),
)
MESSAGES = st.lists(
    st.tuples(st.lists(PIECES, max_size=3), st.lists(PIECES, max_size=3)), max_size=12
)


class SameAsTheScanTests(IndexCase):
    @settings(max_examples=150, deadline=None)
    @given(MESSAGES, st.lists(PIECES, min_size=1, max_size=4), st.integers(1, 12))
    def test_any_texts_and_any_search_string(
        self, all_of_them: list[Message], more: list[str], lot: int
    ) -> None:
        self.index.forget(BOX)
        messages = keyed(all_of_them)
        self.add(messages, lot)
        pieces = [
            fold(piece) for body, header in all_of_them for piece in body + header
        ]
        whole = [piece for piece in pieces if piece]
        needles = {fold(each) for each in more}
        needles |= {
            piece[at:] for piece in whole[:4] for at in range(min(len(piece), 4))
        }
        needles |= {piece[:at] for piece in whole[:4] for at in range(1, 4)}
        needles |= {f"{one}{two}" for one, two in itertools.pairwise(whole)}
        for needle in needles - {""}:
            for in_header in (False, True):
                found = self.check(messages, needle, in_header=in_header)
                self.assertEqual(found.indexed, set(messages))

    def test_many_words_in_segments_of_all_sizes(self) -> None:
        choose = random.Random(5)
        common = [f"w{number}" for number in range(60)]
        messages = keyed(
            (
                [
                    " ".join(choose.choices(common, k=40)),
                    f"u{choose.randrange(4000)} Ünique{choose.randrange(50)}",
                ],
                [f"Subject: s{choose.randrange(300)} {choose.choice(common)}"],
            )
            for _ in range(1500)
        )
        uids = list(messages)
        self.add({uid: messages[uid] for uid in uids[:700]}, 700)
        self.add({uid: messages[uid] for uid in uids[700:]}, 37)
        self.forget_vocabularies()
        for needle in (
            *("w1", "w59", "u7", "u", "ünique1", "s", "1", "w", "subject:", "zzz"),
            *("w1 w2", " w3", "w4 ", " w5 ", "subject: s", " ", "1 u"),
        ):
            for in_header in (False, True):
                found = self.check(messages, fold(needle), in_header=in_header)
                self.assertEqual(len(found.indexed), 1500)
        segments = self.index._segments(BOX)
        self.assertLess(len(segments), 16)
        self.assertEqual(sum(len(each.uids) for each in segments), 1500)

    def test_who_is_asked_again_of_a_string_with_blanks(self) -> None:
        messages = keyed(
            [
                (["the quick brown fox"], []),
                (["brown the quick"], []),
                (["quick thebrown"], []),
                (["the", "quick"], []),
                (["xthe quicky"], []),
            ]
        )
        self.add(messages)
        found = self.index.search(BOX, "the quick", in_header=False)
        self.assertEqual(found.candidates, {1, 2, 4, 5})
        found = self.index.search(BOX, " the quick ", in_header=False)
        self.assertEqual(found.candidates, {1, 2, 4})
        found = self.index.search(BOX, "quick the", in_header=False)
        self.assertEqual(found.candidates, {1, 2, 3, 4, 5} - {5})


class KeepingTests(IndexCase):
    def test_each_message_once(self) -> None:
        messages = keyed([([f"word{n}"], ["S: x"]) for n in range(100)])
        self.assertEqual(self.index.missing(BOX, messages), list(messages))
        self.add(messages, 1)
        self.add(messages, 1)
        self.assertEqual(self.index.missing(BOX, [*messages, Uid(200)]), [200])
        self.assertEqual(
            self.index.search(BOX, "word7", in_header=False).found, {8, *range(71, 81)}
        )
        segments = self.index._segments(BOX)
        self.assertLessEqual(len(segments), 21)

    def test_mailboxes_are_apart(self) -> None:
        self.add(keyed([(["one"], [])]))
        self.index.add("other", {Uid(1): words((["two"], []))})
        self.assertEqual(self.index.search(BOX, "two", in_header=True).found, set())
        self.assertEqual(self.index.search("other", "two", in_header=True).found, {1})
        self.index.forget(BOX)
        self.assertEqual(self.index.search(BOX, "one", in_header=True), TextFound())
        self.assertEqual(self.index.search("other", "two", in_header=True).found, {1})

    def test_forgotten_is_gone_from_the_disk(self) -> None:
        huge = words((["x" * (2 << 20)], []))
        self.index.add(BOX, {Uid(1): huge, Uid(2): words((["a"], []))})
        self.index.forget(BOX)
        for table in ("segment", "piece", "left_out"):
            query = f"SELECT count(*) FROM {table}"
            self.assertEqual(self.rows(query), [(0,)], table)

    def test_what_was_expunged_goes_when_it_is_half(self) -> None:
        messages = keyed([([f"word{n} all"], []) for n in range(100)])
        self.add(messages)
        alive = {Uid(uid) for uid in range(1, 61)}
        self.index.tidy(BOX, alive)
        self.assertEqual(len(self.index._segments(BOX)[0].uids), 100)
        alive = {Uid(uid) for uid in range(1, 100, 3)}
        self.index.tidy(BOX, alive)
        found = self.index.search(BOX, "all", in_header=False)
        self.assertEqual((found.indexed, found.found), (alive, alive))
        for uid in alive:
            self.assertEqual(
                self.index.search(BOX, f"word{uid - 1}", in_header=False).found & {uid},
                {uid},
            )
        content = b"".join(
            textsegment.decode(bytes(row[0]), 1 << 20).words
            for row in self.rows("SELECT content FROM piece WHERE number = 0")
        )
        self.assertNotIn(b"\nword1\n", content)
        self.index.tidy(BOX, set())
        self.assertEqual(self.rows("SELECT count(*) FROM piece"), [(0,)])

    def test_a_merge_drops_who_is_not_alive(self) -> None:
        messages = keyed([([f"word{n}"], []) for n in range(8)])
        alive = {Uid(1), Uid(8)}
        for uid, each in messages.items():
            self.index.add(BOX, {uid: words(each)}, alive)
        self.assertEqual(self.index.search(BOX, "word", in_header=False).found, alive)

    def test_segments_do_not_grow_without_bound(self) -> None:
        messages = keyed([([f"a{n} b{n % 7}"], []) for n in range(600)])
        with mock.patch.object(textsegment, "LARGEST_COUNT", 128):
            self.add(messages, 10)
        segments = self.index._segments(BOX)
        self.assertLessEqual(max(len(each.uids) for each in segments), 128)
        self.check(messages, "b3", in_header=False)

    def test_the_vocabularies_in_memory_are_bounded(self) -> None:
        made = self.vocabulary()
        cache = VocabularyCache(3 * made.octets)
        for number in range(10):
            cache.put((number, 0), made)
            cache.put((number, 0), made)
        kept = [number for number in range(10) if cache.get((number, 0))]
        self.assertEqual(len(kept), 3)

    def test_most_of_a_mailbox_a_little_too_large_is_found_in_memory(self) -> None:
        made = self.vocabulary()
        cache = VocabularyCache(18 * made.octets)
        found = 0
        for _ in range(50):
            for number in range(20):
                if cache.get((number, 0)):
                    found += 1
                else:
                    cache.put((number, 0), made)
        self.assertGreater(found, 50 * 20 / 2)

    def vocabulary(self) -> textsegment.Vocabulary:
        section = textsegment.encode({b"word": array("H", [0])}, 1)
        return textsegment.decode(section.vocabulary, 1 << 20)


class BoundTests(IndexCase):
    def octets(self) -> tuple[int, int]:
        """What the rows take, and the texts they are of."""
        ((pieces,),) = self.rows("SELECT sum(length(content)) FROM piece")
        ((uids, texts, count),) = self.rows(
            "SELECT sum(length(uids)), sum(texts), count(*) FROM segment"
        )
        return (pieces or 0) + (uids or 0), (texts or 0) + count * 4096

    def hostile(self, kind: str) -> Message:
        choose = random.Random(kind)
        match kind:
            case "one word of a megabyte":
                return ["x" * (1 << 20)], []
            case "one word too long":
                return ["x" * (3 << 20)], []
            case "a million letters":
                return ["a b c \0 " * 250_000], []
            case "short words, no two the same":
                return [" ".join(map(chr, range(0x4E00, 0x9FFF)))], []
            case "noise":
                letters = [chr(code) for code in range(0x21, 0x7F)]
                return [
                    " ".join(choose.choices(letters, k=3)) * 5
                    + "".join(choose.choices(letters, k=200_000))
                ], []
            case "more words than there may be":
                return [" ".join(f"{n:x}" for n in range(300_000))], []
            case _:
                return ["", "\0", "\0\0 \0"], ["\0: \0"]

    KINDS = (
        "one word of a megabyte",
        "one word too long",
        "a million letters",
        "short words, no two the same",
        "noise",
        "more words than there may be",
        "zeros",
    )

    def test_hostile_texts_are_right_and_within_the_bound(self) -> None:
        for kind in self.KINDS:
            self.index.forget(BOX)
            messages = keyed([self.hostile(kind), (["plain"], [])])
            self.add(messages)
            self.assertEqual(self.index.missing(BOX, messages), [], kind)
            for needle in ("x", "a", "\0", "12ab", "plain", "xx" * 1000, fold("丁")):
                found = self.check(messages, needle, in_header=True)
                self.assertIn(2, found.indexed, kind)
            cost, texts = self.octets()
            self.assertLessEqual(cost, texts, kind)

    def test_what_costs_too_much_is_left_out_and_nothing_else(self) -> None:
        messages = keyed([([f"message {n}"], []) for n in range(40)])
        noise = random.Random(1)
        body = " ".join(
            "".join(chr(noise.randrange(0x21, 0x7F)) for _ in range(2))
            for _ in range(9000)
        )
        messages[Uid(17)] = ([body], [])
        with mock.patch.object(textmerge, "SPARE_OCTETS", 600):
            self.add(messages)
        self.assertEqual(self.index.missing(BOX, messages), [])
        found = self.check(messages, "message", in_header=False)
        self.assertEqual(
            set(messages) - found.indexed, {17} & set(messages) - found.indexed
        )
        self.assertGreaterEqual(len(found.indexed), 39)

    def test_those_to_blame_are_found_among_the_others(self) -> None:
        messages = keyed([([f"message {n}"], []) for n in range(40)])
        real = textmerge.costs_too_much

        def with_dear_ones(segment: textmerge.Segment, sections: Any) -> bool:
            dear = not {17, 18, 40}.isdisjoint(segment.uids)
            return dear or real(segment, sections)

        with mock.patch.object(textmerge, "costs_too_much", with_dear_ones):
            self.add(messages)
        self.assertEqual(self.index.missing(BOX, messages), [])
        found = self.check(messages, "message", in_header=False)
        self.assertEqual(set(messages) - found.indexed, {17, 18, 40})

    def test_no_segment_has_more_than_fits_into_memory(self) -> None:
        """Neither of words nor of messages; all are found all the same."""
        messages = keyed([([f"message {n} {'x' * n}"], []) for n in range(40)])
        for owner, name, most in (
            (textmerge, "LARGEST_WORDS_OCTETS", 100),
            (textsegment, "LARGEST_COUNT", 4),
        ):
            self.index.forget(BOX)
            with mock.patch.object(owner, name, most):
                self.add(messages)
                segments = self.index._segments(BOX)
            self.assertGreaterEqual(len(segments), 10, name)
            if name == "LARGEST_COUNT":
                self.assertLessEqual(max(len(each.uids) for each in segments), most)
            found = self.check(messages, "message", in_header=False)
            self.assertEqual(found.indexed, set(messages), name)

    def test_what_is_merged_fits_into_a_segment(self) -> None:
        def segments(*words: int, count: int = 1) -> list[textmerge.Segment]:
            return [
                textmerge.Segment(at, 0, each, array("I", range(count)))
                for at, each in enumerate(words)
            ]

        most = textmerge.LARGEST_WORDS_OCTETS
        half = textsegment.LARGEST_COUNT // 2
        for name, some, chosen in (
            ("seven", segments(*[1] * 7), 0),
            ("eight", segments(*[1] * 8), 8),
            ("as many words as fit", segments(*[most // 4] * 8), 4),
            ("no two fit", segments(*[most // 2 + 1] * 8), 0),
            ("as many messages as fit", segments(*[1] * 8, count=half), 2),
            ("one that is full", segments(*[1] * 9, count=half + 1), 0),
        ):
            self.assertEqual(len(textmerge.due(some)), chosen, name)

    def test_a_merge_that_another_process_has_made(self) -> None:
        messages = keyed([([f"message {n}"], []) for n in range(8)])
        self.add({uid: messages[uid] for uid in list(messages)[:7]}, 1)
        other, real = self.open(), textmerge.costs_too_much

        def overtaken(segment: textmerge.Segment, sections: Any) -> bool:
            with mock.patch.object(textindex, "costs_too_much", real):
                other.add(BOX, {})  # the same eight are due for it
            return real(segment, sections)

        with mock.patch.object(textindex, "costs_too_much", overtaken):
            self.index.add(BOX, {Uid(8): words(messages[Uid(8)])})
        self.assertEqual(len(self.index._segments(BOX)), 1)
        found = self.check(messages, "message", in_header=False)
        self.assertEqual(found.indexed, set(messages))

    def test_a_merge_that_would_cost_too_much_is_not_made(self) -> None:
        messages = keyed([([f"message {n}"], []) for n in range(8)])
        self.add({uid: messages[uid] for uid in list(messages)[:7]}, 1)
        with mock.patch.object(textindex, "costs_too_much", return_value=True):
            self.index.add(BOX, {Uid(8): words(messages[Uid(8)])})
        self.assertEqual(self.index.missing(BOX, messages), [])
        self.assertEqual(self.index.search(BOX, "message", in_header=True), TextFound())

    def test_where_there_is_too_much_all_of_it_is_left_out(self) -> None:
        for body in (["x" * ((1 << 20) + 1)], [f"{n:x} " * 4 for n in range(1 << 18)]):
            made = message_words(body, [])
            self.assertEqual((made.too_many, made.body), (True, b""))
        self.assertFalse(message_words(["x " * (4 << 20)], []).too_many)
        self.assertEqual(message_words(["é"], ["a"]).octets, 3)
        self.assertGreater(model.LARGEST_WORD_COUNT, 1000)


class DamageTests(IndexCase):
    # Hardening: D15.

    def setUp(self) -> None:
        super().setUp()
        self.forget_vocabularies()
        self.messages = keyed(
            ([f"word{n} all even{n % 2}"], [f"Subject: s{n}"]) for n in range(300)
        )

    def test_every_row_that_is_not_as_written_is_dropped(self) -> None:
        changes = {
            "a word": "UPDATE piece SET content = zeroblob(length(content)) "
            "WHERE number = 0",
            "a posting": "UPDATE piece SET content = zeroblob(length(content)) "
            "WHERE number = 1",
            "a type": "UPDATE piece SET content = 'text' WHERE number = 1",
            "a check sum": "UPDATE piece SET crc = crc + 1",
            "another section's": "UPDATE piece SET section = 1 - section "
            "WHERE number > 4",
            "a piece missing": "DELETE FROM piece WHERE number = 1",
            "the UIDs": "UPDATE segment SET uids = zeroblob(length(uids))",
            "no UIDs": "UPDATE segment SET uids = 7",
            "half a UID": "UPDATE segment SET uids = x'00'",
            "another mailbox's": f"UPDATE segment SET mailbox = '{BOX}'",
        }
        for name, query in changes.items():
            self.index.forget(BOX)
            self.index.forget("other")
            box = "other" if name.startswith("another mailbox") else BOX
            lot = {uid: words(each) for uid, each in self.messages.items()}
            self.index.add(box, lot)
            self.forget_vocabularies()
            self.rows(query)
            for needle in ("all", "word7", "even1", "s7"):
                found = self.check(self.messages, needle, in_header=True)
                if not name.startswith("another section"):
                    self.assertEqual(found.indexed, set(), name)
            self.assertEqual(
                self.rows("SELECT count(*) FROM segment WHERE mailbox = ?", BOX),
                [(1 if name.startswith("another section") else 0,)],
                name,
            )

    def test_damage_anywhere_in_the_file(self) -> None:
        self.add(self.messages, 100)
        self.index.close()
        whole = self.path.read_bytes()
        choose = random.Random(3)
        for _ in range(60):
            octets = bytearray(whole)
            for _ in range(choose.choice((1, 3))):
                octets[choose.randrange(len(octets))] ^= 1 << choose.randrange(8)
            cut = choose.choice((len(octets), choose.randrange(len(octets))))
            self.path.write_bytes(octets[:cut])
            self.forget_vocabularies()
            for needle in ("all", "word7", "even1 ", "s7"):
                self.check(self.messages, needle, in_header=True)
            left = self.index.missing(BOX, self.messages)
            self.add({uid: self.messages[uid] for uid in left})
            found = self.check(self.messages, "even1", in_header=False)
            self.assertGreaterEqual(len(found.indexed), 200)
            self.index.close()

    def test_what_is_no_index_is_made_anew(self) -> None:
        self.path.write_bytes(b"something else altogether" * 100)
        self.add(self.messages)
        self.assertEqual(len(self.index.search(BOX, "all", in_header=True).found), 300)

    def test_a_schema_that_is_no_text_is_made_anew(self) -> None:
        self.add(self.messages)
        self.index.close()
        octets = self.path.read_bytes()
        schema = b"CREATE TABLE piece (segment"
        self.assertIn(schema, octets)
        self.path.write_bytes(
            octets.replace(schema, b"CREATE TABLE piece \xcb\xffegment")
        )
        self.assertEqual(self.index.search(BOX, "all", in_header=True), TextFound())
        self.add(self.messages)
        self.assertEqual(len(self.index.search(BOX, "all", in_header=True).found), 300)

    def test_numbers_that_are_too_large_are_not_believed(self) -> None:
        section = textsegment.encode({b"a": array("H", [0]), b"b": array("H", [1])}, 40)
        vocabulary = textsegment.decode(section.vocabulary, 1 << 20)
        with self.assertRaises(textsegment.Damaged):
            textsegment.union(vocabulary, [0], lambda number: b"\xff\xff\xff\xff")
        with self.assertRaises(textsegment.Damaged):
            textsegment.union(vocabulary, [0], lambda number: b"")
        with self.assertRaises(textsegment.Damaged):
            textsegment.postings_of(vocabulary, [])
        with self.assertRaises(textsegment.Damaged):
            textsegment.decode(section.vocabulary, 10)
        for wrong in (b"", b"x", section.vocabulary[:-1]):
            with self.assertRaises(textsegment.Damaged):
                textsegment.decode(wrong, 1 << 20)


class OtherProcessTests(IndexCase):
    def test_segments_that_were_merged_meanwhile(self) -> None:
        self.forget_vocabularies()
        messages = keyed([([f"word{n}"], []) for n in range(8)])
        self.add({uid: messages[uid] for uid in list(messages)[:7]}, 1)
        old = self.index._segments(BOX)
        self.add({Uid(8): messages[Uid(8)]})
        new = self.index._segments(BOX)
        self.assertEqual((len(old), len(new)), (7, 1))
        with mock.patch.object(self.index, "_segments", side_effect=[old, new]):
            found = self.index.search(BOX, "word", in_header=False)
        self.assertEqual(found.found, set(messages))
        # Who merges what another has merged already changes nothing.
        self.assertFalse(self.index._rewrite(BOX, old, None))
        self.assertEqual(self.index._segments(BOX), new)

    def test_deleted_under_searches(self) -> None:
        messages = keyed(
            ([f"word{n} all part{n % 5}"], [f"Subject: s{n}"]) for n in range(200)
        )
        lots = {uid: words(each) for uid, each in messages.items()}
        done = threading.Event()
        problems: list[BaseException] = []

        def search() -> None:
            index = TextDatabase(bytes(self.path))
            try:
                while not done.is_set():
                    for needle, true in (
                        ("word7", {8, *range(71, 81)}),
                        ("part3", {uid for uid in messages if uid % 5 == 4}),
                        ("all", set(messages)),
                        ("nothing", set()),
                    ):
                        found = index.search(BOX, needle, in_header=True)
                        self.assertEqual(found.found, true & found.indexed, needle)
            except BaseException as error:
                problems.append(error)
            finally:
                index.close()

        threads = [threading.Thread(target=search) for _ in range(2)]
        for each in threads:
            each.start()
        try:
            for turn in range(20):
                for uid in self.index.missing(BOX, messages)[:60]:
                    self.index.add(BOX, {uid: lots[uid]})
                if turn % 4 == 3:
                    self.path.unlink(missing_ok=True)
        finally:
            done.set()
            for each in threads:
                each.join()
        self.assertEqual(problems, [])
        self.index.add(BOX, {u: lots[u] for u in self.index.missing(BOX, messages)})
        self.assertEqual(
            self.index.search(BOX, "all", in_header=False).found, set(messages)
        )

    def test_a_full_disk_is_nobodys_error(self) -> None:
        with (
            mock.patch.object(textindex, "LARGEST_OCTETS", 8 * 4096),
            mock.patch.object(textmerge, "SPARE_OCTETS", 1 << 20),
        ):
            self.add(keyed([([f"word{n}" * 3000], []) for n in range(200)]), 10)
        self.add(keyed([(["small"], [])]))
        self.assertEqual(self.index.search(BOX, "small", in_header=False).found, {1})


class ProbeTests(unittest.TestCase):
    def test_what_must_be_among_the_words(self) -> None:
        cases: dict[str, tuple[tuple[bytes, ...], bool]] = {
            "word": ((b"word",), True),
            " word": ((b"\nword",), False),
            "word\t": ((b"word\n",), False),
            "one two": ((b"one\n", b"\ntwo"), False),
            "a  b\r\nc": ((b"a\n", b"\nb\n", b"\nc"), False),
            " \n": ((), False),
        }
        for needle, (parts, exact) in cases.items():
            self.assertEqual(Probe.of(needle), Probe(parts, exact), needle)
