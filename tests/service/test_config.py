"""The TOML file and the command line: what they give, and every error at once."""

import contextlib
import io
import shutil
import tempfile
import unittest
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from imapd.limits import DEFAULT_LIMITS
from imapd.model.mailbox import NamespaceStyle
from imapd.service.config import Config, ConfigError, load
from imapd.service.options import Options
from imapd.service.table import BY_KEY, OPTIONS, Kind
from imapd.service.tomlfile import read_toml

MAIL = "/m/{domain}/{local}"
MINIMUM = f"""\
mail = "{MAIL}"
auth = "memory:alice:wonderland"
"""
LOCAL = 'imap = "tcp:1143:interface=127.0.0.1"\n'


class _Folder(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = self.folder / "imapd.toml"
        (self.folder / "cert.pem").touch()
        (self.folder / "key.pem").touch()

    def load(self, text: str, **command_line: str | list[str]) -> Config:
        self.file.write_text(text)
        given = {
            key.replace("_", "-"): [value] if isinstance(value, str) else value
            for key, value in command_line.items()
        }
        return load(given, self.file)

    def problems(self, text: str, **command_line: str | list[str]) -> list[str]:
        with self.assertRaises(ConfigError, msg=text) as caught:
            self.load(text, **command_line)
        place = f"{self.file}"
        return [each.replace(place, "FILE") for each in caught.exception.problems]


class GoodTests(_Folder):
    def test_minimum(self) -> None:
        config = self.load(MINIMUM + LOCAL)
        self.assertEqual(config.mail.text, MAIL)
        self.assertEqual(config.auth, ("memory:alice:wonderland",))
        self.assertEqual(config.imap, ("tcp:1143:interface=127.0.0.1",))
        self.assertEqual(config.imaps, ())
        self.assertEqual(config.cleartext_login, "loopback")
        self.assertIsNone(config.mechanisms)
        self.assertEqual(config.watch, "auto")
        self.assertIsNone(config.namespace)
        self.assertIsNone(config.cache)
        self.assertTrue(config.text_index)
        self.assertTrue(config.create_missing_maildir)
        self.assertEqual(config.limits, DEFAULT_LIMITS)
        self.assertFalse(config.allow_root)

    def test_a_certificate_alone_serves_993_and_nothing_in_the_clear(self) -> None:
        # Hardening: P03.
        config = self.load(MINIMUM + 'certificate = "cert.pem"\nkey = "key.pem"\n')
        self.assertEqual(config.imaps, ("tcp:993",))
        self.assertEqual(config.imap, ())
        self.assertEqual(config.certificate, self.folder / "cert.pem")
        self.assertEqual(config.key, self.folder / "key.pem")

    def test_everything(self) -> None:
        config = self.load(
            """\
mail = "~/Maildir"
auth = ["memory:alice:wonderland", "memory:bob:builder"]
imap = ["tcp:143", "unix:/run/imapd.sock"]
imaps = ["systemd:domain=INET6:name=imaps", "haproxy:tcp:10993"]
certificate = "cert.pem"
cleartext-login = "never"
namespace = "courier"
cache = "/var/cache/imapd/{user}"
text-index = false
create-missing-maildir = false
allow-root = true
watch = "poll"

[special-use]
Sent = "Sent"
Trash = "Bin/Old"

[limits]
append_octets = 1048576
"idle_seconds" = 3600
"""
        )
        self.assertEqual(len(config.auth), 2)
        self.assertEqual(len(config.imaps), 2)
        self.assertIs(config.namespace, NamespaceStyle.COURIER)
        self.assertFalse(config.text_index)
        self.assertFalse(config.create_missing_maildir)
        self.assertTrue(config.allow_root)
        self.assertEqual(config.watch, "poll")
        self.assertEqual(
            dict(config.special_use), {rb"\Sent": "Sent", rb"\Trash": "Bin/Old"}
        )
        self.assertEqual(config.limits.append_octets, 1048576)
        self.assertEqual(config.limits.idle_seconds, 3600)

    def test_the_command_line_wins(self) -> None:
        config = self.load(
            MINIMUM + LOCAL + "[limits]\nappend_octets = 4096\nidle_seconds = 3600\n",
            mail="/other/{user}",
            auth=["memory:bob:builder"],
            create_missing_maildir="no",
            limits=["append_octets=2048"],
            special_use=["Junk=Spam"],
        )
        self.assertEqual(config.mail.text, "/other/{user}")
        self.assertEqual(config.auth, ("memory:bob:builder",))
        self.assertFalse(config.create_missing_maildir)
        self.assertEqual(config.limits.append_octets, 2048)
        self.assertEqual(config.limits.idle_seconds, 3600)
        self.assertEqual(dict(config.special_use), {rb"\Junk": "Spam"})

    def test_without_serving_only_mail_is_needed(self) -> None:
        self.assertEqual(load({"mail": [MAIL]}, serving=False).mail.text, MAIL)

    def test_every_example_of_the_table_is_right(self) -> None:
        for option in OPTIONS:
            self.file.write_text(f"{option.key} = {option.example}\n")
            settings = read_toml(self.file)
            self.assertEqual(settings.problems, [], option.key)
            self.assertIn(option.key, settings.values)


WRONG = {
    "unknown key": ('mial = "x"\n', ["FILE:4: ", 'setting "mial"', "mail?"]),
    "unknown, nothing near": ("zzz = 1\n", ['"zzz"', "known are allow-root"]),
    "underscore": (
        "allow_root = true\n",
        ['"allow_root"', "did you mean allow-root?"],
    ),
    "number for text": ("cache = 3\n", ["FILE:4: ", "cache must be a string"]),
    "text for boolean": ('allow-root = "no"\n', ["true or false", "for example"]),
    "number in list": ("imaps = [993]\n", ["FILE:4: imaps must be a string or a list"]),
    "text for table": ('limits = "none"\n', ["limits must be a table"]),
    "choice": ('namespace = "uw"\n', ["FILE:4: ", "one of auto, courier", "'uw'"]),
    "mechanisms": ('mechanisms = ["NTLM"]\n', ["mechanisms 'NTLM'", "CRAM-MD5"]),
    "watch": ('watch = "dnotify"\n', ["auto, inotify, poll"]),
    "workers": ("workers = -1\n", ["FILE:4: workers must be a number from 0 to"]),
    "too many workers": ("workers = 10000\n", ["from 0 to 256"]),
    "memory": ("mailbox-memory = 2000000\n", ["FILE:4: mailbox-memory must be a"]),
    "workers are true": ("workers = true\n", ["FILE:4: workers must be a whole"]),
    "workers are text": ('workers = "2"\n', ["a whole number", "workers = 4"]),
    "cleartext": ('cleartext-login = "yes"\n', ["never, loopback, always"]),
    "template": ('cache = "/c/{domian}"\n', ["FILE:4: ", "{domian} is not known"]),
    "auth type": ('\n\nauth = "x:y"\n', ["FILE:4: "]),
    "endpoint prefix": ('imaps = "993"\n', ["FILE:4: ", '"993:" is not known here']),
    "endpoint port": ('imaps = "tcp:imaps"\n', ['"imaps" is no port', "tcp:993"]),
    "endpoint port range": ('imaps = "tcp:99999"\n', ["is no port"]),
    "endpoint, no port": ('imaps = "tcp"\n', ["is no port"]),
    "endpoint argument": ('imaps = "tcp:993:iface=::"\n', ["no endpoint Twisted"]),
    "endpoint of another TLS": ('imaps = "ssl:993"\n', ["certificate of its own"]),
    "behind haproxy": ('imaps = "haproxy:tcp:x"\n', ["is no port"]),
    "systemd without name": ('imaps = "systemd:domain=INET"\n', ["name=imaps"]),
    "no certificate file": ('certificate = "none.pem"\n', ["FILE:4: ", "no such file"]),
    "no path of a certificate": (
        f'certificate = "{"a" * 5000}"\n',
        ["FILE:4: certificate", "cannot be read by uid", "name too long"],
    ),
    "certificate is a folder": ('certificate = "."\n', ["not a file"]),
    "key alone": ('key = "key.pem"\n', ["FILE:4: key is of no use"]),
    "imaps alone": ('imaps = "tcp:993"\n', ["FILE:3: imaps needs certificate"]),
    "unknown use": ('[special-use]\nSend = "x"\n', ["FILE:5: ", "did you mean Sent?"]),
    "use of INBOX": ('[special-use]\nSent = "Inbox"\n', ["FILE:5: ", "no name"]),
    "empty use": ('[special-use]\nSent = ""\n', ["no name for a mailbox"]),
    "use of a name with a dot": (
        '[special-use]\nSent = "INBOX.Sent"\n',
        ["FILE:5: Sent", "'INBOX.Sent'", "no name for a mailbox", "cannot be stored"],
    ),
    "use of a name with a control": (
        '[special-use]\nSent = "Sent"\nJunk = "a\\nb"\n',
        ["FILE:6: Junk", "no name for a mailbox", "control characters"],
    ),
    "use of a home": ('[special-use]\nSent = "~x"\n', ["FILE:5: ", "begin with ~"]),
    "use too long": (
        f'[special-use]\nSent = "{"x" * 251}"\n',
        ["FILE:5: Sent", "too long"],
    ),
    "use is a number": ("[special-use]\nSent = 1\n", ["FILE:5: Sent must be a string"]),
    "used twice": (
        '[special-use]\nSent = "x"\nJunk = "x"\n',
        ["FILE:6: ", "used twice"],
    ),
    "unknown limit": (
        "[limits]\nidle-seconds = 3600\n",
        ["FILE:5: ", "idle_seconds?"],
    ),
    "limit too low": ("[limits]\nidle_seconds = 60\n", ["FILE:5: ", "least 1800"]),
    "limit is text": ('[limits]\nidle_seconds = "x"\n', ["must be a number"]),
    "limit is true": ("[limits]\nidle_seconds = true\n", ["must be a number"]),
    "inline table": ("limits = { idle_seconds = 60 }\n", ["FILE:4: ", "least 1800"]),
    "dotted key": ("limits.idle_seconds = 60\n", ["FILE:4: ", "least 1800"]),
    "syntax": ("namespace = auto\n", ["FILE:4: ", "column"]),
    "twice": ('cache = "/a/{user}"\ncache = "/b/{user}"\n', ["FILE:5: ", "overwrite"]),
    "nested": ("cache = " + "[" * 5000 + "]" * 5000 + "\n", ["FILE"]),
}


class WrongTests(_Folder):
    def test_each(self) -> None:
        for name, (text, words) in WRONG.items():
            start = MINIMUM + ("" if "imaps alone" in name else LOCAL)
            if name == "auth type":
                start = f'mail = "{MAIL}"\n'
            problems = self.problems(start + text)
            for word in words:
                self.assertIn(word, "\n".join(problems), name)

    def test_missing(self) -> None:
        problems = self.problems("")
        self.assertEqual(len(problems), 3, problems)
        for word in ("mail is missing", "auth is missing", "nothing to listen on"):
            self.assertIn(word, "\n".join(problems))

    def test_in_the_clear_to_all_without_tls(self) -> None:
        problems = self.problems(MINIMUM + 'imap = "tcp:143"\n')
        self.assertEqual(len(problems), 1)
        self.assertIn("FILE:3: nobody could log in at tcp:143", problems[0])
        self.load(MINIMUM + 'imap = "tcp:143"\ncleartext-login = "always"\n')
        self.load(MINIMUM + 'imap = "tcp6:143:interface=\\\\:\\\\:1"\n')
        self.load(MINIMUM + 'imap = "tcp:143"\ncertificate = "cert.pem"\n')

    def test_all_at_once_in_order(self) -> None:
        problems = self.problems(
            'mail = "relative"\nnamespace = "uw"\nmial = 1\n[limits]\nx = 1\n',
            auth="nothing:x",
            allow_root="perhaps",
        )
        places = [each.split(": ")[0] for each in problems]
        self.assertEqual(
            places,
            [
                *("--allow-root", "--auth", "configuration"),
                *("FILE:1", "FILE:2", "FILE:3", "FILE:5"),
            ],
            problems,
        )

    def test_files_that_cannot_be_read(self) -> None:
        for name, octets, words in (
            ("not UTF-8", b'mail = "\xff"\n', ":1: not UTF-8"),
            ("too large", b"#" * (2 << 20), "1 MiB"),
        ):
            self.file.write_bytes(octets)
            with self.assertRaises(ConfigError, msg=name) as caught:
                load({}, self.file)
            self.assertEqual(len(caught.exception.problems), 1, name)
            self.assertIn(words, caught.exception.problems[0], name)
        with self.assertRaises(ConfigError) as caught:
            load({}, self.folder / "none.toml")
        self.assertIn("none.toml: cannot be read", str(caught.exception))

    @given(st.text(st.sampled_from("mail= \"[]{}.\n#'\\limtsx1-_")))
    def test_no_text_breaks_it(self, text: str) -> None:
        file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "x.toml"
        file.write_text(text)
        with contextlib.suppress(ConfigError):
            load({}, file)


class OptionsTests(_Folder):
    def test_the_command_line_alone(self) -> None:
        options = Options()
        options.parseOptions(
            [
                *("--mail", MAIL, "--auth", "memory:alice:wonderland"),
                *("--imap=tcp:1143:interface=127.0.0.1", "--namespace=slash"),
                *("--special-use", "Sent=Sent", "--limits", "idle_seconds=3600"),
                *("--auth=memory:bob:builder", "--create-missing-maildir", "no"),
            ]
        )
        self.assertEqual(len(options.config.auth), 2)
        self.assertIs(options.config.namespace, NamespaceStyle.SLASH)
        self.assertEqual(options.config.limits.idle_seconds, 3600)

    def test_errors_end_the_program_with_a_line_each(self) -> None:
        cases = {
            "unknown": (["--mial=x"], "--mial"),
            "argument": (["x"], "'x' belongs to no option"),
            "no value": (["--mail"], "--mail"),
            "config": (["--config", "/nonexistent/x.toml"], "cannot be read"),
            "values": (["--namespace=x", "--mail=x"], "--namespace: "),
            "row": (["--limits=x"], "--limits NAME=NUMBER"),
        }
        for name, (arguments, words) in cases.items():
            with self.assertRaises(SystemExit, msg=name) as caught:
                Options().parseOptions(arguments)
            lines = str(caught.exception.code).splitlines()
            self.assertTrue(all(each.startswith("imapd: ") for each in lines), name)
            self.assertIn(words, str(caught.exception.code), name)

    def test_help_has_every_option(self) -> None:
        text = str(Options())
        for option in OPTIONS:
            self.assertIn(f"--{option.key}", text)

    def test_help_auth(self) -> None:
        options = Options()
        options.authOutput = io.StringIO()
        with self.assertRaises(SystemExit):
            options.parseOptions(["--help-auth"])
        self.assertIn("memory", options.authOutput.getvalue())

    def test_repeatable_is_what_the_kind_says(self) -> None:
        self.assertTrue(BY_KEY["imaps"].kind.repeatable)
        self.assertFalse(Kind.TEXT.repeatable)
