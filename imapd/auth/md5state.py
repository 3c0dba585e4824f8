"""MD5 from a saved state, for the two contexts of {CRAM-MD5}.  RFC 1321.

hashlib gives no way into the middle of a digest, and the contexts are just that:
the state after the first block of the inner and of the outer hash of HMAC.
"""

import hashlib
import math
import struct

BLOCK_OCTETS = 64
_INITIAL = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_SINES = tuple(int(abs(math.sin(i + 1)) * 2**32) for i in range(64))
_SHIFTS = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
_MASK = 0xFFFFFFFF

State = tuple[int, int, int, int]


def _round_value(step: int, b: int, c: int, d: int) -> tuple[int, int]:
    """The function and the word index of one step.  RFC 1321 §3.4."""
    if step < 16:
        return (b & c) | (~b & d), step
    if step < 32:
        return (d & b) | (~d & c), (5 * step + 1) % 16
    if step < 48:
        return b ^ c ^ d, (3 * step + 5) % 16
    return c ^ (b | ~d & _MASK), (7 * step) % 16


def _compress(state: State, block: bytes) -> State:
    """Take one block of 64 octets into the state.  RFC 1321 §3.4."""
    words = struct.unpack("<16I", block)
    a, b, c, d = state
    for step in range(64):
        value, index = _round_value(step, b, c, d)
        total = (a + value + _SINES[step] + words[index]) & _MASK
        shift = _SHIFTS[step // 16][step % 4]
        rotated = ((total << shift) | (total >> (32 - shift))) & _MASK
        a, b, c, d = d, (b + rotated) & _MASK, b, c
    return (
        (state[0] + a) & _MASK,
        (state[1] + b) & _MASK,
        (state[2] + c) & _MASK,
        (state[3] + d) & _MASK,
    )


def _finish(state: State, octets: bytes) -> bytes:
    """Hash ``octets`` that follow one block already in the state."""
    bits = (BLOCK_OCTETS + len(octets)) * 8
    padding = b"\x80" + b"\0" * ((55 - len(octets)) % BLOCK_OCTETS)
    padded = octets + padding + struct.pack("<Q", bits)
    for first in range(0, len(padded), BLOCK_OCTETS):
        state = _compress(state, padded[first : first + BLOCK_OCTETS])
    return struct.pack("<4I", *state)


def contexts(key: bytes) -> bytes:
    """The 32 octets that {CRAM-MD5} keeps of a password: outer state, inner state.

    They are as good as the password for CRAM-MD5, and only for CRAM-MD5.
    """
    if len(key) > BLOCK_OCTETS:
        key = hashlib.md5(key, usedforsecurity=False).digest()
    key = key.ljust(BLOCK_OCTETS, b"\0")
    outer = _compress(_INITIAL, bytes(octet ^ 0x5C for octet in key))
    inner = _compress(_INITIAL, bytes(octet ^ 0x36 for octet in key))
    return struct.pack("<8I", *outer, *inner)


def hmac_md5(stored: bytes, message: bytes) -> bytes:
    """HMAC-MD5 of ``message`` with the key behind ``contexts()``.  RFC 2104 §2.

    Raises:
        ValueError: ``stored`` is not 32 octets.
    """
    if len(stored) != 32:
        raise ValueError("CRAM-MD5 contexts are 32 octets")
    a, b, c, d, e, f, g, h = struct.unpack("<8I", stored)
    return _finish((a, b, c, d), _finish((e, f, g, h), message))
