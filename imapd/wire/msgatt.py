"""FETCH responses as octets: ``msg-att``.  RFC 3501 §7.4.2.

The functions named ``..._item`` return one name and its value; ``fetch`` puts
items together as the content of an untagged response.
"""

import time
from collections.abc import Iterable
from functools import lru_cache

from imapd.ids import Octets, Seq, Uid
from imapd.model.flags import RECENT, Flags
from imapd.model.requests import FetchAtom
from imapd.model.structure import Partial, Section
from imapd.wire.encode import NIL, atom_or_string, flag_list, literal, number

_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_FIRST_SECOND = -62135596800  # 0001-01-01, UTC: date-year has four digits
_LAST_SECOND = 253402300799  # 9999-12-31 23:59:59


#   message-data = nz-number SP ("EXPUNGE" / ("FETCH" SP msg-att))
#   msg-att = "(" (msg-att-dynamic / msg-att-static)
#             *(SP (msg-att-dynamic / msg-att-static)) ")"   ; RFC 3501 §9
def fetch(seq: Seq, items: Iterable[bytes]) -> bytes:
    r"""``7 FETCH (UID 42 FLAGS (\Seen))``, untagged; at least one item."""
    return b"%d FETCH (%b)" % (seq, b" ".join(items))


def fetch_flags(
    seq: Seq, flags: Flags, uid: Uid | None = None, *, recent: bool = False
) -> bytes:
    r"""``7 FETCH (UID 42 FLAGS (\Seen))``, untagged.

    Pass ``uid`` in every answer to a UID command: it must be there even if it
    was not asked for.  RFC 3501 §6.4.8.
    """
    rendered = render_flags(flags, recent)
    if uid is None:
        return b"%d FETCH (FLAGS %b)" % (seq, rendered)
    return b"%d FETCH (UID %d FLAGS %b)" % (seq, uid, rendered)


#   "FLAGS" SP "(" [flag-fetch *(SP flag-fetch)] ")"         ; RFC 3501 §9
def render_flags(flags: Flags, recent: bool) -> bytes:
    r"""``(\Recent \Seen)``, sorted, so that equal sets give equal octets."""
    # A mailbox has few distinct sets, and all of its messages are asked for.  Large
    # sets are left out: a client could fill the cache with megabytes of keywords.
    return (_cached if len(flags) <= 16 else _render)(flags, recent)


def _render(flags: Flags, recent: bool) -> bytes:
    return flag_list(sorted(flags | {RECENT} if recent else flags - {RECENT}))


_cached = lru_cache(maxsize=4096)(_render)


def uid_item(uid: Uid) -> bytes:
    """``UID 42``."""
    return b"UID %d" % uid


def flags_item(flags: Flags, recent: bool) -> bytes:
    r"""``FLAGS (\Seen)``."""
    return b"FLAGS " + render_flags(flags, recent)


def size_item(size: Octets) -> bytes:
    """``RFC822.SIZE 4286``: of the CRLF form."""
    return b"RFC822.SIZE " + number(size)


#   date-time = DQUOTE date-day-fixed "-" date-month "-" date-year
#               SP time SP zone DQUOTE
#   date-day-fixed = (SP DIGIT) / 2DIGIT                     ; RFC 3501 §9
def internaldate_item(seconds: int) -> bytes:
    """``INTERNALDATE " 7-Feb-1994 21:52:25 +0000"``: always in UTC.

    Args:
        seconds: since 1970, UTC; outside the years 1 to 9999 the nearest moment
            inside, as a file's time may be anything.
    """
    then = time.gmtime(min(max(seconds, _FIRST_SECOND), _LAST_SECOND))
    return b'INTERNALDATE "%2d-%b-%04d %02d:%02d:%02d +0000"' % (
        then.tm_mday,
        _MONTHS[then.tm_mon - 1],
        then.tm_year,
        then.tm_hour,
        then.tm_min,
        then.tm_sec,
    )


def envelope_item(rendered: bytes) -> bytes:
    """``ENVELOPE (...)``, from what ``structure.envelope`` made."""
    return b"ENVELOPE " + rendered


def body_item(rendered: bytes) -> bytes:
    """``BODY (...)``, from what ``structure.body`` made."""
    return b"BODY " + rendered


def bodystructure_item(rendered: bytes) -> bytes:
    """``BODYSTRUCTURE (...)``, from what ``structure.bodystructure`` made."""
    return b"BODYSTRUCTURE " + rendered


#   "BODY" section ["<" number ">"]                          ; RFC 3501 §9
#   section         = "[" [section-spec] "]"
#   section-spec    = section-msgtext / (section-part ["." section-text])
#   section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
#   header-list     = "(" header-fld-name *(SP header-fld-name) ")"
def section_name(section: Section, partial: Partial | None = None) -> bytes:
    """``BODY[1.HEADER.FIELDS (From To)]<0>``: clients look for what they wrote.

    The count of a partial is not repeated; field names keep their spelling.
    One command needs it once, for all of its messages.
    """
    words = [b"%d" % part for part in section.path]
    if section.text is not None:
        words.append(section.text.value.encode("ascii"))
    spec = b".".join(words)
    if section.fields:
        spec += b" (%b)" % b" ".join(map(atom_or_string, section.fields))
    origin = b"<%d>" % partial.first if partial is not None else b""
    return b"BODY[%b]%b" % (spec, origin)


def section_item(name: bytes, octets: bytes | None) -> bytes:
    """``BODY[TEXT]<0> {42}`` CRLF and the octets; ``NIL`` for None: no such part.

    ``name`` is what ``section_name`` made.  Always a literal, so that large and
    binary parts need no look at every octet.
    """
    return b"%b %b" % (name, NIL if octets is None else literal(octets))


def rfc822_item(atom: FetchAtom, octets: bytes) -> bytes:
    """``RFC822.HEADER {42}`` CRLF and the octets; also RFC822 and RFC822.TEXT."""
    return b"%b %b" % (atom.value.encode("ascii"), literal(octets))
