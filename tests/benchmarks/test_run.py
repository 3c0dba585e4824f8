"""A run on tiny mailboxes with our server alone; no figure is looked at."""

import contextlib
import io
import json
import sys

from twisted.trial.unittest import TestCase

from benchmarks.__main__ import main
from benchmarks.bench import Bench
from benchmarks.options import parse
from benchmarks.results import Results, Sample
from benchmarks.scenarios import Scenario
from tests.benchmarks.scratch import scratch

SCENARIOS = "login,envelope-cold,store,copy,resync"


class RunTests(TestCase):
    def test_a_run_prints_the_table_and_writes_what_was_asked_for(self) -> None:
        stock, stored = scratch(self), scratch(self)
        picture = scratch(self)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = main(
                [
                    *("--quick", "--messages", "60", "--rounds", "1"),
                    *("--seconds", "0.01", "--servers", "imapd"),
                    *("--scenarios", SCENARIOS, "--stock", str(stock)),
                    *("--json", str(stored), "--chart", str(picture)),
                ]
            )
        text = printed.getvalue()
        self.assertEqual(status, 0, text)
        figures = json.loads(stored.read_text())["metrics"]
        for name in (*SCENARIOS.split(","), "login-tls", "login-20", "expunge"):
            self.assertEqual(len(figures[name]["samples"]["imapd"]), 1, text)
            self.assertIn(f"\n{name} ", text)
        self.assertTrue(picture.read_text().startswith("<svg "))

    def test_an_interrupted_run_shows_what_it_has_and_writes_nothing(self) -> None:
        def interrupt(bench: Bench) -> None:
            raise KeyboardInterrupt

        def login(bench: Bench) -> None:
            bench.record(bench.servers[0], "login", Sample(1.0), unit="login")

        chosen = [Scenario("login", login, ("login",))]
        chosen.append(Scenario("sort", interrupt, ("sort",)))
        self.patch(
            sys.modules["benchmarks.__main__"], "choose", lambda *_, **__: chosen
        )
        stored = scratch(self)
        printed, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            status = main(
                [
                    *("--quick", "--messages", "10", "--servers", "imapd"),
                    *("--stock", str(scratch(self)), "--json", str(stored)),
                ]
            )
        self.assertEqual(status, 130)
        self.assertIn("\nlogin ", printed.getvalue())
        self.assertIn("interrupted", told.getvalue())
        self.assertFalse(stored.exists())

    def test_a_stored_run_is_shown_again(self) -> None:
        stored, picture = scratch(self), scratch(self)
        results = Results(("imapd",))
        results.add("login", "imapd", Sample(1.0), unit="login")
        run = {
            **dict.fromkeys(("messages", "many_messages", "rounds", "cpus"), 1),
            **{"date": "2026-01-01", "python": "3", "seconds": 1},
        }
        stored.write_text(json.dumps({"run": run, **results.as_json()}))
        before = stored.read_bytes()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            main(["--render", str(stored), "--chart", str(picture)])
        self.assertIn("\nlogin ", printed.getvalue())
        self.assertTrue(picture.exists())
        self.assertEqual(stored.read_bytes(), before)
        options, _ = parse(["--render", str(stored)])
        self.assertEqual((options.json, options.chart), (None, None))

    def test_what_is_not_there_is_an_error(self) -> None:
        for arguments in (["--scenarios", "none"], ["--servers", "none"]):
            told = io.StringIO()
            with contextlib.redirect_stderr(told):
                self.assertEqual(main(arguments), 2)
            self.assertIn("no s", told.getvalue())
