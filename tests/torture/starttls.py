"""What was said before TLS has no effect inside it: all ways we know, and chance."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from tests.live.injections import (
    BEFORE,
    INITIAL,
    INJECTED,
    TAKEN,
    Variant,
    clean_variants,
    judge_clean,
    judge_taken,
    run_all,
    taken_variants,
)
from tests.live.peers import (
    PASSWORD,
    USERS,
    ImapdServer,
    temporary_folder,
)
from tests.live.starttls import Wire, client_context
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, at_most, told

_A_ROUND = 120
#: Less than that: some of chance only, the matrix is a live test.
_MATRIX_SECONDS = 20


def run(budget: Budget) -> Iterator[Figure]:
    """Real TCP, real TLS, a real process; cleartext logins never.  Hardening P01."""
    with temporary_folder() as root:
        config = root / "imapd.toml"
        config.write_text("[limits]\npreauth_seconds = 10\n")
        options = (f"--config={config}", "--cleartext-login=never")
        with ImapdServer(root, options=options) as server:
            matrix = _Matrix(server.port, server.ca)
            yield from matrix.run(budget)
            if matrix.failed:
                raise AssertionError("; ".join(matrix.failed[:3]))
            log = server.log()
            if server.complaints():
                raise AssertionError(server.complaints()[:5])
            if PASSWORD in log or INITIAL.decode() in log:
                raise AssertionError("a password is in the log")


class _Matrix:
    """Runs variants, and counts."""

    def __init__(self, port: int, ca: Path) -> None:
        self._port = port
        self._context = client_context(ca)
        self._users = itertools.cycle(USERS)
        self._begun = 0
        self.failed: list[str] = []

    async def _judge(self, wire: Wire, variant: Variant) -> None:
        if variant.injects:
            begun = await judge_taken(wire, self._context)
            self._begun += begun  # not in one line: others count meanwhile
        else:
            await judge_clean(wire, self._context, next(self._users))

    def _try(self, variants: list[Variant]) -> int:
        self.failed += asyncio.run(run_all(variants, self._judge, self._port))
        return len(variants)

    def run(self, budget: Budget) -> Iterator[Figure]:
        """The matrix, then chance until the budget is spent."""
        if budget.seconds >= _MATRIX_SECONDS:
            count = self._try([*taken_variants(), *clean_variants()])
            yield at_least("G4", "STARTTLS: the matrix", count, "variants", 500)
        count = 0
        for label, chance in budget.trials("starttls"):
            count += self._try([_any(f"{label}/{n}", chance) for n in range(_A_ROUND)])
            if self.failed:
                break
        yield told("G4", "STARTTLS: by chance", count, "variants")
        yield at_least("G4", "STARTTLS: octets after the OK", self._begun, "times", 1)
        effects = len(self.failed)
        yield at_most("G4", "STARTTLS: with an effect", effects, "variants", 0)


def _pick(table: dict[str, bytes], chance: random.Random) -> bytes:
    return chance.choice(list(table.values()))


def _any(name: str, chance: random.Random) -> Variant:
    """Some commands, STARTTLS, mostly something after it; cut anywhere."""
    before = b"".join(_pick(BEFORE, chance) for _ in range(chance.randrange(3)))
    injects = chance.random() < 0.7
    after = b""
    if injects:
        after = b"".join(_pick(INJECTED, chance) for _ in range(chance.randint(1, 3)))
    first = before + _pick(TAKEN, chance)
    octets = first + after
    cuts = sorted(chance.sample(range(1, len(octets)), chance.randrange(6)))
    pause = chance.choice((0.0, 0.001, 0.02))
    waits = injects and chance.random() < 0.3
    if waits:
        cuts, pause = [len(first)], 0.0
    pieces = [
        octets[begin:end] for begin, end in itertools.pairwise([0, *cuts, len(octets)])
    ]
    return Variant(f"{name}: {pieces!r}", tuple(pieces), injects, pause, waits)
