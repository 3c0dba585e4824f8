"""A client that is free to be wrong: plain octets, then TLS over the same socket."""

import asyncio
import contextlib
import ssl
from pathlib import Path

STEP_SECONDS = 10


def client_context(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


class Wire:
    """One connection; what arrived before TLS and inside it is kept apart."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self.plain = b""
        self.ended = False

    @classmethod
    async def connect(cls, port: int, header: bytes = b"") -> "Wire":
        """Connect, and read the greeting."""
        wire = cls(*await asyncio.open_connection("127.0.0.1", port))
        if header:
            await wire.send(header)
        await wire.until(b"\r\n")
        return wire

    async def send(self, octets: bytes) -> None:
        """Send octets as they are; the server may have left."""
        if self._writer.transport.is_closing():
            return
        with contextlib.suppress(ConnectionError):
            self._writer.write(octets)
            await self._writer.drain()

    async def _read(self, seconds: float) -> bytes:
        """What arrives; b"" after ``seconds``, and at the end."""
        try:
            octets = await asyncio.wait_for(self._reader.read(65536), seconds)
        except TimeoutError:
            return b""
        except ConnectionError:
            octets = b""
        self.ended = not octets
        return octets

    async def until(self, mark: bytes) -> bytes:
        """Read in the clear up to a mark, or to the end."""
        while mark not in self.plain and not self.ended:
            octets = await self._read(STEP_SECONDS)
            if not octets and not self.ended:
                raise AssertionError(f"neither {mark!r} nor an end: {self.plain!r}")
            self.plain += octets
        return self.plain

    async def handshake(self, context: ssl.SSLContext) -> bool:
        """Begin TLS; False: it came to nothing, and the connection ended."""
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost"
        )
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                octets = await self._read(STEP_SECONDS)
                if not octets:
                    assert self.ended, "the handshake hangs"
                    return False
                self.plain += octets if self._incoming.eof else b""
                self._incoming.write(octets)
            except ssl.SSLError:
                return False
            else:
                await self._flush()
                return True

    async def _flush(self) -> None:
        await self.send(self._outgoing.read())

    async def inside(self, seconds: float, mark: bytes | None = None) -> bytes:
        """What arrives inside TLS in that time, or up to a mark."""
        assert self._tls is not None
        found = b""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while mark is None or mark not in found:
            try:
                octets = self._tls.read(65536)
            except ssl.SSLWantReadError:
                left = end - loop.time()
                if left <= 0 or self.ended:
                    return found
                self._incoming.write(await self._read(left))
            except ssl.SSLError:
                return found
            else:
                if not octets:
                    return found
                found += octets
        return found

    async def ask(self, line: bytes) -> bytes:
        """One command inside TLS, and all that is said up to its tagged answer."""
        assert self._tls is not None
        self._tls.write(line + b"\r\n")
        await self._flush()
        tag = line.split(b" ")[0] + b" "
        return await self.inside(STEP_SECONDS, tag)

    async def rest(self, seconds: float) -> bytes:
        """What still arrives, as it is on the wire, up to the end."""
        found = b""
        while not self.ended:
            octets = await self._read(seconds)
            if not octets:
                break
            found += octets
        return found

    def close(self) -> None:
        self._writer.close()
