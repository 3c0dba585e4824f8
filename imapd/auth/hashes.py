"""Dovecot's password schemes: ``{SCHEME}hash``, ``{SCHEME.hex}hash``, a bare crypt."""

import base64
import binascii
import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest

from imapd.auth import md5state
from imapd.auth.syscrypt import crypt

#: crypt(3) takes 512; a longer password is a wrong one.
PASSWORD_OCTETS = 1024
#: A hash that would keep a thread busy for minutes is a mistake in the file.
MOST_ROUNDS = 10_000_000
MOST_BLOWFISH_COST = 18
MOST_ARGON2_KIBIBYTES = 1 << 21
MOST_ARGON2_WORK_KIBIBYTES = 1 << 24  # memory times passes: some ten seconds

Verify = Callable[[bytes, bytes], bool]  # raw hash, password


class BadHash(ValueError):
    """A stored hash cannot be used.  The text never holds the hash."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one scheme is written and checked."""

    verify: Verify
    encoding: str = ""  # "", "hex" or "b64": the usual one
    raw_octets: int = 0  # 0: any number
    slow: bool = False
    check: Callable[[bytes], None] | None = None  # raises BadHash


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored hash, taken apart."""

    name: str
    scheme: Scheme
    raw: bytes


def verify(stored: str, password: bytes) -> bool:
    """Whether ``password`` is the one behind ``stored``.  Never raises for bad data.

    An empty hash or a locked one (``*``, ``!…``) fits no password.
    """
    try:
        parsed = parse(stored)
    except BadHash:
        return False
    if not parsed.raw or b"\0" in password or len(password) > PASSWORD_OCTETS:
        return False
    return parsed.scheme.verify(parsed.raw, password)


def needs_thread(stored: str) -> bool:
    """Whether ``verify`` takes milliseconds, not microseconds."""
    try:
        return parse(stored).scheme.slow
    except BadHash:
        return False


def is_locked(stored: str) -> bool:
    """Whether the field says that no password fits: ``*``, ``!…`` or ``x``."""
    text = re.sub(r"\A\{CRYPT\}", "", stored, flags=re.IGNORECASE)
    return text == "x" or text.startswith(("*", "!"))


def cost(stored: str) -> str:
    """Scheme and parameters without salt and hash: equal cost, equal text."""
    try:
        parsed = parse(stored)
    except BadHash:
        return ""
    if parsed.name == "PBKDF2":
        return f"PBKDF2 {parsed.raw.split(b'$')[3].decode()}"
    found = _PARAMETERS.match(parsed.raw) if parsed.scheme.slow else None
    return f"{parsed.name} {found[0].decode() if found else ''}"


def parse(stored: str) -> Stored:
    """Take a stored hash apart and check its form.

    Raises:
        BadHash: the text says why.
    """
    name, text = _split_scheme(stored)
    name, _, suffix = name.upper().partition(".")
    scheme = SCHEMES.get(name)
    if scheme is None:
        raise BadHash("unknown password scheme")
    raw = _decode(scheme, suffix, text)
    if scheme.raw_octets and len(raw) != scheme.raw_octets:
        raise BadHash(f"{name} hash of the wrong length")
    if scheme.check is not None:
        scheme.check(raw)
    return Stored(name, scheme, raw)


def _split_scheme(stored: str) -> tuple[str, str]:
    if stored.startswith("{"):
        name, closed, text = stored[1:].partition("}")
        if not closed:
            raise BadHash("{ without }")
        return name, text
    if stored.startswith("$1$"):  # what follows a third "$" is not the hash's
        return "MD5-CRYPT", "$".join(stored.split("$")[:4])
    old = _PAM_PWDFILE.match(stored)
    if old is not None:
        return ("PLAIN-MD5" if old[2] == "34" else "CRYPT"), old[1]
    return "CRYPT", stored


_SUFFIXES = {"HEX": "hex", "B64": "b64", "BASE64": "b64"}


def _decode(scheme: Scheme, suffix: str, text: str) -> bytes:
    octets = text.encode(errors="surrogatepass")
    encoding = _SUFFIXES.get(suffix) if suffix else scheme.encoding
    if encoding is None:
        raise BadHash("unknown encoding of the hash")
    if not suffix and scheme.raw_octets:  # a fixed length tells which one it is
        encoding = "hex" if len(octets) == scheme.raw_octets * 2 else "b64"
    try:
        if encoding == "hex":
            return binascii.unhexlify(octets)
        if encoding == "b64":
            return base64.b64decode(octets, validate=True)
    except ValueError:
        raise BadHash(f"not {encoding}") from None
    return octets


def _plain(raw: bytes, password: bytes) -> bool:
    return compare_digest(raw, password)


def _truncated(raw: bytes, password: bytes) -> bool:
    length, _, kept = raw.partition(b"-")
    return compare_digest(kept, password[: int(length)])


def _check_truncated(raw: bytes) -> None:
    # Of a length of 0, or of nothing, every password would be a beginning.
    if not re.match(rb"(?!0+-)[0-9]{1,4}-.", raw, re.DOTALL):
        raise BadHash("PLAIN-TRUNC without its length, or with nothing left")


def _digest(name: str) -> Verify:
    def check(raw: bytes, password: bytes) -> bool:
        return compare_digest(raw, hashlib.new(name, password).digest())

    return check


def _salted(name: str, octets: int) -> Verify:
    def check(raw: bytes, password: bytes) -> bool:
        digest = hashlib.new(name, password + raw[octets:]).digest()
        return compare_digest(raw[:octets], digest)

    return check


def _check_salted(octets: int) -> Callable[[bytes], None]:
    def check(raw: bytes) -> None:
        if len(raw) <= octets:
            raise BadHash("salted hash without a salt")

    return check


def _cram_md5(raw: bytes, password: bytes) -> bool:
    return compare_digest(raw, md5state.contexts(password))


def _crypt(raw: bytes, password: bytes) -> bool:
    hashed = crypt(password, raw)
    if hashed is None and raw.startswith(b"$2"):
        hashed = _bcrypt(raw, password)
    return hashed is not None and compare_digest(hashed, raw)


def _bcrypt(raw: bytes, password: bytes) -> bytes | None:
    """Blowfish by the ``bcrypt`` package, where the system's crypt has none."""
    try:
        import bcrypt  # noqa: PLC0415  (an extra)

        # crypt(3) looks at 72 octets; the package refuses more.
        hashed = bcrypt.hashpw(password[:72], raw)
    except (ImportError, ValueError):
        return None
    return raw[:4] + hashed[4:]  # it writes 2b for the equal 2y


