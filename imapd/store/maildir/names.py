"""Names of message files: ``<base>[,S=<octets>][,W=<octets>]:2,<flags>[,<extra>]``.

The base tells messages apart and is what UID lists record; it ends before the
first ``:``, as in Dovecot.  What we do not know in a name is kept.
"""

import itertools
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from imapd.ids import Octets
from imapd.model.flags import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN

#: System flags by their letters; keywords have ``a`` to ``z``.
SYSTEM_LETTERS: Final = {
    ord("D"): DRAFT,
    ord("F"): FLAGGED,
    ord("R"): ANSWERED,
    ord("S"): SEEN,
    ord("T"): DELETED,
}
LETTER_OF_SYSTEM_FLAG: Final = {flag: key for key, flag in SYSTEM_LETTERS.items()}
DELETED_LETTER: Final = ord("T")

_INFO: Final = b":2,"
_RFC822_SIZE = re.compile(rb",W=([0-9]{1,15})(?=[,:]|\Z)")
_FILE_SIZE = re.compile(rb",S=([0-9]{1,15})(?=[,:]|\Z)")
_SIZES = re.compile(rb",S=[0-9]{1,15}(?:,W=[0-9]{1,15})?")
_SORT = re.compile(rb"([0-9]*)(?:\.[^.:M]*M([0-9]+))?")
_UNUSABLE = re.compile(rb"[\x00\r\n/]")
_UNUSABLE_PATH = re.compile(rb"/[.:]")
_TEN_DIGITS = re.compile(rb"/[1-9][0-9]{9}(?![0-9])")

_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class FileName:
    """A name, taken apart.

    ``prefix`` is all before the ``:2,`` that counts, ``extra`` what follows the
    flags, with its comma.
    """

    prefix: bytes
    letters: bytes
    extra: bytes = b""

    def with_letters(self, letters: bytes) -> bytes:
        """Return the name with these flags instead, sorted, each once."""
        return b"%b:2,%b%b" % (self.prefix, bytes(sorted(set(letters))), self.extra)


def parse(name: bytes) -> FileName:
    """Take a name apart; one without ``:2,`` has no flags."""
    prefix, found, info = name.rpartition(_INFO)
    if not found:
        return FileName(name, b"")
    letters, comma, extra = info.partition(b",")
    return FileName(prefix, letters, comma + extra)


def letters_of(name: bytes) -> bytes:
    """Return the flag letters of a name, as they stand in it."""
    found = name.rfind(_INFO)
    return b"" if found < 0 else name[found + 3 :].partition(b",")[0]


def base_of(name: bytes) -> bytes:
    """Return what tells the message apart from others."""
    return name.partition(b":")[0]


def usable(name: bytes) -> bool:
    """Whether a name in ``cur`` or ``new`` can be that of a message.

    A UID list cannot hold line ends, and its readers give up on an empty name.
    """
    return name[:1] not in (b".", b":", b"") and not _UNUSABLE.search(name)


def all_usable(paths: Sequence[bytes]) -> bool:
    """Whether all names can be those of messages; each has ``cur/`` or ``new/``.

    A name in a directory has neither ``/`` nor NUL.
    """
    listing = b"".join(paths)
    return not _UNUSABLE_PATH.search(listing) and not any(
        end in listing for end in (b"\r", b"\n")
    )


def rfc822_size(name: bytes) -> Octets | None:
    """Return the size in the CRLF form if the name says it (``,W=``)."""
    found = _RFC822_SIZE.search(name)
    return Octets(int(found[1])) if found else None


def file_size(name: bytes) -> int | None:
    """Return the size on disk if the name says it (``,S=``)."""
    found = _FILE_SIZE.search(name)
    return int(found[1]) if found else None


def with_sizes(base: bytes, on_disk: int, in_crlf_form: int) -> bytes:
    """Return the base with ``,S=`` and ``,W=``."""
    return b"%b,S=%d,W=%d" % (base, on_disk, in_crlf_form)


def sizes_part(name: bytes) -> bytes:
    """Return ``,S=...,W=...`` of a name as far as it has them, to be carried on."""
    base = base_of(name)
    at = base.find(b",")
    if at < 0 or _SIZES.fullmatch(base, at):  # as nearly all are
        return base[at:] if at >= 0 else b""
    found = [
        match[0]
        for match in (_FILE_SIZE.search(base), _RFC822_SIZE.search(base))
        if match
    ]
    return b"".join(found)


def sort_key(name: bytes) -> tuple[int, int, bytes]:
    """Order new messages as Dovecot does: seconds, microseconds, then the name."""
    base = base_of(name)
    found = _SORT.match(base)
    if found is None:  # cannot be: every part of the pattern may be empty
        return (0, 0, base)
    seconds, microseconds = found[1][:18], found[2]
    return (
        int(seconds or b"0"),
        int(microseconds[:18]) if microseconds else 0,
        base[found.end(1) :],
    )


def in_order(bases: Sequence[bytes]) -> list[bytes]:
    """Sort new messages by ``sort_key``.

    Where all have seconds of ten digits, octets sort as they do; only what is of one
    second is looked at closer.
    """
    seconds = _TEN_DIGITS.findall(b"/" + b"/".join(bases))
    if len(seconds) < len(bases):
        return sorted(bases, key=sort_key)
    ordered = sorted(bases)
    if len(set(seconds)) == len(seconds):
        return ordered
    found: list[bytes] = []
    for _, group in itertools.groupby(ordered, key=itemgetter(slice(10))):
        same = list(group)
        found += sorted(same, key=sort_key) if len(same) > 1 else same
    return found


def host() -> bytes:
    """Return this machine's name, with ``/`` and ``:`` escaped as maildir(5) says."""
    name = os.fsencode(os.uname().nodename) or b"localhost"
    return name.replace(b"/", rb"\057").replace(b":", rb"\072")


def unique_base() -> bytes:
    """Return a base that no file has had: ``<sec>.M<usec>P<pid>Q<n>R<random>.<host>``.

    Process, counter and 64 random bits make it unique; the clock, which may
    jump, only orders it.
    """
    return _base(_microseconds(), os.getpid(), _tail())


def unique_bases() -> Iterator[bytes]:
    """Yield such bases in their order, for what is stored at once.

    The counter tells them apart, and the clock runs on by itself: whoever numbers
    the messages by their names keeps them in order.
    """
    microseconds, process, tail = _microseconds(), os.getpid(), _tail()
    while True:
        yield _base(microseconds, process, tail)
        microseconds += 1


def _microseconds() -> int:
    return max(time.time_ns() // 1000, 0)


def _tail() -> bytes:
    return b"R%b.%b" % (secrets.token_hex(8).encode("ascii"), host())


def _base(microseconds: int, process: int, tail: bytes) -> bytes:
    seconds, fraction = divmod(microseconds, 1_000_000)
    return b"%d.M%dP%dQ%d%b" % (seconds, fraction, process, next(_counter), tail)
