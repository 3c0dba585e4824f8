"""The system's crypt(3), wherever this Python can reach it."""

import ctypes
import functools
from collections.abc import Callable

#: Larger than any libcrypt's struct crypt_data (glibc 131,232; libxcrypt 32,768).
_CRYPT_DATA_OCTETS = 262_144

Crypt = Callable[[bytes, bytes], bytes | None]


def crypt(password: bytes, setting: bytes) -> bytes | None:
    """Hash ``password`` as ``setting`` (a salt or a whole hash) says.

    Returns:
        None if the system cannot: an unknown method, a NUL, a broken salt, or no
        crypt at all.  The interpreter is free for others while this works.
    """
    if b"\0" in password or b"\0" in setting:
        return None
    implementation = _implementation()
    hashed = None if implementation is None else implementation(password, setting)
    # "*0" and "*1" are libxcrypt's way to say no.
    return None if not hashed or hashed.startswith(b"*") else hashed


@functools.cache
def _implementation() -> Crypt | None:
    """Find libcrypt itself, else the modules around it; None where there is nothing.

    libcrypt comes first: it takes octets that are not UTF-8, and through ctypes it
    runs without the interpreter lock.
    """
    return _from_library() or _from_module("crypt_r") or _from_module("crypt")


def _from_library() -> Crypt | None:
    for name in ("libcrypt.so.1", "libcrypt.so.2", "libcrypt.so"):
        try:
            function = ctypes.CDLL(name, use_errno=True).crypt_r
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
        return functools.partial(_call_library, function)
    return None


def _call_library(
    function: Callable[[bytes, bytes, object], bytes | None],
    password: bytes,
    setting: bytes,
) -> bytes | None:
    # One of its own for each call: threads never share the work space.
    data = ctypes.create_string_buffer(_CRYPT_DATA_OCTETS)
    return function(password, setting, data)


def _from_module(name: str) -> Crypt | None:
    import importlib  # noqa: PLC0415  (rarely reached)
    import warnings  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = importlib.import_module(name)
    except ImportError:
        return None

    def call(password: bytes, setting: bytes) -> bytes | None:
        try:
            hashed: str | None = module.crypt(password.decode(), setting.decode())
        except (UnicodeDecodeError, OSError, ValueError):
            return None
        return None if hashed is None else hashed.encode()

    return call
