"""Our answers beside Dovecot's, message by message; the RFC decides."""

import json
import shutil
import subprocess
import sys
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.live.base import PASSWORD, PortServer
from tests.live.differences import (
    Accepted,
    Difference,
    accepted,
    gather,
    unexpected,
)
from tests.live.peers import (
    PEER_UNDER_TEST,
    DovecotServer,
    ImapdServer,
    needs,
    temporary_folder,
)
from tests.support.maildirs import SAMPLES, copy_sample
from tests.support.shared import SHARED, needs_shared

BENCH = SHARED / "bench"
MESSAGES = 400
SEED = 11
USER = "user1"


class ListTests(unittest.TestCase):
    """The list itself, and how it is applied; without any server."""

    def entry(self, **changes: Any) -> Accepted:
        path = self.enterContext(temporary_folder()) / "list.toml"
        keys: dict[str, Any] = {
            "item": "size|text",
            "path": "",
            "kind": "value",
            "more": 2,
            "messages.corpus": [1, 2],
            "right": "imapd",
            "rfc": "RFC 3501 2.3.4",
            "reason": "It counts octets.",
        } | changes
        lines = [
            f"{key} = {json.dumps(value)}"
            for key, value in keys.items()
            if value is not None
        ]
        path.write_text("\n".join(["[[difference]]", *lines]))
        return accepted(path)[0]

    def difference(self, label: str, **changes: str) -> Difference:
        keys: dict[str, str]
        keys = {"mailbox": "corpus", "item": "size", "path": "", "kind": "value"}
        keys |= {"label": label, "theirs": "7", "ours": "5"}
        return Difference(**(keys | changes))

    def test_the_list_can_be_read(self) -> None:
        self.assertTrue(accepted())

    def test_an_entry_says_who_is_right_and_why(self) -> None:
        wrong: dict[str, dict[str, Any]] = {
            "nobody": {"right": ""},
            "the other server": {"right": "dovecot"},
            "no section": {"rfc": ""},
            "no reason": {"reason": "because"},
            "unknown key": {"colour": "red"},
            "bad pattern": {"item": "("},
            "any values": {"more": None},
            "values twice": {"values": "7 => 5"},
            "anywhere": {"messages.corpus": None},
        }
        for name, changes in wrong.items():
            with self.assertRaises(ValueError, msg=name):
                self.entry(**changes)

    def test_unlisted_and_stale_are_told(self) -> None:
        first, second = (self.difference(f"#{number} <a>") for number in (1, 2))
        for name, found, count in (
            ("all listed", [first, second], 0),
            ("one not listed", [first, second, self.difference("#3 <c>")], 1),
            ("one occurs no more", [first], 1),
            ("none occurs", [], 2),
            ("another item", [first, second, replace(first, item="sizes")], 1),
            ("another kind", [first, second, replace(first, kind="case")], 1),
            ("another mailbox", [first, second, replace(first, mailbox="bob")], 1),
            ("another value", [first, replace(second, ours="6")], 2),
            ("no number", [first, second, replace(second, theirs="many")], 1),
        ):
            lines = unexpected(found, [self.entry()])
            self.assertEqual(len(lines), count, f"{name}: {lines}")

    def test_values_and_sections_are_matched_whole(self) -> None:
        entry = self.entry(more=None, values="[78] => 5", section=r"BODY\[1\]")
        for name, found, right in (
            ("as listed", self.difference("#1 <a> BODY[1]"), True),
            ("a longer value", self.difference("#1 <a> BODY[1]", ours="55"), False),
            ("another section", self.difference("#1 <a> BODY[1.1]"), False),
        ):
            self.assertIs(entry.accepts(found), right, name)

    def test_a_template_can_be_read_again(self) -> None:
        for one in (
            self.difference("#1 <a>", theirs='a "b" \\', ours="[x]\r\n"),
            self.difference("NEW", path="NEW", item="search"),
        ):
            (lines,) = unexpected([one], [])
            path = self.enterContext(temporary_folder()) / "list.toml"
            text = lines.removeprefix("not listed:\n")
            for key, value in (("right", "both"), ("rfc", "x"), ("reason", "x" * 10)):
                text = text.replace(f'\n{key} = ""', f'\n{key} = "{value}"')
            path.write_text(text)
            self.assertEqual(unexpected([one], accepted(path)), [], text)

    def test_a_report_without_all_examples_is_refused(self) -> None:
        group: dict[str, Any]
        group = {"item": "size", "path": "", "kind": "value", "messages": 2}
        group |= {"list": ["#1 <a>", "#2 <b>"]}
        group |= {"examples": [{"message": "#1 <a>", "a": "7", "b": "5"}]}
        with self.assertRaises(ValueError):
            list(gather([("corpus", {"groups": [group]})]))


