"""An account in each namespace, and its names as a client writes and reads them."""

import unittest
from typing import Any

from imapd.model.mailbox import NamespaceStyle
from tests.support.grammar import Untagged
from tests.support.server import Client, Server

STYLES = {
    NamespaceStyle.COURIER: ("INBOX.", "."),
    NamespaceStyle.DOVECOT: ("", "."),
    NamespaceStyle.SLASH: ("", "/"),
}
MESSAGE = b"Subject: x\r\n\r\nx\r\n"


class Names:
    """One account in one namespace, and how its names are written."""

    def __init__(
        self, test: unittest.TestCase, style: NamespaceStyle, **more: Any
    ) -> None:
        self.style = style.value
        self.prefix, self.separator = STYLES[style]
        if "options" not in more:
            more["namespace"] = style
        self.server = Server(test, **more)
        self.client = self.server.login()

    def name(self, *parts: str) -> str:
        return self.prefix + self.separator.join(parts)

    def quoted(self, *parts: str) -> str:
        name = self.name(*parts).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{name}"'

    def listed(self, command: str) -> dict[str, tuple[set[bytes], Any]]:
        """The lines of a LIST or LSUB: name -> attributes, CHILDINFO."""
        found: dict[str, tuple[set[bytes], Any]] = {}
        for each in answers(self.client, command, b"LIST", b"LSUB"):
            self.client.server.test.assertEqual(each[1], self.separator.encode())
            self.client.server.test.assertNotIn(each[2], found, "listed twice")
            more = each[3] if len(each) > 3 else {}
            found[each[2]] = set(each[0]), more.get(b"CHILDINFO")
        return found

    def folders(self) -> set[str]:
        return set(self.listed('LIST "" *')) - {"INBOX"}


def answers(client: Client, command: str, *kinds: bytes) -> list[Any]:
    """The data of the untagged responses of some kinds to a command that succeeds."""
    client.number += 1
    responses = client.write(b"t%d %b\r\n" % (client.number, command.encode()))
    last = client.raw.splitlines()[-1]
    client.server.test.assertTrue(
        last.startswith(b"t%d OK" % client.number), (command, client.raw)
    )
    return [
        each.data
        for each in responses
        if isinstance(each, Untagged) and each.kind in kinds
    ]


def status(client: Client, name: str, items: str) -> dict[bytes, int]:
    (found,) = answers(client, f"STATUS {name} ({items})", b"STATUS")
    counts: dict[bytes, int] = found[1]
    return counts


class NameCase(unittest.TestCase):
    def styles(self, **more: Any) -> list[Names]:
        return [Names(self, style, **more) for style in NamespaceStyle]


def upper(listed: dict[str, tuple[set[bytes], Any]]) -> dict[str, set[bytes]]:
    return {
        name: {each.upper() for each in attributes}
        for name, (attributes, _) in listed.items()
    }
