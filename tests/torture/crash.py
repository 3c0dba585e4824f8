"""Stop the store at every operation, or let it fail there, and look what is left.

Each trial copies an account, gives a command to a server on it, and has a fault
happen at the k-th operation on the disk, for every k until the command comes
through.  Then the checker looks at what lies there, a new server opens it, and the
checker looks again: hardening sections 3 and 7, L1.
"""

import errno
import os
import pickle
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from imapd.ids import Uid
from imapd.store import fsops
from tests.store.faults import CHANGING, POSSIBLE, Killed, Plan, injected
from tests.store.folders import MEMORY
from tests.torture.budget import Budget
from tests.torture.checker import STRICT, Mercy, Told, check
from tests.torture.dovecot import Dovecot, dovecot
from tests.torture.figures import Figure, at_most, told
from tests.torture.maildirs import read_account
from tests.torture.scenarios import SCENARIOS, Scenario, Workshop, nothing
from tests.torture.storeactor import Actor, Refused, message

KILLED: Final = Plan(0, counts=CHANGING)
TORN: Final = Plan(0, torn=True, counts=frozenset({"write"}))
EVERY: Final = frozenset({*fsops.OPERATIONS, "sqlite", "commit"}) - {"close"}
NUMBERS: Final = (errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EACCES, errno.EROFS)
#: What happens at the k-th operation, k from 1 on; ``at`` is filled in.
SINGLE: Final = (
    KILLED,
    TORN,
    *(Plan(0, one, counts=POSSIBLE.get(one, EVERY)) for one in NUMBERS),
)
_MOST_OPERATIONS: Final = 2000
_KILLED_STATUS: Final = 9


def describe(plan: Plan) -> str:
    """``EIO at 7, then killed 3 later``."""
    what = "killed" if plan.number is None else errno.errorcode[plan.number]
    words = [f"{what} at {plan.at}"]
    if plan.torn:
        words.append("torn")
    if plan.lasting:
        words.append("for good")
    if plan.then_killed_after is not None:
        words.append(f"then killed {plan.then_killed_after} later")
    return ", ".join(words)


@dataclass
class Trial:
    """What came of one command with a fault in it."""

    label: str
    root: Path
    told: Told
    hit: str = ""  # the operation; empty: the command came through before
    killed: bool = False


class Sweep:
    """Makes trials in a directory of its own."""

    def __init__(self, judge_by: Dovecot | None = None) -> None:
        """``judge_by`` reads some of what is left, too."""
        self.top = Path(tempfile.mkdtemp(prefix="imapd-crash-", dir=MEMORY))
        self.workshop = Workshop(self.top)
        self.dovecot = judge_by
        self.trials = 0
        self.read_by_dovecot = 0

    def __enter__(self) -> "Sweep":
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.top, ignore_errors=True)

    # -- making --

    def attempt(self, scenario: Scenario, plan: Plan, *, fork: bool = False) -> Trial:
        """Do the command; ``fork``: in a process that really ends."""
        root, told_before = self.workshop.account(scenario)
        trial = Trial(f"{scenario.name}, {describe(plan)}", root, told_before)
        self.trials += 1
        if fork:
            self._in_child(trial, scenario, plan)
        else:
            _work(trial, scenario, plan)
        trial.label += f" ({trial.hit})"
        return trial

    def _in_child(self, trial: Trial, scenario: Scenario, plan: Plan) -> None:
        record = trial.root.parent / "record"

        def write_down() -> None:
            record.write_bytes(pickle.dumps((trial.told, trial.hit, trial.killed)))

        def die() -> None:
            trial.killed = True
            write_down()
            os._exit(_KILLED_STATUS)

        child = os.fork()
        if not child:
            try:
                _work(trial, scenario, plan, die)
                write_down()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        found = pickle.loads(record.read_bytes())
        trial.told, trial.hit, trial.killed = found

    # -- judging --

    def judge(self, trial: Trial, *, ask_dovecot: bool = False) -> None:
        """Look at it before and after a new server did.

        Raises:
            AssertionError: a promise was broken.
        """
        root = os.fsencode(trial.root)
        if trial.root.exists() and (trial.root / "cur").exists():
            lines = check(root, trial.told, Mercy(unopened=True))
            _require(trial, "as it lies there", lines)
            couriers = (trial.root / "courierimapuiddb").exists()
            if ask_dovecot and self.dovecot is not None and not couriers:
                lines = self.dovecot.judge(trial.root, trial.told)
                _require(trial, "read by Dovecot", lines)
                self.read_by_dovecot += 1
        _require(trial, "opened again", reopen(trial.root, trial.told))
        self.workshop.remove(trial.root)

    def sweep(
        self,
        scenario: Scenario,
        plan: Plan,
        *,
        fork: bool = False,
        first: int = 1,
        step: int = 1,
    ) -> int:
        """Try every k, or every ``step``-th from ``first`` on; return the last one.

        At the last nothing happened: the command has come through before.
        """
        for at in range(first, _MOST_OPERATIONS, step):
            trial = self.attempt(scenario, replace(plan, at=at), fork=fork)
            self.judge(trial, ask_dovecot=at % 7 == 3 and plan is KILLED)
            if not trial.hit:
                return at
        raise AssertionError(f"{scenario.name} never ends")


def _require(trial: Trial, when: str, lines: list[str]) -> None:
    if lines:
        kept = f"; see {trial.root}" if os.environ.get("TORTURE_KEEP") else ""
        raise AssertionError("\n  ".join([f"{trial.label}, {when}{kept}:", *lines[:8]]))


