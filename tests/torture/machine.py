r"""Three sessions, another program and restarts, against the model (goal L0).

Hypothesis draws what happens, and where server and model differ it looks for the
shortest way there: what every session sent and received then is the message of the
error.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_most, told
from tests.torture.model import Flags
from tests.torture.modelrules import BY, PICK, PICKS, SOME_FLAGS, WHO, Rules
from tests.torture.modelstage import Stage
from tests.torture.modelworld import NAMES

EXAMPLES_AT_ONCE: Final = 20
STEPS: Final = 30


class Machine(Rules):
    """Single steps, and some in a row that chance would seldom bring together."""

    @rule(
        who=WHO,
        by=BY,
        pick=PICK,
        picks=PICKS,
        what=st.sampled_from(("FETCH", "STORE", "SEARCH", "COPY")),
        program=st.booleans(),
        back=st.booleans(),
    )
    def cross(
        self,
        who: str,
        by: str,
        pick: int,
        picks: Sequence[int],
        what: str,
        program: bool,
        back: bool,
    ) -> None:
        """A message goes under the hands of a session, which may leave then."""
        session = self.session(who)
        assert session.view is not None
        name = session.view.box.name
        other = "B" if who == "A" else "A"
        if program:
            self.other_removes(name, pick)
        else:
            self.select(other, name, False, False)
            self.delete(other, [pick])
        match what:
            case "FETCH":
                self.fetch(who, by, picks, "FLAGS")
            case "STORE":
                self.store(who, by, picks, "FLAGS", frozenset([f"k{pick}"]), None)
            case "SEARCH":
                self.search(who, by, ("not", ("seq", pick)))
            case _:
                self.transfer(who, by, "COPY", picks, NAMES[pick % 2])
        if back and session.qresync:
            self.come_back(who, name, True, None, [])

    @rule(who=WHO, pick=PICK, whole=st.booleans())
    def undelete(self, who: str, pick: int, whole: bool) -> None:
        r"""Another program takes ``\Deleted`` back just before an EXPUNGE."""
        session = self.session(who)
        assert session.view is not None
        name = session.view.box.name
        if session.view.read_only:
            return
        self.store(who, "UID ", [pick], "+FLAGS", frozenset([r"\deleted"]), None)
        self.other_marks(name, pick, frozenset())
        self.expunge(who, None if whole else [pick])

    @rule(
        who=WHO,
        crash=st.booleans(),
        gone=st.one_of(st.none(), PICK),
        marked=st.one_of(st.none(), PICK),
        flags=SOME_FLAGS,
    )
    def away(
        self,
        who: str,
        crash: bool,
        gone: int | None,
        marked: int | None,
        flags: Flags,
    ) -> None:
        """While a client is away, the server is too, and another program works."""
        self.enable(who, "QRESYNC")
        self.select(who, "INBOX", False, False)
        self.fetch(who, "UID ", (), "FLAGS")
        self.world.restart(crash=crash)
        if gone is not None:
            self.other_removes("INBOX", gone)
        if marked is not None:
            self.other_marks("INBOX", marked, flags)
        self.come_back(who, "INBOX", True, None, [])


def hunt(number: int, *, examples: int = EXAMPLES_AT_ONCE, steps: int = STEPS) -> None:
    """Try so many examples, all of which ``number`` tells.

    Raises:
        AssertionError: a difference, with the transcript of the shortest way to it.
    """
    machine: Any = seed(number)(type("Seeded", (Machine,), {}))
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except Exception as error:
        lines = "\n".join(Stage.transcript)
        raise AssertionError(f"{_told_by(error)}\n\n{lines}") from error


def _told_by(error: BaseException) -> str:
    """What it says, and all that it is made of."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, BaseExceptionGroup):
        said += "".join(f"\n{_told_by(each)}" for each in error.exceptions)
    return said


def run(budget: Budget) -> Iterator[Figure]:
    """Hunt until all is spent."""
    Stage.steps = Stage.examples = Stage.commands = 0
    for label, _ in budget.trials("model"):
        hunt(int.from_bytes(hashlib.sha256(label.encode()).digest()[:8]))
    yield told("L0", "examples against the model", Stage.examples, "examples")
    yield told("L0", "steps in them", Stage.steps, "steps")
    yield told("L0", "commands in them", Stage.commands, "commands")
    yield at_most("L0", "differences from the model", 0, "differences", 0)
