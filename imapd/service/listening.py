"""Endpoint strings: what is wrong with one, and whether it stays on this machine."""

import ipaddress
import re
from typing import cast

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)

from imapd.service.proxied import ProxiedEndpoint, ProxiedFactory

#: Wrap a connection in TLS of their own, which could not be reloaded.
_TLS_PREFIXES = ("ssl", "tls", "txsni", "le", "lets")


#: So many may have connected and not been accepted yet.  Of Twisted's 50 a restart
#: is too much: who does not get in tries again after one second, three, seven.
_BACKLOG = 1024


def make_endpoint(description: str) -> IStreamServerEndpoint:
    """Return the endpoint that the string describes.

    Raises:
        ValueError: what is wrong, and what would be right.
    """
    # Late: which one it is may still be chosen by the command line of twistd.
    from twisted.internet import reactor  # noqa: PLC0415

    prefix, arguments = split(description)
    if prefix == "haproxy":
        behind = make_endpoint(description.partition(":")[2])
        return ProxiedEndpoint(behind, cast(IReactorTime, reactor))
    if prefix in _TLS_PREFIXES:
        raise ValueError(
            f'"{prefix}:" has a certificate of its own; write "tcp:..." '
            "with imaps, certificate and key"
        )
    if prefix not in ("tcp", "tcp6", "unix", "systemd"):
        known = "tcp:993, tcp6:993, systemd:domain=INET:name=imaps, haproxy:tcp:993"
        raise ValueError(f'"{prefix}:" is not known here; write for example {known}')
    _check_port(prefix, arguments)
    if prefix != "systemd" and not any(
        each.startswith("backlog=") for each in arguments
    ):
        description += f":backlog={_BACKLOG}"
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
        return endpoint
    except KeyError as error:
        raise ValueError(
            f"systemd passed no socket named {error}; "
            "is the socket unit running, with FileDescriptorName="
        ) from error
    except IndexError as error:
        raise ValueError(
            "systemd passed no socket; is the socket unit running"
        ) from error
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(f"no endpoint Twisted understands: {error}") from error


def wrap(
    description: str, factory: IProtocolFactory, clock: IReactorTime
) -> IProtocolFactory:
    """What listens at a socket that another process opened for this endpoint."""
    prefix, _ = split(description)
    if prefix != "haproxy":
        return factory
    behind = wrap(description.partition(":")[2], factory, clock)
    return ProxiedFactory(behind, clock)


def check(description: str) -> None:
    """Check a string as far as is possible without the sockets of systemd.

    Raises:
        ValueError: as ``make_endpoint`` does.
    """
    prefix, arguments = split(description)
    if prefix == "haproxy" and arguments:
        check(description.partition(":")[2])
    elif prefix == "systemd":
        names = {each.partition("=")[0] for each in arguments}
        if "domain" not in names or not names & {"name", "index"}:
            raise ValueError("write for example systemd:domain=INET6:name=imaps")
    else:
        make_endpoint(description)


def split(description: str) -> tuple[str, list[str]]:
    """Split at colons that no backslash precedes: the prefix, and the rest."""
    prefix, *arguments = re.split(r"(?<!\\):", description)
    return prefix, [re.sub(r"\\(.)", r"\1", each) for each in arguments]


def stays_local(description: str) -> bool:
    """Whether only this machine can connect; False where that is not known."""
    prefix, arguments = split(description)
    if prefix == "unix":
        return True
    if prefix == "haproxy":
        return False  # what the proxy forwards may come from anywhere
    for each in arguments[1:] if prefix.startswith("tcp") else []:
        name, _, value = each.partition("=")
        if name == "interface":
            try:
                return ipaddress.ip_address(value).is_loopback
            except ValueError:
                return value == "localhost"
    return False


def _check_port(prefix: str, arguments: list[str]) -> None:
    if prefix not in ("tcp", "tcp6"):
        return
    text = next((each[5:] for each in arguments if each.startswith("port=")), "")
    text = text or (arguments[0] if arguments and "=" not in arguments[0] else "")
    if not (text.isascii() and text.isdecimal() and int(text[:6]) <= 65535):
        raise ValueError(f'"{text}" is no port; write for example {prefix}:993')
