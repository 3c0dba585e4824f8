"""What no test sees: mutants of the UID list and of the delivery path that live.

Each mutant runs in a child of this process, which has all tests loaded, against those
tests that run the changed function, quick ones first, until one fails.
"""

import contextlib
import io
import json
import os
import random
import resource
import select
import signal
import sys
import threading
import time
import tomllib
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, told
from tests.torture.mutants import Mutant, mutants_of

MODULES: Final = tuple(
    f"imapd.store.maildir.{name}"
    for name in (
        *("uidlist", "uidformat", "keptaside", "publish", "deliver", "transfer"),
    )
)
#: Where tests of these are; others run them too, and see less of them.
TESTS: Final = tuple(
    f"tests/store/test_{name}.py"
    for name in (
        *("uidlist", "uidlist_file", "publish", "mailbox", "transfer", "many"),
        *("own_changes", "injected", "lists_of_others", "crashes"),
    )
)
#: Those that live, and why: nothing that anybody could notice is another.
SURVIVORS: Final = Path(__file__).with_name("survivors.toml")
#: Of the mutants, in per cent, without the survivors that are explained.
LEAST_KILLED: Final = 90.0

_LEAST_TRIED: Final = 50

_ROOT: Final = Path(__file__).resolve().parents[2]
#: Of a processor, so that they are the same on a busy machine.
_TEST_SECONDS: Final = 6.0
_MUTANT_SECONDS: Final = 40.0
#: How much longer than that all may take, where tests wait or others compute.
_PATIENCE: Final = 8
_WAITING_SECONDS: Final = 10.0
#: When a child is ended that has not ended itself: no test was given so long.
_HOPELESS_SECONDS: Final = 1800.0
_MEMORY_OCTETS: Final = 4 << 30
_FILE_OCTETS: Final = 256 << 20


class _OutOfTime(BaseException):
    """The test goes on for longer than it did without the mutation."""


@dataclass(frozen=True)
class Ran:
    """One test without any mutation: how long, and through which functions.

    ``seconds`` are of a processor.
    """

    test: unittest.TestCase
    seconds: float
    functions: frozenset[str]


def run(budget: Budget) -> Iterator[Figure]:
    """Try mutants in an order of chance until the time is spent.  Hardening D13."""
    tests = list(load(TESTS))
    every = [mutant for module in MODULES for mutant in mutants_of(module)]
    known = explained()
    chance = random.Random(budget.seed)
    chance.shuffle(every)
    judge = Judge(survey(tests))
    tried = killed = excused = 0
    for mutant in every:
        if mutant.name in known:
            excused += 1
            continue
        tried += 1
        budget.did()
        if judge.is_killed(mutant):
            killed += 1
        else:
            print(f"lives: line {mutant.line}, {mutant.name}", flush=True)
        if budget.is_spent:
            break
    yield told("G24", "mutants tried", tried, "of them")
    yield told("G24", "mutants that live for a reason", excused, "of them")
    share = 100 * killed / tried if tried else 0.0
    if tried < _LEAST_TRIED:  # too few to say anything
        yield told("G24", "mutants killed", share, "%")
    else:
        yield at_least("G24", "mutants killed", share, "%", LEAST_KILLED)


def explained() -> dict[str, str]:
    """Survivors by name, and why they live."""
    return tomllib.loads(SURVIVORS.read_text("utf-8"))


def load(patterns: tuple[str, ...]) -> Iterator[unittest.TestCase]:
    """Import test files, and yield the tests in them one by one."""
    loader = unittest.TestLoader()
    for pattern in patterns:
        for file in sorted(_ROOT.glob(pattern)):
            name = ".".join(file.relative_to(_ROOT).with_suffix("").parts)
            yield from _flat(loader.loadTestsFromName(name))


def _flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from _flat(each)
        else:
            yield each


def survey(tests: list[unittest.TestCase]) -> list[Ran]:
    """Run each test by itself, unchanged; the quick ones come first."""
    found = []
    for test in tests:
        octets = _in_child(partial(_traced, test))
        if octets:
            seconds, functions = json.loads(octets)
            if functions:
                found.append(Ran(test, seconds, frozenset(functions)))
    return sorted(found, key=lambda ran: ran.seconds)