def _check_crypt(raw: bytes) -> None:
    if raw in (b"", b"x") or raw.startswith((b"*", b"!")):  # fits no password
        return
    if not _CRYPT_FORM.match(raw):
        raise BadHash("not a crypt hash (a password in clear needs {PLAIN})")
    rounds = re.match(rb"\$(?:[56]\$rounds=|sha1\$)([0-9]+)\$", raw)
    if rounds and int(rounds[1]) > MOST_ROUNDS:
        raise BadHash("more rounds than we take")
    blowfish = re.match(rb"\$2[abxy]\$([0-9]{2})\$", raw)
    if blowfish and int(blowfish[1]) > MOST_BLOWFISH_COST:
        raise BadHash("a higher cost than we take")
    if not _knows_method(_method(raw)):
        raise BadHash("a method that the system's crypt does not know")


def _method(raw: bytes) -> bytes:
    found = re.match(rb"\$[0-9a-z]+\$", raw)
    return found[0] if found else b""


@functools.cache
def _knows_method(method: bytes) -> bool:
    """Try a cheap hash once: an unknown method shows at reading, not at login."""
    salts = {
        b"$5$": b"$5$rounds=1000$abcdefgh",
        b"$6$": b"$6$rounds=1000$abcdefgh",
        b"$1$": b"$1$abcdefgh",
        b"": b"ab",
    }
    blowfish = method in {b"$2a$", b"$2b$", b"$2x$", b"$2y$"}
    setting = method + b"04$" + b"." * 22 if blowfish else salts.get(method)
    if setting is None:  # yescrypt and others have no common form: the login shows it
        return True
    if crypt(b"x", setting) is not None:
        return True
    return blowfish and _bcrypt(setting, b"x") is not None


def _md5(raw: bytes, password: bytes) -> bool:
    """Dovecot's {MD5} is MD5-CRYPT, or else a plain digest in hex or base64."""
    if raw.startswith(b"$1$"):
        return _crypt(raw, password)
    return _digest("md5")(_plain_md5(raw), password)


def _plain_md5(raw: bytes) -> bytes:
    octets = _decode(SCHEMES["PLAIN-MD5"], "", raw.decode("latin-1"))
    if len(octets) != 16:
        raise BadHash("MD5 hash of the wrong length")
    return octets


def _check_md5(raw: bytes) -> None:
    if raw.startswith(b"$1$"):
        _check_crypt(raw)
    else:
        _plain_md5(raw)


