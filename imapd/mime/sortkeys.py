"""What SORT and THREAD need of a message, from its header.  RFC 5256, RFC 5957.

Of a field that is repeated the one counts that ENVELOPE shows, so that a client
that sorts by what it was told comes to our order.
"""

from hashlib import blake2b

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime import headers
from imapd.mime.addresses import addresses
from imapd.mime.dates import parse_date
from imapd.mime.messageids import message_ids
from imapd.mime.text import decode_header
from imapd.model import columns, sort
from imapd.model.collation import sort_key
from imapd.model.structure import Address
from imapd.model.subject import base_subject
from imapd.model.threadids import ThreadIds, pack_thread_ids

_LAST = ("date", "subject", "in-reply-to", "message-id", "references")
_LAST_COUNTS = frozenset(name.encode("ascii") for name in _LAST)
_find = headers.field_finder((*_LAST, "from", "to", "cc"))
_NOBODY = Address(None, None, None, None)
#: Only the first address counts.
_FEW = Limits(address_count=100)


def derive_sort_keys(
    header: bytes,
    internal_date_seconds: int | None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, bytes]:
    """Return the value of every column that SORT and THREAD have.

    Lines of the header end in CRLF; no more of it is read than for ENVELOPE.  The
    internal date is the sent date of a message without one, §2.2; where it is None,
    such a message has no value in ``SORT_DATE``.
    """
    values = _values(header, limits)
    subject, answers = base_subject(decode_header(values.get(b"subject", b"")))
    sender, to, cc = (
        _first_address(values.get(name)) for name in (b"from", b"to", b"cc")
    )
    keys = {
        columns.SORT_SUBJECT: sort_key(subject),
        columns.SORT_FROM: _mailbox(sender),
        columns.SORT_TO: _mailbox(to),
        columns.SORT_CC: _mailbox(cc),
        columns.SORT_DISPLAYFROM: _display(sender),
        columns.SORT_DISPLAYTO: _display(to),
        columns.THREAD_IDS: pack_thread_ids(_thread_ids(values, answers)),
    }
    when = parse_date(values.get(b"date", b""))
    seconds = internal_date_seconds if when is None else int(when.timestamp())
    if seconds is not None:
        keys[columns.SORT_DATE] = sort.pack_seconds(seconds)
    return keys


def _values(header: bytes, limits: Limits) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for name, value in headers.values(header, _find, limits, limits.header_octets):
        # The first address of a field that has none is that of the next.
        if name in _LAST_COUNTS or not values.get(name, b"").strip():
            values[name] = value
    return values


def _first_address(value: bytes | None) -> Address:
    if value is None:
        return _NOBODY
    return next(iter(addresses((value,), _FEW)), _NOBODY)


def _mailbox(address: Address) -> bytes:
    """The key of its addr-mailbox; of a group it is the name."""
    return sort_key(_text(address.mailbox))


def _text(octets: bytes | None) -> str:
    return decode_header(octets or b"")


#   Name if it is not empty, else mailbox@host, else mailbox    ; RFC 5957 §3
def _display(address: Address) -> bytes:
    name = _text(address.name)
    if name:
        return sort_key(name)
    mailbox = _text(address.mailbox)
    if address.mailbox is not None and address.host is not None:
        mailbox = f"{mailbox}@{_text(address.host)}"
    return sort_key(mailbox)


def _thread_ids(values: dict[bytes, bytes], answers: bool) -> ThreadIds:
    own = next(message_ids(values.get(b"message-id", b"")), None)
    references = list(map(_hash, message_ids(values.get(b"references", b""))))
    if not references:
        parents = message_ids(values.get(b"in-reply-to", b""))
        references = [_hash(each) for each in parents][:1]
    return ThreadIds(0 if own is None else _hash(own), tuple(references), answers)


def _hash(message_id: bytes) -> int:
    """64 bits, never 0, that no sender can make equal to another's by trying."""
    return int.from_bytes(blake2b(message_id, digest_size=8).digest(), "big") or 1
