"""SORT and THREAD beside Dovecot's; where the answers differ, the RFC decides."""

import os
import random
import subprocess
import sys
import unittest
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.live.client import Client, Value
from tests.live.peers import (
    PEER_UNDER_TEST,
    DovecotServer,
    ImapdServer,
    PortServer,
    needs,
    temporary_folder,
)
from tests.support.shared import SHARED, needs_shared

USER = "user1"
FIRST_SECOND = 1_600_000_000

THREADS = ("THREAD REFERENCES", "UID THREAD REFS", "THREAD ORDEREDSUBJECT")
SORTS = (
    *("SORT (DATE)", "SORT (REVERSE DATE)", "UID SORT (ARRIVAL)", "SORT (SIZE)"),
    *("SORT (SUBJECT)", "SORT (REVERSE SUBJECT REVERSE DATE)", "SORT (FROM TO CC)"),
    *("SORT (DISPLAYFROM)", "UID SORT (DISPLAYTO REVERSE CC SIZE)"),
)

PIECES = (
    *("re", "fwd", "fw", "[", "]", ":", " ", "\t", "(fwd)", "[fwd:", "x", "Re: "),
    *("[l] ", "y", "(", "a_B", "aZ", "_", "Re:", "[x]", "=?utf-8?q?=C3=84?= "),
)
ADDRESSES = (
    *("a@x", "Bob <b@x>", '"C, d" <c@y>', "bob@z", "zed <A@x>", "b@y, a@x", "_u@x"),
    *("Zed@x", "=?utf-8?q?=C3=A4?= <d@x>", "Club: a@x, b@x;", "", "<>", "e@x (Ann)"),
)
IDS = ("<%d@x>", "<%d@x>", "<%d@x>", '<"%d"@x>', "%d@x", "<%d>", "<%d@\n x>")


class Differs(NamedTuple):
    """A mailbox of a few headers to which Dovecot answers something else."""

    headers: tuple[str, ...]
    command: str
    theirs: list[Value]
    ours: list[Value]
    why: str


def numbers(*values: int) -> list[Value]:
    return [b"%d" % value for value in values]


def fields(name: str, *values: str) -> tuple[str, ...]:
    """Headers of one field each."""
    return tuple(f"{name}: {value}" for value in values)


#: Every one is looked at: an entry that is true no more fails.
DIFFERENT = {
    "an empty domain": Differs(
        ("Message-ID: <a@>", "References: <a@>"),
        "THREAD REFERENCES",
        [numbers(1, 2)],
        [numbers(1), numbers(2)],
        "RFC 5322 3.6.4: it is no msg-id, so both messages have none.",
    ),
    "two Message-IDs": Differs(
        (
            "Message-ID: <a@b>\nMessage-ID: <c@d>",
            "References: <a@b>",
            "References: <c@d>",
        ),
        "THREAD REFERENCES",
        [numbers(1, 2), numbers(3)],
        [numbers(1, 3), numbers(2)],
        "We take the one that ENVELOPE shows, the last; so does Dovecot's ENVELOPE.",
    ),
    "two References": Differs(
        (
            "Message-ID: <a@b>",
            "Message-ID: <c@d>",
            "References: <a@b>\nReferences: <c@d>",
        ),
        "THREAD REFERENCES",
        [numbers(1, 3), numbers(2)],
        [numbers(1), numbers(2, 3)],
        "The last, as of all fields that may not be repeated.",
    ),
    "rubbish before an id": Differs(
        ("Message-ID: <a@b>", "References: x <y <a@b>"),
        "THREAD REFERENCES",
        [numbers(1), numbers(2)],
        [numbers(1, 2)],
        "RFC 5256 3: the Message IDs in the line; one is there.",
    ),
    "octets that are no encoded word": Differs(
        fields("Subject", "=?iso-8859-1?q?=E4?=", "b", "\xe4", "c"),
        "SORT (SUBJECT)",
        numbers(1, 2, 4, 3),
        numbers(1, 3, 2, 4),
        "To SEARCH such octets are windows-1252, so they are to SORT.",
    ),
    "two Subjects": Differs(
        ("Subject: b\nSubject: d", "Subject: c", "Subject: a"),
        "SORT (SUBJECT)",
        numbers(3, 1, 2),
        numbers(3, 2, 1),
        "The one that ENVELOPE shows, the last; so does Dovecot's ENVELOPE.",
    ),
    "an empty From before another": Differs(
        ("From:\nFrom: d@x", "From: c@x", "From: a@x"),
        "SORT (DISPLAYFROM)",
        numbers(1, 3, 2),
        numbers(3, 2, 1),
        "RFC 5957 4: the first address of ENVELOPE.",
    ),
    "two Dates": Differs(
        (
            "Date: 1 Jan 2020 00:00:00 +0000\nDate: 3 Jan 2020 00:00:00 +0000",
            "Date: 2 Jan 2020 00:00:00 +0000",
        ),
        "SORT (DATE)",
        numbers(1, 2),
        numbers(2, 1),
        "The one that ENVELOPE shows, the last; so does Dovecot's ENVELOPE.",
    ),
    "dates that are not quite right": Differs(
        fields(
            "Date",
            "3 Jan 2020",
            "2 Jan 2020 25:00:00 +0000",
            "Wed Jan  1 06:00:00 2020",
            "4 Jan 2020 00:00:00 +9999",
        ),
        "SORT (DATE)",
        numbers(4, 1, 2, 3),
        numbers(3, 2, 1, 4),
        "RFC 5256 2.2: without a valid zone it is UTC, without a valid time midnight.",
    ),
    "dates far away": Differs(
        fields(
            "Date", *(f"1 Jan {year} 00:00:00 +0000" for year in (2020, 1902, 2120))
        ),
        "SORT (DATE)",
        numbers(3, 1, 2),
        numbers(2, 1, 3),
        "RFC 5256 3: earlier dates sort before later dates.",
    ),
    "two threads as new as each other": Differs(
        (
            "Date: 1 Jan 2020 00:00:00 +0000\nMessage-ID: <a@b>",
            "Date: 5 Jan 2020 00:00:00 +0000",
            "Date: 5 Jan 2020 00:00:00 +0000\nReferences: <a@b>",
        ),
        "THREAD REFS",
        [numbers(1, 3), numbers(2)],
        [numbers(2), numbers(1, 3)],
        "RFC 5256 2.2: of equal dates the message that comes first is the earlier.",
    ),
}


