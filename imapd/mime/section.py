"""``BODY[section]``.  RFC 3501 §6.4.5."""

from imapd.mime.headers import select_fields
from imapd.model.structure import BodyPart, Section, SectionText


#   section-part = nz-number *("." nz-number)      ; RFC 3501 §9
def locate(root: BodyPart, path: tuple[int, ...]) -> BodyPart | None:
    """Return the part with that number; None if there is none.

    A multipart numbers its parts; anything else has itself as part 1.  Below a
    message/rfc822 come the numbers of the message it holds; below any other part
    nothing.  The empty path is the message itself.
    """
    part = root
    holder: BodyPart | None = root
    for number in path:
        if holder is None:
            return None
        if holder.parts:
            if not 1 <= number <= len(holder.parts):
                return None
            part = holder.parts[number - 1]
        elif number == 1:
            part = holder
        else:
            return None
        holder = part if part.parts else part.message
    return part


def extract(message: bytes, root: BodyPart, section: Section) -> bytes | None:
    """Return the octets of a section, or None (NIL) if the message has no such.

    HEADER, HEADER.FIELDS and TEXT after numbers are those of the message in a
    message/rfc822; MIME is the part's own header and needs numbers.  The message
    is the CRLF form that ``root`` was parsed from.
    """
    text = section.text
    part = locate(root, section.path)
    if part is None:
        return None
    if text is SectionText.MIME:
        header = message[part.header_start : part.body_start]
        return header if section.path else None
    if text is None:
        start = part.body_start if section.path else 0
        return message[start : part.end]
    entity = part.message if section.path else part
    if entity is None:
        return None
    if text is SectionText.TEXT:
        return message[entity.body_start : entity.end]
    header = message[entity.header_start : entity.body_start]
    if text is SectionText.HEADER:
        return header
    names = frozenset(name.lower() for name in section.fields)
    return select_fields(header, names, text is SectionText.HEADER_FIELDS_NOT)
