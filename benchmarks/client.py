"""One connection of the benchmark's own client, made to cost little itself.

Answers are read into one large buffer, and only its end is looked at for the tagged
line: tags are random, so that no literal holds one.
"""

import contextlib
import os
import re
import socket
import ssl
from dataclasses import dataclass

_BUFFER_OCTETS = 4 << 20
_TAIL_OCTETS = 8192
_TIMEOUT_SECONDS = 180

_buffer = bytearray(_BUFFER_OCTETS)
_view = memoryview(_buffer)


class Refused(Exception):
    """The server answered NO, BAD or BYE, or left; the message is what it said."""


@dataclass(frozen=True)
class Door:
    """How to get to a server: where it listens, and what it wants to hear first."""

    port: int
    tls: bool = False
    #: Sent before the greeting; only where a forwarder has to know the user.
    opening: bytes = b""
    #: From where; a server may bound the connections from one address.
    source: str = "127.0.0.1"
    #: Of the socket; 0 is what the system gives.
    receive_octets: int = 0


def _tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The servers' certificates are of this run; it is their cost that counts here.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_TLS = _tls_context()


def open_socket(door: Door) -> socket.socket:
    """Connect, without TLS yet."""
    connection = socket.socket()
    try:
        if door.receive_octets:
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, door.receive_octets
            )
        connection.settimeout(_TIMEOUT_SECONDS)
        connection.bind((door.source, 0))
        connection.connect(("127.0.0.1", door.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


class Connection:
    """Blocking, and for one thread: all connections share the buffer."""

    def __init__(self, door: Door) -> None:
        """Connect and read the greeting.

        Raises:
            Refused: the greeting is BYE, or none came.
        """
        self._socket = open_socket(door)
        try:
            if door.tls:
                self._socket = _TLS.wrap_socket(self._socket)
            if door.opening:
                self._socket.sendall(door.opening)
            self._number = 0
            self._prefix = b"z" + os.urandom(5).hex().encode()
            greeting = self.line()
            while greeting.startswith(b"* OK [ALERT]"):
                greeting = self.line()
            if not greeting.startswith((b"* OK", b"* PREAUTH")):
                raise Refused(greeting.decode("latin-1").strip())
        except BaseException:
            self.close()
            raise

    def line(self) -> bytes:
        """Read one line that comes alone: a greeting, a continuation."""
        line = bytearray()
        while not line.endswith(b"\r\n"):
            octets = self._socket.recv(4096)
            if not octets:
                raise Refused(f"closed: {bytes(line)!r}")
            line += octets
        return bytes(line)

    def _tag(self) -> bytes:
        self._number += 1
        return b"%s%x" % (self._prefix, self._number)

    def send(self, octets: bytes) -> None:
        """Send as it is."""
        self._socket.sendall(octets)

    def command(self, command: bytes) -> int:
        """Send a command; return the octets of the answer, which is not kept.

        Raises:
            Refused: it was not answered with OK.
        """
        tag = self._tag()
        self._socket.sendall(b"%s %s\r\n" % (tag, command))
        return self._read(tag, None)

    def ask(self, command: bytes) -> bytes:
        """Send a command; return all of its answer, the tagged line included.

        Raises:
            Refused: it was not answered with OK.
        """
        kept: list[bytes] = []
        tag = self._tag()
        self._socket.sendall(b"%s %s\r\n" % (tag, command))
        self._read(tag, kept)
        return b"".join(kept)

    def _read(self, tag: bytes, kept: list[bytes] | None) -> int:
        mark, position, total = tag + b" ", 0, 0
        while True:
            count = self._socket.recv_into(_view[position:])
            if not count:
                tail = bytes(_buffer[max(0, position - 200) : position])
                raise Refused(f"closed after {total} octets: {tail!r}")
            total += count
            position += count
            if _buffer[position - 1] == 10:
                start = max(0, position - _TAIL_OCTETS)
                found = _buffer.find(mark, start, position)
                if found >= 0 and (found == 0 or _buffer[found - 1] == 10):
                    status = bytes(_buffer[found + len(mark) : position])
                    if kept is not None:
                        kept.append(bytes(_view[:position]))
                    break
            if position > _BUFFER_OCTETS - 65536:
                if kept is not None:
                    kept.append(bytes(_view[: position - _TAIL_OCTETS]))
                tail = bytes(_view[position - _TAIL_OCTETS : position])
                _view[:_TAIL_OCTETS] = tail
                position = _TAIL_OCTETS
        if not status.startswith(b"OK"):
            raise Refused(status.decode("latin-1").strip())
        return total

    def login(self, user: str, password: str) -> None:
        """LOGIN.  RFC 3501 §6.2.3."""
        self.command(b"LOGIN %s %s" % (user.encode(), password.encode()))

    def select(self, mailbox: bytes = b"INBOX") -> int:
        """SELECT it; return the number of its messages."""
        return exists(self.ask(b"SELECT " + mailbox))

    def uids(self) -> list[int]:
        """Return the UIDs of the selected mailbox."""
        found = re.search(rb"(?m)^\* SEARCH([ \d]*)", self.ask(b"UID SEARCH ALL"))
        return [int(word) for word in found[1].split()] if found else []

    def append(self, mailbox: bytes, message: bytes, flags: bytes = b"") -> None:
        """APPEND with a synchronizing literal.  RFC 3501 §6.3.11."""
        tag = self._tag()
        options = b"(%s) " % flags if flags else b""
        parts = (tag, mailbox, options, len(message))
        self._socket.sendall(b"%s APPEND %s %s{%d}\r\n" % parts)
        prompt = self.line()
        if not prompt.startswith(b"+"):
            raise Refused(prompt.decode("latin-1").strip())
        self._socket.sendall(message + b"\r\n")
        self._read(tag, None)

    def idle(self) -> None:
        """Begin to IDLE; it ends with the connection.  RFC 2177."""
        self._socket.sendall(b"%s IDLE\r\n" % self._tag())
        line = self.line()
        while not re.search(rb"(?m)^\+", line):
            if re.search(rb"(?m)^(?!\* )\S+ (NO|BAD)", line):
                raise Refused(line.decode("latin-1").strip())
            line = self.line()

    def receive(self, seconds: float) -> bytes:
        """Return what comes within that time, ``b""`` if nothing does.

        Raises:
            Refused: the server closed the connection.
        """
        self._socket.settimeout(seconds)
        try:
            octets = self._socket.recv(65536)
        except TimeoutError:
            return b""
        finally:
            self._socket.settimeout(_TIMEOUT_SECONDS)
        if not octets:
            raise Refused("closed")
        return octets

    def logout(self) -> None:
        """LOGOUT and close, whatever the server says."""
        with contextlib.suppress(OSError, Refused):
            self.command(b"LOGOUT")
        self.close()

    def close(self) -> None:
        """Close without a word."""
        with contextlib.suppress(OSError):
            self._socket.close()


def exists(answer: bytes) -> int:
    """Return the number of messages that an answer to SELECT tells."""
    found = re.findall(rb"(?m)^\* (\d+) EXISTS", answer)
    return int(found[-1]) if found else 0
