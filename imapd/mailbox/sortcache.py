"""What SORT and THREAD keep in memory of mailboxes: values, and finished answers.

Neither ever goes wrong: a value never changes, and an answer is kept beside the
messages it is of.  Used on the reactor only.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from imapd.ids import Uid

#: All of them together; mailboxes not asked for lately are forgotten first.
MOST_OCTETS = 64 << 20
#: Answers of one mailbox.
MOST_ANSWERS = 4
#: Messages more than a mailbox has, beside a quarter of it, that are kept.
_SPARE_MESSAGES = 1024

_VALUE_OCTETS = 48  # of one value, beside its own octets
_ANSWER_OCTETS = 100  # of one message in an answer


class Column:
    """Values of one kind, by ascending UID.

    What it has it keeps: to forget is to make another one, so that nobody who works
    with this one misses a value.
    """

    __slots__ = ("octets", "uids", "values")

    def __init__(self) -> None:
        self.uids = array("I")
        self.values: list[Any] = []
        self.octets = 0

    def find(self, uids: Sequence[Uid]) -> list[Any]:
        """The values of some messages, ascending; None for those not known."""
        mine, values, size = self.uids, self.values, len(self.uids)
        if not uids:
            return []
        first = bisect_left(mine, uids[0])
        if mine[first : first + len(uids)] == uids:
            return values[first : first + len(uids)]
        found = []
        for uid in uids:
            at = bisect_left(mine, uid)
            found.append(values[at] if at < size and mine[at] == uid else None)
        return found

    def add(self, fresh: Mapping[Uid, Any]) -> None:
        """Put values of one batch in; those known already stay."""
        uids = sorted(fresh)
        self.octets += sum(map(_octets, fresh.values()))
        if uids and (not self.uids or uids[0] > self.uids[-1]):
            self.uids.extend(uids)
            self.values += [fresh[uid] for uid in uids]
            return
        uids_before, values_before = self.uids, self.values
        self.uids, self.values, at = array("I"), [], 0
        for uid in uids:
            stop = bisect_left(uids_before, uid, at)
            self.uids += uids_before[at:stop]
            self.values += values_before[at:stop]
            at = stop
            if at == len(uids_before) or uids_before[at] != uid:
                self.uids.append(uid)
                self.values.append(fresh[uid])
        self.uids += uids_before[at:]
        self.values += values_before[at:]

    def only(self, uids: Iterable[Uid]) -> "Column":
        """Another one, without any other messages."""
        kept = set(uids)
        other = Column()
        other.add(
            {
                Uid(uid): value
                for uid, value in zip(self.uids, self.values, strict=True)
                if uid in kept
            }
        )
        return other


def _octets(value: Any) -> int:
    return _VALUE_OCTETS + (len(value) if isinstance(value, bytes) else 0)


class MailboxKeys:
    """What is kept of one mailbox."""

    def __init__(self) -> None:
        self.columns: dict[str, Column] = {}
        self.grown = False  # since somebody looked at how large it is
        self._answers: OrderedDict[Hashable, tuple[Sequence[Uid], Any]] = OrderedDict()

    @property
    def octets(self) -> int:
        """What it costs, roughly."""
        answers = sum(len(uids) for uids, _ in self._answers.values())
        return _ANSWER_OCTETS * answers + sum(
            column.octets for column in self.columns.values()
        )

    def column(self, kind: str) -> Column:
        """The values of one kind."""
        return self.columns.setdefault(kind, Column())

    def prune(self, uids: Sequence[Uid]) -> None:
        """Forget what was expunged, once that is a good part."""
        most = len(uids) + len(uids) // 4 + _SPARE_MESSAGES
        for kind, column in self.columns.items():
            if len(column.uids) > most:
                self.columns[kind] = column.only(uids)

    def answer(self, question: Hashable, uids: Sequence[Uid]) -> Any:
        """The answer to a question about exactly these messages, or None."""
        of, answer = self._answers.get(question, ((), None))
        if answer is None or (of is not uids and of != uids):
            return None
        self._answers.move_to_end(question)
        return answer

    def remember(self, question: Hashable, uids: Sequence[Uid], answer: Any) -> None:
        """Keep an answer, in the place of the one before."""
        self.grown = True
        self._answers[question] = (uids, answer)
        self._answers.move_to_end(question)
        while len(self._answers) > MOST_ANSWERS:
            self._answers.popitem(last=False)


class KeyCache:
    """The keys of the mailboxes of one process; those of a mailbox go with it."""

    def __init__(self, most_octets: int = MOST_OCTETS) -> None:
        self._most_octets = most_octets
        self._mailboxes: WeakKeyDictionary[Any, MailboxKeys] = WeakKeyDictionary()

    def of(self, mailbox: object) -> MailboxKeys:
        """The keys of a mailbox that is open; an empty place for a new one."""
        keys = self._mailboxes.pop(mailbox, None)
        if keys is None:
            keys = MailboxKeys()
        self._mailboxes[mailbox] = keys  # the last of all
        return keys

    def trim(self, keys: MailboxKeys) -> None:
        """Forget mailboxes, if these keys have grown, until all is bounded again."""
        if not keys.grown:
            return
        keys.grown = False
        costs = [(each, keys.octets) for each, keys in self._mailboxes.items()]
        total = sum(octets for _, octets in costs)
        for mailbox, octets in costs:
            if total <= self._most_octets:
                break
            total -= octets
            self._mailboxes.pop(mailbox, None)


#: What the sessions of this process share.
KEYS = KeyCache()
