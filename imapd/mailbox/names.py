"""Mailbox names as clients write them, and paths as the store keeps them."""

from dataclasses import dataclass

from imapd.errors import Cannot
from imapd.ids import INBOX, MailboxPath
from imapd.model.mailbox import NamespaceStyle


@dataclass(frozen=True, slots=True)
class Namespace:
    """The personal namespace of one account.  RFC 2342 §3."""

    prefix: str
    separator: str

    def path(self, name: str) -> MailboxPath:
        """Read a client's name.

        ``INBOX`` has no case, alone or as the first component.  One separator at
        the end is dropped: CREATE may say so that it will have children
        (RFC 3501 §6.3.3).

        Raises:
            Cannot: no mailbox can have this name here.
        """
        head, separator, tail = name.partition(self.separator)
        if head.upper() == "INBOX":
            name = "INBOX" + separator + tail
        if name == "INBOX" or (name and name == self.prefix):
            return INBOX
        if not name.startswith(self.prefix):
            raise Cannot(f"Mailbox names begin with {self.prefix} here")
        name = name[len(self.prefix) :].removesuffix(self.separator)
        components = tuple(name.split(self.separator))
        if not all(components):
            raise Cannot("A mailbox name has no empty level")
        return INBOX if components == ("INBOX",) and not self.prefix else components

    def name(self, path: MailboxPath) -> str:
        """Write a path as this account's clients know it."""
        if path == INBOX:
            return "INBOX"
        return self.prefix + self.separator.join(path)


NAMESPACES = {
    NamespaceStyle.COURIER: Namespace(prefix="INBOX.", separator="."),
    NamespaceStyle.DOVECOT: Namespace(prefix="", separator="."),
    NamespaceStyle.SLASH: Namespace(prefix="", separator="/"),
}
