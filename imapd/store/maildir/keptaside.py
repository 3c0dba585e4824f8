"""Copies of broken files, for who wants to know what was in them."""

import os
import stat
import time
from typing import Final

from imapd.store import fsops

_MOST_COPIES: Final = 8  # the first ones tell most


def keep_aside(path: bytes) -> None:
    """Keep a copy of a broken file; a crash leaves it with both names."""
    directory = os.path.dirname(path)
    prefix = os.path.basename(path) + b".broken-"
    aside = b"%b/%b%d" % (directory, prefix, time.time_ns() // 1000)
    names = fsops.names(directory)
    copies = [one for one in names if one.startswith(prefix)]
    status = fsops.status_or_none(path)
    if status is None:
        return
    if not stat.S_ISREG(status.st_mode):
        fsops.rename(path, aside)
    elif len(copies) < _MOST_COPIES:
        fsops.link(path, aside)
