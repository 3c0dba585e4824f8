"""Say a thing once: what fails at every call must not fill the log.

A mailbox that somebody idles on is looked at twice a second; a disk that is full
stays so for hours.
"""

import threading
import time
from typing import Final

#: A cause that lasts is told again after so long.
INTERVAL_SECONDS: Final = 300.0
_MOST_CAUSES: Final = 1000

_lock = threading.Lock()
_told: dict[tuple[object, ...], float] = {}


def is_due(*cause: object) -> bool:
    """Whether this cause is to be told now: it was not for five minutes.

    ``cause`` is hashable and has no part that is another at every call.
    """
    now = time.monotonic()
    with _lock:
        last = _told.get(cause)
        if last is not None and now - last < INTERVAL_SECONDS:
            return False
        if len(_told) >= _MOST_CAUSES:  # rather say it twice than keep them all
            _told.clear()
        _told[cause] = now
        return True


def forget() -> None:
    """Tell everything anew: for tests."""
    with _lock:
        _told.clear()
