"""APPEND: octets from the connection to the store, in bounded memory."""

from collections.abc import Awaitable, Callable, Iterable

from imapd.errors import NoDestination, NoSuchMailbox
from imapd.mailbox.live import LiveMailbox
from imapd.mailbox.upload import Upload
from imapd.model.mailbox import Appended
from imapd.store.api import Delivery


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
        self._upload = Upload(delivery)
        self._done = False

    def begin(self, flags: Iterable[bytes], internal_date_seconds: int | None) -> None:
        """Start the next message."""
        self._upload.begin(flags, internal_date_seconds)

    async def write(self, octets: bytes) -> None:
        """Add octets; now and then this waits for the disk."""
        self._upload.add(octets)
        if self._upload.is_due:
            await self._tell()

    async def end(self) -> None:
        """Finish the message; the next may be begun."""
        self._upload.end()
        if self._upload.is_due:
            await self._tell()

    async def _tell(self) -> None:
        await self._live.workers.run(self._upload.take())

    async def commit(self) -> Appended:
        """Publish all messages; the last one is finished, if it was not.

        A small one takes no way of its own to the disk for that.  While a large one
        goes there, nobody else shall wait for the mailbox.
        """
        self._done = True
        try:
            is_large = self._upload.is_large
            self._upload.end()
            if is_large:
                await self._tell()
            return await self._live.commit(self._upload)
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
