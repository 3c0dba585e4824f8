"""ENVELOPE, BODY and BODYSTRUCTURE as octets.  RFC 3501 §7.4.2.

Nothing recurses: how deep a message is nested is its sender's choice.  So is how
much its headers say; a structure is cut to ``STRUCTURE_OCTETS``.  Each part that
does not fit is an application/octet-stream of its size, so that all parts keep
their numbers: BODY[n] still has its octets.
"""

from collections.abc import Sequence
from itertools import chain

from imapd.model.structure import Address, Addresses, BodyPart, Envelope, Params
from imapd.wire.encode import NIL, are_plain, nstring, number, quoted_or_literal

_EMPTY_ENVELOPE = Envelope()

#: The longest BODY or BODYSTRUCTURE; 10,000 plain parts fit.
STRUCTURE_OCTETS = 1 << 20
#: What the shortest form of any part takes, and no more.
_OPAQUE_OCTETS = 100
_NO_EXTENSION = b" NIL NIL NIL NIL"
#: The longest transfer encoding there is: "quoted-printable".
_ENCODING_OCTETS = 16


#   address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"
def _address(address: Address) -> bytes:
    """``("Alice" NIL "alice" "example.org")``; a group's ends have NIL hosts."""
    name, adl, mailbox, host = address
    return b"(%b %b %b %b)" % (
        nstring(name),
        nstring(adl),
        nstring(mailbox),
        nstring(host),
    )


#   env-from = "(" 1*address ")" / nil                       ; RFC 3501 §9
def _addresses(addresses: Addresses) -> bytes:
    """``((...)(...))``, without spaces between; ``NIL`` for none."""
    if not addresses:
        return NIL
    if not are_plain(filter(None, chain.from_iterable(addresses))):
        return b"(%b)" % b"".join(map(_address, addresses))
    return b"(%b)" % b"".join(map(_plain_address, addresses))


def _plain_address(address: Address) -> bytes:
    """``_address`` where no string needs an escape or a literal."""
    name, adl, mailbox, host = address
    if adl is not None or mailbox is None or host is None:
        return _address(address)
    if name is None:
        return b'(NIL NIL "%b" "%b")' % (mailbox, host)
    return b'("%b" NIL "%b" "%b")' % (name, mailbox, host)


#   envelope = "(" env-date SP env-subject SP env-from SP env-sender SP
#              env-reply-to SP env-to SP env-cc SP env-bcc SP env-in-reply-to
#              SP env-message-id ")"                         ; RFC 3501 §9
def envelope(of: Envelope) -> bytes:
    """``("date" "subject" (from) (sender) (reply-to) (to) NIL NIL NIL "<id>")``.

    What follows the word ENVELOPE in a FETCH response.
    """
    # One test of identity spares two of three renderings: mime gives ``sender``
    # and ``reply_to`` the very tuple of ``from_`` where the message has none.
    date, subject, from_, sender, reply_to, to, cc, bcc, in_reply_to, id_ = of
    author = _addresses(from_)
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        nstring(date),
        nstring(subject),
        author,
        author if sender is from_ else _addresses(sender),
        author if reply_to is from_ else _addresses(reply_to),
        _addresses(to) if to else NIL,
        _addresses(cc) if cc else NIL,
        _addresses(bcc) if bcc else NIL,
        nstring(in_reply_to),
        nstring(id_),
    )


#   body-fld-param = "(" string SP string *(SP string SP string) ")" / nil
def _params(params: Params) -> bytes:
    """``("CHARSET" "utf-8")``; ``NIL`` for none."""
    if not params:
        return NIL
    strings = [octets for pair in params for octets in pair]
    if are_plain(strings):
        return b'("%b")' % b'" "'.join(strings)
    return b"(%b)" % b" ".join(map(quoted_or_literal, strings))


#   body-fld-dsp = "(" string SP body-fld-param ")" / nil    ; RFC 3501 §9
def _disposition(disposition: tuple[bytes, Params] | None) -> bytes:
    """``("attachment" ("filename" "a.pdf"))``; ``NIL`` for none."""
    if disposition is None:
        return NIL
    kind, params = disposition
    return b"(%b %b)" % (quoted_or_literal(kind), _params(params))


#   body-fld-lang = nstring / "(" string *(SP string) ")"    ; RFC 3501 §9
def _language(languages: tuple[bytes, ...]) -> bytes:
    """``"en"``, ``("en" "de")``; ``NIL`` for none."""
    if len(languages) > 1:
        return b"(%b)" % b" ".join(map(quoted_or_literal, languages))
    return quoted_or_literal(languages[0]) if languages else NIL


#   body-ext-1part = body-fld-md5 [SP body-fld-dsp [SP body-fld-lang
#                    [SP body-fld-loc *(SP body-extension)]]]
#   body-ext-mpart = body-fld-param [SP body-fld-dsp [SP body-fld-lang
#                    [SP body-fld-loc *(SP body-extension)]]]
def _extension(part: BodyPart) -> bytes:
    """What only BODYSTRUCTURE has at the end of a part, with the SP before it."""
    disposition, language, location = part.disposition, part.language, part.location
    if disposition is None and not language and location is None:
        if part.parts:
            return b" %b NIL NIL NIL" % _params(part.params)
        if part.md5 is None:
            return _NO_EXTENSION
    first = _params(part.params) if part.parts else nstring(part.md5)
    return b" %b %b %b %b" % (
        first,
        _disposition(disposition),
        _language(language),
        nstring(location),
    )


