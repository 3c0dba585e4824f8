"""One client's connection below its commands: octets in, octets out, time.

One coroutine a connection takes the framer's events in order.  What a client
sends while it works waits unread, and beyond a bound the transport is paused.
"""

import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import ISSLTransport, ITLSTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from imapd.auth.promptly import deferred
from imapd.errors import ClientGone
from imapd.server import outlet, stepping
from imapd.server.addresses import host_of
from imapd.server.gathering import GatheringConnection
from imapd.server.registry import Command
from imapd.server.session import Session
from imapd.server.settings import Settings
from imapd.server.states import State
from imapd.server.turns import TURN_SECONDS
from imapd.wire import response
from imapd.wire.framer import CommandFramer, Event

_log = Logger()

#: How long a connection that was told BYE may take to read it, or a part of it.
CLOSING_SECONDS = 5
#: While a client is slow to read, until it is dropped.
LOOKS_AT_OUTPUT = 5


class ClientConnection(GatheringConnection):
    """What ``ImapServer`` stands on; ``handle`` and ``clean_up`` are its own."""

    # The stock class has a dict, and so have those that others make of ours.  In it
    # would be more names than Python shares between objects: 1.6 KB a connection.
    __slots__ = (
        "_awaited",
        "_bad_commands",
        "_began_in_tls",
        "_between_commands",
        "_closing",
        "_ended_because",
        "_finish_because",
        "_reading_paused",
        "_refused_logins",
        "_running",
        "_turn_began",
        "_turn_to_tls",
        "_waiter",
        "counted_user",
        "framer",
        "peer_host",
        "registered",
        "session",
        "waiting",
    )

    def __init__(
        self,
        chal: Any = None,
        contextFactory: Any = None,  # noqa: N803
        scheduler: Any = None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        super().__init__(chal, contextFactory, scheduler, settings)
        self.framer = CommandFramer(self.settings.limits)
        self.session = self.make_session()
        self._running = False
        self._closing = False
        self._between_commands = False
        self._reading_paused = False
        #: The command that goes on with the client's next line.
        self.waiting: Command | None = None
        self._waiter: Deferred[None] | None = None
        self._awaited: Deferred[Any] | None = None
        self._bad_commands = 0
        self._began_in_tls = False
        self._refused_logins = 0
        self._turn_began = 0.0
        self._turn_to_tls = False
        self._finish_because: bytes | None = None
        self._ended_because = "the client left"
        #: The client's address, or what stands for it.
        self.peer_host = ""
        self.counted_user: bytes | None = None
        #: Told when the connection opens, when its client has logged in (both True),
        #: and when it has given back everything.
        self.registered: Callable[[Any, bool], None] = lambda *unused: None

    def make_session(self) -> Session:
        """The state of this client."""
        raise RuntimeError("a connection without a session")

    def handle(self, event: Event) -> Coroutine[Deferred[Any], Any, None]:
        """Answer one event of the framer."""
        raise RuntimeError(f"nobody handles {event!r}")

    def next_line(self) -> Coroutine[Deferred[Any], Any, None] | None:
        """Answer the command that waits for a line, if the line is there."""
        raise RuntimeError("nobody waits for a line")

    async def clean_up(self) -> None:
        """Give back what the session held; the connection is gone."""

    # The transport.

    def connectionMade(self) -> None:  # noqa: N802
        """Greet the client."""
        self.peer_host = host_of(self.transport.getPeer())
        self._began_in_tls = ISSLTransport.providedBy(self.transport)
        self.canStartTLS = ITLSTransport(self.transport, None) is not None
        outlet.send_at_once(self.transport)
        self.registered(self, True)
        self.transport.registerProducer(self.gate, True)
        self.setTimeout(self.settings.limits.preauth_seconds)
        counts = self.settings.counts
        if counts is not None and not counts.connected(self.peer_host):
            if counts.is_flooded(self.peer_host):
                # BYE in TLS waits for a handshake; so many shall hold nothing.
                self.abort("Too many connections from the address by far")
            else:
                self.refuse(b"Too many connections from your address", b"LIMIT")
            return
        self.sendServerGreeting()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take octets; run the commands that they complete."""
        if self._closing:
            return
        self._handshake_by = None  # also where nobody tells that TLS stands
        self.framer.receive(data)
        if self.session.state is not State.NOT_AUTHENTICATED and not self.gate.paused:
            # Before login the deadline is absolute; and one who does not read
            # gains no time by writing.
            self.resetTimeout()
        if self._waiter is not None:
            self._wake()
        elif not self._running:
            self._start()
        if self._running or self._reading_paused:
            self._regulate()

    def _start(self) -> None:
        self._running = True
        try:
            rest = stepping.run(self._run(), self._take_turn, self._thrown_away)
        except Exception:
            self._broken(Failure())
        else:
            if rest is not None:
                rest.addErrback(self._broken)

    def _thrown_away(self) -> None:
        """What the command waits for will never come; we may be in any thread."""
        failure = Failure(RuntimeError("what a command waited for was thrown away"))
        late = partial(self.clock.callLater, 0)  # of a clock without threads
        getattr(self.clock, "callFromThread", late)(self._broken, failure)

    def _broken(self, failure: Failure) -> None:
        _log.failure("a session broke", failure)
        self.hang_up(b"Internal error; the log has it", b"SERVERBUG")
        self._at_rest()

    def _regulate(self) -> None:
        """Stop reading from a client that is too far ahead of us."""
        most = self.settings.limits.ahead_octets
        if self.session.state is State.NOT_AUTHENTICATED:  # there may be thousands
            most = min(most, self.settings.limits.preauth_line_octets)
        too_far = self._running and self.framer.buffered > most
        if too_far and self._waiter is None and not self._reading_paused:
            self._reading_paused = True
            self.transport.pauseProducing()
            self.look_soon()  # the reactor would not notice that the client leaves
        elif self._reading_paused and not too_far:
            self._resume_reading()

    def _resume_reading(self) -> None:
        paused, self._reading_paused = self._reading_paused, False
        if paused and not self._closing and not self.gate.lost:
            self.transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Give back everything the session held."""
        self.session.stop_idling()
        self.session.abandon()
        self.setTimeout(None)
        self._closing = True
        self.gate.stopProducing()
        if self.settings.counts is not None:
            self.settings.counts.disconnected(self.peer_host)
        self._give_up_waiting()
        if not self._running:
            self._end()

    def _end(self) -> None:
        self._running = True
        self.setTimeout(None)  # what ran may have set it again
        deferred(self.clean_up()).addErrback(
            lambda failure: _log.failure("a session did not end cleanly", failure)
        )

    # Commands, one at a time.

    async def _run(self) -> None:
        self._turn_began = time.monotonic()
        try:
            while not self._closing:
                if self.waiting is None:
                    event = self.framer.next_event()
                    work = None if event is None else self.handle(event)
                else:
                    work = self.next_line()
                if work is None:
                    break
                await work
                if self._reading_paused:
                    self._regulate()
                if self._finish_because is not None:
                    self.hang_up(self._finish_because)
                if self.must_wait:
                    self._between_commands = True
                    await self.ready()
                    self._between_commands = False
        except ClientGone:  # no suppress(): it takes as long as many a command
            pass  # the log says why the session ended
        self._at_rest()

    def _at_rest(self) -> None:
        self._running = self._between_commands = False
        self._resume_reading()
        if self.gate.lost:
            self._end()

    # What the session asks of its connection.

    @property
    def must_wait(self) -> bool:
        """Whether ``ready`` would not return at once."""
        late = time.monotonic() - self._turn_began > TURN_SECONDS
        return late or self.gate.paused or self.gate.lost

    async def ready(self) -> None:
        """Wait until the client has read enough, and let others have their turn."""
        if self.gate.paused or self.gate.lost:
            await self.gate.opened()
        if time.monotonic() - self._turn_began > TURN_SECONDS:
            await self.settings.turns.next()
            self._turn_began = time.monotonic()

    async def next_event(self) -> Event:
        """The next event of the framer, inside a command that streams."""
        while True:
            event = self.framer.next_event()
            if event is not None:
                return event
            await self._more()

    async def read_line(self) -> bytes:
        """The client's next line, inside a command."""
        while True:
            line = self.framer.next_line()
            if line is not None:
                return line
            await self._more()

    async def _more(self) -> None:
        if self._closing:
            raise ClientGone("the client left")
        self._waiter = Deferred()
        self._resume_reading()
        await self._waiter
        if self._closing:
            raise ClientGone("the session is over")

    async def while_connected(self, awaited: "Deferred[Any]") -> None:
        """Wait for something that is worth nothing without the client.

        Raises:
            ClientGone: the session ended meanwhile; ``awaited`` is cancelled.
        """
        if self._closing:
            awaited.addErrback(lambda _: None)  # what cancelling makes of it
            awaited.cancel()
            raise ClientGone("the session is over")
        self._awaited = awaited
        try:
            await awaited
        except CancelledError:
            raise ClientGone("the session is over") from None
        finally:
            self._awaited = None

    def _give_up_waiting(self) -> None:
        self._wake()
        if self._awaited is not None:
            self._awaited.cancel()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)

    def stop_reading_lines(self) -> None:
        """The selected mailbox is lost while the client waits in IDLE."""
        lost = self.session.lost or "The mailbox is gone"
        self.hang_up(lost.encode("ascii", "replace"), b"UNAVAILABLE")
        self._wake()

    def refuse(self, why: bytes, code: bytes | None = None) -> None:
        """End a connection for what its client did."""
        reason = why.decode("ascii")
        self.settings.events.connection_refused(peer=self.peer_host, reason=reason)
        self.hang_up(why, code)

    def finish(self, why: bytes) -> None:
        """Say BYE as soon as no command runs: the server stops."""
        waits = self._waiter is not None or self._awaited is not None
        if self._running and not waits and not self._between_commands:
            self._finish_because = why
        else:
            self.hang_up(why)

    def hang_up(self, why: bytes, code: bytes | None = None) -> None:
        """Say BYE and close."""
        if not self._closing:
            self._ended_because = why.decode("ascii", "replace")
            self.send(response.untagged(response.bye(why, code)))
            self._close()

    def _close(self) -> None:
        with outlet.together(self.transport):
            self._flush()
            self._closing = True
            self.session.stop_idling()
            self.framer.discard()
            self._reading_paused = False
            self.transport.unregisterProducer()
            outlet.close(self.transport, self._limit_closing)
        self._give_up_waiting()

    def _limit_closing(self) -> None:
        self._still_seconds()  # from here on
        self.setTimeout(CLOSING_SECONDS)

    def abort(self, why: str) -> None:
        """Close at once, without a word."""
        self._ended_because = why
        self._closing = True
        self.settings.events.connection_refused(peer=self.peer_host, reason=why)
        self.transport.abortConnection()

    def _gate_changed(self) -> None:
        """Output stopped or goes on: another time limit holds."""
        if self.session.state is State.NOT_AUTHENTICATED:
            return  # before login the deadline is absolute
        if self.gate.paused:
            self._wait_for_reader()
        else:
            self.setTimeout(self.settings.limits.idle_seconds)
            self.session.mailbox_changed()  # what was held back in IDLE

    def _still_seconds(self) -> float:
        now = self.settings.wheel.seconds()
        return self.gate.still_seconds(now, outlet.unsent(self.transport))

    def _wait_for_reader(self) -> None:
        """Drop a client that takes nothing, and leave one alone that is slow."""
        most = self.settings.limits.output_stall_seconds
        left = most - self._still_seconds() if self.session.user else 0
        if left > 0:
            self.setTimeout(min(left, most / LOOKS_AT_OUTPUT))
        else:
            self.abort("the client does not read")

    def timeoutConnection(self) -> None:  # noqa: N802
        """A time limit has passed: which one says where the session stands."""
        if self._closing:
            # Aborting takes back what the kernel has, of an answer too that ended
            # with OK: who has logged in may read it as slowly as before.
            if self.session.user and self._still_seconds() < CLOSING_SECONDS:
                self.setTimeout(CLOSING_SECONDS)
            else:
                self.transport.abortConnection()
        elif self.gate.paused:
            self._wait_for_reader()
        elif self.session.state is State.NOT_AUTHENTICATED:
            self.refuse(b"Too slow to log in")
        elif self._running and self._waiter is None:
            self.setTimeout(self.settings.limits.idle_seconds)  # we are the slow one
        else:
            self.hang_up(b"Autologout; idle for too long")
