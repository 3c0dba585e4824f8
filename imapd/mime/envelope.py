"""ENVELOPE.  RFC 3501 §7.4.2."""

from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mime.addresses import Words, addresses
from imapd.mime.headers import field_finder, stored_header, unfold_lines
from imapd.mime.scan import to_lines
from imapd.model.structure import Envelope

_ADDRESSES = ("from", "to", "cc", "sender", "reply-to", "bcc")
_LISTS = frozenset(name.encode("ascii") for name in _ADDRESSES)
_find = field_finder(("date", "subject", "message-id", "in-reply-to", *_ADDRESSES))


def envelope(
    header: bytes, limits: Limits = DEFAULT_LIMITS, words: Words | None = None
) -> Envelope:
    """Return the envelope that a header gives, or a message; as it is stored.

    Of a field that must not be repeated but is, the last counts; addresses of
    repeated fields follow each other.  The RFC leaves that open; Dovecot answers
    so, and a client that changes servers sees no difference.

    Only ``limits.header_octets`` of the header are read, of each field
    ``limits.header_field_octets``, counted in the LF form, and of fields of addresses
    so many of one name as there may be addresses; of these in all no more than
    ``words`` has left, by default as for one message.
    """
    most = limits.header_octets
    # Cut before it is looked at: it may be the whole of a large message.
    one_octet = header.find(b"\r\n", 0, most + 1) < 0
    begin = header[: most if one_octet else 2 * most]
    block = to_lines(stored_header(begin))[:most]
    cut, most_fields = limits.header_field_octets, limits.address_count
    texts: dict[bytes, bytes] = {}
    lists: dict[bytes, list[bytes]] = {}
    for name, value in _find(block):
        lower = name.lower()
        if lower not in _LISTS:
            texts[lower] = unfold_lines(value[:cut])
        elif lower not in lists:
            lists[lower] = [unfold_lines(value[:cut])]
        elif len(values := lists[lower]) < most_fields:
            values.append(unfold_lines(value[:cut]))
    words = words or Words(limits.address_word_count)
    found = {name: addresses(values, limits, words) for name, values in lists.items()}
    get, text_of = found.get, texts.get
    from_ = get(b"from", ())
    # None for a field that is absent, b"" for one that is empty.
    return Envelope(
        text_of(b"date"),
        text_of(b"subject"),
        from_,
        get(b"sender") or from_,
        get(b"reply-to") or from_,
        get(b"to", ()),
        get(b"cc", ()),
        get(b"bcc", ()),
        text_of(b"in-reply-to"),
        text_of(b"message-id"),
    )
