"""One client of the fuzzer: it knows its state, sends what it draws, and recovers."""

import re
import time
from random import Random
from typing import Final, Protocol

from imapd.server.registry import COMMANDS
from tests.support.grammar import Continuation, Response, Tagged, Untagged
from tests.torture import mutators, words
from tests.torture.grammar import command
from tests.torture.inprocess import Peer, World
from tests.torture.pieces import Command, Message
from tests.torture.writing import written

#: More are expunged: COPY of all to the same mailbox doubles them.
MOST_MESSAGES: Final = 25
#: A literal that is waited for is filled up to so much.
MOST_FILLING: Final = 300_000

_ANNOUNCED = re.compile(rb"\{([0-9]{1,10})\+?\}(?=\r?\n|\r?\Z)")
_ALL: Final = sorted(COMMANDS)
_FITTING: Final = {
    state: [
        name for name in _ALL if state in {one.value for one in COMMANDS[name].states}
    ]
    for state in ("unauth", "auth", "select")
}
#: There from the beginning, with a message in each.
_MAILBOXES: Final = (b"INBOX", b"one", b"one/two", b"INBOX", b"Sent")
_SELECTED: Final = sorted(set(_FITTING["select"]) - set(_FITTING["auth"]))
#: Where the client may be when it begins to send nonsense.
_PREFIXES: Final = (
    *(b"", b"", b"", b"", b"", b"n1 IDLE\r\n", b"n1 AUTHENTICATE PLAIN\r\n"),
    *(b"n1 AUTHENTICATE LOGIN\r\n", b"n1 AUTHENTICATE LOGIN YWxpY2U=\r\n"),
    *(b"n1 AUTHENTICATE CRAM-MD5\r\n", b"n1 APPEND INBOX {40}\r\n", b"n1 SEARCH ("),
    *(b"n1 APPEND INBOX {40+}\r\n", b"n1 LOGIN {5}\r\n", b"n1 FETCH 1 BODY["),
    b"n1 APPEND INBOX {2+}\r\nab (\\Seen) ",
)


class Counts(Protocol):
    """Where it is told what was done."""

    commands: int
    abandoned: int

    def sent(self, octets: bytes, seconds: float) -> None:
        """Some octets were sent, and took so much of the processor."""

    def told(self, name: bytes, condition: bytes) -> None:
        """A whole command was answered."""


