"""Limits that take more than one command to go over, and what a stranger costs."""

import gc
import math
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final
from unittest import mock

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.server import connection
from tests.torture.inprocess import OUTPUT_OCTETS, Peer, World, listening

#: What a stranger sends, if the server goes on reading: twice what it may hold, or
#: less of what is answered line by line.
STREAM_OCTETS: Final = 512 << 10
_ANSWERED_OCTETS: Final = 32 << 10
_CHUNK_OCTETS: Final = 16384

Case = Callable[[Limits], None]


def _say(peer: Peer, tag: bytes, octets: bytes) -> bytes:
    """Send a command and return its tagged answer, or BYE."""
    peer.conversation.unknown()
    peer.send(b"%b %b\r\n" % (tag, octets))
    lines = peer.raw.split(b"\r\n")
    return next(
        (line for line in lines if line.startswith((tag + b" ", b"* BYE"))), b""
    )


def _count(limits: Limits, first: bytes, each: bytes, most: int, code: bytes) -> None:
    """Up to so many are taken, one more is not."""
    with World(limits=limits) as world:
        peer = world.connect()
        peer.log_in()
        _say(peer, b"f", first)
        for number in range(most):
            answer = _say(peer, b"n", each % number)
            assert answer.startswith(b"n OK"), f"{number} of {most}: {answer!r}"
        answer = _say(peer, b"n", each % most)
        assert answer.startswith(b"n NO [" + code), f"one above {most}: {answer!r}"


def mailbox_count(limits: Limits) -> None:
    """CREATE; INBOX is one of them."""
    most = limits.mailbox_count - 1
    _count(limits, b"NOOP", b"CREATE m%d", most, b"LIMIT")


def subscription_count(limits: Limits) -> None:
    """SUBSCRIBE."""
    most = limits.subscription_count
    _count(limits, b"NOOP", b"SUBSCRIBE m%d", most, b"LIMIT")


def keyword_count(limits: Limits) -> None:
    """STORE of one keyword after the other."""
    with World(limits=limits) as world:
        peer = world.connect()
        peer.log_in()
        _say(peer, b"a", b"APPEND INBOX {4+}\r\nx\r\ny")
        _say(peer, b"s", b"SELECT INBOX")
        most = limits.keyword_count
        for number in range(most):
            answer = _say(peer, b"n", b"STORE 1 +FLAGS (k%d)" % number)
            assert answer.startswith(b"n OK"), f"{number} of {most}: {answer!r}"
        for command in (
            b"STORE 1 +FLAGS (more)",
            b"UID STORE 1 FLAGS (more)",
            b"APPEND INBOX (more) {4+}\r\nx\r\ny",
        ):
            answer = _say(peer, b"n", command)
            assert answer.startswith(b"n NO [LIMIT"), f"{command!r}: {answer!r}"


def _until_bye(peer: Peer, octets: bytes, most: int) -> None:
    for number in range(most):
        assert peer.is_open, f"gone after {number} of {most}"
        peer.conversation.unknown()
        peer.send(octets)
    assert not peer.is_open, f"still there after {most} times {octets!r}"
    assert peer.conversation.ended, "hung up without a word"


def preauth_bad_commands(limits: Limits) -> None:
    """BYE to a stranger who makes no sense."""
    most = 3
    with World(limits=replace(limits, preauth_bad_commands=most)) as world:
        for octets in (b"x\r\n", b"\r\n", b"a b c d\r\n", b"a LOGIN {-1}\r\n"):
            _until_bye(world.connect(), octets, most)
        peer = world.connect()
        for _ in range(most * 2):  # in a row, that is
            _say(peer, b"b", b"X")
            assert _say(peer, b"g", b"NOOP").startswith(b"g OK")


def bad_commands(limits: Limits) -> None:
    """BYE to a client who makes no sense."""
    most = 5
    with World(limits=replace(limits, bad_commands=most)) as world:
        for octets in (b"x\r\n", b"a FETCH\r\n", b"a STARTTLS\r\n"):
            peer = world.connect()
            peer.log_in()
            _until_bye(peer, octets, most)


def sasl_attempts(limits: Limits) -> None:
    """BYE to a client who guesses."""
    most = 4
    with World(limits=replace(limits, sasl_attempts=most)) as world:
        for octets in (
            b"a LOGIN alice x\r\n",
            b"a AUTHENTICATE PLAIN AGEAYg==\r\n",
            b"a AUTHENTICATE X\r\n",
        ):
            _until_bye(world.connect(), octets, most)


