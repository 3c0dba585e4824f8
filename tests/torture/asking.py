"""A client for crowds: asyncio, and no more of the grammar than where answers end."""

import asyncio
import contextlib
import itertools
import re
import socket
import ssl
from typing import Self

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


def any_certificate() -> ssl.SSLContext:
    """TLS that trusts everybody: what it is proved by is not what is asked here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Ended(Exception):
    """The server closed the connection."""

    def __init__(self, said: bytes) -> None:
        """Keep what it said last, in answer to a command that was not answered."""
        super().__init__(said[-200:])
        self.said = said

    @property
    def with_bye(self) -> bool:
        """Whether it said so."""
        return re.search(rb"(?m)^\* BYE ", self.said) is not None


class Refused(Exception):
    """A command was answered, but not with OK."""


class _Plain:
    """A socket: what was received before it broke can still be read."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        return await self._loop.sock_recv(self._socket, 1 << 18)

    async def write(self, octets: bytes) -> None:
        await self._loop.sock_sendall(self._socket, octets)

    async def close(self) -> None:
        self._socket.close()


class _Tls:
    """A socket with TLS on it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        return await self._reader.read(1 << 18)

    async def write(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()

    async def close(self) -> None:
        # Nobody waits for the other's goodbye.
        self._writer.transport.abort()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self._writer.wait_closed()


async def _open(port: int, source: str, tls: ssl.SSLContext | None) -> _Plain | _Tls:
    connection = socket.socket()
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.bind((source, 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", port))
        if tls is None:
            return _Plain(connection)
        return _Tls(
            *await asyncio.open_connection(
                sock=connection, ssl=tls, server_hostname="localhost"
            )
        )
    except BaseException:
        connection.close()
        raise


class Asker:
    """One connection."""

    def __init__(self, link: _Plain | _Tls) -> None:
        """Take over a connection whose greeting was not read yet."""
        self.link = link
        self._numbers = itertools.count(1)
        self._received = bytearray()
        self._said = b""

    @classmethod
    async def connect(
        cls, port: int, *, source: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> Self:
        """Connect, and read the greeting.

        Raises:
            OSError: nobody accepts.
            Ended: accepted, and then closed.
        """
        asker = cls(await _open(port, source, tls))
        try:
            greeting = await asker.line()
            if not greeting.startswith(b"* OK"):
                raise Ended(greeting)
        except BaseException:
            await asker.close()
            raise
        return asker

    async def line(self) -> bytes:
        """Read one line of an answer, with the literals in it.

        Raises:
            Ended: there is none.
        """
        begin = looked = 0
        received = self._received
        while True:
            end = received.find(b"\n", max(begin, looked))
            if end >= 0:
                literal = _LITERAL.search(received, max(begin, end - 24), end + 1)
                if literal is None:
                    line = bytes(received[: end + 1])
                    del received[: end + 1]
                    return line
                begin = end + 1 + int(literal[1])
            else:
                looked = len(received)
                await self._more()

    async def _more(self) -> None:
        try:
            octets = await self.link.read()
        except (ConnectionError, ssl.SSLError):
            octets = b""
        if not octets:
            raise Ended(self._said + bytes(self._received))
        self._received += octets

    async def ask(self, command: bytes, literal: bytes | None = None) -> bytes:
        """Return all of the answer to a command, the tagged line included.

        Args:
            command: without its tag.
            literal: to follow it, in one piece with it (LITERAL+).

        Raises:
            Refused: it was answered with NO or BAD.
            Ended: it was not answered.
        """
        tag = b"a%d" % next(self._numbers)
        sent = b"%s %s\r\n" % (tag, command)
        if literal is not None:
            sent = b"%s %s {%d+}\r\n%s\r\n" % (tag, command, len(literal), literal)
        self._said = b""
        with contextlib.suppress(ConnectionError):  # what it said comes first
            await self.link.write(sent)
        lines: list[bytes] = []
        while not lines or not lines[-1].startswith(tag + b" "):
            lines.append(await self.line())
            if lines[-1].startswith(b"* BYE"):
                self._said = lines[-1]
        if not lines[-1].startswith(tag + b" OK"):
            raise Refused(lines[-1])
        self._said = b""
        return b"".join(lines)

    async def login(self, user: str, password: str) -> None:
        """LOGIN."""
        await self.ask(f"LOGIN {user} {password}".encode())

    async def idle(self) -> None:
        """Begin to idle; it ends with the connection."""
        await self.link.write(b"i IDLE\r\n")
        while not (await self.line()).startswith(b"+"):
            pass

    async def close(self) -> None:
        """Close without a word."""
        await self.link.close()
