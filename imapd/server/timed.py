"""The time limits of one connection, on the wheel of its factory."""

from typing import Any

from twisted.internet.interfaces import IHandshakeListener, IReactorTime
from twisted.mail import imap4
from zope.interface import implementer

from imapd.server.settings import Settings
from imapd.server.wheel import NOWHERE


@implementer(IHandshakeListener)
class TimedConnection(imap4.IMAP4Server):
    """``TimeoutMixin`` without a timer of its own: its limits stand on the wheel.

    A limit may show up to a second late.
    """

    __slots__ = (
        "_deadline",
        "_handshake_by",
        "_remind_seconds",
        "_reminder",
        "settings",
        "tick",
    )

    transport: Any  # the stock class types it as less than it must be

    def __init__(
        self,
        chal: Any,
        contextFactory: Any,  # noqa: N803
        scheduler: Any,
        settings: Settings,
    ) -> None:
        super().__init__(chal, contextFactory, scheduler)
        self.settings = settings
        self.tick = NOWHERE
        self.timeOut: Any = None
        self._deadline: float | None = None
        #: When TLS must stand, if it does not yet; beside any other limit.
        self._handshake_by: float | None = None
        self._reminder: float | None = None
        self._remind_seconds = 0

    @property
    def clock(self) -> IReactorTime:
        """Where timers come from."""
        return self.settings.wheel.clock

    def setTimeout(self, period: float | None) -> float | None:  # noqa: N802
        """Call ``timeoutConnection`` after so many seconds; None: never."""
        before: float | None = self.timeOut
        self.timeOut = period
        wheel = self.settings.wheel
        if period is not None:
            self._deadline = wheel.seconds() + period
            wheel.place(self, self._deadline)
            return before
        self._deadline = None
        if self._reminder is None and self.tick != NOWHERE:
            wheel.remove(self)
        return before

    def resetTimeout(self) -> None:  # noqa: N802
        """Begin to wait anew, if we wait."""
        if self._deadline is not None and self.timeOut is not None:
            # It is later than before: the wheel need not know yet.
            self._deadline = self.settings.wheel.seconds() + self.timeOut

    def expect_handshake(self) -> None:
        """TLS begins, and has a time limit of its own beside the one that holds."""
        wheel = self.settings.wheel
        self._handshake_by = wheel.seconds() + self.settings.limits.handshake_seconds
        wheel.place(self, self._handshake_by)

    def handshakeCompleted(self) -> None:  # noqa: N802
        """TLS stands; ``IHandshakeListener``."""
        self._handshake_by = None

    def handshake_missed(self) -> None:
        """TLS does not stand, and its time has passed."""

    def remind(self, seconds: int | None) -> None:
        """Call ``reminded`` each so many seconds; None: no more."""
        if seconds is None:
            self._reminder = None
            return
        self._remind_seconds = seconds
        self._reminder = self.settings.wheel.seconds() + seconds
        self.settings.wheel.place(self, self._reminder)

    def look_soon(self) -> None:
        """Have ``look`` called within a second."""
        self.settings.wheel.place(self, self.settings.wheel.seconds())

    def reminded(self) -> None:
        """The time that was asked for has passed, once more."""

    def look(self, now: float) -> float | None:
        """Do what is due; return when to look again."""
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self.timeoutConnection()
        if self._handshake_by is not None and now >= self._handshake_by:
            self._handshake_by = None
            self.handshake_missed()
        if self._reminder is not None and now >= self._reminder:
            self._reminder = now + self._remind_seconds
            self.reminded()
        return min(
            (
                each
                for each in (self._deadline, self._handshake_by, self._reminder)
                if each is not None
            ),
            default=None,
        )