def sasl_line_octets(limits: Limits) -> None:
    """A line of an exchange, or of IDLE, that is too long."""
    long = b"x" * (limits.sasl_line_octets + 1)
    # What is refused before a login counts, too: here it is not to be the end.
    with World(limits=replace(limits, sasl_attempts=2)) as world:
        for mechanism in (b"PLAIN", b"LOGIN", b"CRAM-MD5"):
            peer = world.connect()
            _say(peer, b"a", b"AUTHENTICATE " + mechanism)
            assert peer.raw.startswith(b"+ "), peer.raw
            peer.send(long + b"\r\n")
            assert peer.raw.startswith(b"a NO [TOOBIG]"), peer.raw
            assert _say(peer, b"b", b"NOOP").startswith(b"b OK")
        peer = world.connect()
        peer.log_in()
        _say(peer, b"a", b"IDLE")
        peer.send(long + b"\r\n")
        assert peer.raw.startswith(b"a NO [TOOBIG]"), peer.raw
        assert _say(peer, b"b", b"NOOP").startswith(b"b OK")


CASES: Final[dict[str, Case]] = {
    case.__name__: case
    for case in (
        *(mailbox_count, subscription_count, keyword_count, preauth_bad_commands),
        *(bad_commands, sasl_attempts, sasl_line_octets),
    )
}

#: What is sent first, and what is sent then without an end.
STRANGERS: Final[dict[str, tuple[bytes, bytes]]] = {
    "a line": (b"", b"x"),
    "a tag and a line": (b"a NOOP ", b"x"),
    "a quoted string": (b'a LOGIN "', b"x"),
    "escapes": (b'a LOGIN "', b"\\\\"),
    "parentheses": (b"a ID ", b"("),
    "a literal": (b"a LOGIN {1024+}\r\n", b"x"),
    "a literal that is too big": (b"a LOGIN {102400+}\r\n", b"x"),
    "a literal of 4 GB": (b"a LOGIN {4294967295+}\r\n", b"x"),
    "a literal of APPEND": (b"a APPEND INBOX {50000000+}\r\n", b"x"),
    "literals": (b"a LOGIN", b" {1+}\r\nx"),
    "an announcement": (b"a LOGIN {", b"1"),
    "a response of SASL": (b"a AUTHENTICATE PLAIN\r\n", b"x"),
    "an initial response": (b"a AUTHENTICATE PLAIN ", b"x"),
    "a mechanism": (b"a AUTHENTICATE ", b"X"),
    "empty lines": (b"", b"\r\n"),
    "line feeds": (b"", b"\n"),
    "carriage returns": (b"", b"\r"),
    "NULs": (b"", b"\0"),
    "NOOP": (b"", b"a NOOP\r\n"),
    "CAPABILITY": (b"", b"a CAPABILITY\r\n"),
    "ID": (b"", b'a ID ("a" "b")\r\n'),
    "logins": (b"", b"a LOGIN alice x\r\n"),
    "exchanges": (b"", b"a AUTHENTICATE PLAIN\r\n*\r\n"),
}


class _Pieces:
    """What a transport has to send, as TCP keeps it: without copies of the pieces."""

    def __init__(self, transport: Any) -> None:
        """From now on they are kept here."""
        self._transport, self._pieces = transport, list[bytes]()
        transport.write = self._write

    def _write(self, octets: bytes) -> None:
        self._pieces.append(octets)
        producer = self._transport.producer
        if producer is not None and sum(map(len, self._pieces)) > OUTPUT_OCTETS:
            producer.pauseProducing()

    def read(self) -> bool:
        """The client reads all of it; False: there was nothing."""
        if not self._pieces:
            return False
        self._pieces.clear()
        if self._transport.producer is not None and self._transport.connected:
            self._transport.producer.resumeProducing()
        return True


def _stream(peer: Peer, first: bytes, chunk: bytes, reads: bool) -> None:
    """Send until the server has closed or reads no more."""
    transport, protocol = peer.transport, peer.protocol
    pieces = _Pieces(transport)
    if first:
        protocol.dataReceived(first)
    answered = b"\n" in chunk
    octets = _ANSWERED_OCTETS if answered else STREAM_OCTETS
    for _ in range(octets // _CHUNK_OCTETS):
        if not peer.is_open or transport.producerState == "paused":
            return
        protocol.dataReceived(chunk)
        peer.world.settle()
        while reads and pieces.read():
            peer.world.settle()


def hostile_cost() -> Iterator[tuple[str, int]]:
    """Yield how many octets a stranger makes the server hold, at the most.

    It is that of a machine which does within one turn whatever has come.
    """
    with mock.patch.object(connection, "TURN_SECONDS", math.inf):
        yield from _costs()


def _costs() -> Iterator[tuple[str, int]]:
    for what, (first, then) in STRANGERS.items():
        chunk = then * (_CHUNK_OCTETS // len(then))
        for reads in (True, False) if b"\n" in then else (True,):
            with listening(), World(limits=DEFAULT_LIMITS) as world:
                _stream(world.connect(), first, chunk, reads)  # what is made but once
                gc.collect()
                tracemalloc.start()
                try:
                    before, _ = tracemalloc.get_traced_memory()
                    _stream(world.connect(), first, chunk, reads)
                    _, most = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
            yield what if reads else what + ", unread", most - before
