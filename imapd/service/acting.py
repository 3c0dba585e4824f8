"""For commands of an administrator: to be, for a while, whom the files belong to."""

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Python loads these when they are first needed, from files that may be root's alone.
_CODECS = ("utf-16-be", "utf-8", "ascii", "latin-1")


@contextmanager
def acting_as(owner: os.stat_result) -> Iterator[None]:
    """Be the owner of the files for a while, if we are root."""
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    for name in _CODECS:
        codecs.lookup(name)
    groups = os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(os.getgid())
        os.setgroups(groups)
