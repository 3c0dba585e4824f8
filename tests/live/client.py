"""A small IMAP client of the tests' own; it shares no code with the server.

It knows the few commands that the live tests need, reads answers into lists, and
speaks of folders as ``"Archive/2020"``, whatever prefix, separator and encoding
the server has for them.
"""

import base64
import contextlib
import itertools
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

TIMEOUT_SECONDS = 30

#: One parsed value: octets, None for NIL, or a list of values.
Value = bytes | None | list["Value"]

_ATOM = re.compile(rb"(?:BODY\[[^\]]*\](?:<\d+>)?|[^\s()\"]+)")


class Refused(Exception):
    """The server answered NO, BAD or BYE; its line is the message."""


class Client:
    """One connection, read and written line by line."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over a connection whose greeting was not read yet."""
        connection.settimeout(TIMEOUT_SECONDS)
        self._socket = connection
        self._reader = connection.makefile("rb")
        self._tags = (b"t%d" % number for number in itertools.count(1))
        self.capabilities: frozenset[bytes] = frozenset()
        #: Called with every untagged answer, also those of a command that is refused.
        self.listener: Callable[[list[Value]], None] = lambda _: None
        self._prefix, self._separator = "", "/"
        greeting = self._reader.readline()
        while greeting.startswith(b"* OK [ALERT]"):
            greeting = self._reader.readline()
        if not greeting.startswith((b"* OK", b"* PREAUTH")):
            self.drop()
            raise Refused(greeting.decode("latin-1"))
        self.preauthenticated = greeting.startswith(b"* PREAUTH")

    @classmethod
    def over_tls(cls, port: int, ca: Path) -> "Client":
        """Connect to a port of implicit TLS on loopback."""
        context = ssl.create_default_context(cafile=str(ca))
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        return cls(context.wrap_socket(plain, server_hostname="localhost"))

    def login(self, user: str, password: str) -> "Client":
        """Log in; a connection where that fails is closed."""
        try:
            self._login(user, password)
        except (OSError, Refused):
            self.drop()
            raise
        return self

    def _login(self, user: str, password: str) -> None:
        if not self.preauthenticated:
            self.command(b"LOGIN %s %s" % (quoted(user), quoted(password)))
        for answer in self.command(b"CAPABILITY"):
            if answer[:1] == [b"CAPABILITY"]:
                self.capabilities = frozenset(
                    word.upper() for word in answer[1:] if isinstance(word, bytes)
                )
        self._learn_namespace()

    def close(self) -> None:
        with contextlib.suppress(OSError, Refused):  # it may be gone already
            self.command(b"LOGOUT")
        self.drop()

    def drop(self) -> None:
        """Close the socket without a word."""
        self._reader.close()
        self._socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # --- commands -------------------------------------------------------------

    def command(self, *parts: bytes) -> list[list[Value]]:
        """Send ``parts``, each but the first after a literal of its own length.

        Returns:
            The untagged answers, parsed, and the tagged one last: ``[b"OK", text]``.

        Raises:
            Refused: the tagged answer was not OK.
        """
        tag = next(self._tags)
        out = tag + b" " + parts[0]
        for literal in parts[1:]:
            self._socket.sendall(out + b" {%d}\r\n" % len(literal))
            line = self._reader.readline()
            if not line.startswith(b"+"):
                raise Refused(line.decode("latin-1"))
            out = literal
        self._socket.sendall(out + b"\r\n")
        return list(self._answers(tag))

    def _answers(self, tag: bytes) -> Iterator[list[Value]]:
        while True:
            pieces = self._response()
            first = pieces[0]
            assert isinstance(first, bytes)
            mark, _, rest = first.partition(b" ")
            if mark == b"*":
                answer = _parse([rest, *pieces[1:]])
                self.listener(answer)
                yield answer
            elif mark == tag:
                status, _, text = rest.partition(b" ")
                if status != b"OK":
                    raise Refused(rest.decode("latin-1").strip())
                yield [b"OK", text.strip()]
                return
            else:
                raise Refused(f"unexpected line: {first!r}")

    def _response(self) -> list[bytes]:
        """One response: text, literal, text, literal, ..., text."""
        pieces: list[bytes] = []
        while True:
            line = self._reader.readline()
            if not line.endswith(b"\r\n"):
                raise Refused(f"the connection ended within a line: {line!r}")
            found = re.search(rb"\{(\d+)\}\r\n\Z", line)
            if found is None:
                return [*pieces, line[:-2]]
            octets = int(found[1])
            literal = self._reader.read(octets)
            if len(literal) != octets:
                raise Refused("the connection ended within a literal")
            pieces += [line[: found.start()], literal]

    # --- folders --------------------------------------------------------------

    def _learn_namespace(self) -> None:
        if b"NAMESPACE" in self.capabilities:
            for answer in self.command(b"NAMESPACE"):
                if answer[:1] == [b"NAMESPACE"]:
                    personal = answer[1]
                    assert isinstance(personal, list)
                    assert isinstance(personal[0], list)
                    prefix, separator = personal[0][:2]
                    assert isinstance(prefix, bytes)
                    assert isinstance(separator, bytes)
                    self._prefix = prefix.decode()
                    self._separator = separator.decode()

    @property
    def namespace(self) -> tuple[str, str]:
        """Prefix and separator of the personal namespace."""
        return self._prefix, self._separator

    def wire_name(self, folder: str) -> bytes:
        """``"Archive/2020"`` as this server wants it, quoted."""
        if folder == "INBOX":
            return b'"INBOX"'
        name = self._prefix + folder.replace("/", self._separator)
        return quoted(utf7_encoded(name))

    def folder(self, wire_name: bytes) -> str:
        """What ``wire_name`` of a LIST answer is called everywhere."""
        name = utf7_decoded(wire_name.decode("ascii"))
        if name.upper() == "INBOX":
            return "INBOX"
        return name.removeprefix(self._prefix).replace(self._separator, "/")

    def folders(self, command: bytes = b"LIST") -> dict[str, frozenset[bytes]]:
        """All folders (or with ``LSUB`` all subscriptions) and their attributes."""
        found = {}
        for answer in self.command(command + b' "" "*"'):
            if answer[:1] == [command]:
                attributes, _, name = answer[1:4]
                assert isinstance(attributes, list)
                assert isinstance(name, bytes)
                found[self.folder(name)] = frozenset(
                    word.lower() for word in attributes if isinstance(word, bytes)
                )
        return found

    def selectable(self) -> list[str]:
        """The folders that are more than a level of the hierarchy, sorted."""
        hollow = {b"\\noselect", b"\\nonexistent"}
        return sorted(n for n, words in self.folders().items() if not words & hollow)

    def select(self, folder: str, *, examine: bool = False) -> dict[bytes, int]:
        """Open a folder; return ``EXISTS``, ``UIDVALIDITY`` and ``UIDNEXT`` if told."""
        verb = b"EXAMINE " if examine else b"SELECT "
        told = {}
        for answer in self.command(verb + self.wire_name(folder)):
            if len(answer) == 2 and answer[1] == b"EXISTS":
                told[b"EXISTS"] = number(answer[0])
            for word in (b"UIDVALIDITY", b"UIDNEXT"):
                if b"[" + word in answer:
                    told[word] = number(answer[answer.index(b"[" + word) + 1])
        return told

    def status(self, folder: str, item: bytes) -> int:
        for answer in self.command(b"STATUS %s (%s)" % (self.wire_name(folder), item)):
            if answer[:1] == [b"STATUS"]:
                pairs = answer[-1]
                assert isinstance(pairs, list)
                return number(pairs[pairs.index(item) + 1])
        raise Refused("no STATUS answer")

    # --- messages -------------------------------------------------------------

    def append(
        self,
        folder: str,
        octets: bytes,
        flags: Iterable[str] = (),
        date: str | None = None,
    ) -> tuple[int, int] | None:
        """APPEND; return UIDVALIDITY and UID where the server has UIDPLUS."""
        head = b"APPEND %s (%s)" % (self.wire_name(folder), " ".join(flags).encode())
        if date is not None:
            head += b" " + quoted(date)
        tagged = self.command(head, octets)[-1][1]
        assert isinstance(tagged, bytes)
        found = re.search(rb"\[APPENDUID (\d+) (\d+)\]", tagged)
        return (int(found[1]), int(found[2])) if found else None

    def fetch(self, uids: bytes, items: bytes) -> dict[int, dict[bytes, Value]]:
        """UID FETCH: what was asked for, by UID."""
        found: dict[int, dict[bytes, Value]] = {}
        for answer in self.command(b"UID FETCH %s (UID %s)" % (uids, items)):
            if len(answer) == 3 and answer[1] == b"FETCH":
                pairs = answer[2]
                assert isinstance(pairs, list)
                keys = [key for key in pairs[::2] if isinstance(key, bytes)]
                row = dict(zip(keys, pairs[1::2], strict=True))
                if b"UID" in row:  # not so in an answer nobody asked for
                    found.setdefault(number(row[b"UID"]), {}).update(row)
        return found

    def store(self, uids: bytes, change: str) -> None:
        """``change`` as in ``+FLAGS (\\Seen)``."""
        self.command(b"UID STORE %s %s" % (uids, change.encode()))

    def uids(self, key: bytes = b"ALL") -> list[int]:
        """UID SEARCH in the selected folder, ascending."""
        found: list[int] = []
        for answer in self.command(b"UID SEARCH " + key):
            if answer[:1] == [b"SEARCH"]:
                found += [number(word) for word in answer[1:]]
        return sorted(found)

    def move(self, uids: bytes, folder: str) -> None:
        """MOVE, or what clients do where there is no MOVE."""
        if b"MOVE" in self.capabilities:
            self.command(b"UID MOVE %s %s" % (uids, self.wire_name(folder)))
            return
        self.command(b"UID COPY %s %s" % (uids, self.wire_name(folder)))
        self.expunge(uids)

    def expunge(self, uids: bytes) -> None:
        """Remove these messages and no others."""
        self.store(uids, r"+FLAGS.SILENT (\Deleted)")
        self.command(b"UID EXPUNGE " + uids)