@needs_shared
@needs("dovecot")
class DifferentialTests(unittest.TestCase):
    """Everything that bench/diff.py asks for, over the corpus and the samples."""

    def second(self, root: Path, *, utf8: bool) -> PortServer:
        if PEER_UNDER_TEST:
            return DovecotServer(root, label="second", utf8=utf8)
        # Dovecot's own default; so that one name of a folder does for both.
        return ImapdServer(root, namespace="dovecot")

    def reports(
        self, place: Path, name: str, maildir: Path, *, utf8: bool = False
    ) -> list[tuple[str, dict[str, Any]]]:
        """Serve a copy each of one Maildir, and compare every folder."""
        roots = (place / f"{name}-theirs", place / f"{name}-ours")
        for root in roots:
            target = root / "mail" / USER / "Maildir"
            target.parent.mkdir(parents=True)
            shutil.copytree(maildir, target)
        found = []
        first = DovecotServer(roots[0], utf8=utf8)
        with first as theirs, self.second(roots[1], utf8=utf8) as ours:
            with theirs.connect(USER) as client, ours.connect(USER) as other:
                folders = client.selectable()
                self.assertEqual(folders, other.selectable(), name)
                wire = {one: client.wire_name(one).decode()[1:-1] for one in folders}
            for folder in folders:
                label = name if folder == "INBOX" else f"{name}/{folder}"
                out = place / "report.json"
                found.append((label, self.diff(theirs, ours, wire[folder], out)))
            self.assertEqual(theirs.complaints(), [], name)
        return found

    def diff(
        self, theirs: PortServer, ours: PortServer, mailbox: str, out: Path
    ) -> dict[str, Any]:
        out.unlink(missing_ok=True)
        sides = [
            f"--server={side}=127.0.0.1:{server.port}:{USER}:{PASSWORD}"
            for side, server in (("dovecot", theirs), ("imapd", ours))
        ]
        done = subprocess.run(
            [
                *(sys.executable, str(BENCH / "diff.py"), *sides),
                *("--mailbox", f'"{mailbox}"', "--json", str(out)),
                *("--examples", "1000000"),  # all: their values are looked at
            ],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        if not out.exists():
            log = ours.log()[-4000:]
            self.fail(f"{mailbox}:\n{done.stdout}\n{done.stderr}\n--- log ---\n{log}")
        report: dict[str, Any] = json.loads(out.read_text())
        return report

    def test_only_listed_differences(self) -> None:
        place = self.enterContext(temporary_folder())
        corpus = place / "corpus"
        subprocess.run(
            [
                *(sys.executable, str(BENCH / "corpus.py"), "--out", str(corpus)),
                *("--messages", str(MESSAGES), "--seed", str(SEED), "--jobs", "2"),
                *("--real", str(SHARED / "corpus" / "eml")),
            ],
            check=True,
            capture_output=True,
            timeout=50,
        )
        reports = self.reports(place, "corpus", corpus)
        self.assertEqual(reports[0][1]["checked"]["body"], MESSAGES)
        for sample in sorted(SAMPLES.glob("example.org/*")):
            maildir = copy_sample(sample.name, place / "samples")
            # Courier's names are UTF-8 on disk, all others' modified UTF-7.
            utf8 = (maildir / "courierimapsubscribed").exists()
            reports += self.reports(place, sample.name, maildir, utf8=utf8)
        entries = [] if PEER_UNDER_TEST else accepted()
        lines = unexpected(gather(reports), entries)
        self.assertEqual(lines, [], "\n" + "\n".join(lines))
