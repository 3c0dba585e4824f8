"""Many connections in one thread: each is driven by a generator."""

import contextlib
import os
import select
import time
from collections.abc import Callable, Generator

from benchmarks.client import Door, open_socket

_TAIL_OCTETS = 8192


class Raw(bytes):
    """To be sent as it is; the generator goes on when a whole line has come."""


class Sleep(float):
    """Seconds to do nothing for; what comes meanwhile is dropped."""


class Park:
    """Wait until ``Crowd.release``."""


Step = bytes | Raw | Sleep | Park
#: Yields steps; sent the answer to each command, from its first octet on.
Script = Generator[Step, bytes, None]


class _Member:
    def __init__(self, door: Door, script: Script) -> None:
        self.socket = open_socket(door)
        if door.opening:
            self.socket.sendall(door.opening)
        self.socket.setblocking(False)
        self.script = script
        self.received = bytearray()
        self.prefix = b"y" + os.urandom(5).hex().encode()
        self.number = 0
        #: Begins the line that ends the step, b"" any line, None nothing does.
        self.mark: bytes | None = b""
        self.started = False

    def tag(self) -> bytes:
        self.number += 1
        return b"%s%x" % (self.prefix, self.number)


class Crowd:
    """Clients that do not wait for one another."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._members: dict[int, _Member] = {}
        self._sleepers: list[tuple[float, _Member]] = []
        self._parked: list[_Member] = []
        self.errors: list[str] = []

    def __len__(self) -> int:
        return len(self._members)

    @property
    def busy(self) -> int:
        """How many are neither parked nor gone."""
        return len(self._members) - len(self._parked)

    def add(self, door: Door, script: Script) -> None:
        """Connect, and run ``script`` after the greeting."""
        try:
            member = _Member(door, script)
        except OSError as error:
            self.errors.append(str(error))
            return
        self._members[member.socket.fileno()] = member
        self._poll.register(member.socket.fileno(), select.EPOLLIN)

    def release(self) -> None:
        """Let all who are parked go on."""
        parked, self._parked = self._parked, []
        for member in parked:
            self._advance(member, b"")

    def _advance(self, member: _Member, answer: bytes) -> None:
        member.received.clear()
        try:
            if member.started:
                step = member.script.send(answer)
            else:
                member.started = True
                step = next(member.script)
            self._take(member, step)
        except StopIteration:
            self._drop(member)
        except OSError as error:
            self._fail(member, str(error))

    def _take(self, member: _Member, step: Step) -> None:
        member.mark = None
        if isinstance(step, Raw):
            member.mark = b""
            member.socket.sendall(step)
        elif isinstance(step, bytes):
            tag = member.tag()
            member.mark = tag + b" "
            # Commands are short, and one at a time: the socket takes them whole.
            member.socket.sendall(b"%s %s\r\n" % (tag, step))
        elif isinstance(step, Sleep):
            self._sleepers.append((time.perf_counter() + step, member))
        else:
            self._parked.append(member)

    def _drop(self, member: _Member) -> None:
        del self._members[member.socket.fileno()]
        member.socket.close()

    def _fail(self, member: _Member, why: str) -> None:
        self.errors.append(why)
        member.script.close()
        self._parked = [one for one in self._parked if one is not member]
        self._sleepers = [one for one in self._sleepers if one[1] is not member]
        self._drop(member)

    def poll(self, seconds: float) -> None:
        """Take one turn, of at most that time when nothing comes."""
        now = time.perf_counter()
        for _, member in [sleeper for sleeper in self._sleepers if sleeper[0] <= now]:
            self._sleepers = [one for one in self._sleepers if one[1] is not member]
            self._advance(member, b"")
        if self._sleepers:
            first = min(wakes_at for wakes_at, _ in self._sleepers)
            seconds = min(seconds, max(0.0, first - now))
        for descriptor, _ in self._poll.poll(seconds):
            if descriptor in self._members:
                self._receive(self._members[descriptor])

    def _receive(self, member: _Member) -> None:
        try:
            octets = member.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(member, str(error))
            return
        if not octets:
            self._fail(member, f"closed: {bytes(member.received[-120:])!r}")
            return
        if member.mark is None:
            return
        received = member.received
        received += octets
        if received[-1] != 10:
            return
        if not member.mark:
            self._advance(member, bytes(received))
            return
        start = max(0, len(received) - _TAIL_OCTETS)
        found = received.find(member.mark, start)
        if found < 0 or (found and received[found - 1] != 10):
            return
        status = bytes(received[found + len(member.mark) :])
        if status.startswith(b"OK"):
            self._advance(member, bytes(received))
        else:
            self._fail(member, status.decode("latin-1").strip())

    def run(self, seconds: float, each_turn: Callable[[], None] | None = None) -> None:
        """Go on until all have ended or parked, or that time is over."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            if each_turn:
                each_turn()
            if not self.busy:
                break
            self.poll(0.05)

    def close(self) -> None:
        """Leave without a word."""
        for member in self._members.values():
            member.script.close()
            with contextlib.suppress(OSError):
                member.socket.close()
        self._members.clear()
        self._parked.clear()
        self._sleepers.clear()
        self._poll.close()
