"""What the documents say is true."""

import re
import tempfile
import tomllib
import unittest
from pathlib import Path

from imapd.server.capabilities import ALWAYS
from imapd.service.config import load
from imapd.service.table import OPTIONS
from imapd.service.tomlfile import read_toml
from scripts.configuration_reference import TARGET, reference
from tests.support.certificates import Authority

CHECKOUT = Path(__file__).resolve().parents[2]


class DocumentTests(unittest.TestCase):
    def test_the_reference_is_the_table(self) -> None:
        text = TARGET.read_text("utf-8")
        self.assertEqual(text, reference())
        for option in OPTIONS:
            self.assertIn(f"``{option.key}``", text)

    def test_the_configuration_in_the_readme(self) -> None:
        readme = (CHECKOUT / "README.rst").read_text("utf-8")
        blocks = re.findall(r"\.\. code-block:: toml\n\n((?:    .*\n|\n)+)", readme)
        self.assertEqual(len(blocks), 1)
        text = re.sub(r"(?m)^    ", "", blocks[0]).strip() + "\n"
        self.assertLessEqual(len(text.splitlines()), 10)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            Authority().write(folder)
            text = text.replace("/etc/imapd/fullchain.pem", "cert.pem")
            text = text.replace("/etc/imapd/privkey.pem", "key.pem")
            (folder / "imapd.toml").write_text(text)
            self.assertEqual(read_toml(folder / "imapd.toml").problems, [])
            config = load({}, folder / "imapd.toml")
        self.assertEqual(config.imaps, ("tcp:993",))
        self.assertEqual(config.special_use[rb"\Sent"], "Sent")

    def test_the_unit_gives_options_that_there_are(self) -> None:
        unit = (CHECKOUT / "packaging/systemd/imapd.service").read_text("utf-8")
        command = unit.partition("imapd --config")[2].partition("\n# ")[0]
        given = set(re.findall(r"--([a-z-]+)", command))
        self.assertEqual(given, {"imaps"})
        socket = (CHECKOUT / "packaging/systemd/imapd.socket").read_text("utf-8")
        name = re.findall(r"name=(\w+)", command)
        self.assertEqual(re.findall(r"FileDescriptorName=(\w+)\n", socket), name)

    def test_every_capability_is_in_the_list_of_standards(self) -> None:
        text = (CHECKOUT / "docs/rfcs.rst").read_text("utf-8")
        done, _, missing = text.partition("Not there yet:")
        for name in (*ALWAYS, b"APPENDLIMIT"):
            pattern = rf"(?<![\w-]){re.escape(name.decode())}(?![\w-])"
            self.assertRegex(done, pattern)
            self.assertNotRegex(missing, pattern)

    def test_news_is_gathered_from_where_it_is(self) -> None:
        towncrier = tomllib.loads((CHECKOUT / "towncrier.toml").read_text("utf-8"))
        settings = towncrier["tool"]["towncrier"]
        self.assertTrue((CHECKOUT / settings["directory"]).is_dir())
        types = {each["directory"] for each in settings["type"]}
        fragments = list((CHECKOUT / "changes").glob("[0-9]*"))
        self.assertTrue(fragments)
        for path in fragments:
            self.assertIn(path.name.split(".")[1], types, path.name)
