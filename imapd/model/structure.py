"""Envelope and body structure of a message, and the names of its sections.

Octet strings are as they stand in the message, unfolded; None is NIL.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

Params = tuple[tuple[bytes, bytes], ...]  # (name, value) in the order of the message


class Address(NamedTuple):
    """One ``address``, or a group's start (host None) or end (both None).

    RFC 3501 §7.4.2.  A tuple, because a mailbox has many: it is made three times
    as fast as a frozen dataclass.
    """

    name: bytes | None
    adl: bytes | None
    mailbox: bytes | None
    host: bytes | None


Addresses = tuple[Address, ...]  # empty is NIL


class Envelope(NamedTuple):
    """``ENVELOPE``.  ``sender`` and ``reply_to`` already default to ``from_``."""

    date: bytes | None = None
    subject: bytes | None = None
    from_: Addresses = ()
    sender: Addresses = ()
    reply_to: Addresses = ()
    to: Addresses = ()
    cc: Addresses = ()
    bcc: Addresses = ()
    in_reply_to: bytes | None = None
    message_id: bytes | None = None


@dataclass(slots=True)
class BodyPart:
    """One MIME entity, with where it lies in the message's CRLF form.

    ``header_start`` to ``body_start`` is its header with the empty line that
    ends it; ``body_start`` to ``end`` its content.  ``parts`` are the children of
    a multipart; ``message`` is what a message/rfc822 holds, a part of its own
    whose header starts at this part's ``body_start``.
    """

    type: bytes  # as written, b"TEXT" where the message says nothing
    subtype: bytes
    params: Params = ()
    id: bytes | None = None
    description: bytes | None = None
    encoding: bytes = b"7BIT"
    md5: bytes | None = None
    disposition: tuple[bytes, Params] | None = None
    language: tuple[bytes, ...] = ()
    location: bytes | None = None
    header_start: int = 0
    body_start: int = 0
    end: int = 0
    lines: int = 0  # CRLFs between body_start and end
    parts: list["BodyPart"] = field(default_factory=list)
    message: "BodyPart | None" = None
    envelope: Envelope | None = None  # only of the part in ``message``

    @property
    def octets(self) -> int:
        """Size of the content, in the CRLF form."""
        return self.end - self.body_start

    @property
    def is_multipart(self) -> bool:
        """Whether the part is sent in the multipart form of ``body``."""
        return bool(self.parts)

    def walk(self) -> Iterator["BodyPart"]:
        """This part and all below it, in the order of the message; no recursion."""
        stack = [self]
        while stack:
            part = stack.pop()
            yield part
            if part.message is not None:
                stack.append(part.message)
            stack.extend(reversed(part.parts))


class SectionText(Enum):
    """``section-msgtext`` and ``MIME``.  RFC 3501 §6.4.5."""

    HEADER = "HEADER"
    HEADER_FIELDS = "HEADER.FIELDS"
    HEADER_FIELDS_NOT = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """``section``: ``BODY[1.2.HEADER.FIELDS (To)]``; ``Section()`` is ``BODY[]``."""

    path: tuple[int, ...] = ()
    text: SectionText | None = None
    fields: tuple[bytes, ...] = ()  # as the client wrote them


@dataclass(frozen=True, slots=True)
class Partial:
    """``<first.count>``.  RFC 3501 §6.4.5."""

    first: int
    count: int
