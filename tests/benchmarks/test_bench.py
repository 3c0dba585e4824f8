"""Turns, warm-ups and excuses, with servers that are only names; and /proc."""

import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.bench import Bench
from benchmarks.client import Door, Refused
from benchmarks.crowd import Script
from benchmarks.mail.maildir import Stock
from benchmarks.options import parse
from benchmarks.processes import ProcessTree, rest, settle
from benchmarks.results import Sample
from benchmarks.scenarios import Scenario
from benchmarks.scenarios.logins import run_crowd
from benchmarks.servers import Server
from tests.benchmarks.scratch import scratch
from tests.live.process import free_ports


class Named:
    def __init__(self, name: str, *capabilities: str) -> None:
        self.name = name
        self.capabilities = frozenset(capabilities)
        self.running = True
        self.only_crowds = False
        self.tree = ProcessTree(os.getpid())
        self.port = free_ports(1)[0]

    def last_words(self) -> str:
        return "out of memory"

    def door(self, user: str) -> Door:
        return Door(self.port)


class BenchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.servers = [
            cast(Server, Named("imapd", "SORT")),
            cast(Server, Named("dovecot")),
        ]
        options, _ = parse(["--quick", "--rounds", "2"])
        self.bench = Bench(options, self.servers, Stock(scratch(self)))
        self.bench.metrics = ("sort",)
        self.turns: list[tuple[str, int]] = []
        self.finished: list[str] = []

    def measure(self, server: Server, state: str, turn: int) -> None:
        self.turns.append((server.name, turn))
        self.bench.record(server, "sort", Sample(turn), unit="command")

    def test_servers_take_turns_and_a_warm_up_does_not_count(self) -> None:
        self.bench.interleave(
            lambda server: server.name, self.measure, self.finished.append
        )
        expected = [
            (name, turn) for turn in (-1, 0, 1) for name in ("imapd", "dovecot")
        ]
        self.assertEqual(self.turns, expected)
        for samples in self.bench.results.metrics["sort"].samples.values():
            self.assertEqual([sample.value for sample in samples], [0, 1])
        self.assertEqual(self.finished, ["imapd", "dovecot"])

    def test_a_slow_server_has_one_turn_and_it_counts(self) -> None:
        self.patch(sys.modules["benchmarks.bench"], "_SLOW_SECONDS", -1)
        self.bench.interleave(lambda server: "", self.measure)
        self.assertEqual(self.turns, [("imapd", -1), ("dovecot", -1)])
        samples = self.bench.results.metrics["sort"].samples
        self.assertEqual([sample.value for sample in samples["imapd"]], [-1])

    def test_a_server_that_fails_is_excused_and_the_others_go_on(self) -> None:
        def measure(server: Server, state: str, turn: int) -> None:
            if server.name == "imapd":
                raise Refused("NO [SERVERBUG] sorry")
            self.measure(server, state, turn)

        self.bench.interleave(lambda server: server.name, measure, self.finished.append)
        self.assertEqual([turn for _, turn in self.turns], [-1, 0, 1])
        reason = self.bench.results.reasons["sort", "imapd"]
        self.assertIn("sorry", reason)
        self.assertEqual(self.finished, ["imapd", "dovecot"])

    def test_a_wait_for_others_is_not_slowness(self) -> None:
        module = sys.modules["benchmarks.bench"]

        def settle(trees: Sequence[ProcessTree]) -> bool:
            time.sleep(0.1)
            return True

        self.patch(module, "settle", settle)
        self.patch(module, "_SLOW_SECONDS", 0.09)

        def measure(server: Server, state: str, turn: int) -> None:
            self.bench.settle()
            self.measure(server, state, turn)

        self.bench.interleave(lambda server: "", measure)
        samples = self.bench.results.metrics["sort"].samples
        self.assertEqual([sample.value for sample in samples["imapd"]], [0, 1])

    def test_a_slow_turn_without_a_figure_is_not_the_last(self) -> None:
        self.patch(sys.modules["benchmarks.bench"], "_SLOW_SECONDS", -1)

        def measure(server: Server, state: str, turn: int) -> None:
            if turn >= 0:
                self.measure(server, state, turn)

        self.bench.interleave(lambda server: "", measure)
        self.assertEqual(self.turns, [("imapd", 0), ("dovecot", 0)])

    def test_nothing_done_is_a_reason_not_a_missing_row(self) -> None:
        def measure(server: Server, state: str, turn: int) -> None:
            with self.bench.span(server, "sort", "session", at_once=True) as span:
                span.count = 0

        self.bench.interleave(lambda server: "", measure)
        self.assertIn("not one session", self.bench.results.reasons["sort", "imapd"])

    def test_who_has_ended_leaves_its_last_words(self) -> None:
        def measure(server: Server, state: str, turn: int) -> None:
            self.named(server).running = False
            raise ConnectionRefusedError("nobody there")

        self.bench.interleave(lambda server: "", measure)
        self.assertIn("out of memory", self.bench.results.reasons["sort", "imapd"])

    def named(self, server: Server) -> Named:
        return cast(Named, server)

    def test_a_scenario_that_breaks_costs_only_its_rows_and_says_why(self) -> None:
        def run(bench: Bench) -> None:
            bench.record(self.servers[0], "sort", Sample(1), unit="command")
            raise ZeroDivisionError("of our own making")

        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            whole = self.bench.run(Scenario("sort", run, ("sort", "thread")))
        self.assertFalse(whole)
        self.assertIn("of our own making", told.getvalue())
        reasons = self.bench.results.reasons
        for row in ("sort", "thread"):
            self.assertIn("of our own making", reasons[row, "dovecot"])

    def test_who_differs_only_in_crowds_has_no_other_rows(self) -> None:
        several = Named("imapd-workers")
        several.only_crowds = True
        servers = [*self.servers, cast(Server, several)]
        bench = Bench(self.bench.options, servers, Stock(scratch(self)))

        def measure(bench: Bench) -> None:
            for server in bench.servers:
                name = bench.metrics[0]
                bench.record(server, name, Sample(1), unit="command")

        for name, crowd in (("sort", False), ("mixed", True), ("thread", False)):
            scenario = Scenario(name, measure, (name,), crowd=crowd)
            self.assertTrue(bench.run(scenario))
            measured = set(bench.results.metrics[name].samples)
            self.assertEqual("imapd-workers" in measured, crowd, name)
            self.assertLessEqual({"imapd", "dovecot"}, measured, name)
        self.assertEqual(bench.results.reasons, {})

    def test_no_row_goes_missing_without_a_word(self) -> None:
        def run(bench: Bench) -> None:
            bench.record(self.servers[0], "sort", Sample(1), unit="command")

        self.assertTrue(self.bench.run(Scenario("sort", run, ("sort", "thread"))))
        self.assertEqual(
            set(self.bench.results.reasons),
            {("sort", "dovecot"), ("thread", "imapd"), ("thread", "dovecot")},
        )

    def test_a_crowd_has_all_its_clients_even_without_time(self) -> None:
        def script() -> Script:
            yield b"NOOP"

        run_crowd(self.bench, self.servers[0], 20, 0, lambda: ("user1", script()))
        self.assertIn("20 failed", self.bench.results.notes["sort"][0])

    def test_only_the_rows_named_are_excused(self) -> None:
        with self.bench.rows("large-sort"):
            able = self.bench.supporting("SORT")
        self.assertEqual([server.name for server in able], ["imapd"])
        self.assertEqual(list(self.bench.results.reasons), [("large-sort", "dovecot")])
        self.assertEqual(self.bench.metrics, ("sort",))


