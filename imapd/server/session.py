"""One client's session: its state, and what handlers may do to its connection."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imapd.errors import ClientGone, ImapError, SyntaxRejected
from imapd.ids import MailboxPath
from imapd.mailbox.api import MailAccount, SelectedMailbox
from imapd.server import updates
from imapd.server.settings import Settings
from imapd.server.states import State
from imapd.store.quiet import is_due
from imapd.wire.response import highestmodseq, status_line, untagged

_log = Logger()


class LiteralStream(Protocol):
    """The literals of a command that takes them as they arrive."""

    size: int
    text: bytes  # between the last literal and this one, or after the last

    async def accept(self) -> None:
        """Ask for the literal's octets."""

    async def chunk(self) -> bytes | None:
        """Some octets of it, None after the last."""

    async def following(self) -> bool:
        """Whether another literal follows; ``text`` is what stood before it."""

    def refuse(self) -> None:
        """Drop the rest of the command; the caller answers it."""


class Connection(Protocol):
    """What the protocol does for its session."""

    def send(self, octets: bytes) -> None:
        """Write octets, whether or not the client reads."""

    @property
    def congested(self) -> bool:
        """Whether the client does not read what it was sent."""

    async def ready(self) -> None:
        """Wait until the client has read enough; raises ClientGone if gone."""

    async def read_line(self) -> bytes:
        """The client's next line, inside a command.

        Raises:
            TooBig: longer than ``Limits.sasl_line_octets``.
            ClientGone: the client left.
        """

    def stop_reading_lines(self) -> None:
        """Make a pending ``read_line`` give up, where the mailbox was lost."""

    async def log_in(self, mechanism: bytes, credentials: object) -> None:
        """Ask the portal; on success the session has its account.

        Raises:
            AuthenticationFailed, AuthorizationFailed, Unavailable, LimitReached.
        """

    async def refuse_login(self, mechanism: bytes, reason: str, sent: bytes) -> None:
        """Count and log a try that no checker was asked about.

        ``sent`` is the login, or what there is of it: the same again counts little.
        """

    def challenger(self, mechanism: bytes) -> Callable[[], Any] | None:
        """The factory of a mechanism, None if there is none."""

    def usable_mechanisms(self) -> list[bytes]:
        """The mechanisms this connection may use as it is now."""

    def start_tls(self) -> None:
        """Turn to TLS after what was sent; what was received before is dropped."""

    def abort(self, why: str) -> None:
        """Close at once, without a word; ``why`` is for the log."""

    def remind(self, seconds: int | None) -> None:
        """Say that we are here, each so many seconds; None: no more."""

    def hang_up(self, why: bytes, code: bytes | None = None) -> None:
        """Say BYE and close, after what was sent."""

    def capability_names(self) -> Sequence[bytes]:
        """What CAPABILITY lists now."""

    @property
    def clock(self) -> IReactorTime:
        """Where timers come from."""

    @property
    def secure(self) -> bool:
        """Whether the connection has TLS."""

    @property
    def may_start_tls(self) -> bool:
        """Whether STARTTLS is offered now."""

    @property
    def may_send_password(self) -> bool:
        """Whether a password may cross this connection as it is now."""


class _Gone:
    """In the place of a connection that is no more."""

    def __getattr__(self, name: str) -> Any:
        raise ClientGone("the session is over")


_GONE: Final[Any] = _Gone()


