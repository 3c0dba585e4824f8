"""What the server makes is for the owner of the mail alone, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from imapd.store.maildir.account import StoreOptions
from tests.support.accounts import AccountCase
from tests.support.messages import MESSAGE, append

#: Empty, named by its number alone, and as Dovecot makes it, which reads it too.
COUNTER = "dovecot-uidvalidity."


def below(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.rglob("*")


class ModeTests(AccountCase):
    def test_nobody_else_may_read_what_we_make(self) -> None:
        # Hardening: F05.
        self.addCleanup(os.umask, os.umask(0))
        cache = self.top / "cache"
        server = self.server(options=StoreOptions(cache_directory=cache))
        client = server.login("alice")
        for name in ("Work", "Work/Deep", "Old"):
            client.ok(f"CREATE {name}")
        client.ok("CREATE Gone")
        client.ok("SUBSCRIBE Work")
        client.ok("ENABLE QRESYNC")
        client.ok("SELECT INBOX")
        words = " ".join(f"word{number}" for number in range(30))
        for _ in range(3):
            append(client, MESSAGE, "INBOX", f"({words})")
        client.ok("FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[])")
        client.ok("SEARCH TEXT body")
        client.ok("SORT (SUBJECT) UTF-8 ALL")
        client.ok("COPY 1:2 Work")
        client.ok("MOVE 3 Work/Deep")
        client.ok(r"STORE 1 +FLAGS (\Deleted $Forwarded)")
        client.ok("EXPUNGE")
        client.ok("RENAME Work Done")
        client.ok("DELETE Gone")
        client.ok("RENAME INBOX Before")
        client.ok("LOGOUT")
        server.clock.advance(60)
        paths = [*below(server.maildir("alice")), *below(cache)]
        self.assertGreater(len(paths), 40)
        for path in paths:
            if path.name.startswith(COUNTER):
                self.assertEqual(path.stat().st_size, 0, path)
                continue
            mode = path.lstat().st_mode
            wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
            self.assertEqual(oct(stat.S_IMODE(mode)), oct(wanted), path)
