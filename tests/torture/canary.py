"""Passwords that nobody may find again: in logs, tracebacks, arguments and files.

A real server is logged in to in every way, well and badly, while things break in it
(``canaryfaults.py``); it logs at every level.  Then all that it wrote, and all that
the system tells of its processes, is searched for what was sent, in each form in which
it may have got there.
"""

import base64
import contextlib
import hashlib
import json
import re
import secrets
import signal
import socket
import string
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from tests.torture.asking import any_certificate
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.serving import Served, serving

_TIMEOUT_SECONDS: Final = 15
#: Of a secret so many characters in a row are a hit.
_WINDOW: Final = 12
#: Names of which each breaks something else; the others are users, or nobody.
_NAMES: Final = (
    *(b"alice", b"nobody", b"cram", b"words", b"key", b"quiet", b"later"),
    *(b"unheard", b"slowly", b"entering", b"handler", b"handled"),
)
#: What the log tells where all of that was met.
_MET: Final = (
    *("login ok user='alice'", "login refused", "with a password in its words"),
    *("injected: 2", "injected, unheard", "injected: entering", "injected: handler"),
    *("injected: handled", "injected: noop", "reactor stood still"),
    *("was not verified", "unknown password scheme"),
)
#: Tagged by us, by what was a tag by mistake, or not; or a question.
_ANSWER: Final = re.compile(rb"(?m)^\S+ (?:OK|NO|BAD|BYE)[ \r]|^\+ ")

Steps = tuple[bytes, ...]


class Leaky(Served):
    """A server with faults."""

    script: ClassVar[str] = (
        "from tests.torture.canaryfaults import install; install(); "
        "from twisted.scripts.twistd import run; run()"
    )

    def check(self) -> None:
        """What it logs is what is asked for."""


def forms(secret: bytes) -> set[bytes]:
    """Every form in which a secret may be written, or a part of it."""
    texts = {secret.decode(), secret.decode("latin-1")}
    found = {secret[at : at + _WINDOW] for at in range(len(secret) - _WINDOW + 1)}
    for text in texts:
        escaped = (repr(text)[1:-1], json.dumps(text)[1:-1], urllib.parse.quote(text))
        found |= {each.encode() for each in (text, *escaped, text.lower())}
    found.add(repr(secret)[2:-1].encode())
    found |= {secret.hex().encode(), secret.hex().upper().encode()}
    found |= {secret.hex(" ").encode(), secret.hex(":").encode()}
    for before in range(3):  # wherever it begins in what is coded
        coded = base64.b64encode(b"\0" * before + secret)
        # The first characters hang on what is before, the last on what follows.
        inner = coded[(before * 8 + 5) // 6 : -4]
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return {each for each in found if len(each) >= _WINDOW}


def _random(length: int) -> bytes:
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(length)).encode()


class Canaries:
    """The secrets of one run."""

    def __init__(self) -> None:
        """Others each time: nobody can have written them down before."""
        self.good = _random(24)
        self.wrong = _random(24)
        self.thread = b"thread-" + _random(24)
        self.odd = b'%\\"\xc3\xa9{' + _random(20) + b"}'"
        salt = secrets.token_bytes(8)
        rounds = 1000
        digest = hashlib.pbkdf2_hmac("sha1", self.good, salt.hex().encode(), rounds)
        #: What is in the password file is one, too.
        self.stored = f"$1${salt.hex()}${rounds}${digest.hex()}".encode()
        self.contexts = secrets.token_hex(32).encode()
        self.unusable = _random(24)

    def users(self) -> bytes:
        """The password file, with a line that cannot be used."""
        names = [name for name in _NAMES if name not in (b"nobody", b"cram")]
        lines = [b"%s:{PBKDF2}%s::::::" % (name, self.stored) for name in names]
        lines += [b"cram:{CRAM-MD5}%s::::::" % self.contexts]
        lines += [b"broken:{NOPE}%s" % self.unusable, b""]
        return b"\n".join(lines)

    def forms(self) -> dict[bytes, str]:
        """All forms of all of them, each with whose it is."""
        return {
            form: name
            for name, secret in vars(self).items()
            for form in forms(secret.removeprefix(b"thread-"))
        }


