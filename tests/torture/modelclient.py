r"""A client of one session: what it sent, what it was told, and what it keeps.

Every response is parsed by ``tests.support.grammar`` and held against the session's
``View`` in the order it came.  RFC 3501 §7; RFC 7162 §3.2, §6.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.grammar import Code, Fetched, Response, Tagged, Untagged
from tests.support.server import Client
from tests.torture.model import Flags, View, demand


def spread(ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Return all numbers of a set, in its order."""
    return [
        number
        for first, last in ranges
        for number in range(min(first, last), max(first, last) + 1)
    ]


@dataclass(slots=True)
class Cache:
    """What a client keeps of a mailbox it left, to come back with QRESYNC."""

    validity: int
    modseq: int
    uids: list[int]
    flags: dict[int, Flags]


@dataclass(slots=True)
class Told:
    """What one command was answered, beside what the view took in."""

    condition: bytes = b""
    codes: dict[bytes, Any] = field(default_factory=dict)
    fetched: list[tuple[int, dict[bytes, Any]]] = field(default_factory=list)
    found: list[int] | None = None
    found_modseq: int | None = None
    earlier: set[int] = field(default_factory=set)
    status: dict[bytes, int] = field(default_factory=dict)
    exists: int | None = None


class Session:
    """One of the clients; it comes back after a restart, with its caches."""

    def __init__(self, name: str, note: Callable[[str], None]) -> None:
        self.name = name
        self.view: View | None = None
        self.condstore = self.qresync = self.idling = False
        self.caches: dict[str, Cache] = {}
        self.commands = 0
        self._note = note
        self._client: Client | None = None
        self._modseq = 0  # it knows everything up to it; 0: not yet
        self._seen_modseq = 0  # in the answer to a command that goes on
        self._keeps = False  # it can come back by QRESYNC
        self._fetching = False

    def connect(self, client: Client) -> None:
        """Go on with a new connection, logged in."""
        self.leave()
        self._client = client
        self.condstore = self.qresync = self.idling = False

    @property
    def client(self) -> Client:
        """The connection."""
        assert self._client is not None
        return self._client

    def enter(self, view: View) -> None:
        """Open a mailbox."""
        self.leave()
        self.view = view
        self._modseq = self._seen_modseq = 0
        self._keeps = self.qresync

    def leave(self) -> None:
        """The mailbox is left; what is known of it is kept."""
        view, self.view = self.view, None
        if view is None:
            return
        view.box.views.discard(view)
        if self._keeps and self._modseq:
            flags = {uid: view.flags[uid] for uid in view.uids if uid in view.flags}
            self.caches[view.box.name] = Cache(
                view.box.validity, self._modseq, view.uids, flags
            )

    def hang_up(self) -> None:
        """Leave without a word."""
        self._note(f"{self.name}: hangs up")
        self.client.hang_up()
        self.idling = False
        self.leave()

    # Words.

    def send(self, text: str) -> list[Response]:
        """Send a command, or the end of IDLE; return what comes back, unjudged."""
        self.commands += 1
        if self.idling or text == "IDLE":
            line = text.encode() + b"\r\n"
            if not self.idling:
                line = b"idle " + line
            self._note(f"{self.name}> {line.decode().strip()}")
            responses = self.client.write(line)
        else:
            self._note(f"{self.name}> t{self.client.number + 1} {text.rstrip()}")
            responses = self.client.command(text)
        self._note_received()
        return responses

    def pushed(self) -> list[Response]:
        """Return what comes without being asked for."""
        if not self.client.transport.value():
            return []
        responses = self.client.receive()
        self._note_received()
        return responses

    def _note_received(self) -> None:
        for line in self.client.raw.decode("latin-1").splitlines():
            self._note(f"{self.name}< {line}")

    # What it is told.

    def hear(
        self,
        responses: Sequence[Response],
        *,
        may_expunge: bool,
        fetching: bool = False,
    ) -> Told:
        """Take in all of an answer.

        Args:
            responses: as ``send`` or ``pushed`` returned them.
            may_expunge: messages may lose their numbers now.  RFC 3501 §7.4.1.
            fetching: the client asked for FETCH responses.
        """
        self._fetching = fetching
        told = Told()
        for each in responses:
            if isinstance(each, Tagged):
                told.condition = each.condition
                self._code(told, each.code)
                self._completed(told)
            elif isinstance(each, Untagged):
                self._untagged(told, each, may_expunge)
        return told

    def _untagged(self, told: Told, each: Untagged, may_expunge: bool) -> None:
        view, data = self.view, each.data
        match each.kind:
            case b"OK":
                self._code(told, data[0])
            case b"EXISTS":
                told.exists = data
                self._view.exists(data)
            case b"RECENT":
                self._view.recent_count = data
            case b"EXPUNGE":
                demand(may_expunge, "EXPUNGE where it is forbidden")
                demand(not self.qresync, "EXPUNGE after ENABLE QRESYNC")
                self._view.expunged(data)
            case b"VANISHED":
                earlier, ranges = data
                if earlier:
                    told.earlier |= set(spread(ranges))
                else:
                    demand(may_expunge, "VANISHED where it is forbidden")
                    demand(self.qresync, "VANISHED without ENABLE QRESYNC")
                    self._view.vanished(spread(ranges))
            case b"FETCH":
                self._fetch(told, data)
            case b"SEARCH":
                told.found, told.found_modseq = list(data), data.modseq
                if data.modseq is not None and view is not None:
                    view.box.hear(data.modseq)
            case b"STATUS":
                told.status = data[1]
            case b"BYE":
                demand(False, "BYE")

    @property
    def _view(self) -> View:
        view = self.view
        demand(view is not None, "news of a mailbox that is not open")
        assert view is not None
        return view

    def _fetch(self, told: Told, data: Fetched) -> None:
        items = dict(data.items)
        uid = self._view.fetched(data.seq, items)
        told.fetched.append((uid, items))
        if not self._fetching and b"FLAGS" in items:
            named = b"UID" in items or not self.qresync
            numbered = b"MODSEQ" in items or not self.condstore
            demand(named and numbered, "news without its UID or MODSEQ:", items)
        self._seen_modseq = max(self._seen_modseq, items.get(b"MODSEQ", 0))

    def _code(self, told: Told, code: Code | None) -> None:
        if code is None:
            return
        told.codes[code.name] = code.arguments
        if code.name == b"HIGHESTMODSEQ" and self.view is not None:
            self.view.box.hear(code.arguments)

    def _completed(self, told: Told) -> None:
        """What the client knows everything up to now.  RFC 7162 §3.2, §6."""
        if b"HIGHESTMODSEQ" in told.codes:
            self._modseq = told.codes[b"HIGHESTMODSEQ"]
        elif self._modseq:
            self._modseq = max(self._modseq, self._seen_modseq)
        self._seen_modseq = 0
