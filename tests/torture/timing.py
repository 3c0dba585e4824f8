"""Whether the time of a refusal tells what was wrong: the name, or the password.

A real server is asked over TCP, in an order by chance, about a name that it knows and
one that it does not, and about a user who is locked.  What it computed for the answer
is what one who measures the time from elsewhere would come to after enough tries; it
is measured here without what others do on this machine.  Where the medians differ, more
tries are made: a difference stays, and noise does not.
"""

import base64
import random
import socket
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_most, told
from tests.torture.serving import Served, serving

#: Of the median of a wrong password.
MOST_PERCENT: Final = 5.0
#: Of each kind, for every check-in and for a night; and so often again for noise.
_TRIES: Final = 200
_LONG_TRIES: Final = 2000
_LONG_SECONDS: Final = 120.0
_BLOCKS: Final = 20
#: Until what it does after an answer is done.
_REST_SECONDS: Final = 0.0002
_TIMEOUT_SECONDS: Final = 60
_LIMITS: Final = {"sasl_attempts": 1_000_000, "preauth_seconds": 3600}
#: The names are of one length, as are the passwords: neither is compared.
NAMES: Final = {"wrong password": b"alice", "unknown": b"zelda", "locked": b"henry"}
_BASE: Final = "wrong password"
_PASSWORD: Final = b"no-such-password"

_B64_64: Final = base64.b64encode(bytes(range(64))).decode()
_B64_36: Final = base64.b64encode(bytes(range(36))).decode()
_ARGON2: Final = f"{_B64_64[:22]}${_B64_64[:43]}"
#: Of each family one, cheap; nobody needs to know the password.
HASHES: Final = {
    "PLAIN": "{PLAIN}something-else",
    "CRAM-MD5": "{CRAM-MD5}" + "5a" * 32,
    "SHA512": "{SHA512}" + _B64_64,
    "SSHA256": "{SSHA256}" + _B64_36,
    "MD5-CRYPT": "{MD5-CRYPT}$1$abcdefgh$" + "." * 22,
    "SHA512-CRYPT": "{SHA512-CRYPT}$6$rounds=1000$abcdefgh$" + "." * 86,
    "BLF-CRYPT": "{BLF-CRYPT}$2y$04$" + "." * 53,
    "ARGON2ID": "{ARGON2ID}$argon2id$v=19$m=256,t=1,p=1$" + _ARGON2,
    "PBKDF2": "{PBKDF2}$1$abcdefgh$1000$" + "0" * 40,
}
#: (mechanism, scheme): those of every check-in, and all.
GATE: Final = (
    *(("LOGIN", "PLAIN"), ("PLAIN", "ARGON2ID")),
    *(("SASL LOGIN", "SSHA256"), ("CRAM-MD5", "PLAIN")),
)
CASES: Final = (
    *(("LOGIN", scheme) for scheme in HASHES),
    *(("PLAIN", scheme) for scheme in ("PLAIN", "SHA512-CRYPT")),
    *(("SASL LOGIN", scheme) for scheme in ("PLAIN", "SHA512-CRYPT")),
    *(("CRAM-MD5", scheme) for scheme in ("PLAIN", "CRAM-MD5")),
)


@dataclass(slots=True)
class Times:
    """Seconds of each try of one kind: what the server computed, what we waited."""

    computed: list[float]
    waited: list[float]


