"""Answers stay right when cache or state are lost, and are nobody else's."""

import os
import re
import shutil

from imapd.store.maildir.account import StoreOptions
from tests.support.accounts import AccountCase
from tests.support.messages import append
from tests.support.server import Client


class CacheTests(AccountCase):
    ITEMS = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)"

    def answers(self, client: Client) -> bytes:
        answer = client.ok(f"FETCH 1:* {self.ITEMS}").rpartition(b"\r\nt")[0]
        return answer.replace(rb"(\Recent)", b"()")

    def test_lost_and_damaged_under_a_running_server(self) -> None:
        # Hardening: D15.
        maildir = self.sample("carol")
        client = self.server().login("carol", select="INBOX")
        wanted = self.answers(client)
        cache = maildir / "imapd-cache.sqlite3"

        def deleted() -> None:
            cache.unlink(missing_ok=True)

        def garbage() -> None:
            cache.write_bytes(b"garbage" * 1000)

        def emptied() -> None:
            os.truncate(cache, 0)

        def cut() -> None:
            os.truncate(cache, cache.stat().st_size // 2)

        def a_directory() -> None:
            cache.unlink()
            cache.mkdir()

        def gone_again() -> None:
            shutil.rmtree(cache) if cache.is_dir() else cache.unlink(missing_ok=True)

        def zeros_in_the_middle() -> None:
            self.answers(client)
            length = cache.stat().st_size
            with cache.open("r+b") as file:
                file.seek(length // 3)
                file.write(bytes(length // 3))

        for case in (deleted, garbage, emptied, cut, a_directory, gone_again):
            for damage in (case, zeros_in_the_middle):
                if damage is case or cache.is_file():
                    damage()
                for _ in range(2):
                    self.assertEqual(self.answers(client), wanted, case.__name__)
            client.ok("STATUS Sent (SIZE MESSAGES)")
        client.ok(r"STORE 1 +FLAGS (\Flagged)")

    def test_elsewhere(self) -> None:
        self.sample("carol")
        place = self.top / "cache" / "carol"
        server = self.server(options=StoreOptions(cache_directory=place))
        wanted = self.answers(server.login("carol", select="INBOX"))
        self.assertTrue((place / "imapd-cache.sqlite3").exists())
        self.assertFalse((server.maildir("carol") / "imapd-cache.sqlite3").exists())
        shutil.rmtree(place)
        self.assertEqual(self.answers(server.login("carol", select="INBOX")), wanted)

    def test_state_lost(self) -> None:
        maildir = self.sample("bob")
        client = self.server().login("bob", select="INBOX")
        questions = (
            "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
            'LSUB "" *',
            'LIST "" *',
            "STATUS INBOX.Sent (MESSAGES UIDNEXT UIDVALIDITY)",
        )
        before = [set(client.ok(each).splitlines()[:-1]) for each in questions]
        for damage in (b"", b"garbage" * 500, None):
            client.hang_up()
            for path in maildir.glob("imapd-state.sqlite3*"):
                path.unlink()
            if damage is not None:
                (maildir / "imapd-state.sqlite3").write_bytes(damage)
            client = self.server().login("bob", select="INBOX")
            after = [set(client.ok(each).splitlines()[:-1]) for each in questions]
            after[0] = {line.replace(rb"\Recent ", b"") for line in after[0]}
            before[0] = {
                re.sub(rb" ?\\Recent", b"", line).replace(rb"( ", b"(")
                for line in before[0]
            }
            self.assertEqual(after, before, damage)
            client.ok("CREATE INBOX.new")  # and everything works
            client.ok("DELETE INBOX.new")

    def test_accounts_never_see_each_other(self) -> None:
        # Hardening: F01, F04, A15.
        places = (None, self.top / "cache")
        for place in places:
            for user in ("alice", "bob"):
                shutil.rmtree(self.root / user, ignore_errors=True)
            server = self.server(options=StoreOptions())
            if place is not None:
                shared = StoreOptions(cache_directory=place)
                server = self.server(options=shared)  # one directory for both, even
            clients = {user: server.login(user) for user in ("alice", "bob")}
            for user, client in clients.items():
                client.ok("CREATE Same")
                append(
                    client,
                    b"Subject: canary-%b\r\n\r\n%b\r\n"
                    % (user.encode(), user.encode()),
                    "Same",
                    f"(kw-{user})",
                )
                client.ok(f"SUBSCRIBE only-{user}")
            # The same GUID and numbers in both, as a copied account has them.
            first, second = (
                server.maildir(user) / ".Same" for user in ("alice", "bob")
            )
            for client in clients.values():
                client.ok("SELECT Same")
                client.ok(f"FETCH 1 {self.ITEMS}")
            for user, other in (("alice", b"bob"), ("bob", b"alice")):
                client = clients[user]
                for command in (
                    f"FETCH 1 {self.ITEMS}",
                    "FETCH 1 BODY[]",
                    "SEARCH TEXT canary",
                    'LIST "" *',
                    'LSUB "" *',
                    "SELECT Same",
                ):
                    answer = client.ok(command)
                    self.assertNotIn(b"canary-" + other, answer, command)
                    self.assertNotIn(b"kw-" + other, answer, command)
                    self.assertNotIn(b"only-" + other, answer, command)
                outside = f"../../{other.decode()}/Maildir/.Same"
                for name in (outside, f"~{other.decode()}", f"/{other.decode()}"):
                    client.no(f'SELECT "{name}"')
            self.assertNotEqual(first, second)
