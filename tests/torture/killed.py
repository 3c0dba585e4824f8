"""Kill the real server at each system call of a command, and look what is left.

As ``crash.py``, but for a process of its own, its threads and the wire: ``strace``
has the kernel kill ``twistd imapd`` at the k-th call of a kind.  The checker looks at
what lies there, a new server serves the account, tells what is there, and the checker
looks again.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.live.client import Refused
from tests.store.folders import MEMORY
from tests.torture import scenarios
from tests.torture.budget import Budget
from tests.torture.checker import STRICT, Mercy, Told, check
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.scenarios import copy_tree
from tests.torture.servers import MOST_USERS, Servers
from tests.torture.storeactor import deliver, message
from tests.torture.straced import Point, Strace, points_of
from tests.torture.wired import WiredActor

#: A lock that a dead process left must not cost a new one more.
_MOST_SECONDS_TO_SERVE: Final = 10
_WORDS: Final = ("Fresh", "Green", "Loud")


@dataclass(frozen=True)
class Order:
    """A command, and where it is given; ``before`` is done in peace."""

    name: str
    make: Callable[[Path], Told]
    before: Callable[[WiredActor], object]
    act: Callable[[WiredActor], object]


def _with_new_mail(root: Path) -> Told:
    known = scenarios.usual(root)
    for number in range(3):
        deliver(root, known, "Box", f"new {number}")
    return known


def _both(actor: WiredActor) -> None:
    actor.select("Box")
    actor.select("")


def _nothing(_: WiredActor) -> None:
    pass


def _open_two(actor: WiredActor) -> None:
    for folder in ("", "A.B" if "A.B" in actor.told.folders else "Box"):
        actor.select(folder)


def _append(count: int, *flags: str) -> Callable[[WiredActor], None]:
    messages = [message(f"sent {number}") for number in range(count)]
    return lambda actor: actor.append("Box", messages, flags)


def _copy(*, move: bool) -> Callable[[WiredActor], None]:
    return lambda actor: actor.copy("", "Box", [1, 2, 4], move)


def _expunge(*, by_uid: bool) -> Callable[[WiredActor], None]:
    return lambda actor: actor.expunge("", [5] if by_uid else [4, 5], by_uid=by_uid)


def _store(*flags: str) -> Callable[[WiredActor], None]:
    return lambda actor: actor.store("", [1, 2, 3], flags)


ORDERS: Final = (
    Order("append", scenarios.usual, _both, _append(1)),
    Order("append with flags", scenarios.usual, _both, _append(1, "\\Seen", "Fresh")),
    Order("multiappend", scenarios.usual, _both, _append(4, "\\Seen")),
    Order("copy", scenarios.usual, _both, _copy(move=False)),
    Order("move", scenarios.usual, _both, _copy(move=True)),
    Order("store", scenarios.usual, _both, _store("\\Flagged")),
    Order("store keywords", scenarios.usual, _both, _store(*_WORDS)),
    Order("expunge", scenarios.usual, _both, _expunge(by_uid=False)),
    Order("uid expunge", scenarios.usual, _both, _expunge(by_uid=True)),
    Order("create", scenarios.usual, _nothing, lambda a: a.create("New.box")),
    Order("delete", scenarios.usual, _nothing, lambda a: a.delete("Box")),
    Order(
        "rename a tree", scenarios.wooded, _nothing, lambda a: a.rename("Tree", "Wood")
    ),
    Order(
        "subscribe", scenarios.usual, _nothing, lambda a: a.subscribe("Later.box", True)
    ),
    Order(
        "unsubscribe", scenarios.usual, _nothing, lambda a: a.subscribe("Box", False)
    ),
    Order("new mail", _with_new_mail, _nothing, _open_two),
    Order("from courier", scenarios.couriers, _nothing, _open_two),
)


class Killings:
    """Makes trials in a directory of its own, inside ``with``."""

    def __init__(self, broken: str = "") -> None:
        """``broken``: serve with this function of ``broken.py`` called before."""
        self.top = Path(tempfile.mkdtemp(prefix="imapd-killed-", dir=MEMORY))
        self.servers = Servers(self.top, broken)
        self._templates: dict[Callable[[Path], Told], tuple[Path, Told]] = {}
        self._count = 0
        self.kills = 0  # within a call on a file of the account
        self.other_kills = 0
        self.survived = 0
        self.slowest = 0.0

    def __enter__(self) -> Self:
        self.servers.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.servers.__exit__(*exc_info)
        shutil.rmtree(self.top, ignore_errors=True)

    def account(self, order: Order) -> tuple[str, Told]:
        """An account to do it on, of a user whom this server does not know yet."""
        if order.make not in self._templates:
            template = self.top / order.make.__name__ / "Maildir"
            template.parent.mkdir()
            self._templates[order.make] = (template, order.make(template))
        template, known = self._templates[order.make]
        self._count += 1
        if self._count % MOST_USERS == 0:
            self.servers.kill()
        user = f"u{self._count % MOST_USERS}"
        root = self.servers.maildir(user)
        root.parent.mkdir(parents=True)
        copy_tree(str(template), str(root))
        return user, known.copy()

    def points(self, order: Order) -> list[Point]:
        """Every point within the command, or between it and the end of the session."""
        user, known = self.account(order)
        root = self.servers.maildir(user)
        output = self.top / "strace"
        client = self.servers.connect(user)
        actor = WiredActor(client, known)
        order.before(actor)
        with Strace(self.servers.pid, output) as strace:
            order.act(actor)
            client.close()
        found = points_of(strace.calls(), str(root))
        self._judge(order.name, user, known)
        return found

    def attempt(self, order: Order, point: Point) -> None:
        """Kill the server there.

        Raises:
            AssertionError: a promise was broken; with all of them.
        """
        user, known = self.account(order)
        root = self.servers.maildir(user)
        output = self.top / "strace"
        label = f"{order.name}, killed at {point}"
        client = self.servers.connect(user)
        actor = WiredActor(client, known)
        order.before(actor)
        with Strace(self.servers.pid, output, point) as strace:
            try:
                order.act(actor)
                actor.close()
            except (Refused, OSError) as error:
                if not self.servers.has_died():
                    words = f"{label}: {error!r} of a server that runs"
                    raise AssertionError(words) from error
        calls = strace.calls()
        client.drop()
        if self.servers.runs():
            self.survived += 1
        else:
            last = [arguments for _, call, arguments in calls if call == point.call]
            label += f" ({last[-1]})"
            if str(root) in last[-1]:
                self.kills += 1
            else:
                self.other_kills += 1
            wrong = check(str(root).encode(), known, Mercy(unopened=True))
            assert not wrong, f"{label}: " + "; ".join(wrong)
        self._judge(label, user, known)

    def _judge(self, label: str, user: str, known: Told) -> None:
        """Let a server serve what is there now."""
        root = self.servers.maildir(user)
        began = time.monotonic()
        try:
            with self.servers.connect(user) as client:
                actor = WiredActor(client, known)
                for folder in sorted(actor.folders()):
                    actor.select(folder)
                actor.check_subscriptions()
        except (AssertionError, Refused, OSError) as error:
            raise AssertionError(f"{label}, and then: {error!r}") from error
        self.slowest = max(self.slowest, time.monotonic() - began)
        wrong = check(str(root).encode(), known, STRICT)
        assert not wrong, f"{label}, and opened again: " + "; ".join(wrong)
        shutil.rmtree(root.parent)

    def all_points(self, chance: random.Random) -> list[tuple[Order, Point]]:
        """Every point of every command: one of each, and again one of each."""
        found = []
        for order in ORDERS:
            points = self.points(order)
            chance.shuffle(points)
            found += [(turn, order, point) for turn, point in enumerate(points)]
        found.sort(key=lambda one: one[0])
        return [(order, point) for _, order, point in found]


def find(broken: str, calls: Mapping[str, str]) -> Iterator[str]:
    """What is found where the server is broken; empty: nothing.

    ``calls`` has the names of orders, and for each of a system call to be killed at.
    """
    with Killings(broken) as killings:
        for name, call in calls.items():
            (order,) = (one for one in ORDERS if one.name == name)
            found = ""
            for point in [one for one in killings.points(order) if one.call == call]:
                try:
                    killings.attempt(order, point)
                except AssertionError as error:
                    found = str(error)
                    break
            yield found


def run(budget: Budget, most: int | None = None) -> Iterator[Figure]:
    """Kill at all points, or at ``most`` of them, in an order by the seed.

    Raises:
        AssertionError: a promise was broken.
    """
    chance = random.Random(f"killed:{budget.seed}")
    with Killings() as killings:
        points = killings.all_points(chance)
        tried = 0
        for order, point in points[:most]:
            killings.attempt(order, point)
            tried += 1
            budget.did(killings.kills - budget.done)
            if budget.is_spent:
                break
    yield at_least("G7", "SIGKILL within storage calls", killings.kills, "points", 1)
    yield told("G7", "SIGKILL elsewhere", killings.other_kills, "points")
    yield told("G7", "no such call this time", killings.survived, "points")
    yield told("G7", "tried of all points", 100 * tried / len(points), "%")
    yield at_most(
        *("G7", "until a new server had served it all", killings.slowest, "s"),
        _MOST_SECONDS_TO_SERVE,
    )
    # The first one ends the harness.
    yield at_most("G7", "broken promises after SIGKILL", 0, "trials", 0)
