"""Logins that go wrong in every way: each is answered, and touches no other.

Without TLS no checker is asked, whatever is sent.  With it, good logins go on while
others send what is no exchange, break off, or leave.
"""

import base64
import gc
import time
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from twisted.cred.credentials import ICredentials

from imapd.server.settings import CleartextLogin
from tests.support.grammar import Continuation, Tagged
from tests.torture import mutators, words
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.grammar import command
from tests.torture.inprocess import (
    PATIENT,
    Peer,
    World,
    listening,
    resident_octets,
    shown,
)
from tests.torture.writing import written

FUZZERS: Final = 10
ROUNDS: Final = 20
#: Exchanges until what is kept of them is kept.
WARM: Final = 500

_MECHANISMS: Final = (
    *(b"PLAIN", b"LOGIN", b"CRAM-MD5", b"plain", b"X", b"DIGEST-MD5", b"A" * 10_000),
    *(b"PLAIN ", b"", b"NTLM", b"EXTERNAL", b"PLAIN\0", b"\xff"),
)
_LINES: Final = (
    *(b"", b"*", b"=", b"==", b"A", b"AA", b"AAA", b"AAAA", b"AA==", b"AB==", b"AAA ="),
    *(b"AGFsaWNlAHdvbmRlcmxhbmQ=", b"AGFsaWNlAHdvbmRlcmxhbmQ", b"A" * 9000, b"\0"),
    *(b"AGEAYg==\r", b" AGEAYg==", b"a NOOP", b"DONE", b"{5}", b"{5+}", b"\xff\xfe"),
    *(b"AAA=", b"AAAA====", b"YQ", b"* ", b"**", b"YWxpY2U=", b"AAAAAAAA"),
)


def _line(chance: Random) -> bytes:
    way = chance.random()
    if way < 0.5:
        return chance.choice(_LINES)
    coded = base64.b64encode(chance.randbytes(chance.randint(0, 60)))
    return coded if way < 0.7 else mutators.mutated(coded or b"=", chance)


def exchange(peer: Peer, chance: Random) -> None:
    """Send one exchange that is none; the server answers it, or hangs up with BYE."""
    octets = b"x AUTHENTICATE " + chance.choice(_MECHANISMS)
    if chance.random() < 0.3:
        octets += b" " + _line(chance)
    peer.conversation.unknown()
    responses = peer.send(octets + b"\r\n", chance)
    for _ in range(20):
        if not peer.is_open:
            assert peer.conversation.ended, f"hung up silently after {octets[:200]!r}"
            return
        if b"{" in octets:
            peer.leave()  # in what may be a literal, there are no more exchanges
            return
        if any(isinstance(each, Tagged) for each in responses):
            return
        if responses and not isinstance(responses[-1], Continuation):
            return  # BAD without a tag
        if chance.random() < 0.05:
            peer.leave()
            return
        octets = _line(chance)
        responses = peer.send(octets + b"\r\n", chance)
    raise AssertionError(f"an exchange without an end: {octets[:200]!r}")


def in_other_forms(world: World) -> int:
    """Send a good login in base64 that is not the one form; return how many."""
    good = base64.b64encode(b"\0alice\0wonderland")  # ends in "Q=": two bits unused
    wrong = (
        *(good[:-1], good + b"=", good[:-2] + b"R=", b" " + good, good + b" "),
        *(good[:8] + b"\t" + good[8:], good.replace(b"A", b"A\r"), good + b"AAAA"),
        *(good + good, b"=" + good, good[:8] + b"====" + good[8:], good + b"\0"),
    )
    for coded in wrong:
        for octets in (b"AUTHENTICATE PLAIN %b\r\n", b"AUTHENTICATE PLAIN\r\n%b\r\n"):
            peer = world.connect()
            peer.conversation.unknown()
            peer.send(b"t " + octets % coded)
            assert b"t OK" not in peer.raw, f"{coded!r} was taken"
            peer.leave()
    return 2 * len(wrong)


