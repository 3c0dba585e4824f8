"""Generated mail: the same every time, parseable, and copied without octets."""

import email
import hashlib
import os
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.mail import words
from benchmarks.mail.maildir import (
    PROFILES,
    Message,
    Stock,
    copy_maildir,
    messages,
    read_real_mail,
)
from tests.benchmarks.scratch import scratch

COUNT = 60


def digest(generated: list[Message]) -> str:
    return hashlib.sha256(repr(generated).encode()).hexdigest()


def names(maildir: Path) -> list[str]:
    return sorted(os.listdir(maildir / "cur") + os.listdir(maildir / "new"))


class MessagesTests(SynchronousTestCase):
    def test_every_run_gives_the_same(self) -> None:
        for profile in PROFILES:
            first = list(messages(COUNT, profile))
            self.assertEqual(len(first), COUNT, profile)
            self.assertEqual(digest(first), digest(list(messages(COUNT, profile))))
            other = list(messages(COUNT, profile, seed=12))
            self.assertNotEqual(digest(first), digest(other), profile)

    def test_names_tell_the_size_and_files_end_in_lf(self) -> None:
        for message in messages(COUNT, "mixed"):
            self.assertIn(f",S={len(message.octets)}", message.name)
            self.assertNotIn(b"\r", message.octets, message.name)
            self.assertEqual(message.folder == "cur", ":2," in message.name)

    def test_messages_are_what_they_say(self) -> None:
        kinds = {
            email.message_from_bytes(message.octets).get_content_type()
            for message in messages(COUNT, "mixed")
        }
        self.assertLessEqual(
            {"text/plain", "multipart/alternative", "multipart/mixed"}, kinds
        )

    def test_what_is_searched_for_is_there(self) -> None:
        found = [message.octets for message in messages(200, "small")]
        rare = sum(words.RARE_WORD.encode() in octets for octets in found)
        # A text in quoted-printable or base64 hides it from this look.
        self.assertTrue(2 <= rare <= 5, rare)
        subjects = sum(words.SUBJECT_WORD.encode() in octets for octets in found)
        self.assertTrue(1 <= subjects <= 2, subjects)

    def test_threads_refer_to_what_is_there(self) -> None:
        identifiers, references = set(), set()
        for message in messages(COUNT, "small"):
            parsed = email.message_from_bytes(message.octets)
            identifiers.add(parsed["Message-ID"])
            references.update(re.findall(r"<[^>]*>", parsed["References"] or ""))
        self.assertTrue(references)
        # One in a hundred has no Message-ID of its own.
        self.assertLessEqual(len(references - identifiers), COUNT // 20)

    def test_real_mail_is_spread_among_it(self) -> None:
        real = [b"Subject: real %d\n\nx\n" % number for number in range(5)]
        found = [
            place
            for place, message in enumerate(messages(COUNT, "mixed", real=real))
            if message.octets in real
        ]
        self.assertEqual(found, [0, 12, 24, 36, 48])


class StockTests(SynchronousTestCase):
    def test_is_made_once_and_copied_by_links(self) -> None:
        folder = scratch(self)
        stock = Stock(folder)
        made = stock.maildir("small", COUNT)
        marker = made / "cur" / "marker"
        marker.touch()
        self.assertEqual(stock.maildir("small", COUNT), made)
        self.assertEqual(os.listdir(folder), [made.name])
        copy = scratch(self)
        copy_maildir(made, copy)
        self.assertEqual(names(copy), names(made))
        self.assertTrue((copy / "cur" / "marker").samefile(marker))
        self.assertTrue((copy / "tmp").is_dir())

    def test_real_mail_makes_another_maildir(self) -> None:
        real = scratch(self)
        real.mkdir()
        (real / "a.eml").write_bytes(b"Subject: a\r\n\r\nb\r\n")
        (real / "b.txt").write_bytes(b"no message")
        self.assertEqual(read_real_mail(real), [b"Subject: a\n\nb\n"])
        folder = scratch(self)
        with_real = Stock(folder, real).maildir("mixed", 10)
        without = Stock(folder).maildir("mixed", 10)
        self.assertNotEqual(with_real, without)
        small = Stock(folder, real).maildir("small", 10)
        self.assertEqual(small, Stock(folder).maildir("small", 10))