def _work(
    trial: Trial,
    scenario: Scenario,
    plan: Plan,
    die: Callable[[], None] | None = None,
) -> None:
    """Give the command; after a NO the same server goes on."""
    actor = None
    if scenario.before is not nothing:  # else opening is part of what may fail
        actor = Actor(trial.root, trial.told)
        scenario.before(actor)

    def end() -> None:
        trial.hit = state.hit
        if die is not None:
            die()

    together = list(trial.told.together)
    with injected(plan, end) as state:
        try:
            actor = actor or Actor(trial.root, trial.told)
            scenario.act(actor)
        except Killed:
            trial.killed = True
        except Refused:
            if not state.hit:
                raise AssertionError(f"{trial.label}: NO without a fault") from None
    trial.hit = state.hit
    if plan.lasting and state.hit:
        # What was stored in part cannot be taken back on such a disk.
        trial.told.together[:] = together
    if actor is None:
        return
    if not trial.killed:
        _go_on(actor)
    close_dead(actor)


def _go_on(actor: Actor) -> None:
    """The disk is well again: whoever was told NO tries something else."""
    for step in (
        lambda: actor.select(""),
        lambda: actor.append("", ["gone on 1"], []),
        lambda: actor.append("", ["gone on 2"], ["\\Seen"]),
    ):
        try:
            step()
        except (Refused, KeyError):  # KeyError: it could not be selected
            continue


def close_dead(actor: Actor) -> None:
    """Give back descriptors, as the kernel does when a process ends."""
    actor.account.state.close()
    actor.account._cache.close()


def reopen(root: Path, told_now: Told, mercy: Mercy = STRICT) -> list[str]:
    """Let a new server open all there is and work; return what is wrong.

    It says of every message what the checker reads, and takes another one.
    """
    actor = None
    try:
        actor = Actor(root, told_now)
        seen = {folder: _all_of(actor, folder) for folder in sorted(listed(actor))}
        # It takes mail, also where the dead have left locks.
        before = read_account(os.fsencode(root))
        for folder, messages in seen.items():
            if not folder or before[folder].locks:
                word = f"after the fault in {folder}"
                uid = actor.append(folder, [word], ["\\Flagged"])[0]
                messages[uid] = message(word)
        there = read_account(os.fsencode(root))
        lines = check(os.fsencode(root), told_now, mercy, there)
        for name, found in there.items():
            lines += [f"{name!r} is locked"] * bool(found.locks)
            if seen.get(name) != {one.uid: one.octets for one in found.messages}:
                lines.append(f"{name!r}: the server and the checker differ")
        if set(there) != set(seen):
            lines.append(f"the server shows {sorted(seen)} of {sorted(there)}")
        return lines
    except Refused as error:
        return [f"the account does not work: {error}: {error.__cause__!r}"]
    finally:
        if actor is not None:
            close_dead(actor)


def _all_of(actor: Actor, folder: str) -> dict[int | None, bytes]:
    """What a client reads in a mailbox, by UID."""
    box = actor.select(folder, claim=False)
    return {uid: box.read(Uid(uid)) for uid in actor.listed[folder]}


def listed(actor: Actor) -> Iterator[str]:
    """The folders that the server shows, as the checker calls them."""
    for folder in actor.account.folders():
        yield ".".join(folder.path) if folder.path != ("INBOX",) else ""


# -- the harness ----------------------------------------------------------------


def any_plan(chance: random.Random, most: int) -> Plan:
    """A compound fault: an errno, once or for good, and perhaps death later."""
    number = chance.choice(NUMBERS)
    return Plan(
        chance.randint(1, most),
        number,
        then_killed_after=chance.choice((None, chance.randint(1, 30))),
        lasting=chance.random() < 0.5,
        torn=chance.random() < 0.3,
        counts=POSSIBLE.get(number, EVERY),
    )


def sweep_all(sweep: Sweep, budget: Budget, errno_step: int = 1) -> int:
    """Every command with every single fault; return how many pairs were swept.

    Death comes at every operation, whatever time it takes.  With ``errno_step`` an
    errno comes at every so many only, from where the seed says.
    """
    chance = random.Random(budget.seed)
    pairs = [(scenario, plan) for plan in SINGLE for scenario in SCENARIOS]
    for count, (scenario, plan) in enumerate(pairs):
        if plan.number is not None and budget.may_leave_off:
            return count
        step = 1 if plan.number is None else errno_step
        first = chance.randint(1, step)
        before = sweep.trials
        sweep.sweep(scenario, plan, first=first, step=step)
        budget.did(sweep.trials - before)
    return len(pairs)


def compound(sweep: Sweep, budget: Budget, most: int = 1 << 30) -> int:
    """Compound faults, and deaths of a real process, while there is time."""
    before = sweep.trials
    for _, chance in budget.trials("crash"):
        scenario = chance.choice(SCENARIOS)
        plan = any_plan(chance, 120)
        fork = chance.random() < 0.3
        if fork:
            plan = replace(KILLED, at=chance.randint(1, 60))
        trial = sweep.attempt(scenario, plan, fork=fork)
        sweep.judge(trial, ask_dovecot=chance.random() < 0.02)
        budget.did()
        if sweep.trials - before >= most:
            break
    return sweep.trials - before


def run(budget: Budget) -> Iterator[Figure]:
    """Every single fault, then compound ones while there is time."""
    with dovecot() as other, Sweep(other) as sweep:
        pairs = sweep_all(sweep, budget)
        yield told("G6", "commands with a fault, swept whole", pairs, "pairs")
        yield told("G6", "trials with a single fault", sweep.trials, "trials")
        count = compound(sweep, budget)
        yield told("G6", "trials with compound faults", count, "trials")
        yield told("G6", "read by Dovecot too", sweep.read_by_dovecot, "trials")
        # A broken promise ends all of it with its trial.
        yield at_most("G6", "broken promises", 0, "trials", 0)