class Spy:
    """A portal that nobody may ask."""

    def __init__(self, portal: Any) -> None:
        self._portal = portal
        self.asked = 0

    def login(self, credentials: ICredentials, mind: Any, *interfaces: Any) -> Any:
        """Count, and go on."""
        self.asked += 1
        return self._portal.login(credentials, mind, *interfaces)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._portal, name)


def in_the_clear(chance: Random) -> int:
    """Send logins where there is no TLS; return how many there were."""
    tried = 0
    settings: dict[str, Any] = {"cleartext_login": CleartextLogin.NEVER}
    with listening(), World(limits=PATIENT, **settings) as world:
        factory: Any = world.server.factory
        factory.portal = spy = Spy(factory.portal)
        for _ in range(100):
            name: bytes = chance.choice((b"LOGIN", b"AUTHENTICATE"))
            wanted = command(name, chance)
            if b"CRAM-MD5" in b"".join(p for p in wanted.pieces if type(p) is bytes):
                continue  # shows nobody the password
            peer = world.connect()
            octets = b"".join(written(b"t", name, wanted.pieces, chance, waits=0))
            peer.conversation.unknown()
            responses = peer.send(octets, chance)
            answer = responses[-1] if responses else None
            assert isinstance(answer, Tagged), f"{octets!r}: {peer.raw!r}"
            assert answer.condition != b"OK", f"{octets!r}: {peer.raw!r}"
            assert b"+ " not in peer.raw, f"{octets!r} was asked for more"
            peer.leave()
            tried += 1
        assert spy.asked == 0, f"{spy.asked} logins were looked at in the clear"
    return tried


def beside_others(world: World, chance: Random) -> tuple[int, int]:
    """Log in while others fuzz; return (exchanges, good logins)."""
    exchanges = 0
    fuzzers = [world.connect(f"192.0.2.{n}") for n in range(FUZZERS)]
    for _ in range(ROUNDS):
        for number in range(FUZZERS):
            if not fuzzers[number].is_open:
                fuzzers[number] = world.connect(f"192.0.2.{number}")
            exchange(fuzzers[number], chance)
            exchanges += 1
        user, password = chance.choice(words.USERS)
        good = world.connect()
        plain = base64.b64encode(b"\0%b\0%b" % (user, password))
        good.conversation.begins(b"g", b"AUTHENTICATE")
        good.send(b"g AUTHENTICATE PLAIN %b\r\n" % plain, chance)
        assert b"g OK" in good.raw, f"a good login was refused: {good.raw!r}"
        good.leave()
    for peer in fuzzers:
        peer.leave()
    return exchanges, ROUNDS


def run(budget: Budget) -> Iterator[Figure]:
    """P05, P06."""
    clear = in_the_clear(Random(budget.seed))
    yield at_least("P05", "logins in the clear", clear, "logins", 1)
    yield at_most("P05", "of them looked at", 0, "logins", 0)
    exchanges = good = 0
    warm = 0
    began = time.monotonic()
    with listening() as trouble, World(limits=PATIENT) as world:
        forms = in_other_forms(world)
        for label, chance in budget.trials("sasl"):
            try:
                made, logins = beside_others(world, chance)
                trouble.check()
            except Exception as error:
                raise AssertionError(f"{label}: {shown(error)}") from None
            exchanges, good = exchanges + made, good + logins
            budget.did(made)
            if not warm and exchanges > WARM:
                gc.collect()
                warm = resident_octets()
        gc.collect()
        drift = resident_octets() - warm if warm else 0
    seconds = time.monotonic() - began
    yield at_least("P06", "exchanges", exchanges, "exchanges", 1)
    yield told("P06", "exchanges a second", exchanges / seconds, "/s")
    yield told("P06", "logins in base64 that is none", forms, "logins")
    yield at_least("P06", "good logins beside them", good, "logins", 1)
    yield at_most("P06", "memory of them", drift / 2**20, "MiB", 4)
