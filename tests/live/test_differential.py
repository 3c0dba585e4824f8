"""Our answers beside Dovecot's, message by message; the RFC decides."""

import json
import shutil
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

from tests.live.base import PASSWORD, PortServer
from tests.live.differences import Accepted, Group, accepted, gather, unexpected
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

    def entry(self, **changes: str) -> Accepted:
        path = self.enterContext(temporary_folder()) / "list.toml"
        keys = {
            "item": "size",
            "path": "",
            "kind": "value",
            "messages": "^corpus #[12] ",
            "right": "imapd",
            "rfc": "RFC 3501 2.3.4",
            "reason": "It counts octets.",
        } | changes
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        path.write_text("\n".join(["[[difference]]", *lines]))
        return accepted(path)[0]

    def test_the_list_can_be_read(self) -> None:
        for entry in accepted():
            self.assertTrue(entry.reason)

    def test_an_entry_says_who_is_right_and_why(self) -> None:
        for name, changes in {
            "nobody": {"right": ""},
            "the other server": {"right": "dovecot"},
            "no section": {"rfc": ""},
            "no reason": {"reason": "because"},
            "unknown key": {"colour": "red"},
            "bad pattern": {"messages": "("},
        }.items():
            with self.assertRaises(ValueError, msg=name):
                self.entry(**changes)

    def test_unlisted_and_stale_are_told(self) -> None:
        listed = self.entry()
        for name, messages, count in (
            ("all listed", {"corpus #1 <a>", "corpus #2 <b>"}, 0),
            ("one not listed", {"corpus #1 <a>", "corpus #3 <c>"}, 1),
            ("none occurs", set[str](), 1),
        ):
            groups = [Group("size", "", "value", messages)] if messages else []
            self.assertEqual(len(unexpected(groups, [listed])), count, name)


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
                *("--mailbox", f'"{mailbox}"', "--examples", "5", "--json", str(out)),
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
