"""Mailbox names: modified UTF-7 there and back, and nothing outside of the root.

The coding is held against another (``plainutf7``).
A path is held against what a file system makes of its directory name.  Then a server
is sent names, and every path that this process opens is looked at.
"""

import itertools
import os
import time
from collections.abc import Iterator
from random import Random
from typing import Final

from imapd.errors import Cannot
from imapd.ids import INBOX, MailboxPath
from imapd.limits import DEFAULT_LIMITS
from imapd.mailbox.names import NAMESPACES
from imapd.model import utf7
from imapd.model.mailbox import NamespaceStyle
from imapd.store.maildir import layout
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.inprocess import Peer, World, listening, shown
from tests.torture.pathwatch import watching
from tests.torture.plainutf7 import decoded, encoded

TOGETHER: Final = 500
COMMANDS: Final = 150

_PIECES: Final = (
    *(".", "/", "\\", "~", "&", "\0", "%", "*", ":", "..", "../", "/..", "tmp", "new"),
    *("cur", "INBOX", "inbox", "INBOX.", "a", "b", "x" * 40, "\u00e9", "e\u0301", "ß"),
    *("日本", "\U0001f600", "\u2028", "\x7f", "\x85", "\n", "\r\n", " ", '"', "&-"),
    *("&AC8-", "&AC4-", "-", ",", "{5}", "imapd-new.", "dovecot-uidlist", "İ", "ı"),
    *("\ufeff", "\u202e", "Maildir", "../bob", "../../../../etc/passwd", "\u2024"),
)
_SMALL: Final = b"&-A,\x80\0./"


def text(chance: Random) -> str:
    """Draw a name that somebody might send who means no good."""
    way = chance.random()
    count = chance.randint(1, 6)
    if way < 0.7:
        return "".join(chance.choices(_PIECES, k=count))
    if way < 0.9:
        return "".join(chr(chance.randrange(0x300)) for _ in range(count))
    codes = (chance.randrange(0x110000) for _ in range(count))
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)


def check_coding(octets: bytes) -> None:
    """Read octets as both do."""
    try:
        ours: str | None = utf7.decode(octets)
    except ValueError:
        ours = None
    assert ours == decoded(octets), f"{octets!r}: {ours!r}"


def check_path(path: MailboxPath) -> int:
    """Hold the directories of a path against the file system; return their count."""
    root = b"/m/a"
    names = layout.candidate_directories(path)
    for name in names:
        place = os.path.normpath(root + b"/" + name)
        assert os.path.dirname(place) == root, f"{path} is {place!r}"
        assert name[:1] == b"." and b"\0" not in name, f"{path} is {name!r}"
        assert len(name) <= 255, f"{path} has a name of {len(name)}"
        assert layout.decode_directory(name) == path, f"{path} is {name!r}"
    return len(names)


def check_name(name: str) -> int:
    """Take a name through coding, namespace and layout; return the paths it had."""
    octets = utf7.encode(name)
    assert octets == encoded(name), f"{name!r}: {octets!r}"
    assert utf7.decode(octets) == name, f"{name!r}: {octets!r}"
    paths = 0
    for namespace in NAMESPACES.values():
        try:
            path = namespace.path(name)
        except Cannot:
            continue
        paths += check_path(path)
        if path == INBOX:
            continue
        assert namespace.path(namespace.name(path)) == path, f"{name!r}: {path}"
        for encoding in layout.NameEncoding:
            try:
                new = layout.check_new_name(path, DEFAULT_LIMITS, encoding)
            except Cannot:
                continue
            assert new in layout.candidate_directories(path), f"{path}: {new!r}"
    return paths


