"""What CAPABILITY lists, and when.  RFC 3501 §7.2.1."""

from collections.abc import Callable
from typing import Protocol

from imapd.auth.sasl import MECHANISMS
from imapd.server.registry import State
from imapd.server.session import Session
from imapd.server.settings import Settings


class Offering(Protocol):
    """What a connection must tell of itself."""

    session: Session
    settings: Settings
    challengers: dict[bytes, Callable[[], object]]

    @property
    def may_start_tls(self) -> bool:
        """Whether STARTTLS is offered now."""

    @property
    def may_send_password(self) -> bool:
        """Whether a password may cross the connection as it is now."""


#: Offered before login; RFC 5161 and RFC 2971 allow ID there.
BEFORE_LOGIN = (b"LITERAL+", b"SASL-IR", b"ID", b"ENABLE")

#: Offered after login, beside those above.
AFTER_LOGIN = (
    b"CHILDREN",
    b"ESEARCH",
    b"IDLE",
    b"LIST-EXTENDED",
    b"LIST-STATUS",
    b"MOVE",
    b"MULTIAPPEND",
    b"NAMESPACE",
    b"SPECIAL-USE",
    b"CREATE-SPECIAL-USE",
    b"STATUS=SIZE",
    b"UIDPLUS",
    b"UNSELECT",
    b"WITHIN",
)

_CLEARTEXT = {row.name for row in MECHANISMS if row.cleartext}
_KNOWN = {row.name for row in MECHANISMS}


def offered(connection: Offering) -> dict[bytes, list[bytes] | None]:
    """Capabilities in the form of ``IMAP4Server.capabilities``.

    A mechanism is listed only where it would be taken: a cleartext one not before
    TLS.  One that is not ours is taken for cleartext.
    """
    names: dict[bytes, list[bytes] | None] = dict.fromkeys(BEFORE_LOGIN)
    if connection.session.state is not State.NOT_AUTHENTICATED:
        names.update(dict.fromkeys(AFTER_LOGIN))
        limit = connection.settings.limits.append_octets
        names[b"APPENDLIMIT=%d" % limit] = None
        return names
    if connection.may_start_tls:
        names[b"STARTTLS"] = None
    if not connection.may_send_password:
        names[b"LOGINDISABLED"] = None
    mechanisms = usable_mechanisms(connection)
    if mechanisms:
        names[b"AUTH"] = mechanisms
    return names


def usable_mechanisms(connection: Offering) -> list[bytes]:
    """The mechanisms this connection may use as it is now."""
    return [
        name
        for name in connection.challengers
        if connection.may_send_password or (name in _KNOWN and name not in _CLEARTEXT)
    ]
