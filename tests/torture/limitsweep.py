"""Every limit at every argument of every command: refused, and nothing is changed.

A command that the server takes is attacked at each of its arguments in turn.  The
answer is BAD or NO, or BYE; afterwards the session goes on and the account is as it
was.  The limits are the least that can be set, far below the usual ones.
"""

import re
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from imapd.limits import Limits
from imapd.server.registry import COMMANDS
from tests.support.grammar import Continuation, Response, Tagged
from tests.torture import limitcases
from tests.torture.attacks import Attack, attacks
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.grammar import command
from tests.torture.inprocess import Peer, World, listening, shown
from tests.torture.pieces import Argument, Command, Kind, Listed, Message
from tests.torture.writing import written

#: How often a good command of each name is looked for.
DRAWS: Final = 100
MESSAGES: Final = 3

_LEAST: Final[dict[str, Any]] = {
    name: spec.metadata["least"] for name, spec in Limits.__dataclass_fields__.items()
}
#: The least of everything, but a client may err as often as the sweep has it.
TINY: Final = Limits(
    **_LEAST | {"preauth_bad_commands": 1 << 30, "bad_commands": 1 << 30}
)
#: The same, with room for the mail and the commands that are good.
ROOMY: Final = Limits(
    **_LEAST
    | {"preauth_bad_commands": 1 << 30, "bad_commands": 1 << 30}
    | {"mailbox_count": 100, "subscription_count": 100, "mailbox_depth": 3}
)

#: Attacked every time, so that no limit is left to chance.
ALWAYS: Final = (
    Command(b"FETCH", (b" 1 BODY[", Argument(Kind.SECTION, b"1"), b"]")),
    Command(b"STORE", (b" 1 FLAGS ", Listed(((Argument(Kind.FLAG, b"x"),),)))),
    Command(b"ID", (b" ", Listed(((b'"a" NIL',),)))),
    Command(
        b"APPEND",
        (
            *(b" ", Argument(Kind.MAILBOX, b"one"), b" "),
            *(Listed(((Argument(Kind.FLAG, b"x"),),)), b" ", Message(b"x")),
        ),
    ),
)

#: Limits that no command goes over by its octets: time, connections, those of others
#: nearby, and the mail that is there.  Their tests are in tests/server/test_limits.py,
#: tests/auth/test_throttle.py and tests/mime.
NOT_OF_A_COMMAND: Final = frozenset(
    (
        *("preauth_seconds", "output_stall_seconds", "idle_seconds", "lock_seconds"),
        *("user_address_connections", "user_connections", "address_connections"),
        *("preauth_connections", "handshake_seconds"),
        *("prefix56_attempts", "prefix48_attempts"),
        *("ahead_octets", "mime_parts", "header_octets", "header_field_octets"),
        *("address_count", "address_word_count", "parameter_count"),
    )
)


class Sweep:
    """Counts what was tried."""

    def __init__(self) -> None:
        self.limits: Counter[str] = Counter()
        self.commands: set[bytes] = set()

    def command(self, name: bytes, chance: Random) -> None:
        """Attack a good command of one name, and the one it always is."""
        draws = (command(name, chance, MESSAGES) for _ in range(DRAWS))
        for wanted in draws:
            with World(limits=ROOMY) as world:
                _fill(world)
                if _is_good(_ready(world, name), wanted, chance):
                    break
        else:
            raise AssertionError(f"no good {name!r} was drawn")
        for each in (wanted, *(fixed for fixed in ALWAYS if fixed.name == name)):
            with World(limits=ROOMY) as world:
                self._attack(world, each, chance)
        self.commands.add(name)

    def _attack(self, world: World, wanted: Command, chance: Random) -> None:
        known = b"unauth" not in _states(wanted.name)
        watcher = _fill(world)
        before = _account(watcher)
        peer = _ready(world, wanted.name)
        for attack in attacks(wanted, ROOMY, known=known):
            if not peer.is_open:
                peer = _ready(world, wanted.name)
            _try(peer, wanted.name, attack, chance)
            self.limits[attack.limit] += 1
        after = _account(watcher)
        assert after == before, f"{wanted}: {before!r} became {after!r}"


def _states(name: bytes) -> set[bytes]:
    return {state.value.encode() for state in COMMANDS[name].states}


def _ready(world: World, name: bytes) -> Peer:
    """Return a client in a state in which the command may be sent."""
    peer = world.connect()
    if b"unauth" in _states(name):
        return peer
    peer.log_in()
    if b"select" in _states(name) and b"auth" not in _states(name):
        _say(peer, b"SELECT", b"SELECT INBOX")
    return peer


def _fill(world: World) -> Peer:
    """Give the account its mailboxes and mail; return the client that did it."""
    peer = world.connect()
    peer.log_in()
    for each in (b"one", b"one/two", b"Sent"):
        _say(peer, b"CREATE", b"CREATE %b" % each)
    for _ in range(MESSAGES):
        _say(peer, b"APPEND", b"APPEND INBOX {4+}\r\nx\r\ny")
    return peer


