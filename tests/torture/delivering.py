"""Programs that work on the files themselves: deliverers, a mail reader, mbsync."""

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.live.base import PASSWORD, PortServer
from tests.live.process import peers_folder
from tests.torture.ledger import (
    FLAG_OF,
    REMOVED_BY,
    Ledger,
    message,
    number_of,
)
from tests.torture.sessions import HOT_COUNT, USER, Hand

_PROGRAM_SECONDS = 60
_GONE = re.compile(r"'UID FETCH (\d+) .*EXPUNGEISSUED")
_OWN = {who: digit for digit, who in REMOVED_BY.items()}


class Qmail(Hand):
    """Delivers as qmail-local does: written to ``tmp``, synced, linked to ``new``."""

    def __init__(
        self, maildir: Path, ledger: Ledger, seed: int, over: threading.Event
    ) -> None:
        super().__init__("qmail", ledger, seed, over)
        self._maildir = maildir
        self._numbers = ledger.numbers()

    def work(self) -> None:
        while self.goes_on:
            number = next(self._numbers)
            name = f"{time.time_ns() // 10**9}.M{number}P{os.getpid()}.mx"
            draft = self._maildir / "tmp" / name
            with open(draft, "xb") as file:
                file.write(message(number))
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, self._maildir / "new" / name)
            self.ledger.there.add(number)
            draft.unlink()
            self.ledger.did("deliveries")
            time.sleep(self.chance.random() * 0.04)


def deliverquota() -> Path | None:
    """Courier's delivery agent, where ``.ci/peers`` unpacked it."""
    try:
        found = peers_folder() / "usr/bin/deliverquota.courier"
    except (OSError, subprocess.CalledProcessError):
        return None
    return found if found.is_file() else None


class Courier(Hand):
    """Delivers with a program of Courier's, the heart of which maildrop has too."""

    def __init__(
        self,
        program: Path,
        maildir: Path,
        ledger: Ledger,
        seed: int,
        over: threading.Event,
    ) -> None:
        super().__init__("courier", ledger, seed, over)
        self._maildir, self._program = maildir, program
        self._numbers = ledger.numbers()

    def work(self) -> None:
        top = self._program.parents[2]
        places = [
            str(path)
            for name in ("usr/lib", "usr/lib/*-linux-gnu", "usr/lib/*/courier-authlib")
            for path in top.glob(name)
        ]
        environment = {
            "LD_LIBRARY_PATH": os.pathsep.join(places),
            "PATH": "/usr/bin:/bin",
        }
        while self.goes_on:
            number = next(self._numbers)
            subprocess.run(
                [str(self._program), str(self._maildir)],
                input=message(number),
                env=environment,
                check=True,
                timeout=_PROGRAM_SECONDS,
            )
            self.ledger.there.add(number)
            self.ledger.did("deliveries")
            time.sleep(self.chance.random() * 0.1)


class Files:
    """The messages of a folder, as someone sees them who lists it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers: dict[str, int] = {}

    def listing(self) -> list[tuple[Path, int]]:
        """Return files and the numbers of their messages; some may be gone by now."""
        found = []
        for part in ("new", "cur"):
            for path in (self._folder / part).iterdir():
                base = path.name.partition(":")[0]
                if base not in self._numbers:
                    with contextlib.suppress(FileNotFoundError):
                        self._numbers[base] = number_of(path.read_bytes())
                if base in self._numbers:
                    found.append((path, self._numbers[base]))
        return found

    def flag(self, path: Path, letter: str, wanted: bool) -> bool:
        """Rename a file to have that letter; False: it is not there."""
        base, _, letters = path.name.partition(":2,")
        others = {*letters} - {letter}
        changed = "".join(sorted(others | {letter} if wanted else others))
        try:
            path.rename(self._folder / "cur" / f"{base}:2,{changed}")
        except FileNotFoundError:
            return False
        return True


class Reader(Hand):
    """A mail reader for files: takes new mail to ``cur``, flags and removes."""

    def __init__(
        self, maildir: Path, ledger: Ledger, seed: int, over: threading.Event
    ) -> None:
        super().__init__("reader", ledger, seed, over)
        self._files = Files(maildir)

    def work(self) -> None:
        while self.goes_on:
            listed = self._files.listing()
            if self.chance.random() < 0.7:
                listed = sorted(listed, key=lambda one: one[0].name)[-HOT_COUNT:]
            for path, number in self.chance.sample(listed, min(len(listed), 6)):
                if number % 10 == _OWN["reader"] and self.chance.random() < 0.5:
                    self.ledger.removed.add(number)
                    path.unlink(missing_ok=True)
                    self.ledger.did("unlinks")
                    continue
                wanted = self.chance.random() < 0.6
                key = (number, FLAG_OF["reader"])
                if self._files.flag(path, "F", wanted):
                    self.ledger.flags[key] = wanted
                    self.ledger.did("renames")
            time.sleep(0.005)


_MBSYNC = """\
IMAPAccount far
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
SystemCertificates no
CertificateFile {ca}

