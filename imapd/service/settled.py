"""Spare the collector of reference cycles what stays as long as the process does."""

import gc


def settle() -> None:
    """Collect once, and look at what is there now no more.

    Modules and tables are most of what a server of some hundred connections holds,
    and all sessions wait while the collector goes over them.
    """
    gc.collect()
    gc.freeze()
