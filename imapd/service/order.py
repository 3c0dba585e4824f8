"""What a worker is told when it starts: through a pipe, never argv or environment.

The pipe stays open as long as the master lives, and no longer.
"""

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from imapd.service.config import Config

#: The worker's descriptors, after the standard three.
ORDER_DESCRIPTOR: Final = 3
CHANNEL_DESCRIPTOR: Final = 4
FIRST_PORT_DESCRIPTOR: Final = 5

_LENGTH_OCTETS: Final = 4


@dataclass(frozen=True, slots=True)
class PortOrder:
    """A listening socket, which the worker has as ``FIRST_PORT_DESCRIPTOR`` + n."""

    description: str  # as configured
    tls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """All that a worker needs to serve."""

    number: int
    config: Config
    ports: Sequence[PortOrder]
    pem: tuple[bytes, bytes]  # the chain and the key; empty without TLS
    token_key: bytes  # for the hashes of wrong passwords, the same in all workers


def pack(order: Order) -> bytes:
    """An order as octets, with their length before them."""
    # What cannot be changed cannot be pickled.
    config = replace(order.config, special_use=dict(order.config.special_use))
    octets = pickle.dumps(replace(order, config=config))
    return len(octets).to_bytes(_LENGTH_OCTETS, "big") + octets


def read(descriptor: int) -> Order:
    """Wait for an order.

    Raises:
        EOFError: the master is gone.
    """
    length = int.from_bytes(_read(descriptor, _LENGTH_OCTETS), "big")
    # Written by our own master, through a pipe that nobody else has.
    order: Order = pickle.loads(_read(descriptor, length))  # noqa: S301
    uses = MappingProxyType(dict(order.config.special_use))
    return replace(order, config=replace(order.config, special_use=uses))


def _read(descriptor: int, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        more = os.read(descriptor, count - len(octets))
        if not more:
            raise EOFError("the master is gone")
        octets += more
    return octets
