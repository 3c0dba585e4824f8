"""The power loss harness for some seconds, and that it finds what is wrong."""

import unittest
from typing import Any
from unittest import mock

from tests.torture.budget import Budget
from tests.torture.disk import Disk, Names, Recorder, Sync, Write
from tests.torture.powerloss import Plant, record, run_all, run_deaths, run_scripts
from tests.torture.scenarios import SCENARIOS

_SEED = 7


class PowerLossTests(unittest.TestCase):
    # Hardening: D02.

    def test_single_commands(self) -> None:
        with Plant() as plant:
            # About 3,000 states on an idle core; fewer where it is busy.
            run_all(plant, Budget(22, _SEED, least=500), most=8)
            self.assertGreaterEqual(plant.states, 500)

    def test_deaths_before_the_power_goes(self) -> None:
        with Plant() as plant:
            # At most four states of each.
            budget = Budget(10, _SEED, least=100)
            self.assertGreater(run_deaths(plant, budget, step=5), 20)

    def test_scripts_with_a_killed_server(self) -> None:
        with Plant() as plant:
            # At most 48 states of each.
            budget = Budget(4, _SEED, least=50)
            self.assertGreater(run_scripts(plant, budget), 1)


class FindingTests(unittest.TestCase):
    """With a sync left out the harness says so."""

    # Hardening: D02.

    def found(self, name: str, left_out: str) -> str:
        (one,) = (one for one in SCENARIOS if one.name == name)

        def nothing(*_: Any) -> None:
            return

        with Plant() as plant, self.assertRaises(AssertionError) as caught:
            with mock.patch.object(Recorder, left_out, nothing):
                done = record(plant.workshop, one)
            for _, chance in Budget(30, _SEED).trials(name):
                position = chance.randint(len(done.disk.log) // 2, len(done.disk.log))
                plant.position(done, position, chance, 8)
        return str(caught.exception)

    def test_a_directory_that_is_not_synced(self) -> None:
        for name in ("append", "move", "create", "rename a tree"):
            with self.subTest(name):
                self.assertIn("power lost", self.found(name, "fsync_directory"))

    def test_a_uid_list_that_is_not_synced(self) -> None:
        self.assertIn("UID", self.found("append", "fdatasync"))

    def test_a_message_that_is_not_synced(self) -> None:
        self.assertIn("no whole message", self.found("append", "fsync"))


class DiskTests(unittest.TestCase):
    # Hardening: D02.

    def test_what_may_be_missing(self) -> None:
        disk = Disk(entries={0: {b"d": 1}, 1: {}})
        disk.log = [
            Names("create", 2, added=(1, b"draft")),
            Write(2, b"abc"),
            Sync(2),
            Write(2, b"def"),
            Names("rename", 2, added=(0, b"file"), removed=(1, b"draft")),
            Sync(0),
        ]
        self.assertEqual(disk.pending(6).names, [0])
        self.assertEqual(disk.pending(5).names, [0, 4])
        self.assertEqual(disk.pending(6).data, {2: (3, 6)})
        states = {
            (position, lost): disk.state(position, frozenset(lost), {})
            for position in (4, 5, 6)
            for lost in ((), (0,))
        }
        self.assertIn(b"d/draft", states[4, ()])
        self.assertEqual(states[4, (0,)], {b"d": None})
        self.assertEqual(states[5, (0,)], {b"d": None})  # nothing to rename
        self.assertEqual(states[6, (0,)], {b"d": None, b"file": b"abcdef"})
        torn = disk.state(6, frozenset(), {2: lambda safe, unsafe: safe + unsafe[:1]})
        self.assertEqual(torn[b"file"], b"abcd")
