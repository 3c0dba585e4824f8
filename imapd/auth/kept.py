"""A bounded table of those who did something, which forgets the harmless first."""

from collections import OrderedDict
from typing import Generic, TypeVar

R = TypeVar("R")


class Kept(Generic[R]):
    """Rows by name, of which so many are kept.

    What was changed longest ago is dropped, but no row that matters for one that does
    not, unless half of all rows matter: an attacker with a million addresses does not
    wash out what is kept of them by a few tries from each of the others.
    """

    __slots__ = ("_light", "_most", "_weighty")

    def __init__(self, most: int) -> None:
        """Nothing is kept yet; ``most`` bounds the rows, and is at least 2."""
        self._most = most
        self._light: OrderedDict[bytes, R] = OrderedDict()
        self._weighty: OrderedDict[bytes, R] = OrderedDict()

    def get(self, name: bytes) -> R | None:
        """The row of a name; None if there is none, or none any more."""
        row = self._weighty.get(name)
        return self._light.get(name) if row is None else row

    def keep(self, name: bytes, row: R, matters: bool) -> None:
        """Enter a row, new or changed, in the place of the one there was."""
        into, other = self._light, self._weighty
        if matters:
            into, other = other, into
        other.pop(name, None)
        into[name] = row
        into.move_to_end(name)
        if len(self._weighty) > self._most // 2:
            oldest, its_row = self._weighty.popitem(last=False)
            self._light[oldest] = its_row
        if len(self) > self._most:
            self._light.popitem(last=False)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._light) + len(self._weighty)