def send_names(chance: Random, style: NamespaceStyle) -> int:
    """Send commands with names to a server; return how many paths were seen."""
    with listening() as trouble, World(namespace=style) as world:
        home = world.root / "alice"
        peer = world.connect()
        peer.log_in()
        _send(peer, b"a", b"APPEND INBOX {3+}\r\nabc")
        _send(peer, b"s", b"SELECT INBOX")
        _plant(world)
        before = _outside(world)
        with watching(world.root.parent, home) as seen:
            for number in range(COMMANDS):
                _send(peer, b"n%d" % number, _drawn(chance))
        trouble.check()
        assert not seen.outside, f"outside of the root: {seen.outside[:5]}"
        assert seen.inside, "nothing was opened at all"
        assert _outside(world) == before, "something outside of the root has changed"
        return seen.inside


def _plant(world: World) -> None:
    """Put what must not be found beside the account, under names like its own."""
    for place in ("alicex", "alice2", "bob", "Maildir", "cur"):
        for part in ("cur", "new", "tmp"):
            (world.root / place / "Maildir" / part).mkdir(parents=True)
            (world.root / place / part).mkdir(parents=True)
        (world.root / place / "Maildir" / "cur" / "1.x:2,").write_bytes(b"secret\n")


def _outside(world: World) -> list[tuple[str, int]]:
    found = []
    for path in world.root.rglob("*"):
        if "alice" not in path.relative_to(world.root).parts[:1]:
            found.append((str(path), path.lstat().st_mtime_ns))
    return sorted(found)


def _drawn(chance: Random) -> bytes:
    names = [_quoted(text(chance)) for _ in range(2)]
    drawn: bytes = chance.choice(
        (
            *(
                b"CREATE %b" % names[0],
                b"CREATE %b" % names[0],
                b"DELETE %b" % names[0],
            ),
            *(b"RENAME %b %b" % (names[0], names[1]), b"SELECT %b" % names[0]),
            *(b"SUBSCRIBE %b" % names[0], b"UNSUBSCRIBE %b" % names[0]),
            *(b"STATUS %b (MESSAGES)" % names[0], b"LIST %b %b" % (names[0], names[1])),
            b"RENAME INBOX %b" % names[0],
            b"APPEND %b {3+}\r\nabc" % names[0],
            b"COPY 1:* %b" % names[0],
        )
    )
    return drawn


def _send(peer: Peer, tag: bytes, command: bytes) -> None:
    peer.conversation.begins(tag, command.split(b" ")[0])
    peer.send(b"%b %b\r\n" % (tag, command))
    assert not peer.conversation.waits, f"no answer to {command!r}"


def _quoted(name: str) -> bytes:
    """Write a name as a literal, now and then in octets that are no modified UTF-7."""
    octets = encoded(name) if len(name) % 5 else name.encode("utf-8")
    return b"{%d+}\r\n%b" % (len(octets), octets)


def run(budget: Budget) -> Iterator[Figure]:
    """G3."""
    for length in range(1, 5):
        for each in itertools.product(_SMALL, repeat=length):
            check_coding(bytes(each))
    names = paths = opened = 0
    part = budget.part(0.7)
    began = time.monotonic()
    for label, chance in part.trials("names"):
        try:
            for _ in range(TOGETHER):
                paths += check_name(text(chance))
                check_coding(bytes(chance.choices(b"&-+,/AZaz09= \x80", k=6)))
        except Exception as error:
            raise AssertionError(f"{label}: {shown(error)}") from None
        names += TOGETHER
        part.did(TOGETHER)
    seconds = time.monotonic() - began
    yield at_least("G3", "names", names, "names", 1)
    yield told("G3", "names a second", names / seconds, "/s")
    yield told("G3", "directories of them", paths, "paths")
    part = budget.part(0.3)
    for label, chance in part.trials("paths"):
        try:
            opened += send_names(chance, chance.choice(list(NamespaceStyle)))
            part.did(COMMANDS)
        except Exception as error:
            raise AssertionError(f"{label}: {shown(error)}") from None
    yield at_least("G3", "paths opened by a server", opened, "paths", 1)
    yield at_most("G3", "paths outside of the root", 0, "paths", 0)
