"""What CAPABILITY lists, and when.  RFC 3501 §7.2.1."""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from imapd.auth.sasl import MECHANISMS
from imapd.server.session import Session
from imapd.server.settings import Settings
from imapd.server.states import State


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


#: Offered in every state: clients that ask only once, before login, go by that.
ALWAYS = (
    b"CHILDREN",
    b"CONDSTORE",
    b"CREATE-SPECIAL-USE",
    b"ENABLE",
    b"ESEARCH",
    b"ESORT",
    b"ID",
    b"IDLE",
    b"LIST-EXTENDED",
    b"LIST-STATUS",
    b"LITERAL+",
    b"MOVE",
    b"MULTIAPPEND",
    b"NAMESPACE",
    b"QRESYNC",
    b"SASL-IR",
    b"SPECIAL-USE",
    b"SORT",
    b"SORT=DISPLAY",
    b"STATUS=SIZE",
    b"THREAD=ORDEREDSUBJECT",
    b"THREAD=REFERENCES",
    b"THREAD=REFS",
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
    append_octets = connection.settings.limits.append_octets
    if connection.session.state is not State.NOT_AUTHENTICATED:
        return dict.fromkeys(_names(append_octets, False, False))
    names: dict[bytes, list[bytes] | None] = dict.fromkeys(
        _names(
            append_octets, connection.may_start_tls, not connection.may_send_password
        )
    )
    mechanisms = usable_mechanisms(connection)
    if mechanisms:
        names[b"AUTH"] = mechanisms
    return names


def listed(connection: Offering) -> tuple[bytes, ...]:
    """The names that CAPABILITY lists now: those ``offered``, without the hidden.

    The same object so long as they are the same.
    """
    hidden = connection.settings.hidden_capabilities
    append_octets = connection.settings.limits.append_octets
    if connection.session.state is not State.NOT_AUTHENTICATED:
        return _listed(append_octets, hidden, False, False, ())
    return _listed(
        append_octets,
        hidden,
        connection.may_start_tls,
        not connection.may_send_password,
        tuple(usable_mechanisms(connection)),
    )


@lru_cache(maxsize=64)  # of each factory four at the most, while mechanisms stay
def _listed(
    append_octets: int,
    hidden: frozenset[bytes],
    starts_tls: bool,
    login_disabled: bool,
    mechanisms: tuple[bytes, ...],
) -> tuple[bytes, ...]:
    names = [b"IMAP4rev1", *_names(append_octets, starts_tls, login_disabled)]
    names += [b"AUTH=" + mechanism for mechanism in mechanisms]
    return tuple(name for name in names if name.upper() not in hidden)


def _names(append_octets: int, starts_tls: bool, login_disabled: bool) -> list[bytes]:
    """All but IMAP4rev1 and the mechanisms."""
    names = [*ALWAYS, b"APPENDLIMIT=%d" % append_octets]
    if starts_tls:
        names.append(b"STARTTLS")
    if login_disabled:
        names.append(b"LOGINDISABLED")
    return names


def usable_mechanisms(connection: Offering) -> list[bytes]:
    """The mechanisms this connection may use as it is now."""
    if connection.may_send_password:
        return list(connection.challengers)
    return [
        name
        for name in connection.challengers
        if name in _KNOWN and name not in _CLEARTEXT
    ]
