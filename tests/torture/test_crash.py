"""The crash harness for some seconds, and that it finds what is wrong."""

import os
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

from imapd.store import fsops
from tests.torture.budget import Budget
from tests.torture.crash import KILLED, Sweep, compound, sweep_all
from tests.torture.dovecot import dovecot, is_there
from tests.torture.scenarios import SCENARIOS

_SEED = 7


class CrashTests(unittest.TestCase):
    # Hardening: D01.

    def test_death_at_every_operation_and_errors_at_every_third(self) -> None:
        # Hardening: D03, D04, D16, D20.
        with Sweep() as sweep:
            # Where the machine is busy the last of the errors are left out.
            pairs = sweep_all(sweep, Budget(25, _SEED), errno_step=3)
            self.assertGreaterEqual(pairs, 2 * len(SCENARIOS))
            self.assertGreater(sweep.trials, 500)

    def test_compound_faults(self) -> None:
        # Hardening: D05.
        with Sweep() as sweep:
            budget = Budget(4, _SEED, least=50)
            self.assertGreaterEqual(compound(sweep, budget, most=300), 50)


@unittest.skipUnless(is_there(), "no doveadm that works on this machine")
class DovecotTests(unittest.TestCase):
    def test_dovecot_reads_what_a_crash_left(self) -> None:
        with dovecot() as other, Sweep(other) as sweep:
            for one in SCENARIOS:
                if one.name in ("append", "multiappend", "move", "expunge", "create"):
                    sweep.sweep(one, KILLED, first=3, step=7)
            self.assertGreater(sweep.read_by_dovecot, 5)


class FindingTests(unittest.TestCase):
    """With the store broken on purpose the harness says so."""

    # Hardening: D01.

    def found(self, name: str, operation: str, instead: Callable[..., None]) -> str:
        (one,) = (one for one in SCENARIOS if one.name == name)
        with Sweep() as sweep:
            sweep.workshop.account(one)  # made by a store that is not broken
            with (
                mock.patch.object(fsops, operation, instead),
                self.assertRaises(AssertionError) as caught,
            ):
                sweep.sweep(one, KILLED)
        return str(caught.exception)

    def test_a_move_that_removes_first(self) -> None:
        real = fsops.link

        def link(old: bytes, new: bytes, **inside: Any) -> None:
            source, target = inside.get("src_dir_fd"), inside["dst_dir_fd"]
            where = os.path.dirname(old)
            if source is not None:
                where = os.readlink(b"/proc/self/fd/%d" % source)
            if not where.endswith(b"/cur"):  # a lock, or what was just delivered
                real(old, new, **inside)
                return
            descriptor = os.open(old, os.O_RDONLY, dir_fd=source)
            octets = os.read(descriptor, 1 << 16)
            os.close(descriptor)
            os.unlink(old, dir_fd=source)
            directory = os.readlink(b"/proc/self/fd/%d" % target)
            descriptor = fsops.open_exclusive(directory + b"/" + new)
            fsops.write(descriptor, octets)
            fsops.close(descriptor)

        self.assertIn("LOST", self.found("move", "link", link))

    def test_a_list_written_in_place(self) -> None:
        def replace_file(path: bytes, octets: bytes, *_: object, **__: object) -> None:
            fsops.unlink(path)
            descriptor = fsops.open_exclusive(path)
            fsops.write(descriptor, octets)
            fsops.close(descriptor)

        found = self.found("uid list anew", "replace_file", replace_file)
        self.assertIn("UID list", found)
