"""Every row of the command table, in every state, with right and wrong arguments."""

import unittest

from imapd.server.registry import COMMANDS
from imapd.server.states import State
from tests.support.server import Client, Server

#: For each command: arguments that are right, and some that are wrong.
RIGHT: dict[bytes, str] = {
    b"CAPABILITY": "",
    b"NOOP": "",
    b"LOGOUT": "",
    b"ID": "NIL",
    b"STARTTLS": "",
    b"LOGIN": "alice wonderland",
    b"AUTHENTICATE": "PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=",
    b"ENABLE": "CONDSTORE",
    b"SELECT": "INBOX",
    b"EXAMINE": "INBOX",
    b"CREATE": "fresh",
    b"DELETE": "there",
    b"RENAME": "there elsewhere",
    b"SUBSCRIBE": "there",
    b"UNSUBSCRIBE": "there",
    b"LIST": '"" *',
    b"LSUB": '"" *',
    b"STATUS": "INBOX (MESSAGES)",
    b"NAMESPACE": "",
    b"IDLE": "",
    b"CHECK": "",
    b"CLOSE": "",
    b"UNSELECT": "",
    b"EXPUNGE": "",
    b"UID EXPUNGE": "1",
    b"SEARCH": "ALL",
    b"UID SEARCH": "ALL",
    b"SORT": "(DATE) UTF-8 ALL",
    b"UID SORT": "(DATE) UTF-8 ALL",
    b"THREAD": "REFERENCES UTF-8 ALL",
    b"UID THREAD": "REFERENCES UTF-8 ALL",
    b"FETCH": "1 FLAGS",
    b"UID FETCH": "1 FLAGS",
    b"STORE": r"1 +FLAGS (\Seen)",
    b"UID STORE": r"1 +FLAGS (\Seen)",
    b"COPY": "1 there",
    b"UID COPY": "1 there",
    b"MOVE": "1 there",
    b"UID MOVE": "1 there",
}
NO_ARGUMENTS = {name for name, arguments in RIGHT.items() if not arguments}
WRONG = (
    "(",
    ")",
    '"',
    '"unfinished',
    "{3",
    "{-1}",
    "{1e3}",
    "{4294967296}",
    "\x7f",
    "%",
    "((((((((((((((((((((((((((((((((((((((((",
    "a\x00b",
    "1:",
    "0",
    "INBOX  INBOX",
    " ",
)
#: What is wrong for most commands and right for these.
HARMLESS: dict[bytes, tuple[str, ...]] = {
    b"ENABLE": ("CONDSTORE surplus", "1:", "0"),
    b"SUBSCRIBE": ("1:", "0"),
    b"UNSUBSCRIBE": ("1:", "0"),
    b"CREATE": ("1:", "0"),
}
#: These leave the selected mailbox even if they fail.  RFC 3501 §6.3.1.
LEAVES = {b"SELECT", b"EXAMINE"}


def client_in(server: Server, state: State) -> Client:
    client = server.connect()
    if state is State.NOT_AUTHENTICATED:
        return client
    client.ok("LOGIN alice wonderland")
    client.command("CREATE there")
    if state is State.SELECTED and b" 0 EXISTS" in client.ok("SELECT INBOX"):
        client.append(b"Subject: x\r\n\r\nx\r\n")
    return client


STATES = (State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED)


