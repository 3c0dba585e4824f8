"""Where the project's shared reading lies, when it is there."""

import unittest
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2].parent / "shared"

needs_shared = unittest.skipUnless(
    SHARED.is_dir(), f"no {SHARED.name} folder beside the checkout"
)