def number(value: Value) -> int:
    """A number of an answer."""
    assert isinstance(value, bytes), value
    return int(value.rstrip(b"]"))


def quoted(text: str) -> bytes:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return b'"' + escaped.encode("ascii") + b'"'


def _parse(pieces: list[bytes]) -> list[Value]:
    """Text and literals of one response as nested lists, without recursion."""
    stack: list[list[Value]] = [[]]
    for index, text in enumerate(pieces):
        if index % 2:
            stack[-1].append(text)
        else:
            _parse_text(text, stack)
    return stack[0]


def _parse_text(text: bytes, stack: list[list[Value]]) -> None:
    at = 0
    while at < len(text):
        octet = text[at : at + 1]
        if octet == b"(":
            inner: list[Value] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif octet == b")" and len(stack) > 1:
            stack.pop()
        elif octet == b'"' and (end := _end_of_quoted(text, at)):
            value = re.sub(rb"\\(.)", rb"\1", text[at + 1 : end])
            stack[-1].append(value)
            at = end
        elif found := _ATOM.match(text, at):
            word = found[0]
            stack[-1].append(None if word.upper() == b"NIL" else word)
            at = found.end() - 1
        at += 1  # a space, or text for people that we do not read


def _end_of_quoted(text: bytes, start: int) -> int:
    found = re.compile(rb'"(?:[^"\\]|\\.)*"').match(text, start)
    return found.end() - 1 if found else 0


def utf7_encoded(name: str) -> str:
    """Modified UTF-7, RFC 3501 §5.1.3."""

    def shifted(found: re.Match[str]) -> str:
        if found[0] == "&":
            return "&-"
        coded = base64.b64encode(found[0].encode("utf-16-be")).decode()
        return "&" + coded.rstrip("=").replace("/", ",") + "-"

    return re.sub(r"&|[^\x20-\x7e]+", shifted, name)


def utf7_decoded(name: str) -> str:
    """The inverse of :func:`utf7_encoded`."""

    def unshifted(found: re.Match[str]) -> str:
        if not found[1]:
            return "&"
        coded = found[1].replace(",", "/")
        return base64.b64decode(coded + "=" * (-len(coded) % 4)).decode("utf-16-be")

    return re.sub(r"&([^-]*)-", unshifted, name)
