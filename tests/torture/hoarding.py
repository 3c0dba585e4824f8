"""Clients that take, or give, at their own pace: what that costs the server."""

import contextlib
import random
import re
import select
import socket
import time
from collections.abc import Iterator

from benchmarks.client import Connection
from benchmarks.servers.base import USERS
from tests.support.leftovers import left_in
from tests.torture.figures import Figure, at_most, told
from tests.torture.serving import Served, fill, message
from tests.torture.sizes import Sizes

#: Of ``output_stall_seconds``: the least that may be set.
STALL_SECONDS = 10
_MIB = 1 << 20
_OF_A_USER = 10
_MAIL_OCTETS = 20 * _MIB
_MESSAGE_OCTETS = 200_000
_TIMES = 50  # of that mail: a gigabyte
_STALLED = re.compile("session ended .*reason='the client does not read'")
#: A slow reader takes so much, so often: too little for the kernel's own buffer to
#: become free within ``STALL_SECONDS``, and more than a client's that is not there.
_SLOW_OCTETS = 6000
_SLOW_SECONDS = 0.1
#: In which the memory of those who do not read has grown.
_SETTLE_SECONDS = 2.5
#: A slow writer gives so much, so often, of a message.
_PIECE_OCTETS = 128_000
_PIECE_SECONDS = 0.2
_PIECES = 12
#: Of it a quarter of a MiB may wait for the disk, the allocator may keep as much
#: again that was on its way there, and there is the session itself.
_WRITER_KIB = 256 + 256 + 64


