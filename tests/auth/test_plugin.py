import os
import pathlib
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase


class PluginTests(SynchronousTestCase):
    def test_strcred_finds_it(self) -> None:
        """From the root of the checkout, in a process of its own."""
        root = pathlib.Path(__file__).resolve().parents[2]
        code = (
            "import sys; from twisted.cred import strcred;"
            "found = [f.authType for f in strcred.findCheckerFactories()];"
            "assert 'passwdfile' in found, found;"
            "assert 'imapd.auth.passwdfile' not in sys.modules, 'not cheap';"
            "checker = strcred.makeChecker('passwdfile:/nowhere/users');"
            "print(type(checker).__name__, 'twisted.internet.reactor' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.stdout.split()[:1], ["PasswdFileChecker"], done.stderr)
        self.assertNotIn("imapd_passwdfile", done.stderr)

    def test_needs_a_path(self) -> None:
        root = pathlib.Path(__file__).resolve().parents[2]
        plugin: dict[str, Any] = {}
        source = (root / "twisted/plugins/imapd_passwdfile.py").read_text()
        exec(compile(source, "plugin", "exec"), plugin)
        factory = plugin["passwd_file_checker_factory"]
        for argument in ("", "  "):
            self.assertRaises(ValueError, factory.generateChecker, argument)