IMAPStore far
Account far

MaildirStore near
Path {home}/near/
Inbox {home}/near/INBOX

Channel all
Far :far:
Near :near:
Create Near
Expunge Both
SyncState *
"""


class Near(Hand):
    """A copy of the INBOX that mbsync keeps, and somebody who works on the copy."""

    def __init__(
        self,
        server: PortServer,
        home: Path,
        ledger: Ledger,
        seed: int,
        over: threading.Event,
    ) -> None:
        """``home`` is a directory of its own."""
        super().__init__("near", ledger, seed, over)
        self._home = home
        self.inbox = home / "near" / "INBOX"
        self._files = Files(self.inbox)
        self._numbers = ledger.numbers()
        (home / "near").mkdir()
        configuration = home / "mbsyncrc"
        configuration.touch(0o600)
        configuration.write_text(
            _MBSYNC.format(
                port=server.tls_port,
                user=USER,
                password=PASSWORD,
                ca=server.ca,
                home=home,
            )
        )

    def work(self) -> None:
        while self.goes_on:
            self.sync()
            for deed in (self._deliver, self._flag, self._remove):
                deed()

    def sync(self, statuses: tuple[int, ...] = (0, 1)) -> None:
        """Run mbsync; 1: something changed under its hands."""
        done = subprocess.run(
            ["mbsync", "--config", str(self._home / "mbsyncrc"), "--all"],
            env={"HOME": str(self._home), "PATH": "/usr/local/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=_PROGRAM_SECONDS,
            check=False,
        )
        self.ledger.did("mbsync")
        for uid in _GONE.findall(done.stderr):
            for (folder, _, known), number in list(self.ledger.names.items()):
                if (folder, known) == ("INBOX", int(uid)):
                    self.ledger.is_told_gone(folder, number, "two, by mbsync")
        if done.returncode not in statuses:
            words = (done.stdout + done.stderr).strip()[-500:]
            self.ledger.problems.append(f"mbsync: {done.returncode}: {words}")

    def numbers(self) -> dict[int, str]:
        """The letters of each message in the copy."""
        return {
            number: path.name.partition(":2,")[2]
            for path, number in self._files.listing()
        }

    def _deliver(self) -> None:
        number = next(self._numbers)
        name = f"{time.time_ns() // 10**9}.near{number}.host"
        (self.inbox / "tmp" / name).write_bytes(message(number))
        (self.inbox / "tmp" / name).rename(self.inbox / "new" / name)
        self.ledger.there.add(number)
        self.ledger.did("deliveries")

    def _some(self, wanted: Callable[[int], bool]) -> list[tuple[Path, int]]:
        found = [one for one in self._files.listing() if wanted(one[1])]
        return self.chance.sample(found, min(len(found), 4))

    def _flag(self) -> None:
        """What the copy has is there after the last run."""
        for path, number in self._some(lambda number: True):
            wanted = self.chance.random() < 0.7
            if self._files.flag(path, "D", wanted):
                self.ledger.flags[number, FLAG_OF["near"]] = wanted
                self.ledger.did("renames")

    def _remove(self) -> None:
        for path, number in self._some(lambda number: number % 10 == _OWN["near"]):
            self.ledger.removed.add(number)
            self._files.flag(path, "T", True)
            self.ledger.did("marks")
