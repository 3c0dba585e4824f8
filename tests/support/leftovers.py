"""What is left in ``tmp``."""

import os
from pathlib import Path

#: Mailboxes that a test has open on one folder.
_MOST_DRAFTS = 3


def left_in(tmp: Path) -> list[str]:
    """Names in ``tmp``, sorted, but of the drafts of locks that open mailboxes keep.

    Raises:
        AssertionError: there are more of these than mailboxes.
    """
    names = sorted(os.listdir(tmp))
    host = os.uname().nodename
    drafts = [
        name
        for name in names
        if name.endswith(f"{host}.lock")
        and (tmp / name).read_text().endswith(f":{host}")
    ]
    assert len(drafts) <= _MOST_DRAFTS, drafts
    return [name for name in names if name not in drafts]
