"""What APPEND has taken and is to tell the store: written, synced, published together.

Octets wait in memory until there is enough of them: a file that is opened, written
and closed in one go costs one way to a thread, and many that are synced at once cost
little more than one.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from imapd.model.mailbox import Appended
from imapd.store.api import Delivery, MailboxStore

#: Octets are handed to a worker in pieces of this size.
PIECE_OCTETS = 256 << 10
#: So many messages are synced, and published, together: their files are open then.
GROUP_MESSAGES = 64

#: What became of uploads.
Outcomes = Sequence[Appended | Exception]


class Upload:
    """The messages of one APPEND, as far as the store was not told of them yet."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self._steps: list[Callable[[], None]] = []
        self._pieces: list[bytes] = []
        self._waiting_octets = 0
        self._begun = False  # a message, which has not ended
        self._message_count = 0  # of which all or a part is in ``_steps``
        #: Whether the store has the beginning of the message that has not ended.
        self.is_large = False

    def begin(self, flags: Iterable[bytes], internal_date_seconds: int | None) -> None:
        """Start the next message."""
        self._steps.append(
            partial(self.delivery.begin, tuple(flags), internal_date_seconds)
        )
        self._begun = True
        self._message_count += 1

    def add(self, octets: bytes) -> None:
        """Add octets to it."""
        self._pieces.append(octets)
        self._waiting_octets += len(octets)

    @property
    def is_due(self) -> bool:
        """Whether the store should be told now."""
        is_full = self._message_count >= GROUP_MESSAGES and not self._begun
        return is_full or self._waiting_octets >= PIECE_OCTETS

    @property
    def weight(self) -> int:
        """What publishing it costs, in messages."""
        return max(self._message_count, 1)

    def end(self) -> None:
        """Finish the message, if one was begun."""
        if self._begun:
            self._gather()
            self._steps.append(self.delivery.end)
            self._begun = False

    def _gather(self) -> None:
        if self._pieces:
            self._steps.append(partial(self.delivery.write, b"".join(self._pieces)))
            self._pieces.clear()

    def take(self) -> Callable[[], None]:
        """Take all that the store is to be told; the function returned tells it.

        What was finished is safe when that one returns.
        """
        self._gather()
        steps, self._steps = self._steps, []
        self._waiting_octets = 0
        self._message_count = int(self._begun)
        self.is_large = self._begun
        return partial(_tell, steps, self.delivery)

    def write(self) -> None:
        """Tell the store, and leave it to ``publish`` to sync.  Blocks."""
        steps, self._steps = self._steps, []
        for step in steps:
            step()


def _tell(steps: Iterable[Callable[[], None]], delivery: Delivery) -> None:
    for step in steps:
        step()
    delivery.settle()


def publish(
    store: MailboxStore, take: Callable[[], Sequence[Upload]], claim_recent: bool
) -> Outcomes:
    """Write what is left of the uploads and publish them; what became of each.

    They are taken now, when a thread has begun with it, and not earlier.
    """
    uploads = take()
    if len(uploads) == 1:
        uploads[0].write()
        return [store.commit(uploads[0].delivery, claim_recent)]
    outcomes: list[Appended | Exception | None] = [_failure(each) for each in uploads]
    written = [
        each.delivery
        for each, failure in zip(uploads, outcomes, strict=True)
        if failure is None
    ]
    published = iter(store.commit_all(written, claim_recent))
    return [next(published) if each is None else each for each in outcomes]


def _failure(upload: Upload) -> Exception | None:
    """Write what is left; what went wrong, which the others need not suffer from."""
    try:
        upload.write()
    except Exception as error:
        return error
    return None
