import base64
import json
import unittest
import urllib.parse
from collections.abc import Callable
from io import StringIO
from types import SimpleNamespace

from twisted.logger import Logger, LogPublisher, textFileLogObserver

from imapd.auth.discreet import log_broken

#: How a library may tell what it was given.
WAYS: dict[str, Callable[[bytes], object]] = {
    "octets": repr,
    "text": bytes.decode,
    "text as Python writes it": lambda secret: repr(secret.decode()),
    "twice": lambda secret: repr(f"bind {secret.decode()!r}"),
    "ASCII": lambda secret: ascii(secret.decode()),
    "JSON": lambda secret: json.dumps({"password": secret.decode()}),
    "a form": lambda secret: urllib.parse.urlencode({"password": secret}),
    "a path": urllib.parse.quote,
    "base64": lambda secret: base64.b64encode(secret).decode(),
    "base64 of a message": lambda s: base64.b64encode(b"\0alice\0" + s).decode(),
    "base64 for a URL": lambda secret: base64.urlsafe_b64encode(secret).decode(),
    "hexadecimal": bytes.hex,
    "HEXADECIMAL": lambda secret: secret.hex().upper(),
}
SECRETS = (
    b"c4n4ry-in-the-mine",
    b"%\\\"\xc3\xa9{c4n4ry}'",
    b"c4n4ry ~?>~ \xe2\x82\xac",
)


class DiscreetTests(unittest.TestCase):
    # Hardening: A14.

    def logged(self, error: Exception, secret: bytes) -> str:
        text = StringIO()
        log = Logger(observer=LogPublisher(textFileLogObserver(text)))
        try:
            raise error
        except Exception:
            log_broken(log, "a checker broke", SimpleNamespace(password=secret))
        return text.getvalue()

    def test_words_that_tell_the_password_are_left_out(self) -> None:
        for secret in SECRETS:
            for name, way in WAYS.items():
                told = self.logged(OSError(f"cannot: <<{way(secret)}>>"), secret)
                self.assertNotIn("<<", told, f"{name} of {secret!r}")
                self.assertIn("OSError, with a password in its words", told)
                self.assertIn("test_discreet.py", told)

    def test_others_are_told(self) -> None:
        for secret in (*SECRETS, b""):
            told = self.logged(OSError("cannot: <<the disk>>"), secret)
            self.assertIn("<<the disk>>", told, secret)