class ProcessTreeTests(SynchronousTestCase):
    def test_children_that_ended_count(self) -> None:
        tree = ProcessTree(os.getpid())
        before = tree.cpu_seconds()
        work = "import os\nwhile sum(os.times()[:2]) < 0.1: pass"
        subprocess.run([sys.executable, "-c", work], check=True)
        self.assertGreaterEqual(tree.cpu_seconds() - before, 0.09)

    def test_memory_is_that_of_all(self) -> None:
        alone = ProcessTree(os.getpid()).memory()
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
            self.assertIn(child.pid, ProcessTree(os.getpid()).pids())
            both = ProcessTree(os.getpid()).memory()
        self.assertEqual(both.processes, alone.processes + 1)
        self.assertGreater(alone.pss_octets, 1 << 20)

    def test_who_computes_is_not_at_rest(self) -> None:
        module = sys.modules["benchmarks.processes"]
        self.patch(module, "_REST_SECONDS", 0.2)
        self.patch(module, "_LOOK_SECONDS", 0.02)
        for busy, work in ((False, "input()"), (True, "while True: pass")):
            tree, kill = self.start(f"print(flush=True)\n{work}")
            try:
                self.assertIs(rest(tree, 0.5 if busy else 20), not busy)
                self.assertIs(settle([tree], 0.5 if busy else 20), not busy)
            finally:
                kill()

    def start(self, program: str) -> tuple[ProcessTree, Callable[[], object]]:
        """Start a program that says a line when it begins; return how to end it."""
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        child.stdout.readline()

        def kill() -> None:
            child.kill()
            child.communicate()

        return ProcessTree(child.pid), kill

    def test_what_has_gone_costs_nothing(self) -> None:
        child = subprocess.Popen(["true"])
        child.wait()
        tree = ProcessTree(child.pid)
        self.assertEqual((tree.pids(), tree.cpu_seconds()), ({}, 0))
        self.assertEqual(tree.memory().processes, 0)
