"""APPEND: octets from the connection to the store, in bounded memory."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from imapd.errors import NoDestination, NoSuchMailbox
from imapd.mailbox.live import LiveMailbox
from imapd.model.mailbox import Appended
from imapd.store.api import Delivery

#: Octets are handed to a worker in pieces of this size.
PIECE_OCTETS = 256 << 10


class Append:
    """The messages of one APPEND on their way.  RFC 3501 §6.3.11, RFC 3502."""

    def __init__(
        self,
        live: LiveMailbox,
        delivery: Delivery,
        release: Callable[[LiveMailbox], Awaitable[None]],
    ) -> None:
        self._live = live
        self._delivery = delivery
        self._release = release
        self._pieces: list[bytes] = []
        self._waiting_octets = 0
        self._begun = False  # a message, which has not ended
        self._large = False
        self._done = False

    def begin(self, flags: Iterable[bytes], internal_date_seconds: int | None) -> None:
        """Start the next message; opening its file is brief."""
        self._live.workers.brief(self._delivery.begin, flags, internal_date_seconds)
        self._begun, self._large = True, False

    async def write(self, octets: bytes) -> None:
        """Add octets; now and then this waits for the disk."""
        self._pieces.append(octets)
        self._waiting_octets += len(octets)
        if self._waiting_octets >= PIECE_OCTETS:
            self._large = True
            await self._live.workers.run(self._delivery.write, self._take())

    def _take(self) -> bytes:
        octets = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_octets = 0
        return octets

    async def end(self) -> None:
        """Write the rest of the message and sync it."""
        self._begun = False
        await self._live.workers.run(self._finish, self._take())

    def _finish(self, octets: bytes) -> None:
        self._delivery.write(octets)
        self._delivery.end()

    async def commit(self) -> Appended:
        """Publish all messages; the last one is finished, if it was not.

        A small one takes no way of its own to the disk for that.  While a large one
        goes there, nobody else shall wait for the mailbox.
        """
        self._done = True
        try:
            if self._begun and self._large:
                await self.end()
            finish = partial(self._finish, self._take()) if self._begun else None
            return await self._live.commit(self._delivery, finish)
        except BaseException as error:
            await self._live.workers.run(self._delivery.abort)
            if isinstance(error, NoSuchMailbox):  # deleted during the upload
                raise NoDestination("No such mailbox") from error
            raise
        finally:
            await self._release(self._live)

    async def abort(self) -> None:
        """Remove what was written; no error after ``commit``."""
        if self._done:
            return
        self._done = True
        try:
            await self._live.workers.run(self._delivery.abort)
        finally:
            await self._release(self._live)