class TableTests(unittest.TestCase):
    def test_each_row_is_tried_here(self) -> None:
        streaming = {row.name for row in COMMANDS.values() if row.streams}
        self.assertEqual(streaming, {b"APPEND"})
        self.assertEqual(set(RIGHT), set(COMMANDS) - streaming)

    def test_right_arguments_in_every_state(self) -> None:
        for name, row in COMMANDS.items():
            if row.streams:
                continue
            for state in STATES:
                server = Server(self)
                client = client_in(server, state)
                client.command(f"{name.decode()} {RIGHT[name]}".strip())
                case = f"{name!r} in {state}: {client.raw!r}"
                if state not in row.states:
                    self.assertIn(b" BAD Not in this state", client.raw, case)
                elif name == b"IDLE":
                    self.assertTrue(client.raw.startswith(b"+ "), case)
                    client.write(b"DONE\r\n")
                    self.assertIn(b" OK ", client.raw, case)
                elif name == b"STARTTLS":
                    self.assertIn(b" BAD ", client.raw, case)  # no certificate
                else:
                    self.assertIn(b"t%d OK " % client.number, client.raw, case)

    def test_arguments_too_many_or_wrong(self) -> None:
        for name, row in COMMANDS.items():
            if row.streams:
                continue
            state = max(row.states, key=STATES.index)
            server = Server(self)
            client = client_in(server, state)
            for arguments in (RIGHT[name] + " surplus", *WRONG):
                if client.protocol._closing:  # too many in a row: a new one
                    client = client_in(server, state)
                before = client.protocol.session.state
                client.command(b"%b %b" % (name, arguments.encode("latin-1")))
                case = f"{name!r} {arguments!r}: {client.raw!r}"
                if b" OK " in client.raw.replace(b"* OK [CLOSED] ", b""):
                    self.assertIn(arguments, HARMLESS.get(name, ()), case)
                else:
                    self.assertTrue(
                        b" BAD " in client.raw or b" NO " in client.raw, case
                    )
                if not client.protocol._closing and name not in LEAVES:
                    self.assertEqual(client.protocol.session.state, before, case)

    def test_missing_arguments(self) -> None:
        for name, row in COMMANDS.items():
            if row.streams or name in NO_ARGUMENTS:
                continue
            state = max(row.states, key=STATES.index)
            client = client_in(Server(self), state)
            words = RIGHT[name].split(" ")
            for count in range(len(words)):
                if client.protocol._closing:
                    client = client_in(Server(self), state)
                text = " ".join([name.decode(), *words[:count]])
                if text in ("AUTHENTICATE PLAIN", "CREATE"):
                    continue  # without an initial response it is a command
                client.command(text)
                self.assertIn(b" BAD ", client.raw, text)

    def test_append_in_every_state(self) -> None:
        """The one whose literal is asked for only where it may be sent."""
        for state in STATES:
            client = client_in(Server(self), state)
            client.command("APPEND INBOX {9}")
            if state not in COMMANDS[b"APPEND"].states:
                self.assertIn(b" BAD Not in this state", client.raw, state)
                continue
            self.assertTrue(client.raw.startswith(b"+ "), client.raw)
            client.write(b"To: x\r\n\r\n\r\n")
            self.assertIn(b" OK [APPENDUID ", client.raw, state)

    def test_append_with_arguments_missing_or_wrong(self) -> None:
        client = client_in(Server(self), State.AUTHENTICATED)
        for arguments in (
            "",
            "INBOX",
            "{5}x",
            "INBOX {5}x",
            "INBOX{5}",
            "INBOX  {5}",
            "INBOX () ",
            "INBOX (\\Seen {5}",
            "INBOX \\Seen {5}",
            "INBOX (\\Recent) {5}",
            "INBOX yesterday {5}",
            'INBOX "31-Feb-2020 00:00:00 +0000" {5}',
            "INBOX (\\Seen) INBOX {5}",
            "INBOX {-1}",
            "INBOX {5",
        ):
            if client.protocol._closing:
                client = client_in(Server(self), State.AUTHENTICATED)
            client.command(f"APPEND {arguments}".rstrip())
            self.assertIn(b" BAD ", client.raw, arguments)
            self.assertNotIn(b"+ ", client.raw, arguments)

    def test_unknown_commands(self) -> None:
        client = client_in(Server(self), State.SELECTED)
        for text in ("XYZZY", "UID", "UID NOOP", "SELEC INBOX", "noo\xffp", "FETCH"):
            client.bad(text.encode("latin-1"))
        client.ok("NOOP")


class BadCommandTests(unittest.TestCase):
    # Hardening: P24.

    def test_three_before_login_end_it(self) -> None:
        # Hardening: P21.
        client = Server(self).connect()
        client.bad("ONE")
        client.bad("TWO")
        client.command("THREE")
        self.assertIn(b"* BYE ", client.raw)

    def test_twenty_after_login_end_it_if_nothing_between_makes_sense(self) -> None:
        client = Server(self).login()
        for _ in range(19):
            client.bad("NONSENSE")
        client.ok("NOOP")
        for _ in range(19):
            client.bad("NONSENSE")
        client.command("NONSENSE")
        self.assertIn(b"* BYE ", client.raw)
