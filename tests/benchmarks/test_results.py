"""Figures, goals, the table and the chart, on made-up samples."""

import json
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import goals, table
from benchmarks.chart import chart, compared
from benchmarks.goals import GOALS, Goal, goals_of
from benchmarks.results import Kind, Metric, Results, Sample
from benchmarks.scenarios import SCENARIOS, choose
from benchmarks.servers import SERVERS

SERVER_NAMES = ("imapd", "dovecot", "courier")
METRIC_NAMES = [name for scenario in SCENARIOS for name in scenario.metrics]


def made_up() -> Results:
    results = Results(SERVER_NAMES)
    for server, wall, cpu in (
        ("imapd", 0.001, 0.0008),
        ("imapd", 0.003, 0.0012),
        ("dovecot", 0.030, 0.0150),
    ):
        results.add("login", server, Sample(wall, cpu, 0.9), unit="login")
    results.excuse(("login",), "courier", "its login is not run here")
    for server, value in (("imapd", 3e6), ("dovecot", 1e6)):
        sample = Sample(value)
        results.add("unread", server, sample, unit="client", kind=Kind.OCTETS)
        results.add("resync", server, Sample(value / 1e6), unit="resync")
    results.add("few-flags", "imapd", Sample(1e-6, 1e-6), unit="message")
    results.add("growth-flags", "imapd", Sample(1.5, 1.4), unit="", kind=Kind.FACTOR)
    results.note("login", "said of it")
    return results


class ResultsTests(SynchronousTestCase):
    def test_medians_and_ratios(self) -> None:
        login = made_up().metrics["login"]
        self.assertAlmostEqual(login.value("imapd") or 0, 0.002)
        self.assertAlmostEqual(login.cpu("imapd") or 0, 0.001)
        self.assertAlmostEqual(login.ratio("imapd", "dovecot") or 0, 15)
        self.assertAlmostEqual(login.cpu_ratio("imapd", "dovecot") or 0, 15)
        self.assertIsNone(login.ratio("imapd", "courier"))
        self.assertIsNone(login.value("courier"))

    def test_nothing_is_divided_by_zero(self) -> None:
        metric = Metric("unread", "client", Kind.OCTETS)
        metric.samples = {"imapd": [Sample(0.0)], "dovecot": [Sample(5.0)]}
        self.assertIsNone(metric.ratio("imapd", "dovecot"))
        metric.samples["dovecot"] = [Sample(0.0)]
        self.assertEqual(metric.ratio("imapd", "dovecot"), 1)

    def test_rows_come_in_the_order_given(self) -> None:
        results = made_up()
        before = set(results.metrics)
        results.arrange(["unread", "sort", "growth-flags", "login"])
        self.assertEqual(list(results.metrics)[:3], ["unread", "growth-flags", "login"])
        self.assertEqual(set(results.metrics), before)

    def test_json_keeps_all_of_it(self) -> None:
        results = made_up()
        stored = json.loads(json.dumps(results.as_json()))
        again = Results.from_json(stored)
        self.assertEqual(again.as_json(), results.as_json())
        self.assertEqual(table.render(again), table.render(results))


class GoalsTests(SynchronousTestCase):
    def test_every_goal_is_of_a_row_and_a_server(self) -> None:
        self.assertTrue(GOALS)
        for goal in GOALS:
            self.assertIn(goal.metric, METRIC_NAMES)
            self.assertIn(goal.against, SERVERS)

    def test_every_row_has_a_goal(self) -> None:
        # The larger mailbox of the comparison is a row of its own.
        known = {goal.metric for goal in GOALS}
        without = [name for name in METRIC_NAMES if name not in known]
        self.assertEqual(without, ["idle-total", "idle-cpu"])

    def test_both_ratios_have_to_reach_it(self) -> None:
        metric = Metric("x", "")
        for ours, theirs, times, verdict in (
            (Sample(1, 1), Sample(2, 2), 2, True),
            (Sample(1, 1), Sample(2, 1.9), 2, False),
            (Sample(1, 1), Sample(1.9, 2), 2, False),
            (Sample(1), Sample(2), 2, True),
        ):
            metric.samples = {"imapd": [ours], "dovecot": [theirs]}
            found = Goal("x", times=times).met(metric)
            self.assertEqual(found, verdict, f"{ours} {theirs}")
        self.assertIsNone(Goal("x", against="courier").met(metric))
        self.assertTrue(Goal("x", at_most=1.0).met(metric))
        self.assertFalse(Goal("x", at_most=0.9).met(metric))
        metric.samples["imapd"] = [Sample(1.0, 1.1)]
        self.assertFalse(Goal("x", at_most=1.0).met(metric))

    def test_a_total_counts_at_its_number_only(self) -> None:
        few = Metric("idle-tls-total", "100 connections", Kind.OCTETS)
        many = Metric("idle-tls-total", "10000 connections", Kind.OCTETS)
        self.assertEqual(goals_of(few), [])
        self.assertEqual(len(goals_of(many)), 1)

    def test_summary(self) -> None:
        # login at 15 times Dovecot, unread within its bound; resync, growth not.
        text = goals.summary(made_up())
        self.assertEqual(text, "2 of 5 goals met, 1 not measured")


class VariantTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.results = Results(("imapd", "imapd-workers", "dovecot", "dovecot-fast"))
        for server, wall in (
            ("imapd", 0.002),
            ("imapd-workers", 0.001),
            ("dovecot", 0.004),
            ("dovecot-fast", 0.0015),
        ):
            sample = Sample(wall, wall)
            self.results.add("mixed", server, sample, unit="session")
        self.results.add("login", "imapd", Sample(1), unit="login")

    def test_has_a_row_in_which_its_figures_are_ours(self) -> None:
        heads, *rows = table.rows(self.results)
        self.assertEqual(heads.count("imapd"), 1)
        self.assertNotIn("imapd-workers", heads)
        self.assertEqual(
            [(row[0], row[2], row[-4], row[-1]) for row in rows],
            [
                ("mixed", "2.00 ms", "2.00", ">= 1 met, >= 1 dovecot-fast BELOW"),
                ("mixed-workers", "1.00 ms", "4.00", ">= 1 met, >= 1 dovecot-fast met"),
                ("login", "1.00 s", "-", ">= 10 ?, >= 2 dovecot-fast ?"),
            ],
        )

    def test_has_bars_and_goals_but_no_samples_of_its_own(self) -> None:
        names = [metric.name for metric in compared(self.results)]
        self.assertEqual(names, ["mixed", "mixed-workers"])
        self.assertEqual(set(self.results.as_json()["metrics"]), {"mixed", "login"})
        self.assertEqual(
            goals.summary(self.results), "3 of 6 goals met, 2 not measured"
        )

    def test_stands_for_us_where_we_are_not(self) -> None:
        results = Results(("imapd-workers",))
        results.add("mixed", "imapd-workers", Sample(1), unit="session")
        heads, _, row = table.rows(results)
        self.assertEqual(heads[2:4], ["imapd", "CPU"])
        self.assertEqual(row[:3], ["mixed-workers", "session", "1.00 s"])


class TableTests(SynchronousTestCase):
    def test_quantities(self) -> None:
        for value, kind, text in (
            (1.0, Kind.SECONDS, "1.00 s"),
            (0.0014, Kind.SECONDS, "1.40 ms"),
            (33.6e-6, Kind.SECONDS, "33.6 us"),
            (770e3, Kind.OCTETS, "770 KB"),
            (0.0, Kind.OCTETS, "0.00 B"),
            (0.015, Kind.SHARE, "1.50 %"),
            (1.3, Kind.FACTOR, "1.30 x"),
            (None, Kind.SECONDS, "-"),
        ):
            self.assertEqual(table.quantity(value, kind), text)

    def test_every_row_of_every_scenario_can_be_shown(self) -> None:
        results = Results(SERVER_NAMES)
        for name in METRIC_NAMES:
            for server in SERVER_NAMES:
                results.add(name, server, Sample(1.0, 1.0), unit="message")
        shown = [row[0] for row in table.rows(results)]
        self.assertEqual(shown, ["scenario", *METRIC_NAMES])

    def test_nothing_is_hidden(self) -> None:
        text = table.render(made_up())
        for expected in (
            ">= 10 met",
            ">= 2 dovecot-fast ?",
            "<= 4.00 MB met",
            "<= 1.30 x BELOW",
            "n/a: courier: its login is not run here (login)",
            "login: said of it",
            "90%",
        ):
            self.assertIn(expected, text)
        self.assertNotIn("few-flags", text)


class ChartTests(SynchronousTestCase):
    def test_has_a_bar_for_each_figure_of_each_row(self) -> None:
        results = made_up()
        results.excuse(("sort",), "imapd", "no SORT")
        results.add("sort", "dovecot", Sample(1.0, 1.0), unit="command")
        self.assertEqual(
            [one.name for one in compared(results)], ["login", "resync", "sort"]
        )
        tree = ElementTree.fromstring(chart(results, "a <caption> & more"))
        space = "{http://www.w3.org/2000/svg}"
        kinds = [one.get("class") for one in tree.iter(f"{space}rect")]
        # The first of each is the legend's.
        self.assertEqual(kinds.count("wall"), 3)
        self.assertEqual(kinds.count("cpu"), 2)
        texts = [one.text for one in tree.iter(f"{space}text")]
        self.assertIn("a <caption> & more", texts)
        self.assertIn("15.0 / 15.0  (2.00 ms)", texts)
        self.assertIn("no SORT", texts)
        style = tree.find(f"{space}style")
        assert style is not None and style.text
        self.assertIn("prefers-color-scheme: dark", style.text)

    def test_bars_stay_inside(self) -> None:
        results = Results(SERVER_NAMES)
        for name, ours in (("sort", 1e-9), ("thread", 1e9)):
            results.add(name, "imapd", Sample(ours), unit="command")
            results.add(name, "dovecot", Sample(1.0), unit="command")
        tree = ElementTree.fromstring(chart(results))
        width = float(tree.get("width") or 0)
        for one in tree.iter("{http://www.w3.org/2000/svg}rect"):
            end = float(one.get("x") or 0) + float(one.get("width") or 0)
            self.assertLessEqual(end, width)


class ScenariosTests(SynchronousTestCase):
    def test_names_are_unique(self) -> None:
        self.assertEqual(len(METRIC_NAMES), len(set(METRIC_NAMES)))

    def test_a_name_stands_for_its_variants(self) -> None:
        chosen = [one.name for one in choose(("envelope", "move"), quick=True)]
        self.assertEqual(chosen, ["envelope-cold", "envelope", "copy"])
        self.assertRaises(ValueError, choose, ("nonsense",), quick=True)

    def test_all_but_quick_runs_all(self) -> None:
        self.assertEqual(choose((), quick=False), list(SCENARIOS))
        quick = choose((), quick=True)
        self.assertTrue(0 < len(quick) < len(SCENARIOS))
