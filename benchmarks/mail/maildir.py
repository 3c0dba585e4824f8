"""Maildirs of generated mail: made once, kept, and handed out as hard-linked copies."""

import contextlib
import errno
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mail import body
from benchmarks.mail.header import HOST, header

#: Counted up whenever the generator writes other octets than before.
VERSION = 1
SEED = 11
BASE_SECONDS = 1_600_000_000
PROFILES = {"mixed": body.mixed_body, "small": body.small_body}
_PARTS = ("cur", "new", "tmp")
_FLAGS = (("D", 0.02), ("F", 0.04), ("R", 0.15), ("S", 0.85), ("T", 0.01))
_LONGEST_THREAD = 80
_OPEN_THREADS = 60


@dataclass(frozen=True)
class Message:
    """One message as it lies in a Maildir."""

    folder: str
    name: str
    octets: bytes
    mtime_seconds: int


def read_real_mail(folder: Path) -> list[bytes]:
    """Return the messages of the ``.eml`` files in a folder, with bare line feeds."""
    return [
        path.read_bytes().replace(b"\r\n", b"\n")
        for path in sorted(folder.rglob("*.eml"))
    ]


def _plan_threads(count: int, seed: int) -> list[int]:
    """Return for each message the index of the one it answers, or -1."""
    rng = random.Random(f"plan:{seed}:{count}")
    parents: list[int] = []
    threads: list[list[int]] = []
    for index in range(count):
        if threads and rng.random() < 0.5:
            # Of recent threads recent messages are the likelier: long chains.
            recent = min(int(rng.expovariate(0.15)), len(threads) - 1)
            thread = threads[-1 - recent]
            parents.append(thread[-1 - min(int(rng.expovariate(0.7)), len(thread) - 1)])
            thread.append(index)
            if len(thread) > _LONGEST_THREAD:
                threads.remove(thread)
        else:
            parents.append(-1)
            threads.append([index])
            del threads[:-_OPEN_THREADS]
    return parents


def _chain(parents: Sequence[int], index: int) -> list[int]:
    chain = []
    while index >= 0:
        chain.append(index)
        index = parents[index]
    return chain[::-1]


def messages(
    count: int, profile: str, *, seed: int = SEED, real: Sequence[bytes] = ()
) -> Iterator[Message]:
    """Yield ``count`` messages, the ``real`` ones spread evenly among the others."""
    parents = _plan_threads(count, seed)
    real = real[: count // 2]
    step = count // len(real) if real else count + 1
    rare_step = max(1, count // 5)
    for index in range(count):
        rng = random.Random(f"{seed}:{profile}:{index}")
        when = BASE_SECONDS + index * 331 + rng.randrange(300)
        # One message in thirty is new, and all of those are the latest.
        new = index >= count * 0.97 and rng.random() < 0.5
        flags = "".join(flag for flag, share in _FLAGS if rng.random() < share)
        if real and index % step == 0 and index // step < len(real):
            octets = real[index // step]
        else:
            rare = index % rare_step == rare_step // 2
            fields, content = PROFILES[profile](rng, rare=rare)
            head = header(index, seed, _chain(parents, index), when)
            version = "MIME-Version: 1.0\n" if fields else ""
            octets = head + f"{version}{fields}\n".encode() + content
        name = (
            f"{when}.M{index % 1000000:06d}P{2000 + index % 97}Q{index}.{HOST}"
            f",S={len(octets)}"
        )
        if new:
            yield Message("new", name, octets, when)
        else:
            yield Message("cur", f"{name}:2,{flags}", octets, when)


def make_maildir(folder: Path) -> None:
    """Make an empty Maildir."""
    for part in _PARTS:
        (folder / part).mkdir(parents=True, mode=0o700, exist_ok=True)


def _write(folder: Path, generated: Iterator[Message]) -> None:
    make_maildir(folder)
    for message in generated:
        path = folder / message.folder / message.name
        path.write_bytes(message.octets)
        os.utime(path, (message.mtime_seconds, message.mtime_seconds))


class Stock:
    """Generated Maildirs in a folder that outlives the run."""

    def __init__(self, folder: Path, real_mail: Path | None = None) -> None:
        """``real_mail``: a folder of .eml files to mix into what is not small."""
        self._folder = folder
        self._real = read_real_mail(real_mail) if real_mail else []

    def maildir(self, profile: str, count: int) -> Path:
        """Return a Maildir; never change it.  What is not there yet is made."""
        real = self._real if profile == "mixed" else []
        name = f"v{VERSION}-{profile}-{count}" + (f"-real{len(real)}" if real else "")
        path = self._folder / name
        if not path.is_dir():
            print(f"generating {count} {profile} messages in {path}", flush=True)
            partial = self._folder / f".{name}-{os.getpid()}"
            try:
                _write(partial, messages(count, profile, real=real))
                # Whoever was quicker has made the same.
                with contextlib.suppress(OSError):
                    partial.rename(path)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return path


def copy_maildir(source: Path, destination: Path) -> None:
    """Make a Maildir with the same messages; files are linked where that works.

    No server changes the octets or the mtime of a message file, so that what the
    copies share is only the page cache: it is as warm for one as for the other.
    """
    make_maildir(destination)
    link = True
    for part in ("cur", "new"):
        for name in os.listdir(source / part):
            old, new = source / part / name, destination / part / name
            if link:
                try:
                    os.link(old, new)
                    continue
                except OSError as error:
                    if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
                        raise
                    link = error.errno == errno.EMLINK
            shutil.copy2(old, new)
