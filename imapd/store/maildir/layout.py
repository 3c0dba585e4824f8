r"""Maildir++ directory names and the mailbox paths they stand for.

The mailbox ``("A", "B")`` is the directory ``.A.B`` beside the INBOX's ``cur``;
``()`` is the INBOX, the root itself.  Dovecot, and Courier before 5.0, write the
names in modified UTF-7, Courier since then in UTF-8.  Both are read, name by name:

* a name with an octet above 0x7f is UTF-8, or it is nobody's and left alone;
* an ASCII name whose every component is canonical modified UTF-7 is that;
* any other ASCII name (``.R&D``) is literal, as in UTF-8.

So a directory has one path, and a path at most two directories that may hold it.

A path is made of components that cannot hold ``.``, ``/`` or NUL: the directory
name starts with its only ``.`` that is not between two components, is one name
of one directory, and is never ``.`` or ``..``.  That is the whole containment.

Names are stored as they are given, in no normal form, and looked up octet by
octet.  A new name that Unicode normalisation makes equal to one that is there is
refused: a user could not tell the two apart.  RFC 5198 §3.
"""

import unicodedata
from enum import Enum

from imapd.errors import Cannot
from imapd.ids import INBOX, MailboxPath
from imapd.limits import Limits
from imapd.model import utf7

NAME_MAX_OCTETS = 255  # of one directory entry, on every file system we know

#: Control characters, lone surrogates, line and paragraph separators.  RFC 5198 §2.
_REFUSED_CATEGORIES = frozenset(("Cc", "Cs", "Zl", "Zp"))


class NameEncoding(Enum):
    """How the directory names of an account are written."""

    UTF7 = "modified UTF-7"
    UTF8 = "UTF-8"


def decode_component(octets: bytes) -> str:
    """Return what one component, written in either encoding, says.

    Raises:
        ValueError: it is neither.
    """
    if not octets.isascii():
        return octets.decode("utf-8")
    try:
        return utf7.decode(octets)
    except ValueError:
        return octets.decode("ascii")


def decode_directory(name: bytes) -> MailboxPath:
    """``.Entw&APw-rfe.2024`` is ``("Entwürfe", "2024")``.

    Raises:
        ValueError: it is not the name of a folder.
    """
    if len(name) < 2 or not name.startswith(b"."):
        raise ValueError("not a folder")
    parts = name[1:].split(b".")
    if b"" in parts:
        raise ValueError("an empty component")
    if name_encoding(name) is NameEncoding.UTF7:
        path = tuple(utf7.decode(part) for part in parts)
    else:
        path = tuple(part.decode("utf-8") for part in parts)
    if not _is_storable(path):
        raise ValueError("not a name that can be shown")
    return path


def name_encoding(name: bytes) -> NameEncoding | None:
    """Tell which encoding a directory name shows; None: it reads alike in both."""
    if not name.isascii():
        return NameEncoding.UTF8
    if b"&" not in name:
        return None
    try:
        for part in name.split(b"."):
            utf7.decode(part)
    except ValueError:
        return NameEncoding.UTF8
    return NameEncoding.UTF7


def encode_directory(path: MailboxPath, encoding: NameEncoding) -> bytes:
    """Return the directory name of a path, in this encoding if it can be.

    ``("R&-D",)`` is the one kind of name that UTF-8 cannot hold, as ``.R&-D`` would
    read as ``R&D``: it is written in modified UTF-7.

    Raises:
        Cannot: it has no directory name.
    """
    if path == INBOX or not _is_storable(path):
        raise Cannot("This mailbox name cannot be stored")
    if encoding is NameEncoding.UTF8:
        name = b"".join(b"." + part.encode("utf-8") for part in path)
        if name_encoding(name) is not NameEncoding.UTF7:
            return name
    return b"".join(b"." + utf7.encode(part) for part in path)


def candidate_directories(path: MailboxPath) -> list[bytes]:
    """Every directory name that would be this path; ``[]``: none can be."""
    if path == INBOX or not _is_storable(path):
        return []
    found = (encode_directory(path, encoding) for encoding in NameEncoding)
    return [name for name in dict.fromkeys(found) if len(name) <= NAME_MAX_OCTETS]


def majority_encoding(names: list[bytes], fallback: NameEncoding) -> NameEncoding:
    """Return what most of an account's folder names are written in."""
    shown = [name_encoding(name) for name in names]
    utf8, utf7_ = shown.count(NameEncoding.UTF8), shown.count(NameEncoding.UTF7)
    if utf8 == utf7_:
        return fallback
    return NameEncoding.UTF8 if utf8 > utf7_ else NameEncoding.UTF7


def check_new_name(path: MailboxPath, limits: Limits, encoding: NameEncoding) -> bytes:
    """Return the directory name for a mailbox about to be made.

    Raises:
        Cannot: it is not a name we make; the message says which rule it breaks.
    """
    if not all(path):
        raise Cannot("A mailbox name has no empty component")
    if len(path) == 1 and path[0].upper() == "INBOX":
        raise Cannot("INBOX is there always, and only once")
    if len(path) > limits.mailbox_depth:
        raise Cannot("This mailbox would lie too deep")
    if path[:1] and path[0].startswith("~"):
        raise Cannot("A mailbox name does not begin with ~")
    for component in path:
        _check_component(component, limits)
    name = encode_directory(path, encoding)
    parts = name[1:].split(b".")
    too_long = max(map(len, parts)) > limits.mailbox_component_octets
    if too_long or len(name) > min(NAME_MAX_OCTETS, limits.mailbox_name_octets):
        raise Cannot("This mailbox name is too long")
    return name


def normalised(path: MailboxPath) -> MailboxPath:
    """Return the path in Unicode's form NFC, to compare names by; never to store."""
    return tuple(unicodedata.normalize("NFC", component) for component in path)


def _check_component(component: str, limits: Limits) -> None:
    # First what bounds the work of the next lines.
    if len(component) > limits.mailbox_name_octets:
        raise Cannot("This mailbox name is too long")
    if "." in component or "/" in component:
        raise Cannot("This mailbox name has a character that cannot be stored")
    if any(unicodedata.category(char) in _REFUSED_CATEGORIES for char in component):
        raise Cannot("A mailbox name has no control characters")


def _is_storable(path: MailboxPath) -> bool:
    """Whether the path has a directory name at all, be it one we would not make."""
    for component in path:
        if not component or any(char in component for char in "./"):
            return False
        if any(unicodedata.category(char) in _REFUSED_CATEGORIES for char in component):
            return False
    return True
