"""Many clients: who log in at once, who never do, who have and do nothing."""

import asyncio
import select
import socket
import ssl
import time
from collections.abc import Iterator

from benchmarks.client import Connection, Refused
from benchmarks.servers.base import PASSWORD, USERS
from tests.torture import asking
from tests.torture.figures import Figure, at_most, told
from tests.torture.probing import probing
from tests.torture.serving import Served
from tests.torture.sizes import Sizes

_OCTET_SECONDS = 5.0
#: In TLS the beginning of a long record, elsewhere of a line: neither is ever whole.
_RECORD = b"\x16\x03\x01\x3f\xff\x01" + b"x" * 1000
_LOGIN_SECONDS = 0.5
_KIB = 1024.0


def trickling(server: Served, sizes: Sizes) -> Iterator[Figure]:
    """Connections that send one octet each five seconds, and never log in.

    All are gone at their deadline, and a client that knows its password gets in
    meanwhile.  Hardening P21, V05.
    """
    before, began = server.resident_octets(), time.monotonic()
    crowd = _Trickle(server, sizes.trickling)
    # So long one may have waited in the queue of the port before the server saw it.
    queued = time.monotonic() - began
    grown = server.resident_octets() - before
    logins: list[float] = []
    end = time.monotonic() + sizes.preauth_seconds + 30
    next_login = 0.0
    while crowd.left and time.monotonic() < end:
        crowd.turn()
        if crowd.left and time.monotonic() >= next_login:
            begin = time.monotonic()
            server.connect("user1", tls=True).logout()
            logins.append(time.monotonic() - begin)
            next_login = time.monotonic() + _LOGIN_SECONDS
    name = f"{sizes.trickling} trickling"
    left, oldest = crowd.left, max(crowd.ages, default=0.0)
    crowd.close()
    yield at_most("G15", f"{name}: still there", left, "connections", 0)
    most = sizes.preauth_seconds + 1 + sizes.slack + queued
    yield at_most("G15", f"{name}: the oldest was", oldest, "s", most)
    yield at_most("G15", f"{name}: longest login", max(logins), "s", sizes.slack)
    each = grown / sizes.trickling / _KIB
    yield at_most("G15", f"{name}: memory", each, "KiB each", 32)


class _Trickle:
    """They all send the same, which is never a line."""

    def __init__(self, server: Served, count: int) -> None:
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, float]] = {}
        self._next_octet = time.monotonic() + _OCTET_SECONDS
        self._sent = -1
        self.ages: list[float] = []
        for number in range(count):
            # Every other one does not even begin to speak TLS.
            port = server.tls_port if number % 2 else server.port
            connection = socket.socket()
            connection.bind((server.source(), 0))
            connection.connect(("127.0.0.1", port))
            connection.setblocking(False)
            self._open[connection.fileno()] = connection, time.monotonic()
            self._poll.register(connection.fileno(), select.EPOLLIN)

    @property
    def left(self) -> int:
        """How many are still connected."""
        return len(self._open)

    def turn(self) -> None:
        """Read what has come; send an octet each, now and then."""
        for descriptor, _ in self._poll.poll(0.05):
            connection, began = self._open[descriptor]
            try:
                octets = connection.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                octets = b""
            if not octets:
                self._gone(descriptor, began)
        if time.monotonic() >= self._next_octet:
            self._next_octet += _OCTET_SECONDS
            self._sent += 1
            for descriptor, (connection, began) in list(self._open.items()):
                try:
                    connection.send(_RECORD[self._sent : self._sent + 1])
                except OSError:
                    self._gone(descriptor, began)

    def _gone(self, descriptor: int, began: float) -> None:
        self.ages.append(time.monotonic() - began)
        self._open.pop(descriptor)[0].close()

    def close(self) -> None:
        """Leave."""
        for connection, _ in self._open.values():
            connection.close()
        self._poll.close()


async def _log_in(
    server: Served, user: str, tls: ssl.SSLContext, failed: list[str]
) -> None:
    try:
        asker = await asking.Asker.connect(
            server.tls_port, source=server.source(), tls=tls
        )
    except (OSError, asking.Ended) as error:
        failed.append(repr(error))
        return
    try:
        await asker.login(user, PASSWORD)
        await asker.ask(b"LOGOUT")
    except (asking.Ended, asking.Refused) as error:
        failed.append(repr(error))
    finally:
        await asker.close()


def logins(server: Served, sizes: Sizes) -> Iterator[Figure]:
    """All log in at once over TLS: costly hashes, and then those that are known.

    Hardening A05, V05.
    """
    with probing(server, USERS[-1]) as probe:
        for what, most in (("the first time", 40.0), ("again", 5.0)):
            failed: list[str] = []

            async def every(failed: list[str] = failed) -> None:
                # One for all: making each its own would cost more than a login.
                tls = asking.any_certificate()
                await asyncio.gather(
                    *(
                        _log_in(server, user, tls, failed)
                        for user in USERS[: sizes.logins]
                    )
                )

            cpu, began = server.cpu_seconds(), time.monotonic()
            asyncio.run(every())
            seconds = time.monotonic() - began
            cpu = server.cpu_seconds() - cpu
            if failed:
                count = len(failed)
                raise AssertionError(f"{count} logins failed, such as {failed[0]}")
            name = f"{sizes.logins} logins, {what}"
            bound = most * sizes.slack * max(sizes.logins, 100) / 1000
            yield at_most("G17", name, seconds, "s", bound)
            yield told(
                "G17", f"{name}: processor", 1000 * cpu / sizes.logins, "ms each"
            )
    yield from probe.figures("G17", f"{sizes.logins} logins", sizes.slack)


def idlers(server: Served, sizes: Sizes) -> Iterator[Figure]:
    """Sessions over TLS that idle.  Hardening V02."""
    users = USERS[: max(1, sizes.idlers // 10)]
    # What an account takes once, and TLS, is no cost of a connection.
    for connection in [server.connect(user, tls=True) for user in users]:
        connection.select()
        connection.idle()
        connection.close()
    before = server.resident_octets()
    idle: list[Connection] = []
    try:
        for number in range(sizes.idlers):
            connection = server.connect(users[number % len(users)], tls=True)
            idle.append(connection)
            connection.select()
            connection.idle()
        time.sleep(1.5)
        grown = server.resident_octets() - before
        cpu, began = server.cpu_seconds(), time.monotonic()
        time.sleep(3)
        cpu = (server.cpu_seconds() - cpu) / (time.monotonic() - began)
        gone = 0
        for connection in idle:
            try:
                connection.send(b"DONE\r\n")
                connection.line()
            except (OSError, Refused):
                gone += 1
    finally:
        for connection in idle:
            connection.close()
    name = f"{sizes.idlers} idle over TLS"
    each = grown / sizes.idlers / _KIB
    yield at_most("G14", f"{name}: memory", each, "KiB each", 40)
    yield at_most("G14", f"{name}: processor", 100 * cpu, "%", 2 * sizes.slack)
    yield at_most("G14", f"{name}: gone meanwhile", gone, "sessions", 0)
    yield told("G14", f"{name}: of users", len(users), "users")