class Session:
    """State of one client; RFC 3501 §3.  Handlers are its friends."""

    __slots__ = (
        "_account",
        "_holding",
        "_just_selected",
        "_told_modseq",
        "condstore",
        "connection",
        "enabled",
        "holds_expunges",
        "identity",
        "idling",
        "lost",
        "searching",
        "selected",
        "selected_path",
        "settings",
        "state",
        "stream",
        "tag",
        "told_keywords",
        "user",
    )

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.settings = settings
        self.state = State.NOT_AUTHENTICATED
        self.user = b""
        self.tag = b""  # of the command that runs
        self._just_selected = False  # nobody has to look at the mailbox again
        self.enabled: frozenset[bytes] = frozenset()  # the same one where it is empty
        self.condstore = False  # the client has named CONDSTORE in some way
        self.holds_expunges = False  # this command may not tell of any
        self._told_modseq = 0  # up to it the client was told everything
        self._holding = False  # the client was told of a lower one
        self.identity: tuple[tuple[bytes, bytes | None], ...] = ()
        self.idling = False
        self.lost: str | None = None
        self.searching = False  # and has said nothing yet
        self.selected: SelectedMailbox | None = None
        self.selected_path: MailboxPath | None = None
        self.stream: LiteralStream | None = None
        self.told_keywords: tuple[bytes, ...] = ()
        self._account: MailAccount | None = None

    @property
    def account(self) -> MailAccount:
        """The user's mailboxes, in the states where there is a user."""
        if self._account is None:
            raise RuntimeError("no account before login")
        return self._account

    @property
    def mailbox(self) -> SelectedMailbox:
        """The selected mailbox, in the state where there is one."""
        if self.selected is None:
            raise RuntimeError("no mailbox is selected")
        return self.selected

    def logged_in(self, user: bytes, account: MailAccount) -> None:
        """Enter the authenticated state."""
        self.user = user
        self._account = account
        self.state = State.AUTHENTICATED

    def untagged(self, content: bytes) -> None:
        """Send one untagged response."""
        self.connection.send(untagged(content))

    def untagged_ok(self, text: bytes, code: bytes | None = None) -> None:
        """Send an untagged OK, mostly for its code.  RFC 3501 §7.1.1."""
        self.untagged(status_line(b"OK", text, code))

    async def select(self, path: MailboxPath, *, read_only: bool) -> SelectedMailbox:
        """Leave the selected mailbox, and enter another."""
        await self.unselect()
        selected = await self.account.select(path, read_only=read_only, listener=self)
        self.selected = selected
        self._just_selected = True
        self.selected_path = path
        self.state = State.SELECTED
        if self.condstore:
            selected.condstore = True
            try:
                await selected.track()
            except BaseException:
                await self.unselect()
                raise
            # EXISTS and HIGHESTMODSEQ are to say what is there now.
            selected.view.drain(may_expunge=True)
        return selected

    async def unselect(self) -> None:
        """Leave the selected mailbox, if there is one, expunging nothing."""
        selected, self.selected = self.selected, None
        self.selected_path = None
        self._just_selected = False
        self._told_modseq, self._holding = 0, False
        self.lost = None
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED
        if selected is not None:
            await selected.close()

    async def refresh(self) -> None:
        """Take in what other programs did; trouble is for the log, not the client."""
        just_selected, self._just_selected = self._just_selected, False
        if self.selected is None or self.lost is not None or just_selected:
            return
        try:
            await self.selected.refresh()
        except ImapError as error:
            # Not with every command that a client sends.
            if is_due("session", self.user, self.selected_path, str(error)):
                _log.warn(
                    "cannot look at mailbox {path} of {user!r}: {error}",
                    path=self.selected_path,
                    user=self.user,
                    error=str(error),
                )
        except Exception:
            # A command that was done must not look as if it had failed.
            _log.failure("looking at the mailbox of {user!r}", user=self.user)

    @property
    def is_told_all(self) -> bool:
        """Whether there is surely nothing to tell; mostly it is so."""
        selected = self.selected
        if selected is None:
            return True
        if (
            self.lost is not None
            or self._just_selected
            or self.condstore
            or self.holds_expunges
            or selected.view.has_news
            or tuple(selected.keywords) != self.told_keywords
        ):
            return False
        try:
            return selected.is_current
        except Exception:
            return False  # the look itself says what is wrong

    def tell_news(self, *, may_expunge: bool) -> None:
        """Send what changed, as far as it may be told now."""
        for octets in self._news(may_expunge):
            self.connection.send(octets)

    async def tell_much_news(self, *, may_expunge: bool) -> None:
        """The same; others have their turn between the pieces."""
        first = True
        may_expunge = may_expunge and not self.holds_expunges
        self.holds_expunges = False
        for octets in self._news(may_expunge):
            if not first:
                await self.connection.ready()
            first = False
            self.connection.send(octets)
        if self.condstore:
            self.tell_news(may_expunge=may_expunge)  # what came meanwhile, at one go
            self._tell_modseq()

    def _news(self, may_expunge: bool) -> Iterator[bytes]:
        selected = self.selected
        if selected is not None:
            self.tell_keywords()
            by_uid = b"QRESYNC" in self.enabled
            for octets in updates.news(
                selected, may_expunge=may_expunge, by_uid=by_uid
            ):
                self.tell_keywords()  # others may have made one between the pieces
                yield octets

    # Modification sequences.  RFC 7162.

    async def enable_condstore(self, *, may_expunge: bool = False) -> None:
        """The client has sent a CONDSTORE enabling command.  RFC 7162 §3.1.

        The first with a mailbox selected is answered with its HIGHESTMODSEQ.
        """
        if self.condstore:
            return
        self.condstore = True
        if self.selected is None or self.lost is not None:
            return
        self.selected.condstore = True
        await self.selected.track()
        self.tell_news(may_expunge=may_expunge)
        self.tell_highest_modseq()

    def tell_highest_modseq(self) -> None:
        """HIGHESTMODSEQ or NOMODSEQ, of a mailbox of which all was told."""
        if self.selected is not None:
            self._told_modseq = highest = self.selected.highest_modseq
            self.untagged_ok(
                b"Highest modification sequence"
                if highest
                else b"No modification sequences are kept here",
                highestmodseq(highest),
            )

    def require_modseqs(self) -> None:
        """Refuse what cannot be where NOMODSEQ was told.  RFC 7162 §3.1.2.2.

        Raises:
            SyntaxRejected: it is so.
        """
        if self.selected is None or not self.selected.highest_modseq:
            raise SyntaxRejected("No modification sequences are kept here")

    async def tell_expunged(self) -> bytes | None:
        """Tell what was expunged, with VANISHED, and return HIGHESTMODSEQ for the OK.

        None where QRESYNC is not enabled.  RFC 7162 §3.2.7, RFC 6851 §4.4.
        """
        if b"QRESYNC" not in self.enabled:
            return None
        await self.refresh()
        if self.lost is not None or self.selected is None:
            return None
        await self.tell_much_news(may_expunge=True)
        return highestmodseq(self._told_modseq) if self._told_modseq else None

    def _tell_modseq(self) -> None:
        """Say up to where the client knows everything, where it is not obvious.

        A client takes the highest MODSEQ it sees for that.  While expunges with
        lower ones are held back, it must be told otherwise.  RFC 7162 §3.2, §6.
        """
        selected = self.selected
        if selected is None or not selected.highest_modseq:
            return
        if not selected.view.has_news:
            self._told_modseq = selected.highest_modseq
            if self._holding:
                self._holding = False
                self.untagged_ok(b"All was told", highestmodseq(self._told_modseq))
        elif b"QRESYNC" in self.enabled and self._told_modseq:
            self._holding = True
            self.untagged_ok(b"More is to come", highestmodseq(self._told_modseq))

    def tell_keywords(self) -> None:
        """A new keyword is told before the first message that has it."""
        selected = self.selected
        if selected is None:
            return
        keywords = tuple(selected.keywords)
        if keywords != self.told_keywords:
            self.told_keywords = keywords
            self.connection.send(updates.flag_lines(selected))

    def stop_idling(self) -> None:
        """Tell no more of what changes until the next command; not an error twice."""
        if self.idling:
            self.idling = False
            self.connection.remind(None)
            if self.selected is not None:
                self.selected.watch(False)

    def abandon(self) -> None:
        """The client has left, whatever runs for it."""
        if self.selected is not None:
            self.selected.abandon()

    def end(self) -> None:
        """All is given back; who still asks for the connection gets ClientGone.

        Session and connection know each other.  Of many that end in a row, left as
        cycles, the collector would make one long stop.
        """
        self.connection = _GONE

    # Called by the mailbox.

    def mailbox_changed(self) -> None:
        """Tell at once if the session idles; otherwise with the next answer."""
        if self.idling and not self.connection.congested:
            self.tell_news(may_expunge=True)

    def mailbox_lost(self, why: str) -> None:
        """The selected mailbox is no more: the session cannot go on."""
        self.lost = why
        if self.idling:
            self.connection.stop_reading_lines()
