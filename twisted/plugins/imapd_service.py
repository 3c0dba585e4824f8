"""``twistd imapd``.  Discovery imports this on every twistd run: keep it trivial."""

from twisted.application.service import ServiceMaker

imapd = ServiceMaker(
    "imapd",
    "imapd.service.tap",
    "An IMAP4 server: Maildirs, virtual users, TLS.",
    "imapd",
)
