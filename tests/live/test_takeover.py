"""Taking over from Dovecot and Courier, and handing back: clients notice nothing."""

import abc
import unittest
from pathlib import Path

from tests.live import mail
from tests.live.peers import (
    PEER_UNDER_TEST,
    CourierServer,
    DovecotServer,
    ImapdServer,
    needs,
    temporary_folder,
)
from tests.live.process import missing
from tests.live.snapshot import Snapshot, difference, snapshot

USER = "user1"
Peer = DovecotServer | CourierServer


class TakeOver(abc.ABC):
    """The flow that both peers have in common."""

    @abc.abstractmethod
    def peer(self, root: Path) -> Peer:
        """The server that was there before, and is again after us."""

    def server(self, root: Path) -> ImapdServer | Peer:
        """Ours; or, when the harness tests itself, the peer once more."""
        return self.peer(root) if PEER_UNDER_TEST else ImapdServer(root)

    def hand_back(self, server: ImapdServer | Peer) -> None:
        """What an administrator must do before the peer is started again."""
        del server  # nothing, mostly

    def assert_same(self, a: Snapshot, b: Snapshot, what: str) -> None:
        lines = difference(a, b)
        if lines:
            raise AssertionError(f"{what}:\n  " + "\n  ".join(lines[:40]))

    def assert_healthy(self, server: ImapdServer | Peer) -> None:
        if lines := server.complaints():
            raise AssertionError(f"the log of {server.kind}:\n  " + "\n  ".join(lines))

    def before(self, root: Path) -> Snapshot:
        """An account made by the peer."""
        with self.peer(root) as peer:
            with peer.connect(USER) as client:
                mail.fill(client)
            taken = self.delivered(peer, range(200, 203))
            self.assert_healthy(peer)
        return taken

    def delivered(self, server: ImapdServer | Peer, numbers: range) -> Snapshot:
        """What the account looks like when mail arrived and was noticed.

        Courier tells UIDs in EXAMINE that it writes down only after SELECT, so
        without the SELECT its own next session may give them to other messages.
        """
        for number in numbers:
            mail.deliver(server.maildir(USER), number)
        with server.connect(USER) as client:
            client.select("INBOX")
        return snapshot(server, USER)

    def test_nothing_changes_when_nothing_is_changed(self) -> None:
        with temporary_folder() as root:
            before = self.before(root)
            with self.server(root) as server:
                self.assert_same(before, snapshot(server, USER), "peer != under us")
            # Not from what it holds in memory: read again.
            with self.server(root) as server:
                self.assert_same(before, snapshot(server, USER), "after a restart")
                self.assert_healthy(server)
            self.hand_back(server)
            with self.peer(root) as peer:
                self.assert_same(before, snapshot(peer, USER), "peer != peer after us")
                self.assert_healthy(peer)

    def test_what_we_changed_is_what_the_peer_has(self) -> None:
        with temporary_folder() as root:
            before = self.before(root)
            for week in ("one", "two"):
                with self.server(root) as server:
                    self.assert_same(
                        before, snapshot(server, USER), f"{week}: taken over"
                    )
                    with server.connect(USER) as client:
                        mail.change(client, tag=week)
                        if week == "one":  # Courier sleeps two seconds for each
                            mail.rename(client, "Neu one/Größe", "Neu one/Länge")
                            mail.rename(client, "Archive/2020", "Archive/Zwanzig")
                            client.command(b"DELETE " + client.wire_name("leer"))
                    ours = self.delivered(server, range(210, 212))
                    self.assert_healthy(server)
                self.hand_back(server)
                self.assert_kept(before, ours)
                with self.peer(root) as peer:
                    self.assert_same(ours, snapshot(peer, USER), f"{week}: handed back")
                    # And it can work on with what we wrote.
                    with peer.connect(USER) as client:
                        mail.change(client, tag=f"peer-{week}")
                    before = snapshot(peer, USER)
                    self.assert_healthy(peer)
                    self.assert_kept(ours, before)

    def assert_kept(self, before: Snapshot, after: Snapshot) -> None:
        """A UID keeps its message, and no UID is given out a second time."""
        for name in before.folders.keys() & after.folders.keys():
            old, new = before.folders[name], after.folders[name]
            if old.uidvalidity != new.uidvalidity:
                raise AssertionError(f"{name}: UIDVALIDITY changed")
            for uid, message in new.messages.items():
                was = old.messages.get(uid)
                if was is None and uid < old.uidnext:
                    raise AssertionError(f"{name}: UID {uid} was used before")
                if was is not None and (
                    was.body_sha256 != message.body_sha256
                    or was.internaldate_seconds != message.internaldate_seconds
                ):
                    raise AssertionError(f"{name}: UID {uid} is another message now")


@needs("dovecot")
class DovecotTakeOverTests(TakeOver, unittest.TestCase):
    def peer(self, root: Path) -> DovecotServer:
        return DovecotServer(root)


@needs("dovecot")
class DovecotOldPrefixTakeOverTests(TakeOver, unittest.TestCase):
    """Dovecot as sites run it that came from Courier: clients know ``INBOX.``."""

    def peer(self, root: Path) -> DovecotServer:
        return DovecotServer(root, prefix="INBOX.")

    def server(self, root: Path) -> ImapdServer | Peer:
        if PEER_UNDER_TEST:
            return self.peer(root)
        return ImapdServer(root, namespace="courier")


@needs("courier")
class CourierTakeOverTests(TakeOver, unittest.TestCase):
    def peer(self, root: Path) -> CourierServer:
        return CourierServer(root)

    def hand_back(self, server: ImapdServer | Peer) -> None:
        server.hand_back(USER)

    def test_from_courier_over_us_to_dovecot(self) -> None:
        reason = missing("dovecot")
        if reason or PEER_UNDER_TEST:
            self.skipTest(reason or "only we take Courier's files over")
        with temporary_folder() as root:
            before = self.before(root)
            with ImapdServer(root) as server:
                self.assert_same(before, snapshot(server, USER), "taken over")
            # What we keep is Dovecot's format, so Dovecot needs no help.
            with DovecotServer(root, prefix="INBOX.", utf8=True) as dovecot:
                self.assert_same(before, snapshot(dovecot, USER), "under Dovecot")
                self.assert_healthy(dovecot)
