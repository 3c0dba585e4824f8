"""One line of a Dovecot passwd-file.

    user:password:uid:gid:(gecos):home:(shell):extra fields

Extra fields are ``key`` or ``key=value``, a space between them.  Those with
``userdb_`` are about the mail, the others about the login.
"""

import grp
import ipaddress
import pwd
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from imapd.auth.avatar import AvatarId
from imapd.auth.hashes import CRAM_SCHEMES, BadHash, cost, is_locked, parse
from imapd.auth.names import user_name
from imapd.auth.refusals import LoginRefused

LINE_OCTETS = 8192

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Extra fields that change who may do what, and that we do not follow.
UNSUPPORTED = frozenset(
    {"proxy_maybe", "chroot", "userdb_chroot", "delay_until", "login_user"}
    | {"master_user", "fail", "password_noscheme", "userdb_acl_user"}
)
#: Extra fields that close the account: the mail of a ``proxy`` user is elsewhere,
#: and an empty mailbox in its place would make clients delete their copies.
_CLOSING = ("nologin", "deny", "proxy")
_NO = frozenset({"n", "no", "0", "false"})


class LineError(ValueError):
    """A line cannot be used.  The text holds nothing of the line but field names."""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """What a line says."""

    name: str  # lower case
    password: str = field(repr=False)  # with its {SCHEME}; "" fits none
    uid: int | None
    gid: int | None
    home: str | None
    mail: str | None
    login_as: str  # the avatar's name: ``user=`` or the name
    disabled: bool  # locked, nologin, deny, proxy
    any_password: bool  # nopassword
    networks: tuple[Network, ...] | None  # allow_nets; None: from anywhere
    local: bool  # allow_nets holds "local"
    unsupported: tuple[str, ...]  # names of extra fields that we do not follow
    cost: str  # of the hash, as ``hashes.cost``; "" where none is verified
    cram: bool  # the hash can check a CRAM-MD5 response

    def avatar(self) -> AvatarId:
        """What the portal, or the administrator, asks for mail with."""
        return AvatarId(
            self.login_as.encode(),
            home=self.home,
            mail=self.mail,
            uid=self.uid,
            gid=self.gid,
        )

    def allows(self, peer: str | None) -> bool:
        """Whether this user may come from ``peer``.

        None, an address nobody told us, is allowed only where all are; ``""``,
        ``local`` and ``unix`` are connections without an address, over a Unix socket.
        """
        if self.networks is None:
            return True
        if peer is None:
            return False
        if peer in {"", "local", "unix"}:
            return self.local
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)


def is_ignored(line: bytes) -> bool:
    """Whether the line says nothing: empty, a comment, or no name."""
    return not line.strip() or line.startswith((b"#", b":"))


def parse_line(line: bytes) -> UserRecord:
    """Read one line, without its line end.

    Raises:
        LineError: why it cannot be used.
    """
    if len(line) > LINE_OCTETS:
        raise LineError(f"longer than {LINE_OCTETS} octets")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise LineError("not UTF-8") from None
    if "\0" in text:
        raise LineError("a NUL")
    fields = text.split(":")
    fields += [""] * (8 - len(fields))
    name, password, uid, gid, _, home, _ = fields[:7]
    name = _name(name, "the user name")
    extra = _extra_fields(fields[7:], name, home)
    any_password = _is_set(extra, "nopassword")
    disabled = any(_is_set(extra, key) for key in _CLOSING)
    scheme = ""
    if any_password and password:
        raise LineError("nopassword beside a password")
    if not any_password and (not password or is_locked(password)):
        disabled = True
    elif password:
        scheme = _scheme(password)
    networks, local = _networks(extra.get("allow_nets"))
    return UserRecord(
        name=name,
        password=password,
        uid=_number(extra.get("userdb_uid", uid), "uid", _uid_of),
        gid=_number(extra.get("userdb_gid", gid), "gid", _gid_of),
        home=extra.get("userdb_home", home) or None,
        mail=extra.get("userdb_mail", extra.get("mail", "")) or None,
        login_as=_name(extra.get("user", name), "user="),
        disabled=disabled,
        any_password=any_password,
        networks=networks,
        local=local,
        unsupported=tuple(sorted(UNSUPPORTED & extra.keys())),
        cost=cost(password) if scheme and not disabled else "",
        cram=not disabled and scheme in CRAM_SCHEMES,
    )


def _name(text: str, what: str) -> str:
    try:
        return user_name(text.encode()).decode().lower()
    except LoginRefused:
        raise LineError(f"{what} is not one that a login may have") from None


def _scheme(password: str) -> str:
    try:
        return parse(password).name
    except BadHash as bad:
        raise LineError(str(bad)) from None


def _is_set(extra: dict[str, str], key: str) -> bool:
    return key in extra and extra[key].lower() not in _NO


def _extra_fields(fields: list[str], name: str, home: str) -> dict[str, str]:
    """Take the extra fields apart; a colon in one of them is part of it."""
    if fields[0] == "" and len(fields) > 1:  # old form: the mail location alone
        return {"userdb_mail": _expand(":".join(fields[1:]), name, home)}
    extra: dict[str, str] = {}
    for item in ":".join(fields).split():
        key, _, value = item.partition("=")
        used = key in {"mail", "user"} or key.startswith("userdb_")
        extra[key] = _expand(value, name, home) if used else value
    return extra


_VARIABLE = re.compile(r"%(?:\{(\w+)\}|(.?))")


def _expand(value: str, name: str, home: str) -> str:
    """Put in ``%u %n %d %h %%`` and their long names, once: never what was put in."""
    local, _, domain = name.partition("@")
    variables = {"u": name, "user": name, "n": local, "username": local}
    variables |= {"d": domain, "domain": domain, "h": home, "home": home, "%": "%"}

    def put_in(found: re.Match[str]) -> str:
        known = variables.get(found[1] or found[2])
        if known is None:
            raise LineError("a variable that we do not know")
        return known

    return _VARIABLE.sub(put_in, value)


def _networks(value: str | None) -> tuple[tuple[Network, ...] | None, bool]:
    if value is None:
        return None, False
    items = [item for item in value.split(",") if item]
    try:
        networks = tuple(
            ipaddress.ip_network(item, strict=False)
            for item in items
            if item != "local"
        )
    except ValueError:
        raise LineError("allow_nets with something that is no network") from None
    return networks, "local" in items


def _number(text: str, what: str, lookup: Callable[[str], int]) -> int | None:
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,10}", text) and int(text) < 2**32 - 1:
        return int(text)
    try:
        return lookup(text)
    except (KeyError, OSError, ValueError):
        raise LineError(f"unknown {what}") from None


def _uid_of(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _gid_of(name: str) -> int:
    return grp.getgrnam(name).gr_gid