class _Link:
    """One connection that never gets in."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.greeting = self._line()

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            octets = self._socket.recv(4096)
            if not octets:
                raise AssertionError(f"the server hung up: {line!r}")
            line += octets
        return line

    def _asks(self, line: bytes) -> bytes:
        self._socket.sendall(line + b"\r\n")
        answer = self._line()
        if not answer.startswith(b"+ "):
            raise AssertionError(f"{line!r} was answered {answer!r}")
        return base64.b64decode(answer[2:])

    def try_once(self, mechanism: str, name: bytes) -> None:
        """Try to log in with what is wrong."""
        coded = base64.b64encode
        match mechanism:
            case "LOGIN":
                last = b"a LOGIN %s %s" % (name, _PASSWORD)
            case "PLAIN":
                message = coded(b"\0".join((b"", name, _PASSWORD)))
                last = b"a AUTHENTICATE PLAIN " + message
            case "SASL LOGIN":
                self._asks(b"a AUTHENTICATE LOGIN")
                self._asks(coded(name))
                last = coded(_PASSWORD)
            case _:
                self._asks(b"a AUTHENTICATE CRAM-MD5")
                last = coded(name + b" " + b"0123456789abcdef" * 2)
        self._socket.sendall(last + b"\r\n")
        answer = self._line()
        if not answer.startswith(b"a NO [AUTHENTICATIONFAILED]"):
            raise AssertionError(f"{mechanism} {name!r} was answered {answer!r}")

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def _measure(
    server: Served, mechanism: str, tries: int, chance: random.Random
) -> dict[str, Times]:
    """Try each kind so often, all mixed."""
    times = {kind: Times([], []) for kind in NAMES}
    order = [*NAMES] * tries
    link = _Link(server.port)
    try:
        for kind in NAMES:  # the file is read, and what is imported late is there
            link.try_once(mechanism, NAMES[kind])
        chance.shuffle(order)
        for kind in order:
            time.sleep(_REST_SECONDS)
            computed, began = server.cpu_seconds(), time.perf_counter()
            link.try_once(mechanism, NAMES[kind])
            waited = time.perf_counter() - began
            time.sleep(_REST_SECONDS)
            times[kind].computed.append(server.cpu_seconds() - computed)
            times[kind].waited.append(waited)
    finally:
        link.close()
    return times


def _apart(times: dict[str, Times], what: str) -> float:
    """How far a median is from that of a wrong password, at most, in percent."""
    medians: dict[str, float] = {
        kind: statistics.median(getattr(times[kind], what)) for kind in times
    }
    base = medians.pop(_BASE)
    return max(100 * abs(each / base - 1) for each in medians.values())


def _case(
    server: Served, mechanism: str, tries: int, chance: random.Random
) -> dict[str, Times]:
    """Measure until the medians are together, or until it is no noise any more."""
    all_times = {kind: Times([], []) for kind in NAMES}
    for _ in range(_BLOCKS):
        for kind, times in _measure(server, mechanism, tries, chance).items():
            all_times[kind].computed += times.computed
            all_times[kind].waited += times.waited
        if _apart(all_times, "computed") <= MOST_PERCENT:
            break
    return all_times


def _users(server: Served, scheme: str) -> None:
    """Everybody has a hash of that scheme; one of them is locked."""
    stored = HASHES[scheme]
    lines = [f"user{number}:{stored}::::::\n" for number in range(20)]
    lines += [f"alice:{stored}::::::\n", "henry:!::::::\n"]
    server.users.write_text("".join(lines))
    # A file may be changed again unseen for a moment, and is read each time; what is
    # offered is not even looked at for as long.
    time.sleep(0.5)


def run(budget: Budget) -> Iterator[Figure]:
    """G20.  Hardening A02."""
    chance = random.Random(f"timing:{budget.seed}")
    is_long = budget.seconds >= _LONG_SECONDS
    tries, cases = (_LONG_TRIES, CASES) if is_long else (_TRIES, GATE)
    with serving(_LIMITS) as server:
        for mechanism, scheme in cases:
            _users(server, scheme)
            times = _case(server, mechanism, tries, chance)
            what = f"timing, {mechanism} of {scheme}"
            count = len(times[_BASE].computed)
            median = statistics.median(times[_BASE].computed) * 1000
            yield told("G20", f"{what}: tries of each", count, "tries")
            yield told("G20", f"{what}: a wrong password", median, "ms")
            waited = _apart(times, "waited")
            yield told("G20", f"{what}: apart, as waited", waited, "%")
            apart = _apart(times, "computed")
            yield at_most("G20", f"{what}: apart", apart, "%", MOST_PERCENT)