def _say(peer: Peer, name: bytes, octets: bytes) -> bytes:
    peer.conversation.begins(b"s", name)
    peer.send(b"s %b\r\n" % octets)
    assert b"s OK" in peer.raw, f"{octets!r}: {peer.raw!r}"
    return peer.raw


def _account(watcher: Peer) -> bytes:
    """All that a command could have changed in the account."""
    status = b"(MESSAGES UNSEEN UIDNEXT DELETED)"
    all_of_it = (
        _say(watcher, b"LIST", b'LIST "" * RETURN (STATUS %b)' % status)
        + _say(watcher, b"LSUB", b'LSUB "" *')
        + _say(watcher, b"EXAMINE", b"EXAMINE INBOX")
        + _say(watcher, b"FETCH", b"FETCH 1:* FLAGS")
        + _say(watcher, b"UNSELECT", b"UNSELECT")
    )
    # Whoever selects it first is told what is recent: that is no change.
    return re.sub(rb" ?\\Recent|\* [0-9]+ RECENT\r\n", b"", all_of_it)


def _is_good(peer: Peer, wanted: Command, chance: Random) -> bool:
    """Whether the server takes it as it is."""
    peer.conversation.begins(b"t", wanted.name)
    turns = written(b"t", wanted.name, wanted.pieces, chance)
    answers = list(wanted.answers)
    text = b""
    while turns or answers:
        line = turns.pop(0) if turns else answers.pop(0)(text) + b"\r\n"
        responses = peer.send(line)
        for each in responses:
            if isinstance(each, Tagged):
                return each.condition == b"OK"
            if isinstance(each, Continuation):
                text = each.text
        if not peer.is_open:
            return False
    return False


def _try(peer: Peer, name: bytes, attack: Attack, chance: Random) -> None:
    """Send an attack, and see that it is refused."""
    turns = written(attack.tag, name, attack.pieces, chance, waits=0)
    octets = b"".join(turns)
    if attack.stops:  # nothing behind the announcement
        octets = octets[: octets.rindex(b"}\r\n") + 3]
        octets = octets[: _first_announced(octets)]
    peer.conversation.unknown()
    responses = peer.send(octets)
    shown_octets = f"{attack.limit}: {octets[:300]!r}"
    _check(peer, responses, shown_octets)
    if peer.is_open:
        peer.conversation.known_again()
        peer.conversation.begins(b"probe", b"NOOP")
        peer.send(b"probe NOOP\r\n")
        assert b"probe OK" in peer.raw, f"{shown_octets}: then {peer.raw!r}"


def _first_announced(octets: bytes) -> int:
    """Where the first literal ends that is waited for."""
    at = 0
    while True:
        end = octets.index(b"\r\n", at) + 2
        line = octets[at:end]
        at = end
        if line.endswith(b"+}\r\n"):
            at += int(line[line.rindex(b"{") + 1 : -4])
        elif line.endswith(b"}\r\n"):
            return end


def _check(peer: Peer, responses: list[Response], octets: str) -> None:
    answers = [each for each in responses if isinstance(each, Tagged)]
    if not answers:
        told_bad = any(
            getattr(each, "kind", b"") in (b"BAD", b"BYE", b"NO") for each in responses
        )
        assert told_bad, f"{octets} was not answered: {peer.raw!r}"
    for answer in answers:
        assert answer.condition in (b"NO", b"BAD"), f"{octets}: {peer.raw!r}"
    asked = any(isinstance(each, Continuation) for each in responses)
    assert not asked, f"{octets} was asked for: {peer.raw!r}"


def run(budget: Budget) -> Iterator[Figure]:
    """G5."""
    sweep = Sweep()
    for label, chance in budget.trials("limits"):
        try:
            with listening():
                for name in sorted(COMMANDS):
                    sweep.command(name, chance)
        except Exception as error:
            raise AssertionError(f"{label}: {shown(error)}") from None
    for limit, case in limitcases.CASES.items():
        with listening():
            case(TINY)
        sweep.limits[limit] += 1
    fields = set(Limits.__dataclass_fields__) - NOT_OF_A_COMMAND
    untried = sorted(fields - set(sweep.limits))
    tried = sum(sweep.limits.values())
    yield at_least("G5", "commands attacked", len(sweep.commands), "", len(COMMANDS))
    yield told("G5", "attacks", tried, "commands")
    yield at_least(
        "G5", "limits gone over", len(fields) - len(untried), "", len(fields)
    )
    yield at_most("G5", "attacks that were not refused", 0, "", 0)
    octets, what = max((cost, what) for what, cost in limitcases.hostile_cost())
    yield at_most("G5", f"memory before login: {what}", octets / 1024, "KiB", 256)
