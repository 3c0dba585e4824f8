"""Making hashes, for the administrator: ``imapd-admin`` and ``python -c``."""

import hashlib
import secrets
from collections.abc import Callable

from imapd.auth import md5state
from imapd.auth.hashes import PASSWORD_OCTETS, BadHash
from imapd.auth.syscrypt import crypt

_SALT_CHARACTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SHA512_ROUNDS = 100_000
PBKDF2_ROUNDS = 600_000
BLOWFISH_COST = 12


def hash_password(scheme: str, password: str) -> str:
    """A new ``{SCHEME}hash`` with a salt of its own, as ``verify`` and Dovecot take it.

    Args:
        scheme: a key of ``MAKERS``; case does not matter.
        password: 1 to ``PASSWORD_OCTETS`` octets in UTF-8.

    Raises:
        BadHash: no such scheme, the system cannot make it, or no such password:
            empty, too long, with a NUL, a colon in a {PLAIN} or a line end.
    """
    name = scheme.upper()
    maker = MAKERS.get(name)
    if maker is None:
        raise BadHash(f"no such scheme; there are {', '.join(sorted(MAKERS))}")
    octets = password.encode()
    if not octets or len(octets) > PASSWORD_OCTETS:
        raise BadHash(f"a password has 1 to {PASSWORD_OCTETS} octets")
    if any(character in password for character in "\0\r\n"):
        raise BadHash("a password has no NUL and no line end")
    return f"{{{name}}}{maker(octets)}"


def _salt(characters: int) -> str:
    return "".join(secrets.choice(_SALT_CHARACTERS) for _ in range(characters))


def _plain(password: bytes) -> str:
    if b":" in password:
        raise BadHash("a passwd-file cannot hold a colon in {PLAIN}")
    return password.decode()


def _cram_md5(password: bytes) -> str:
    return md5state.contexts(password).hex()


def _sha512_crypt(password: bytes) -> str:
    hashed = crypt(password, f"$6$rounds={SHA512_ROUNDS}${_salt(16)}".encode())
    if hashed is None:
        raise BadHash("the system's crypt does not make SHA512-CRYPT of this")
    return hashed.decode()


def _blf_crypt(password: bytes) -> str:
    if len(password) > 72:
        raise BadHash("BLF-CRYPT looks at 72 octets only; take another scheme")
    # The last character carries two bits only: "." is always canonical.
    setting = f"$2y${BLOWFISH_COST:02}${_salt(21)}.".encode()
    hashed = crypt(password, setting)
    if hashed is not None:
        return hashed.decode()
    try:
        import bcrypt  # noqa: PLC0415  (an extra)
    except ImportError:
        raise BadHash("BLF-CRYPT needs the package bcrypt") from None
    return bcrypt.hashpw(password, bcrypt.gensalt(BLOWFISH_COST)).decode()


def _argon2id(password: bytes) -> str:
    try:
        from argon2 import PasswordHasher  # noqa: PLC0415  (an extra)
    except ImportError:
        raise BadHash("ARGON2ID needs the package argon2-cffi") from None
    return PasswordHasher().hash(password, salt=secrets.token_bytes(16))


def _pbkdf2(password: bytes) -> str:
    salt = _salt(16)
    derived = hashlib.pbkdf2_hmac("sha1", password, salt.encode(), PBKDF2_ROUNDS, 20)
    return f"$1${salt}${PBKDF2_ROUNDS}${derived.hex()}"


MAKERS: dict[str, Callable[[bytes], str]] = {
    "ARGON2ID": _argon2id,
    "BLF-CRYPT": _blf_crypt,
    "CRAM-MD5": _cram_md5,
    "PBKDF2": _pbkdf2,
    "PLAIN": _plain,
    "SHA512-CRYPT": _sha512_crypt,
}
