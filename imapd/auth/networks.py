"""Whose a client's address is: the networks that are given to one customer.

An IPv4 address that is carried in an IPv6 one is the IPv4 address.  Else all of IPv4
would be one network of IPv6, or each of its addresses a whole customer's.
"""

import ipaddress
from functools import lru_cache
from socket import AF_INET, inet_pton
from typing import Final

#: Asked at each login, and most clients come again.
_KEPT_PEERS: Final = 4096
_TEXT_CHARACTERS: Final = 64
#: Longer than any prefix, so that no text is one.
_TEXT: Final = b"elsewhere:"

#: Octets of the networks of IPv6, from one subnet on outwards: what a customer has,
#: what one has at home from most providers, and what a site has.  RFC 6177 §2.
IPV6_OCTETS: Final = (8, 7, 6)
#: Neighbours in IPv4 have one provider, and who rents some addresses has them here.
IPV4_OCTETS: Final = 3

#: What a translator at our end makes of an IPv4 client.  RFC 6052 §2.1; nobody may
#: send from it through the Internet, §3.1.
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_address(text: str) -> Address | None:
    """The address that a text is; None: it is none."""
    try:
        # The same that is taken below, of IPv4 for a third of the work.
        return ipaddress.IPv4Address(inet_pton(AF_INET, text))
    except (OSError, ValueError):
        pass
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def counted_address(peer: str) -> Address | None:
    """The address that a client has for counting; None: the text is no address.

    Those that hold an IPv4 address are that address: mapped ones (RFC 4291
    §2.5.5.2), 6to4 (RFC 3056 §2: whoever has an IPv4 address has a /48 by it),
    Teredo (RFC 4380 §4: all clients of a server are in one /64, and a client has the
    choice of servers), and of NAT64 the well-known prefix.  Other prefixes of NAT64
    are not to be told from any network.  Inside of the last three stand addresses of
    the Internet alone: any other is made up.

    This is no address to trust: who is near, or allowed, goes by the one as sent.
    """
    address = read_address(peer.partition("%")[0])
    if address is None or isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    inside = address.sixtofour
    if address.teredo is not None:
        inside = address.teredo[1]
    elif address in _TRANSLATED:
        inside = ipaddress.IPv4Address(address.packed[12:])
    return address if inside is None or not inside.is_global else inside


@lru_cache(_KEPT_PEERS)
def networks(peer: str) -> tuple[bytes, ...]:
    """The names of the networks of an address, the narrowest first.

    Of IPv4 it is the /24; of IPv6 /64, /56 and /48; other text is a place of its own.
    No two networks have one name.
    """
    address = counted_address(peer)
    if address is None:
        return (_TEXT + peer[:_TEXT_CHARACTERS].encode(errors="replace"),)
    if isinstance(address, ipaddress.IPv4Address):
        return (address.packed[:IPV4_OCTETS],)
    return tuple(address.packed[:octets] for octets in IPV6_OCTETS)
