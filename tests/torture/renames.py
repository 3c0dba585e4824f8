"""A large folder in which another program renames files all the time.

One look at such a directory misses files that are there: who believes it tells of
expunges that were none, and of new messages that are old.  Goal G9, hardening D09.
"""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.live.base import PortServer
from tests.live.peers import ImapdServer
from tests.live.process import temporary_folder
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.ledger import Ledger, message
from tests.torture.sessions import USER, View

COUNT = 20_000
_NAPS_SECONDS = 0.2
# Flags of this program alone; and how often it could do so.
_RENAMER = textwrap.dedent(
    """
    import os, sys, time
    directory, end = sys.argv[1], time.time() + float(sys.argv[2])
    os.chdir(directory)
    names = os.listdir(".")
    count = 0
    while time.time() < end:
        for index, name in enumerate(names):
            base, _, letters = name.partition(":2,")
            new = base + ":2," + ("" if letters else "F")
            try:
                os.rename(name, new)
            except FileNotFoundError:
                continue
            names[index] = new
            count += 1
            if not count % 500 and time.time() >= end:
                break
    print(count)
    """
)


def _fill(maildir: Path) -> None:
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True)
    where = os.fsencode(maildir / "cur")
    for number in range(COUNT):
        name = b"%d.M%dP1.mx:2," % (1_600_000_000 + number, number)
        with open(where + b"/" + name, "wb") as file:
            file.write(message(number))


class Naive(threading.Thread):
    """Looks once, as one should not: is there anything to find here at all?"""

    def __init__(self, directory: Path, end: float) -> None:
        super().__init__(name="naive")
        self._directory, self._end = directory, end
        self.looks = self.misled = 0

    def run(self) -> None:
        while time.monotonic() < self._end:
            names = os.listdir(self._directory)
            bases = {name.partition(":")[0] for name in names}
            self.looks += 1
            self.misled += len(bases) != COUNT or len(names) != COUNT
            time.sleep(1)


def _watch(view: View, end: float) -> int:
    looks = 0
    while time.monotonic() < end:
        view.look()
        looks += 1
        time.sleep(_NAPS_SECONDS)
    return looks


def renames(seconds: float) -> Iterator[Figure]:
    """Rename at full speed, and ask a server all the time what is there.

    Raises:
        AssertionError: it told of an expunge, or gave a message a second UID.
    """
    ledger = Ledger()
    options = ["--index", "off"]
    with temporary_folder() as root, ImapdServer(root, options=options) as server:
        maildir = server.maildir(USER)
        _fill(maildir)
        view = View(server, ledger, "INBOX")
        assert len(view.numbers) == COUNT, len(view.numbers)
        before = list(view.uids)
        renamer = subprocess.Popen(
            [sys.executable, "-c", _RENAMER, str(maildir / "cur"), str(seconds)],
            stdout=subprocess.PIPE,
        )
        end = time.monotonic() + seconds
        naive = Naive(maildir / "cur", end)
        naive.start()
        looks = _watch(view, end)
        done = int(renamer.communicate()[0])
        naive.join()
        view.look()
        wrong = [*ledger.problems, *map(str, ledger.phantoms())]
        if view.uids != before:
            wrong.append(f"{len(view.uids)} messages of {COUNT}")
        view.close()
        wrong += _second_opinion(server, before)
    assert not wrong, "\n".join(wrong[:20])
    yield at_least("G9", "renames by another program", done, "renames", 1000)
    yield at_least("G9", "looks of a session meanwhile", looks, "looks", 2)
    yield told("G9", "single listings that were wrong", naive.misled, "listings")
    yield told("G9", "single listings", naive.looks, "listings")
    yield at_most("G9", "phantom EXPUNGE, second UID", 0, "messages", 0)


def _second_opinion(server: PortServer, before: list[int | None]) -> list[str]:
    with server.connect(USER) as client:
        client.select("INBOX")
        found = client.uids()
    return [] if found == before else [f"a new session finds {len(found)}"]
