"""What a client's address, as text, says of where it is."""

import ipaddress
from functools import lru_cache

#: Asked several times for each connection, and most clients come again.
_KEPT_ADDRESSES = 4096


@lru_cache(_KEPT_ADDRESSES)
def is_near(host: str) -> bool:
    """Whether what goes to this peer stays on this machine.

    ``host`` is an address as text, also one that a proxy wrote, or ``unix``.
    """
    if host == "unix":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).is_loopback


@lru_cache(_KEPT_ADDRESSES)
def place(address: str) -> str:
    """What counts as one address: of IPv6 the /64; other text is itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    mapped = parsed.ipv4_mapped
    return parsed.packed[:8].hex() if mapped is None else str(mapped)