class Actor:
    """A client in a world; it connects again when it was hung up on."""

    def __init__(self, world: World, chance: Random, counts: Counts) -> None:
        self._world = world
        self._chance = chance
        self._counts = counts
        self._number = 0
        self._connect()

    def _connect(self) -> None:
        self.peer: Peer = self._world.connect()
        self._state = "unauth"
        if self._chance.random() < 0.85:
            self.run(Command(b"LOGIN", (b" alice wonderland",)))
            for name in _MAILBOXES if self._chance.random() < 0.3 else ():
                message = Message(words.message(self._chance))
                self.run(Command(b"CREATE", (b" " + name,)))
                self.run(Command(b"APPEND", (b" %b " % name, message)))
            way: bytes = self._chance.choice((b"SELECT", b"SELECT", b"EXAMINE", b""))
            if way:
                self.run(Command(way, (b" INBOX",)))

    def step(self, others: "list[Actor]") -> None:
        """Do one thing; the others may do something while this one idles."""
        if not self.peer.is_open:
            self._connect()
        way = self._chance.random()
        if self.peer.conversation.messages > MOST_MESSAGES:
            self._empty()
        elif way < 0.40:
            self.run(self._draw(), others)
        elif way < 0.46:
            self._burst()
        elif way < 0.50:
            self._together(others)
        elif way < 0.93:
            self._nonsense()
        elif way < 0.955:
            self._stop_reading()
        elif way < 0.96:
            self._count()
        elif way < 0.97:
            self._world.meddle(self._chance)
        elif way < 0.98:
            self._world.clock.advance(self._chance.choice((0.1, 0.5, 1, 130)))
            self.peer.take()
        else:
            self._leave_in_the_midst()

    # Whole commands.

    def _draw(self) -> Command:
        if self._chance.random() < 0.9:
            name = self._chance.choice(_FITTING[self._state])
            if self._state == "select" and self._chance.random() < 0.6:
                name = self._chance.choice(_SELECTED)
            elif self._state == "auth" and self._chance.random() < 0.3:
                return Command(b"SELECT", (b" INBOX",))
            if name == b"LOGOUT" and self._chance.random() < 0.7:
                name = b"NOOP"
        else:
            name = self._chance.choice(_ALL)
        return command(name, self._chance, self.peer.conversation.messages)

    def _tag(self) -> bytes:
        self._number += 1
        odd: bytes = self._chance.choice((b"", b"", b"", b"]", b"'&^", b"}"))
        return b"a%d%b" % (self._number, odd)

    def run(self, wanted: Command, others: "list[Actor] | None" = None) -> None:
        """Send a whole command, and see that it is answered once, or BYE is said."""
        tag, peer = self._tag(), self.peer
        turns = written(tag, wanted.name, wanted.pieces, self._chance)
        answers, text = list(wanted.answers), b""
        peer.conversation.begins(tag, wanted.name)
        self._counts.commands += 1
        for _ in range(len(turns) + len(answers) + 10):
            if turns:
                responses = self._send(turns.pop(0))
            elif answers:
                if wanted.name == b"IDLE" and others and self._chance.random() < 0.5:
                    self._meanwhile(others)
                responses = self._send(answers.pop(0)(text) + b"\r\n")
            else:
                responses = self._send(b"*\r\n")
            if self._answered(tag, wanted.name, responses) or not peer.is_open:
                return
            continued = [each for each in responses if isinstance(each, Continuation)]
            if not continued:
                raise AssertionError(f"no answer to {wanted}: {peer.raw!r}")
            text = continued[-1].text
        raise AssertionError(f"{wanted} goes on and on: {peer.raw!r}")

    def _meanwhile(self, others: "list[Actor]") -> None:
        """Somebody else does something while this client idles."""
        other = self._chance.choice(others)
        if other is not self and other.peer.is_open:
            other.run(other._draw())
        self.peer.take()

    def _answered(self, tag: bytes, name: bytes, responses: list[Response]) -> bool:
        found = [each for each in responses if isinstance(each, Tagged)]
        if not found:
            return False
        self._counts.told(name, found[-1].condition)
        self._follow(name, found[-1].condition == b"OK")
        return True

    def _follow(self, name: bytes, done: bool) -> None:
        if name in (b"LOGIN", b"AUTHENTICATE") and done:
            self._state = "auth"
        elif name in (b"SELECT", b"EXAMINE") and self._state != "unauth":
            self._state = "select" if done else "auth"
        elif name in (b"CLOSE", b"UNSELECT") and done:
            self._state = "auth"

    def _burst(self) -> None:
        """Several commands at once, none of which has to wait."""
        octets, wanted = self._begin_burst()
        self._end_burst(octets, wanted, self._send(octets))

    def _together(self, others: "list[Actor]") -> None:
        """Bursts of all at the same time; now and then somebody leaves in the midst."""
        begun = []
        for each in others:
            if each.peer.is_open:
                octets, wanted = each._begin_burst()
                each.peer.post(octets, self._chance)
                begun.append((each, octets, wanted))
                for _ in range(self._chance.choice((0, 0, 1, 5))):
                    self._world.turn()
        if self._chance.random() < 0.2:
            self._chance.choice(others).peer.leave()
        for each, octets, wanted in begun:
            each._end_burst(octets, wanted, each.peer.take())

    def _begin_burst(self) -> tuple[bytes, list[bytes]]:
        octets, wanted = b"", []
        for _ in range(self._chance.randint(2, 12)):
            each = self._draw()
            if each.answers or each.name in (b"LOGOUT", b"STARTTLS", b"AUTHENTICATE"):
                continue
            tag = self._tag()
            [turn] = written(tag, each.name, each.pieces, self._chance, waits=0)
            octets += turn
            wanted.append(each.name)
            self.peer.conversation.begins(tag, each.name)
        self._counts.commands += len(wanted)
        return octets, wanted

    def _end_burst(
        self, octets: bytes, wanted: list[bytes], responses: list[Response]
    ) -> None:
        found = [each for each in responses if isinstance(each, Tagged)]
        if self.peer.is_open:
            assert len(found) == len(wanted), f"{octets!r}: {self.peer.raw!r}"
        for name, answer in zip(wanted, found, strict=False):
            self._follow(name, answer.condition == b"OK")

    def _count(self) -> None:
        """There are as many messages as the server has said."""
        known = self.peer.conversation.messages
        if not known:
            return
        tag = self._tag()
        self.peer.conversation.begins(tag, b"FETCH")
        self._counts.commands += 1
        responses = self._send(tag + b" FETCH 1:* (UID)\r\n")
        seen = {
            each.data.seq
            for each in responses
            if isinstance(each, Untagged) and each.kind == b"FETCH"
        }
        last = responses[-1] if responses else None
        if isinstance(last, Tagged) and last.condition == b"OK":
            # Of those told only now, behind them, FETCH may tell as well.
            missing = set(range(1, known + 1)) - seen
            assert not missing, f"no {missing} of {known}: {self.peer.raw!r}"

    def _empty(self) -> None:
        self.run(Command(b"STORE", (b" 1:* +FLAGS.SILENT (\\Deleted)",)))
        if self.peer.is_open:
            self.run(Command(b"EXPUNGE"))
        if self.peer.conversation.messages > MOST_MESSAGES:  # read-only
            self.run(Command(b"SELECT", (b" INBOX",)))

    # What may be anything.

    def _nonsense(self) -> None:
        chance = self._chance
        self._counts.commands += 1
        wanted = self._draw()
        tag = self._tag()
        turns = written(tag, wanted.name, wanted.pieces, chance, waits=0.3)
        octets = b"".join(turns)
        prefix = chance.choice(_PREFIXES)
        if chance.random() < 0.05:
            octets = chance.randbytes(chance.randint(1, 200))
        else:
            octets = mutators.mutated(octets, chance)
        self.peer.conversation.unknown()
        sent = prefix + octets
        found = self._send(prefix) if prefix and chance.random() < 0.5 else []
        found += self._send(octets if found else sent)
        for each in found:
            if isinstance(each, Tagged):
                assert each.tag in sent, f"{each} to {sent!r}"
        self._recover(sent)

    def _recover(self, sent: bytes) -> None:
        """The server must still answer, once what was begun is ended."""
        filling = 0
        for found in _ANNOUNCED.findall(sent):
            filling = max(filling, int(found) if int(found) <= MOST_FILLING else 0)
        fillings = (b"", b"", b"", b"x" * filling, b"x" * filling, b"x" * filling)
        for number, octets in enumerate(fillings):
            if not self.peer.is_open:
                # What follows STARTTLS in the clear is not worth a word.
                told = b"STARTTLS" not in sent.upper()
                assert self.peer.conversation.ended or not told, f"{sent!r}: gone"
                return
            probe = b"z%d" % number
            self._send(octets + b"\r\n")
            answers = self._send(b"%b NOOP\r\n" % probe)
            if any(isinstance(each, Tagged) and each.tag == probe for each in answers):
                self._know()
                return
        if not self.peer.is_open:
            return
        assert _ANNOUNCED.search(sent), f"no answer after {sent!r}: {self.peer.raw!r}"
        self._counts.abandoned += 1
        self.peer.leave()

    def _know(self) -> None:
        """Find out which state this is now."""
        self.peer.conversation.known_again()
        for name, state in ((b"CHECK", "select"), (b"NAMESPACE", "auth")):
            tag = self._tag()
            self.peer.conversation.begins(tag, name)
            [*_, last] = self._send(b"%b %b\r\n" % (tag, name))
            if isinstance(last, Tagged) and last.condition == b"OK":
                self._state = state
                return
        self._state = "unauth"

    def _stop_reading(self) -> None:
        """The client reads nothing for a while, and goes on sending."""
        producer = self.peer.transport.producer
        if producer is None or self._state == "unauth":
            return
        producer.pauseProducing()
        tag = self._tag()
        wanted = command(b"FETCH", self._chance, self.peer.conversation.messages)
        [octets] = written(tag, b"FETCH", wanted.pieces, self._chance, waits=0)
        self.peer.conversation.begins(tag, b"FETCH")
        self._counts.commands += 1
        self._send(octets)
        if self.peer.is_open:
            producer.resumeProducing()
            self.peer.take()
        if self.peer.is_open:
            assert not self.peer.conversation.waits, f"no answer to {octets!r}"

    def _leave_in_the_midst(self) -> None:
        wanted = self._draw()
        turns = written(self._tag(), wanted.name, wanted.pieces, self._chance)
        self.peer.conversation.unknown()
        octets = turns[0][: self._chance.randint(0, len(turns[0]))]
        self._send(octets)
        self.peer.leave()
        self._world.settle()

    def _send(self, octets: bytes) -> list[Response]:
        began = time.thread_time()
        try:
            return self.peer.send(octets, self._chance)
        except AssertionError as error:
            raise AssertionError(f"{error}\nafter {octets[:2000]!r}") from error
        finally:
            self._counts.sent(octets, time.thread_time() - began)