#: A part as ``(head, held, tail, extension)``: what comes before the parts within,
#: these, and what follows them; in BODYSTRUCTURE the extension is next, then ")".
_Form = tuple[bytes, Sequence[BodyPart], bytes, bytes]


#   body            = "(" (body-type-1part / body-type-mpart) ")"
#   body-type-1part = (body-type-basic / body-type-msg / body-type-text)
#                     [SP body-ext-1part]
#   body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
def _form(part: BodyPart) -> _Form:
    extension = _extension(part)
    if part.parts:
        return b"(", part.parts, b" " + quoted_or_literal(part.subtype), extension
    type_, subtype = part.type, part.subtype
    upper = type_.upper()
    if upper == b"MESSAGE" and subtype.upper() == b"RFC822":
        held = part.message
        if held is not None:
            inside = envelope(held.envelope or _EMPTY_ENVELOPE)
            head = b"%b %b " % (_basic(part, type_, subtype), inside)
            return head, (held,), b" " + number(part.lines), extension
        # Too deep to be read, and so not called a message: that name promises an
        # envelope (``body-type-basic``).
        type_, subtype = b"APPLICATION", b"OCTET-STREAM"
    head = _basic(part, type_, subtype)
    if upper == b"TEXT":
        head = b"%b %b" % (head, number(part.lines))
    return head, (), b"", extension


#   body-fields = body-fld-param SP body-fld-id SP body-fld-desc SP
#                 body-fld-enc SP body-fld-octets            ; RFC 3501 §9
def _basic(part: BodyPart, type_: bytes, subtype: bytes) -> bytes:
    """``("TEXT" "PLAIN" NIL NIL NIL "7BIT" 42``, spelled as in the message."""
    params = [octets for pair in part.params for octets in pair]
    id_, description, encoding = part.id, part.description, part.encoding
    size = number(part.end - part.body_start)
    plain = id_ is None and description is None
    if plain and are_plain((type_, subtype, encoding, *params)):
        return b'("%b" "%b" %b NIL NIL "%b" %b' % (
            type_,
            subtype,
            b'("%b")' % b'" "'.join(params) if params else NIL,
            encoding,
            size,
        )
    return b"(%b %b %b %b %b %b %b" % (
        quoted_or_literal(type_),
        quoted_or_literal(subtype),
        _params(part.params),
        nstring(id_),
        nstring(description),
        quoted_or_literal(encoding),
        size,
    )


def _opaque(part: BodyPart) -> _Form:
    """A part of which nothing is told but its size and its transfer encoding."""
    encoding = part.encoding
    if len(encoding) > _ENCODING_OCTETS or not encoding.replace(b"-", b"").isalnum():
        encoding = b"8BIT"
    head = b'("APPLICATION" "OCTET-STREAM" NIL NIL NIL "%b" %b' % (
        encoding,
        number(part.octets),
    )
    return head, (), b"", _NO_EXTENSION


def _render(root: BodyPart, extended: bool, most: int) -> bytes:
    """Either form of ``body``, from a stack of parts and of octets to come."""
    rendered: list[bytes] = []
    stack: list[BodyPart | bytes] = [root]
    left = most - _OPAQUE_OCTETS  # room that nothing on the stack will need
    while stack:
        part = stack.pop()
        if isinstance(part, bytes):
            rendered.append(part)
            continue
        left += _OPAQUE_OCTETS
        head, held, tail, extension = _form(part)
        end = tail + extension + b")" if extended else tail + b")"
        if len(head) + len(held) * _OPAQUE_OCTETS + len(end) > left:
            head, held, tail, extension = _opaque(part)
            end = extension + b")" if extended else b")"
        left -= len(head) + len(held) * _OPAQUE_OCTETS + len(end)
        rendered.append(head)
        if held:
            stack.append(end)
            stack.extend(reversed(held))
        else:
            rendered.append(end)
    return b"".join(rendered)


def forms(of: BodyPart, *, most: int = STRUCTURE_OCTETS) -> tuple[bytes, bytes]:
    """``body`` and ``bodystructure`` of a part: both for little more than one."""
    short: list[bytes] = []
    long: list[bytes] = []
    stack: list[BodyPart | tuple[bytes, bytes]] = [of]
    left = most
    while stack:
        part = stack.pop()
        if isinstance(part, tuple):
            short.append(part[0])
            long.append(part[1])
            continue
        head, held, tail, extension = _form(part)
        ends = tail + b")", tail + extension + b")"
        left -= len(head) + len(ends[1]) + _OPAQUE_OCTETS
        if left < 0:  # something may have to be cut
            return body(of, most=most), bodystructure(of, most=most)
        short.append(head)
        long.append(head)
        if held:
            stack.append(ends)
            stack.extend(reversed(held))
        else:
            short.append(ends[0])
            long.append(ends[1])
    return b"".join(short), b"".join(long)


def body(of: BodyPart, *, most: int = STRUCTURE_OCTETS) -> bytes:
    """``("TEXT" "PLAIN" NIL NIL NIL "7BIT" 42 3)``: without extension data.

    What follows the word BODY in a FETCH response; ``most`` octets, from 100 on.
    RFC 3501 §7.4.2.
    """
    return _render(of, extended=False, most=most)


def bodystructure(of: BodyPart, *, most: int = STRUCTURE_OCTETS) -> bytes:
    """``("TEXT" "PLAIN" NIL NIL NIL "7BIT" 42 3 NIL NIL NIL NIL)``.

    What follows the word BODYSTRUCTURE in a FETCH response; ``most`` octets, from
    100 on.  RFC 3501 §7.4.2.
    """
    return _render(of, extended=True, most=most)
