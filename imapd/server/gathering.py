"""What goes to the client: gathered while we work, and no more than it reads."""

from typing import Any

from imapd.server import outlet
from imapd.server.gate import OutputGate
from imapd.server.settings import Settings
from imapd.server.timed import TimedConnection

#: Answers are gathered so long as we work without waiting, up to so much: fewer
#: packets, fewer records of TLS.
GATHER_OCTETS = 32768
#: So many are made one: of a short answer the object takes more than the octets, and
#: to join it takes eighty more.
GATHER_PIECES = 256


class GatheringConnection(TimedConnection):
    """Output of one connection; ``_gate_changed`` is for those who stand on it."""

    __slots__ = ("_gathered", "_gathered_octets", "gate")

    def __init__(
        self,
        chal: Any,
        contextFactory: Any,  # noqa: N803
        scheduler: Any,
        settings: Settings,
    ) -> None:
        super().__init__(chal, contextFactory, scheduler, settings)
        self.gate = OutputGate(self._gate_changed)
        #: What was said since we began to work; None: we do not, or wait.
        self._gathered: list[bytes] | None = None
        self._gathered_octets = 0

    def _gate_changed(self) -> None:
        """Output stopped or goes on."""

    def _take_turn(self, begins: bool) -> None:
        """We begin to work, or wait or have ended: what was said goes out now."""
        if begins:
            self._gathered = []
        else:
            self._flush()
            self._gathered = None

    def send(self, octets: bytes) -> None:
        """Write octets, whether or not the client reads; soon, if we are at work."""
        if self._gathered is None:
            self._write(octets)
            return
        self._gathered.append(octets)
        self._gathered_octets += len(octets)
        if self._gathered_octets >= GATHER_OCTETS:
            self._flush()
        elif len(self._gathered) >= GATHER_PIECES:
            self._gathered[:] = (b"".join(self._gathered),)

    def _flush(self) -> None:
        """Write what was gathered."""
        gathered = self._gathered
        if gathered:
            self._gathered, self._gathered_octets = [], 0
            self._write(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def _write(self, octets: bytes) -> None:
        if not self.gate.lost:
            outlet.write(self.transport, octets)

    @property
    def congested(self) -> bool:
        """Whether the client does not read what it was sent."""
        return self.gate.paused
