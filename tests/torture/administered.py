"""D15: what an administrator writes, damaged: a clear word of it, and nothing worse.

A configuration is read or refused with the place of each problem.  In a password file a
damaged line shuts out its own user only, whatever stands in it is nowhere told, and no
damage lets anybody in with another password.
"""

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from twisted.cred.credentials import UsernamePassword
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from imapd.auth.passwdfile import PasswdFileChecker, parse_users
from imapd.auth.refusals import LoginRefused, LoginUnavailable
from imapd.service.config import ConfigError, load
from tests.support.workers import LaterWorkers
from tests.torture.budget import Budget
from tests.torture.corruption import Corruption, any_of
from tests.torture.figures import Figure, at_most, told

SECRET: Final = "canary-in-the-mine"
_PASSWORDS: Final = f"""\
# a comment
alice@example.org:{{PLAIN}}{SECRET}:1000:1001::/home/alice::userdb_mail=maildir:~/Mail
bob:{{PLAIN}}{SECRET}2::::::allow_nets=127.0.0.0/8,2001:db8::/32,local
carol:{{SHA}}EfatjsUqKYSrqv18O1FlA3hcIHI=
dave:{{CRAM-MD5}}4638c77f1a70c6fda4ddfa6fbe34e6ee090a0f0088f15da8fed5e0a5ff2b4152
locked:!$6$abc$def
moved:{{PLAIN}}{SECRET}::::::proxy=y host=192.0.2.9
other:{{PLAIN}}{SECRET}3::::::user=bob userdb_home=/home/%u
""".encode()
_CONFIGURATION: Final = b"""\
mail = "/srv/{domain}/{local}"
auth = ["memory:alice:wonderland"]
imap = ["tcp:1143:interface=127.0.0.1", "tcp:1144:interface=\\\\:\\\\:1"]
cleartext-login = "never"
workers = 2
watch = "poll"
special-use = { Sent = "Sent", Trash = "Mail/Bin" }
[limits]
append_octets = 1048576
idle_seconds = 1800
"""
_WORDS: Final = (
    *(
        b"\0",
        b"\xff",
        b"\n",
        b"\r\n",
        b"=",
        b'"',
        b"'''",
        b"[",
        b"[[",
        b"{",
        b"}",
        b"#",
    ),
    *(b"9" * 400, b"1e999", b"-1", b"true", b"1979-05-27", b"[a.b]", b"\\u0000", b"%"),
    *(b":", b"::::::", b"{", b"{ARGON2ID}$argon2id$v=19$m=9999999,t=9,p=9$c$h", b"nan"),
    *(
        b"{SHA}",
        b"$6$rounds=999999999$a$",
        b"nopass",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
        b" ",
    ),
    *(b"allow_nets=", b"user=", b"userdb_uid=", b"[" * 5000, b"{x=" * 2000),
)


def run(budget: Budget) -> Iterator[Figure]:
    """Damage both files in turn while there is time."""
    count = 0
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        path = folder / "imapd.toml"
        path.write_bytes(_CONFIGURATION)
        load({}, path)  # what is to be damaged is good
        assert len(parse_users(_PASSWORDS).records) == _PASSWORDS.count(b"\n") - 1
        for label, chance in budget.trials("administered"):
            try:
                done = _damage(folder, chance)
                _configuration(folder / "imapd.toml")
                _passwords(folder / "passwd", done)
            except Exception as error:
                raise AssertionError(f"{label}: {error}"[:3000]) from error
            count += 1
    yield at_most("D15", "of damaged settings and passwords", 0, "defects", 0)
    yield told("D15", "damaged settings and passwords read", 2 * count, "files")


def _damage(folder: Path, chance: random.Random) -> list[Corruption]:
    """Write both files anew, and damage each; return what was done."""
    done = []
    for name, octets in (("imapd.toml", _CONFIGURATION), ("passwd", _PASSWORDS)):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            path.rename(folder / f"aside-{chance.random()}")
        path.unlink(missing_ok=True)
        path.write_bytes(octets)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            one = any_of([name], folder, chance)
            one.apply(folder)
            done.append(one)
        if chance.random() < 0.4 and path.is_file():
            with path.open("rb") as file:
                left = file.read(4096)
            at = chance.randrange(len(left) + 1)
            path.write_bytes(left[:at] + chance.choice(_WORDS) + left[at:])
    return done


def _configuration(path: Path) -> None:
    if path.is_fifo():  # whoever names a pipe will write to it: that is waited for
        return
    try:
        load({}, path)
    except ConfigError as error:
        assert error.problems, "refused without a reason"
        for problem in error.problems:
            place, colon, words = problem.partition(": ")
            assert colon and place and words, f"{problem!r} says not where"
            assert "Traceback" not in problem, problem


def _passwords(path: Path, done: Sequence[Corruption]) -> None:
    if path.is_file() and path.stat().st_size < 1 << 20:
        octets = path.read_bytes()
        users = parse_users(octets)
        whole = parse_users(_PASSWORDS).records
        lines = octets.split(b"\n")
        for name, record in whole.items():
            line = _line(name)
            alone = sum(each.startswith(line[: line.index(b":") + 1]) for each in lines)
            if line in lines and alone == 1 and name not in users.broken:
                assert users.records.get(name) == record, f"{name} is another one now"
        problems = repr(users.problems)
        assert SECRET not in problems, "the log has a password"
    threads = LaterWorkers()
    checker = PasswdFileChecker(str(path), threads.run)
    for name, password in (("alice@example.org", SECRET + "x"), ("carol", SECRET)):
        heard: list[object] = []
        asked = checker.requestAvatarId(
            UsernamePassword(name.encode(), password.encode())
        )
        assert isinstance(asked, Deferred)
        asked.addBoth(heard.append)
        threads.finish()
        (result,) = heard
        if isinstance(result, Failure):
            assert result.check(LoginRefused, LoginUnavailable), (
                f"{name}: {result.getTraceback()}"
            )
            assert SECRET not in str(result.value), "an error has a password"
        else:
            text = path.read_bytes()
            said = password.encode() in text or b"nopass" in text
            assert said, f"{name} was let in: {result!r} after {done}"


def _line(name: str) -> bytes:
    for line in _PASSWORDS.split(b"\n"):
        if line.startswith(name.encode() + b":"):
            return line
    raise AssertionError(f"no line of {name}")