def sessions(name: bytes, secret: bytes) -> Iterator[Steps]:
    """Every way to send a secret: each step waits for an answer."""
    coded = base64.b64encode
    quoted = b'"%s"' % secret.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    plain = coded(b"\0".join((b"", name, secret)))
    yield (b"c LOGIN %s %s\r\n" % (name, quoted), b"c NOOP\r\n")
    yield (b"c LOGIN %s {%d}\r\n" % (name, len(secret)), secret + b"\r\n")
    yield (b"c LOGIN %s {%d+}\r\n%s\r\n" % (name, len(secret), secret),)
    yield (b"c AUTHENTICATE PLAIN %s\r\n" % plain, b"c NOOP\r\n")
    yield (b"c AUTHENTICATE PLAIN\r\n", plain + b"\r\n")
    yield (
        *(b"c AUTHENTICATE LOGIN\r\n", coded(name) + b"\r\n"),
        coded(secret) + b"\r\n",
    )
    answer = name + b" " + hashlib.md5(secret).hexdigest().encode()
    yield (b"c AUTHENTICATE CRAM-MD5\r\n", coded(answer) + b"\r\n")


def mistakes(secret: bytes) -> Iterator[Steps]:
    """Secrets where none belong."""
    yield (b"%s LOGIN alice x\r\n" % secret, b"c NOOP\r\n")
    yield (b"c %s\r\n" % secret, b"c %s alice\r\n" % secret, b"%s\r\n" % secret)
    yield (b"c LOGNI alice %s\r\n" % secret, b" LOGIN alice %s\r\n" % secret)
    yield (b'c LOGIN alice %s "\r\n' % secret, b"c LOGIN alice %s\0\r\n" % secret)
    yield (b"c LOGIN %s\r\n" % secret, b"c LOGIN alice %s more\r\n" % secret)
    yield (b"c AUTHENTICATE %s x\r\n" % secret, b"c AUTHENTICATE PLAIN %s\r\n" % secret)
    yield (b"c AUTHENTICATE PLAIN\r\n", b"alice %s\r\n" % secret)
    yield (b"c AUTHENTICATE LOGIN\r\n", b"alice\r\n", secret + b"\r\n")
    yield (b"c AUTHENTICATE CRAM-MD5\r\n", b"alice %s\r\n" % secret)
    yield (b"c ID (%s %s)\r\n" % (secret, secret), b"c ENABLE %s\r\n" % secret)
    yield (b"c LOGIN alice {99999}\r\n%s\r\n" % secret,)


def broken_off(secret: bytes) -> Iterator[bytes]:
    """What is sent before the client leaves, without an answer."""
    yield b"c LOGIN alice %s" % secret
    yield b"c LOGIN alice {99+}\r\n%s" % secret
    yield b"c AUTHENTICATE PLAIN %s" % base64.b64encode(b"\0alice\0" + secret)
    yield b"c LOGIN slowly %s\r\n" % secret


def _talk(server: Served, steps: Steps, tls: bool = False) -> None:
    """One session, to the end of its steps or of the server's patience."""
    port = server.tls_port if tls else server.port
    link = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
    with any_certificate().wrap_socket(link) if tls else link as link:
        link.recv(4096)
        for step in steps:
            try:
                link.sendall(step)
                if not _answered(link):
                    return
            except ConnectionError:
                return
            except TimeoutError:
                raise AssertionError(f"no answer to {step!r} of {steps!r}") from None


def _answered(link: socket.socket) -> bool:
    """Read an answer; False: the server has hung up."""
    received = b""
    while not _ANSWER.search(received):
        octets = link.recv(4096)
        if not octets:
            return False
        received += octets
    return True


