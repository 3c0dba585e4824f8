"""A large folder in which another program renames files all the time.

One look at such a directory misses files that are there: who believes it tells of
expunges that were none, and of new messages that are old.  Goal G9, hardening D09.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.live.base import PortServer
from tests.live.peers import ImapdServer
from tests.live.process import temporary_folder
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.ledger import Ledger, message
from tests.torture.sessions import USER, View

COUNT = 20_000
_NAPS_SECONDS = 0.2
#: With fewer looks, or renames meanwhile, what is judged says little.
_LEAST_LOOKS = 2
_LEAST_RENAMES = 1000
#: Until then all go on, for so many times the time: the machine may be a slow one.
_LONGEST = 10
# Flags of this program alone, until it is ended; its output is how often it did so.
_RENAMER = textwrap.dedent(
    """
    import os, sys
    os.chdir(sys.argv[1])
    names = os.listdir(".")
    count = 0
    while True:
        for index, name in enumerate(names):
            base, _, letters = name.partition(":2,")
            new = base + ":2," + ("" if letters else "F")
            try:
                os.rename(name, new)
            except FileNotFoundError:
                continue
            names[index] = new
            count += 1
            if not count % 100:
                os.pwrite(1, b"%20d" % count, 0)
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


@contextlib.contextmanager
def _renaming(directory: Path) -> Iterator[Callable[[], int]]:
    """Another program renames all the while; yields what asks how often it has."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _RENAMER, str(directory)], stdout=output
        )
        try:
            yield lambda: int(os.pread(output.fileno(), 20, 0) or 0)
        finally:
            process.kill()
            process.wait()


class Naive(threading.Thread):
    """Looks once, as one should not: is there anything to find here at all?"""

    def __init__(self, directory: Path, over: threading.Event) -> None:
        super().__init__(name="naive")
        self._directory, self._over = directory, over
        self.looks = self.misled = 0

    def run(self) -> None:
        while not self._over.is_set():
            names = os.listdir(self._directory)
            bases = {name.partition(":")[0] for name in names}
            self.looks += 1
            self.misled += len(bases) != COUNT or len(names) != COUNT
            self._over.wait(1)


def _watch(view: View, renamed: Callable[[], int], seconds: float) -> int:
    """Look for so long, and until something was seen."""
    began, looks = time.monotonic(), 0
    while time.monotonic() < began + seconds or (
        (looks < _LEAST_LOOKS or renamed() < _LEAST_RENAMES)
        and time.monotonic() < began + _LONGEST * seconds
    ):
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
        over = threading.Event()
        naive = Naive(maildir / "cur", over)
        with _renaming(maildir / "cur") as renamed:
            naive.start()
            try:
                looks = _watch(view, renamed, seconds)
            finally:
                over.set()
            done = renamed()
            naive.join()
        view.look()
        wrong = [*ledger.problems, *map(str, ledger.phantoms())]
        if view.uids != before:
            wrong.append(f"{len(view.uids)} messages of {COUNT}")
        view.close()
        wrong += _second_opinion(server, before)
    assert not wrong, "\n".join(wrong[:20])
    yield at_least("G9", "renames by another program", done, "renames", _LEAST_RENAMES)
    yield at_least("G9", "looks of a session meanwhile", looks, "looks", _LEAST_LOOKS)
    yield told("G9", "single listings that were wrong", naive.misled, "listings")
    yield told("G9", "single listings", naive.looks, "listings")
    yield at_most("G9", "phantom EXPUNGE, second UID", 0, "messages", 0)


def _second_opinion(server: PortServer, before: list[int | None]) -> list[str]:
    with server.connect(USER) as client:
        client.select("INBOX")
        found = client.uids()
    return [] if found == before else [f"a new session finds {len(found)}"]
