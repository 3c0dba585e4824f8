"""ENVELOPE.  RFC 3501 §7.4.2."""

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime.addresses import addresses
from imapd.mime.headers import fields, unfold
from imapd.model.structure import Envelope

_TEXTS = frozenset((b"date", b"subject", b"in-reply-to", b"message-id"))
_ADDRESSES = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))


def envelope(header: bytes, limits: Limits = DEFAULT_LIMITS) -> Envelope:
    """Return the envelope that a header gives.

    Of a field that must not be repeated but is, the last counts; addresses of
    repeated fields follow each other.  The RFC leaves that open; Dovecot answers
    so, and a client that changes servers sees no difference.

    Only ``limits.header_octets`` of the header are read, and of each field
    ``limits.header_field_octets``.
    """
    texts: dict[bytes, bytes] = {}
    lists: dict[bytes, list[bytes]] = {}
    stop = min(len(header), limits.header_octets)
    cut = limits.header_field_octets
    for name, _, end, value_start in fields(header, 0, stop):
        lower = name.lower()
        if lower in _TEXTS:
            texts[lower] = header[value_start : min(end, value_start + cut)]
        elif lower in _ADDRESSES:
            value = unfold(header[value_start : min(end, value_start + cut)])
            lists.setdefault(lower, []).append(value)
    found = {name: addresses(values, limits) for name, values in lists.items()}
    from_ = found.get(b"from", ())
    return Envelope(
        date=_text(texts.get(b"date")),
        subject=_text(texts.get(b"subject")),
        from_=from_,
        sender=found.get(b"sender") or from_,
        reply_to=found.get(b"reply-to") or from_,
        to=found.get(b"to", ()),
        cc=found.get(b"cc", ()),
        bcc=found.get(b"bcc", ()),
        in_reply_to=_text(texts.get(b"in-reply-to")),
        message_id=_text(texts.get(b"message-id")),
    )


def _text(value: bytes | None) -> bytes | None:
    """None for a field that is absent, b"" for one that is empty."""
    return None if value is None else unfold(value)