def write(maildir: Path, messages: Sequence[str]) -> None:
    """Make a folder of the headers."""
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True)
    for number, header in enumerate(messages):
        file = maildir / "cur" / f"{FIRST_SECOND + number}.M{number}P1.host:2,"
        file.write_bytes(f"{header}\n\ntext\n".encode("latin-1"))
        os.utime(file, (FIRST_SECOND + 60 * number,) * 2)


def nasty(seed: int, count: int) -> Iterator[str]:
    """Headers that refer to each other in every wrong way, by chance."""
    chance = random.Random(seed)

    def some_ids(most: int) -> str:
        return " ".join(
            chance.choice(IDS) % chance.randrange(count + 10)
            for _ in range(chance.randrange(most))
        )

    for second in range(count):  # no two dates are equal: see ``DIFFERENT``
        pieces = [chance.choice(PIECES) for _ in range(chance.randrange(6))]
        day, hour = chance.randrange(1, 29), chance.randrange(24)
        zone = chance.choice(("+0000", "-0800", "+0530"))
        lines = [
            "Subject: " + "".join(pieces),
            f"Message-ID: {chance.choice(IDS) % chance.randrange(count)}",
            f"References: {some_ids(5)}",
            f"In-Reply-To: {some_ids(3)}",
            f"Date: {day} Jan 2020 {hour}:00:{second:02} {zone}",
            *(f"{name}: {chance.choice(ADDRESSES)}" for name in ("From", "To", "Cc")),
        ]
        kept = [line for line in lines if chance.random() < 0.85]
        chance.shuffle(kept)
        yield "\n".join(kept or lines)


@needs("dovecot")
class SortingTests(unittest.TestCase):
    def second(self, root: Path) -> PortServer:
        if PEER_UNDER_TEST:
            return DovecotServer(root, label="second")
        # Dovecot's own default; so that one name of a folder does for both.
        return ImapdServer(root, namespace="dovecot")

    def clients(self, roots: Sequence[Path]) -> list[Client]:
        servers = DovecotServer(roots[0]), self.second(roots[1])
        return [
            self.enterContext(self.enterContext(server).connect(USER))
            for server in servers
        ]

    def folders(self, mailboxes: Sequence[Sequence[str]]) -> list[Client]:
        """Both servers over a copy each of these folders, ``c0`` and so on."""
        place = self.enterContext(temporary_folder())
        roots = (place / "theirs", place / "ours")
        for root in roots:
            maildir = root / "mail" / USER / "Maildir"
            write(maildir, ())
            for at, messages in enumerate(mailboxes):
                write(maildir / f".c{at}", messages)
                (maildir / f".c{at}" / "maildirfolder").touch()
        return self.clients(roots)

    def answer(self, client: Client, command: str, keys: str = "ALL") -> list[Value]:
        word = command.split(" ")[1 if command.startswith("UID") else 0].encode()
        (found,) = (
            one[1:]
            for one in client.command(f"{command} UTF-8 {keys}".encode())
            if one[0] == word
        )
        return found

    def compare(self, clients: Sequence[Client], what: str) -> None:
        theirs, ours = clients
        for command in (*SORTS, *THREADS):
            for keys in ("ALL", "UNSEEN 3:*", "SUBJECT x"):
                self.assertEqual(
                    self.answer(ours, command, keys),
                    self.answer(theirs, command, keys),
                    f"{what}: {command} {keys}",
                )

    def test_nasty_headers(self) -> None:
        seeds = range(6)
        clients = self.folders([list(nasty(seed, 40)) for seed in seeds])
        for at, seed in enumerate(seeds):
            for client in clients:
                client.command(b"SELECT c%d" % at)
            self.compare(clients, f"seed {seed}")

    @unittest.skipIf(PEER_UNDER_TEST, "both are Dovecot")
    def test_differences_are_those_we_know(self) -> None:
        theirs, ours = self.folders([each.headers for each in DIFFERENT.values()])
        for at, (name, each) in enumerate(DIFFERENT.items()):
            self.assertNotEqual(each.theirs, each.ours, name)
            for client, wanted in ((theirs, each.theirs), (ours, each.ours)):
                client.command(b"SELECT c%d" % at)
                found = self.answer(client, each.command)
                self.assertEqual(found, wanted, f"{name}: {each.why}")

    @needs_shared
    def test_the_corpus(self) -> None:
        place = self.enterContext(temporary_folder())
        roots = (place / "theirs", place / "ours")
        for root in roots:
            maildir = root / "mail" / USER / "Maildir"
            maildir.parent.mkdir(parents=True)
            subprocess.run(
                [
                    *(sys.executable, str(SHARED / "bench" / "corpus.py")),
                    *("--out", str(maildir), "--profile", "lists"),
                    *("--messages", "500", "--seed", "3", "--jobs", "1"),
                ],
                check=True,
                capture_output=True,
                timeout=50,
            )
        clients = self.clients(roots)
        for client in clients:
            client.command(b"SELECT INBOX")
        self.compare(clients, "corpus")