def _pbkdf2(raw: bytes, password: bytes) -> bool:
    """``$1$salt$rounds$hex``: PBKDF2 with HMAC-SHA-1, 20 octets.  RFC 8018 §5.2."""
    _, _, salt, rounds, digest = raw.split(b"$")
    derived = hashlib.pbkdf2_hmac("sha1", password, salt, int(rounds), 20)
    return compare_digest(derived.hex().encode(), digest.lower())


def _check_pbkdf2(raw: bytes) -> None:
    found = re.match(rb"\$1\$[^$]*\$([0-9]{1,9})\$[0-9a-fA-F]{40}\Z", raw)
    if not found or not 1 <= int(found[1]) <= MOST_ROUNDS:
        raise BadHash("not $1$salt$rounds$hex")


def _argon2(raw: bytes, password: bytes) -> bool:
    from argon2 import exceptions, low_level  # noqa: PLC0415  (an extra)

    kind = low_level.Type.ID if raw.startswith(b"$argon2id$") else low_level.Type.I
    try:
        return low_level.verify_secret(raw, password, kind)
    except (exceptions.Argon2Error, ValueError):
        return False


def _check_argon2(raw: bytes) -> None:
    form = (
        rb"\$argon2id?\$(?:v=[0-9]{2}\$)?m=([0-9]{1,9}),t=([0-9]{1,3}),p=[0-9]{1,3}\$"
    )
    found = re.match(form, raw)
    if not found or int(found[1]) > MOST_ARGON2_KIBIBYTES:
        raise BadHash("not an Argon2 hash, or one that needs more memory than we take")
    if int(found[1]) * int(found[2]) > MOST_ARGON2_WORK_KIBIBYTES:
        raise BadHash("more passes than we take")
    try:
        import argon2  # noqa: F401, PLC0415  (an extra)
    except ImportError:
        raise BadHash("Argon2 needs the package argon2-cffi") from None


_PARAMETERS = re.compile(
    rb"\$argon2\w*\$(?:v=\d+\$)?[^$]*|\$[56]\$(?:rounds=\d+)?|\$2\w\$\d\d|\$y\$\w+|\$\w+\$"
)
_PAM_PWDFILE = re.compile(r"([^{$].*)\[([0-9]{2})\]\Z")
#: DES (13 characters), BSDi (20), or a modular ``$method$…``.
_CRYPT_FORM = re.compile(rb"(?:[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19}|\$[0-9a-z]+\$.+)\Z")

_SYSTEM_CRYPT = Scheme(_crypt, slow=True, check=_check_crypt)
_ARGON2 = Scheme(_argon2, slow=True, check=_check_argon2)
_SHA1 = Scheme(_digest("sha1"), "b64", 20)
_CRAM_MD5 = Scheme(_cram_md5, "hex", 32)

#: The password schemes of Dovecot 2.3 that we take, by their names and aliases.
SCHEMES: dict[str, Scheme] = {
    **dict.fromkeys(("PLAIN", "CLEAR", "CLEARTEXT"), Scheme(_plain)),
    "PLAIN-TRUNC": Scheme(_truncated, check=_check_truncated),
    **dict.fromkeys(("CRAM-MD5", "HMAC-MD5"), _CRAM_MD5),
    **dict.fromkeys(("CRYPT", "DES-CRYPT", "MD5-CRYPT", "BLF-CRYPT"), _SYSTEM_CRYPT),
    **dict.fromkeys(("SHA256-CRYPT", "SHA512-CRYPT"), _SYSTEM_CRYPT),
    **dict.fromkeys(("ARGON2I", "ARGON2ID"), _ARGON2),
    **dict.fromkeys(("SHA", "SHA1"), _SHA1),
    "SHA256": Scheme(_digest("sha256"), "b64", 32),
    "SHA512": Scheme(_digest("sha512"), "b64", 64),
    "SMD5": Scheme(_salted("md5", 16), "b64", check=_check_salted(16)),
    "SSHA": Scheme(_salted("sha1", 20), "b64", check=_check_salted(20)),
    "SSHA256": Scheme(_salted("sha256", 32), "b64", check=_check_salted(32)),
    "SSHA512": Scheme(_salted("sha512", 64), "b64", check=_check_salted(64)),
    "MD5": Scheme(_md5, slow=True, check=_check_md5),
    "PLAIN-MD5": Scheme(_digest("md5"), "hex", 16),
    "LDAP-MD5": Scheme(_digest("md5"), "b64", 16),
    "PBKDF2": Scheme(_pbkdf2, slow=True, check=_check_pbkdf2),
}

#: Schemes from which a CRAM-MD5 response can be checked.
CRAM_SCHEMES = frozenset({"PLAIN", "CLEAR", "CLEARTEXT", "CRAM-MD5", "HMAC-MD5"})
