"""Folders that are gone after the test, wherever the tests run."""

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


def scratch(case: SynchronousTestCase) -> Path:
    """A path in a folder of its own, where nothing is yet."""
    folder = tempfile.TemporaryDirectory(prefix="bench-")
    case.addCleanup(folder.cleanup)
    return Path(folder.name).resolve() / "new"