def flood(server: Served, sizes: Sizes) -> Iterator[Figure]:
    """Commands in one go, before any answer is read.  Hardening V07."""
    # First a smaller one: what a process takes once is no cost of the flood.
    _flood(server, sizes.flood // 4)
    grown, taken, answered = _flood(server, sizes.flood)
    name = f"{sizes.flood} at once"
    # The allocator may take some at any time: of a million it is the least part.
    most = 1 if sizes.judges_rates else 3
    yield at_most("V07", f"{name}: memory", grown / _MIB, "MiB", most)
    yield told("V07", f"{name}: taken ahead", taken / _MIB, "MiB")
    missing = sizes.flood - answered
    yield at_most("V07", f"{name}: not answered in order", missing, "commands", 0)


def _flood(server: Served, count: int) -> tuple[int, int, int]:
    """So many commands.

    Returns:
        By how many octets the server has grown meanwhile, how many octets were
        taken before any answer was read, and how many commands were answered.
    """
    connection = server.connect("user1", receive_octets=65536)
    connection.select()
    for _ in range(50):  # what a session takes once
        connection.command(b"CAPABILITY")
    time.sleep(0.5)
    before, socket_ = server.resident_octets(), connection._socket
    lines = b"".join(b"%b CAPABILITY\r\n" % _tag(n) for n in range(count))
    waiting, most = memoryview(lines), before
    socket_.settimeout(1.0)
    with contextlib.suppress(TimeoutError):  # it takes no more
        while waiting:
            waiting = waiting[socket_.send(waiting[: 1 << 20]) :]
            most = max(most, server.resident_octets())
    # What the system has taken, the server has not seen yet.
    settled = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < settled:
        most = max(most, server.resident_octets())
        time.sleep(0.1)
    taken = len(lines) - len(waiting)
    answered = _read_in_order(socket_, waiting, count)
    connection.close()
    return most - before, taken, answered


def _tag(number: int) -> bytes:
    """As long as it may be: what waits unread is to weigh something."""
    return b"f%059d" % number


def _read_in_order(connection: socket.socket, waiting: memoryview, count: int) -> int:
    """Send the rest while reading; return how many answers came, one by one."""
    connection.setblocking(False)
    received, number = b"", 0
    poll = select.poll()
    while number < count:
        poll.register(connection, select.POLLIN | (select.POLLOUT if waiting else 0))
        ready = poll.poll(30_000)
        if not ready:
            break
        with contextlib.suppress(BlockingIOError):
            if ready[0][1] & select.POLLOUT and waiting:
                waiting = waiting[connection.send(waiting[:65536]) :]
        with contextlib.suppress(BlockingIOError):
            if ready[0][1] & ~select.POLLOUT:
                octets = connection.recv(1 << 18)
                if not octets:
                    break
                *lines, received = (received + octets).split(b"\r\n")
                for line in lines:
                    if line.startswith(b"* "):
                        continue
                    if not line.startswith(_tag(number) + b" OK "):
                        return number
                    number += 1
    return number


def unread(server: Served, sizes: Sizes) -> Iterator[Figure]:
    """Each asks for a gigabyte and reads nothing of it, or a little.

    The first are dropped when they stall, the others stay.  Hardening V01.
    """
    users = USERS[10 : 11 + sizes.unread // _OF_A_USER]
    for number, user in enumerate(users):
        count = _MAIL_OCTETS // _MESSAGE_OCTETS
        fill(server.maildir(user), count, _MESSAGE_OCTETS, number)
        # Once with a reader, so that what is not read makes the difference.
        connection = server.connect(user)
        connection.select()
        connection.command(b"UID FETCH 1:* BODY.PEEK[]")
        connection.logout()
    dropped = len(_STALLED.findall(server.log()))
    groups: list[_Group] = []
    try:
        for tls in (False, True):
            before = server.resident_octets()
            group = _Group(server, sizes.unread, users, tls, groups)
            groups.append(group)
            group.read(_SETTLE_SECONDS)
            grown = (server.resident_octets() - before) / _MIB
            bound = (8.0 if tls else 4.0) if sizes.unread == 1 else 64.0
            yield at_most("G13", f"{group.name}: memory", grown, "MiB", bound)
        began, end = groups[-1].began, STALL_SECONDS + 4 + sizes.slack
        wanted, stalled = 2 * sizes.unread, 0
        # The slow ones read on for longer than the others are waited for.
        while stalled < wanted or time.monotonic() < began + STALL_SECONDS + 4:
            if time.monotonic() > began + end:
                break
            for group in groups:
                group.read(_SLOW_SECONDS)
            stalled = len(_STALLED.findall(server.log())) - dropped
        seconds = time.monotonic() - began
        for group in groups:
            group.read(_SLOW_SECONDS)
    finally:
        for group in groups:
            group.close()
    name = f"{wanted} unread"
    wrong = abs(wanted - stalled)
    yield at_most("G13", f"{name}: not dropped, or the slow", wrong, "clients", 0)
    yield told("G13", f"{name}: looked at for", seconds, "s")
    for group in groups:
        yield told("G13", f"{group.name}: slowly read", group.taken / 1024, "KiB")


class _Group:
    """Some clients that read nothing of a gigabyte, and one that reads slowly."""

    def __init__(
        self,
        server: Served,
        count: int,
        users: tuple[str, ...],
        tls: bool,
        others: "list[_Group]",
    ) -> None:
        self.name = f"{count} unread, {'TLS' if tls else 'plain'}"
        self.taken = 0
        lines = [b"u%d UID FETCH 1:* BODY.PEEK[]\r\n" % n for n in range(_TIMES)]
        self._clients: list[Connection] = []
        for number in range(count + 1):
            user = users[number % len(users)]
            connection = server.connect(user, tls=tls, receive_octets=65536)
            self._clients.append(connection)
            connection.select()
            connection.send(b"".join(lines))
            for other in others:  # this takes a while: they read on
                other.take()
        self._slow = self._clients[0]
        self._slow._socket.settimeout(5)
        self.began = time.monotonic()

    def take(self) -> None:
        """The slow one reads a little.

        Raises:
            AssertionError: it was dropped.
        """
        try:
            octets = self._slow._socket.recv(_SLOW_OCTETS)
        except ConnectionError:
            octets = b""
        if not octets:
            raise AssertionError(f"{self.name}: who reads slowly was dropped")
        self.taken += len(octets)

    def read(self, seconds: float) -> None:
        """The slow one reads on for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.take()
            time.sleep(_SLOW_SECONDS)

    def close(self) -> None:
        """Leave."""
        for connection in self._clients:
            connection.close()


def writers(server: Served, sizes: Sizes) -> Iterator[Figure]:
    """APPENDs that come in small pieces; every other client gives up.

    What was whole is kept, to the octet; of the rest nothing is left.
    """
    first = 200
    # Fewer of them first: what the process takes once is no cost of a client.
    for count in (sizes.writers // 4, sizes.writers):
        users = USERS[first : first + 1 + count // _OF_A_USER]
        first += len(users)
        grown, failed, wrong = _write(server, count, users)
        name = f"{count} slow writers"
        yield at_most("V01", f"{name}: refused", failed, "messages", 0)
        yield at_most("V01", f"{name}: lost, or in pieces", wrong, "messages", 0)
    each = grown / count / 1024
    yield at_most("V01", f"{name}: memory", each, "KiB each", _WRITER_KIB)


def _write(server: Served, count: int, users: tuple[str, ...]) -> tuple[int, int, int]:
    """So many clients write, all at once.

    Returns:
        By how many octets the server had grown with all but the last piece, how many
        messages were refused, and of how many there is too much or too little.
    """
    chance = random.Random("writers")
    octets = message("slowly", _PIECE_OCTETS * (_PIECES + 1), chance)
    clients: list[Connection] = []
    for number in range(count):
        clients.append(server.connect(users[number % len(users)]))
        clients[-1].select()
    before = server.resident_octets()
    for connection in clients:
        connection.send(b"w APPEND INBOX {%d+}\r\n" % len(octets))
    for piece in range(_PIECES):
        sent = octets[piece * _PIECE_OCTETS : (piece + 1) * _PIECE_OCTETS]
        for connection in clients:
            connection.send(sent)
        time.sleep(_PIECE_SECONDS)
    grown = server.resident_octets() - before
    failed = 0
    for number, connection in enumerate(clients):
        if number % 2:
            connection.send(octets[_PIECES * _PIECE_OCTETS :] + b"\r\n")
            failed += b"w OK " not in _last_line(connection)
        connection.close()
    _until_no_drafts(server, users)
    found = [
        path.read_bytes().replace(b"\r\n", b"\n")
        for user in users
        for part in ("cur", "new")
        for path in (server.maildir(user) / part).iterdir()
    ]
    whole = found.count(octets.replace(b"\r\n", b"\n"))
    return grown, failed, abs(count // 2 - whole) + abs(len(found) - whole)


def _last_line(connection: Connection) -> bytes:
    line = connection.line()
    while not line.endswith(b"\r\n") or b"w " not in line:
        line += connection.line()
    return line


def _until_no_drafts(server: Served, users: tuple[str, ...]) -> None:
    end = time.monotonic() + 20
    while any(left_in(server.maildir(user) / "tmp") for user in users):
        if time.monotonic() > end:
            raise AssertionError("what was not finished is still in tmp/")
        time.sleep(0.05)
