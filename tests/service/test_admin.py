"""``imapd-admin``: its answers, its exit codes, and that it never takes a password."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from imapd.auth.hashes import verify
from imapd.service import admin
from tests.support.certificates import Authority
from tests.support.maildirs import copy_sample


def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    output, errors = io.StringIO(), io.StringIO()
    standard_input = io.TextIOWrapper(io.BytesIO(stdin))
    with (
        mock.patch("sys.stdin", standard_input),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            code = admin.main(arguments)
        except SystemExit as ended:
            code = int(str(ended.code))
    return code, output.getvalue(), errors.getvalue()


class AdminTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = self.folder / "imapd.toml"
        self.users = self.folder / "users"
        self.users.write_text("alice@example.org:{PLAIN}wonderland::::::\n")

    def write(self, more: str = "") -> None:
        Authority().write(self.folder)
        self.config.write_text(
            f'mail = "{self.folder}/{{domain}}/{{local}}/Maildir"\n'
            f'auth = "passwdfile:{self.users}"\n'
            'certificate = "cert.pem"\nkey = "key.pem"\n' + more
        )

    def test_what_the_store_would_log_is_told(self) -> None:
        """There is no log here, and the client's words say nothing of the cause."""
        self.write()
        maildir = self.folder / "example.org" / "alice" / "Maildir"
        for command in (("hand-back", "--to", "courier"), ("index",)):
            shutil.rmtree(self.folder / "example.org", ignore_errors=True)
            (maildir / "new").mkdir(parents=True)
            (maildir / "cur").write_text("")
            arguments = *command, "--config", str(self.config), "alice@example.org"
            code, _, errors = run(*arguments)
            self.assertEqual(code, 1, command)
            cause = f"store: account b'{maildir}' refused: its cur is not a directory"
            self.assertEqual(errors.splitlines()[0], f"imapd-admin: {cause}")
            self.assertEqual(len(errors.splitlines()), 2, errors)

    def test_password(self) -> None:
        for scheme in ("SHA512-CRYPT", "sha512-crypt", "CRAM-MD5", "PBKDF2"):
            code, output, _ = run(
                "password", "--scheme", scheme, stdin=b"wonder land\r\n"
            )
            self.assertEqual(code, 0, scheme)
            self.assertTrue(verify(output.strip(), b"wonder land"), scheme)

    def test_passwords_that_cannot_be(self) -> None:
        for name, stdin in (
            ("nothing", b""),
            ("empty", b"\n"),
            ("long", b"x" * 100_000),
            ("latin-1", b"\xff\n"),
            ("NUL", b"a\0b\n"),
        ):
            code, output, errors = run("password", stdin=stdin)
            self.assertEqual((code, output), (1, ""), name)
            self.assertTrue(errors.startswith("imapd-admin: "), name)
        self.assertEqual(run("password", "--scheme", "ROT13", stdin=b"x\n")[0], 1)

    def test_a_password_is_never_an_argument(self) -> None:
        # Hardening: A14.
        self.assertEqual(run("password", "wonderland")[0], 2)

    def test_a_terminal_is_asked_twice(self) -> None:
        parsed = admin._parser().parse_args(["password"])
        with (
            mock.patch("getpass.getpass", side_effect=["one", "two"]),
            mock.patch("sys.stdin.isatty", return_value=True, create=True),
            self.assertRaises(admin.Failed),
        ):
            parsed.run(parsed)

    def test_check_config(self) -> None:
        self.write()
        code, output, errors = run("check-config", str(self.config))
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("good", output)
        self.write('namespace = "x"\nmial = "y"\n')
        code, _, errors = run("check-config", str(self.config))
        self.assertEqual(code, 1)
        self.assertEqual(len(errors.splitlines()), 2, errors)
        self.write()
        (self.folder / "key.pem").write_text("nothing")
        code, _, errors = run("check-config", str(self.config))
        self.assertEqual(code, 1)
        self.assertIn("key.pem", errors)

    def test_check_config_reads_who_may_log_in(self) -> None:
        self.write()
        self.users.write_text("bad@example.org:{WAT}x::::::\n")
        code, output, _ = run("check-config", str(self.config))
        self.assertEqual(code, 0)
        self.assertIn(f"note: {self.users}:1: unknown password scheme", output)
        self.users.unlink()
        code, _, errors = run("check-config", str(self.config))
        self.assertEqual(code, 1)
        self.assertIn(f"auth passwdfile:{self.users}: no such file", errors)

    def test_no_error_tells_a_password(self) -> None:
        for auth in ("memroy:alice:wonderland", "memory:alice:wonderland:bob"):
            self.write()
            text = self.config.read_text().replace(f"passwdfile:{self.users}", auth)
            self.config.write_text(text)
            code, _, errors = run("check-config", str(self.config))
            self.assertEqual(code, 1, auth)
            self.assertIn("auth 'mem", errors, auth)
            self.assertNotIn("wonderland", errors, auth)

    def test_a_relative_password_file_is_beside_the_configuration(self) -> None:
        self.write()
        text = self.config.read_text().replace(
            f"passwdfile:{self.users}", "passwdfile:users"
        )
        self.config.write_text(text)
        self.assertEqual(run("check-config", str(self.config))[0], 0)

    def test_hand_back(self) -> None:
        self.write()
        maildir = copy_sample("alice", self.folder)
        code, output, errors = run(
            *("hand-back", "--to", "courier", "--config", str(self.config)),
            "alice@example.org",
        )
        self.assertEqual(code, 0, errors)
        self.assertIn("20 messages", output)
        uiddb = (maildir / "courierimapuiddb").read_text().splitlines()
        self.assertTrue(uiddb[0].startswith("1 "), uiddb[0])
        self.assertEqual(len(uiddb), 21)

    def test_hand_back_fails_for_each_user_alone(self) -> None:
        self.write()
        copy_sample("alice", self.folder)
        code, output, errors = run(
            *("hand-back", "--to", "courier", "--config", str(self.config)),
            *("nobody@example.org", "../x@example.org", "x", "alice@example.org"),
        )
        self.assertEqual(code, 1)
        self.assertEqual(len(errors.splitlines()), 3, errors)
        self.assertIn("alice@example.org: ", output)
        self.assertFalse((self.folder / "example.org/nobody").exists())

    def test_hand_back_by_template_alone(self) -> None:
        copy_sample("alice", self.folder)
        template = f"{self.folder}/{{domain}}/{{local}}/Maildir"
        code, _, errors = run(
            *("hand-back", "--to=courier", "--mail", template, "alice@example.org")
        )
        self.assertEqual(code, 0, errors)
        code, _, errors = run("hand-back", "--to=courier", "alice@example.org")
        self.assertEqual(code, 1)
        self.assertIn("mail is missing", errors)

    def test_hand_back_keeps_the_owner(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("not root")
        maildir = copy_sample("alice", self.folder)
        self.folder.chmod(0o755)
        for path in (maildir, *maildir.rglob("*")):
            os.chown(path, 65534, 65534)
        template = f"{self.folder}/{{domain}}/{{local}}/Maildir"
        code, _, errors = run(
            *("hand-back", "--to=courier", "--mail", template, "alice@example.org")
        )
        self.assertEqual(code, 0, errors)
        self.assertEqual(os.geteuid(), 0)
        self.assertEqual((maildir / "courierimapuiddb").stat().st_uid, 65534)

    def test_the_command(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "imapd.service.admin", "--help"],
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for command in ("check-config", "hand-back", "password"):
            self.assertIn(command, done.stdout)
