"""The cache is deleted again and again under a server at work: no answer is wrong.

Three clients ask for all that is kept there; one of them opens the mailbox anew each
time.  Meanwhile the files of the cache are removed, cut off and overwritten.
"""

import random
import threading
import time
import unittest
from contextlib import suppress
from pathlib import Path

from tests.live.base import USERS
from tests.live.client import Client
from tests.live.peers import ImapdServer, temporary_folder

USER = USERS[0]
SECONDS = 6.0
FILES = ("imapd-cache.sqlite3", "imapd-text.sqlite3")
QUESTIONS = (
    b"FETCH 1:* (ENVELOPE)",
    b"FETCH 1:* (BODYSTRUCTURE RFC822.SIZE INTERNALDATE)",
    b"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (From Subject Date)])",
    b"FETCH 1:* (BODY.PEEK[HEADER])",
    b"SEARCH SUBJECT e",
    b"SEARCH BODY the",
    b"SEARCH TEXT a",
    b"SEARCH LARGER 500",
    b"SORT (SUBJECT DATE) UTF-8 ALL",
    b"THREAD REFERENCES UTF-8 ALL",
)


def message(number: int) -> bytes:
    """One of 60 that differ in all that is kept of a message."""
    words = b"the cache a message number".split()
    text = b" ".join(words[: 1 + number % 5]) + b" %d\r\n" % number
    head = (
        b"From: Person %d <p%d@example.org>\r\n"
        b"Subject: %bone %c %d\r\n"
        b"Date: Mon, 14 Sep 2020 10:%02d:00 +0000\r\n"
        b"Message-ID: <%d@example.org>\r\nReferences: <%d@example.org>\r\n"
    ) % (
        *(number, number % 7, b"Re: " * (number % 2), 97 + number % 26, number % 9),
        *(number, number, number // 3),
    )
    if number % 3:
        return head + b"\r\n" + text * (1 + number % 40)
    return head + (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\n\r\n%b--b\r\nContent-Type: text/html\r\n\r\n<p>%b\r\n--b--\r\n"
    ) % (text, text)


class CacheLossTests(unittest.TestCase):
    def setUp(self) -> None:
        self.root = self.enterContext(temporary_folder())
        self.wrong: list[tuple[bytes, object]] = []
        self.asked = self.lost = 0
        self.over = threading.Event()

    def test_no_answer_is_wrong(self) -> None:
        server = ImapdServer(self.root)
        with server:
            with server.connect(USER) as client:
                for number in range(60):
                    client.command(b"APPEND INBOX", message(number))
                client.command(b"SELECT INBOX")
                right = {each: client.command(each) for each in QUESTIONS}
            threads = [
                threading.Thread(target=self.ask, args=(server, right, number))
                for number in range(3)
            ]
            spoiler = threading.Thread(target=self.spoil, args=(server.maildir(USER),))
            for thread in (*threads, spoiler):
                thread.start()
            time.sleep(SECONDS)
            self.over.set()
            for thread in (*threads, spoiler):
                thread.join(60)
            self.assertEqual(self.wrong, [])
            self.assertGreater(self.asked, 30)
            self.assertGreater(self.lost, 20)
            with server.connect(USER) as client:
                client.command(b"SELECT INBOX")
                for question, answer in right.items():
                    self.assertEqual(client.command(question), answer, question)

    def ask(self, server: ImapdServer, right: dict[bytes, object], number: int) -> None:
        chooser = random.Random(number)
        with server.connect(USER) as client:
            client.command(b"SELECT INBOX")
            while not self.over.is_set():
                if number == 0:
                    client.command(b"SELECT INBOX")
                self.compare(client, right, chooser.choice(QUESTIONS))

    def compare(
        self, client: Client, right: dict[bytes, object], question: bytes
    ) -> None:
        try:
            answer: object = client.command(question)
        except Exception as error:
            answer = error
        self.asked += 1
        if answer != right[question]:
            self.wrong.append((question, answer))

    def spoil_one(self, path: Path, how: int) -> None:
        if how == 0:
            with path.open("r+b") as file:
                file.write(b"x" * 5000)
        elif how == 1:
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size // 2)
        else:
            path.unlink()

    def spoil(self, maildir: Path) -> None:
        chooser = random.Random(7)
        while not self.over.is_set():
            path = maildir / chooser.choice(FILES)
            if path.exists():
                self.lost += 1
                # The server may be quicker to remove what is damaged.
                with suppress(FileNotFoundError):
                    self.spoil_one(path, chooser.randrange(4))
            time.sleep(0.03)
