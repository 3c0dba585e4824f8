"""What a client's address is as text, and what that says of where it is."""

import ipaddress
from functools import lru_cache

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from imapd.auth.networks import counted_address, read_address

#: Asked several times for each connection, and most clients come again.
_KEPT_ADDRESSES = 4096


def host_of(peer: object) -> str:
    """A transport's peer without its port, ``unix``, or whatever a proxy names."""
    if isinstance(peer, IPv4Address | IPv6Address):
        return peer.host
    return "unix" if isinstance(peer, UNIXAddress) else str(peer)


@lru_cache(_KEPT_ADDRESSES)
def is_near(host: str) -> bool:
    """Whether what goes to this peer stays on this machine.

    ``host`` is an address as text, also one that a proxy wrote, or ``unix``.
    """
    if host == "unix":
        return True
    address = read_address(host)
    if address is None:
        return False
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).is_loopback


@lru_cache(_KEPT_ADDRESSES)
def place(address: str) -> str:
    """What counts as one address: of IPv6 the /64; other text is itself."""
    counted = counted_address(address)
    if counted is None:
        return address
    if isinstance(counted, ipaddress.IPv4Address):
        return str(counted)
    return counted.packed[:8].hex()