def _traced(test: unittest.TestCase) -> bytes:
    """How long a test takes and what of ours it runs; nothing where it fails."""
    seen: set[CodeType] = set()

    def trace(frame: FrameType, event: str, argument: object) -> None:
        seen.add(frame.f_code)

    began = time.process_time()
    _allow(_TEST_SECONDS)
    sys.settrace(trace)
    threading.settrace(trace)
    try:
        sound = _passes(test)
    finally:
        sys.settrace(None)
        threading.settrace(None)
    seconds = time.process_time() - began
    files = {str(sys.modules[module].__file__): module for module in MODULES}
    functions = {
        f"{files[code.co_filename]}:{code.co_qualname.split('.<locals>')[0]}"
        for code in seen
        if code.co_filename in files
    }
    return json.dumps([seconds, sorted(functions)]).encode() if sound else b""


class Judge:
    """Says of each mutant whether the tests see it."""

    def __init__(self, runs: list[Ran]) -> None:
        self._runs = runs
        #: The index of who killed another mutant of the same: it is asked first.
        self._killers: dict[str, list[int]] = {}

    def is_killed(self, mutant: Mutant) -> bool:
        """Whether a test that runs the function fails with the mutant in its place."""
        where = f"{mutant.module}:{mutant.function}"
        killers = self._killers.setdefault(where, [])
        others = self._killers.setdefault(mutant.module, [])
        numbers = [n for n, ran in enumerate(self._runs) if where in ran.functions]
        first = [n for n in dict.fromkeys((*killers, *others)) if n in numbers]
        chosen = list(dict.fromkeys((*first, *numbers)))
        said = _in_child(lambda: self._attempt(mutant, chosen))
        if said.isdigit():
            for list_of in (killers, others):
                list_of[:] = [int(said), *(n for n in list_of if n != int(said))][:8]
        return said != b"lives"

    def _attempt(self, mutant: Mutant, chosen: list[int]) -> bytes:
        """The number of the test that fails, in a child."""
        mutant.put_in_place()
        for number in chosen:
            ran = self._runs[number]
            if time.process_time() + ran.seconds > _MUTANT_SECONDS:
                continue
            _allow(1 + 4 * ran.seconds)
            if not _passes(ran.test):
                return b"%d" % number
        return b"lives"


def _allow(seconds: float) -> None:
    """Let the test that follows compute for so long, and wait for longer; 0: no end."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    waiting = seconds * _PATIENCE + _WAITING_SECONDS if seconds else 0
    signal.setitimer(signal.ITIMER_REAL, waiting)


def _passes(test: unittest.TestCase) -> bool:
    """Run one test, with what its class needs, silently."""
    result = unittest.TestResult()
    silence = io.StringIO()
    with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
        unittest.TestSuite([test]).run(result)
    _allow(0)
    return result.wasSuccessful()


def _in_child(work: Callable[[], bytes]) -> bytes:
    """What a child of this process makes of it; nothing where it does not end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        octets = b""
        try:
            octets = _limited(work)
        finally:
            with contextlib.suppress(OSError):
                os.write(writer, octets)
            os._exit(0)
    os.close(writer)
    found = b""
    with open(reader, "rb", buffering=0) as pipe:
        # It is said at once, and is short; the end may be that of a grandchild.
        if select.select([pipe], [], [], _HOPELESS_SECONDS)[0]:
            found = pipe.read(65536)
        else:
            os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return found


def _limited(work: Callable[[], bytes]) -> bytes:
    """Do it where endless loops and files have an end, after which tests tidy up."""

    def out_of_time(number: int, frame: Any) -> None:
        raise _OutOfTime

    signal.signal(signal.SIGPROF, out_of_time)
    signal.signal(signal.SIGALRM, out_of_time)
    # Writing on is an error that tests see, and no end of the process.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_OCTETS, _FILE_OCTETS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_OCTETS, _MEMORY_OCTETS))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
    return work()