def _leave(server: Served, octets: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.recv(4096)
        link.sendall(octets)


def _all_sessions(server: Served, canaries: Canaries) -> int:
    count = 0
    alnum = (canaries.good, canaries.wrong)
    every: list[Steps] = []
    for secret in (canaries.good, canaries.odd, canaries.thread):
        for name in _NAMES:
            ways = list(sessions(name, secret))
            # The one that takes time breaks the same whatever it is told.
            every += ways[:1] if name == b"slowly" else ways
    for secret in alnum:
        every += mistakes(secret)
    for count, steps in enumerate(every, 1):
        _talk(server, steps, tls=count % 7 == 0)
    for secret in alnum:
        for octets in broken_off(secret):
            _leave(server, octets)
            count += 1
    return count


def _told(server: Served) -> Iterator[tuple[str, bytes]]:
    """What the system tells everybody of its processes: (where, octets)."""
    for pid in server.tree.pids():
        for name in ("cmdline", "environ", "comm", "status"):
            path = Path(f"/proc/{pid}/{name}")
            with contextlib.suppress(OSError):
                yield str(path), path.read_bytes()


def _written(server: Served) -> Iterator[tuple[str, bytes]]:
    """Every file below its folders, a core or a log too, and the names of all."""
    top = server.folder.parent
    for path in sorted(top.rglob("*")):
        yield "a name", str(path).encode()
        if path.is_file() and path != server.users:
            yield str(path.relative_to(top)), path.read_bytes()


def hits(texts: Iterator[tuple[str, bytes]], wanted: dict[bytes, str]) -> list[str]:
    """Where a secret is found, and in what surroundings."""
    pattern = re.compile(b"|".join(map(re.escape, wanted)))
    found = []
    for where, octets in texts:
        for hit in pattern.finditer(octets):
            context = octets[max(0, hit.start() - 80) : hit.end() + 20]
            found.append(f"{where}: {wanted[hit[0]]}: {context!r}")
    return found


def _allows_cores(server: Served) -> int:
    """How many of its processes may leave a core file."""
    limits = [Path(f"/proc/{pid}/limits") for pid in server.tree.pids()]
    line = re.compile(r"(?m)^Max core file size +0 +0 ")
    return sum(line.search(each.read_text()) is None for each in limits)


def _run(options: tuple[str, ...]) -> Iterator[Figure]:
    canaries = Canaries()
    offered = [f"--mechanisms={name}" for name in ("PLAIN", "LOGIN", "CRAM-MD5")]
    with serving({"sasl_attempts": 1000}, (*offered, *options), Leaky) as server:
        server.users.write_bytes(canaries.users())
        time.sleep(0.5)  # what was read before is used no more
        count = _all_sessions(server, canaries)
        cores = _allows_cores(server)
        wanted = canaries.forms()
        found = hits(_told(server), wanted)
        server.tell(signal.SIGTERM)
        if not server.ended_within(_TIMEOUT_SECONDS):
            raise AssertionError("canary: the server does not end")
        found += hits(_written(server), wanted)
        log = server.log()
    missed = [words for words in _MET if words not in log]
    if missed:
        raise AssertionError(f"canary: not in the log, so not met: {missed}")
    if found:
        raise AssertionError(f"canary: {len(found)} hits:\n" + "\n".join(found[:5]))
    what = " ".join(("canary", *options))
    yield at_least("G21", f"{what}: sessions", count, "sessions", 200)
    yield told("G21", f"{what}: log", len(log) / 1024, "KiB")
    yield at_most("G21", f"{what}: hits", len(found), "hits", 0)
    yield at_most("G21", f"{what}: may leave a core", cores, "processes", 0)


def run(budget: Budget) -> Iterator[Figure]:
    """G21.  Hardening A14."""
    for options in ((), ("--workers=2",)):
        yield from _run(options)
