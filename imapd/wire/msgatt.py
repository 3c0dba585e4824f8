"""What FETCH responses are made of: flags, and the names of sections.

``rows`` puts them together.  RFC 3501 §7.4.2.
"""

from functools import lru_cache

from imapd.ids import Seq, Uid
from imapd.model.flags import RECENT, Flags
from imapd.model.structure import Partial, Section
from imapd.wire.encode import atom_or_string, flag_list


def fetch_flags(
    seq: Seq,
    flags: Flags,
    uid: Uid | None = None,
    *,
    recent: bool = False,
    modseq: int | None = None,
) -> bytes:
    r"""``7 FETCH (UID 42 FLAGS (\Seen) MODSEQ (917162500))``, untagged.

    Pass ``uid`` in every answer to a UID command: it must be there even if it
    was not asked for.  RFC 3501 §6.4.8.
    """
    rendered = render_flags(flags, recent)
    if uid is None:
        return b"%d FETCH (FLAGS %b)" % (seq, rendered)
    if modseq is None:
        return b"%d FETCH (UID %d FLAGS %b)" % (seq, uid, rendered)
    return b"%d FETCH (UID %d FLAGS %b MODSEQ (%d))" % (seq, uid, rendered, modseq)


def fetch_modseq(seq: Seq, uid: Uid, modseq: int) -> bytes:
    """``7 FETCH (UID 42 MODSEQ (917162500))``, untagged.  RFC 7162 §3.1.3."""
    return b"%d FETCH (UID %d MODSEQ (%d))" % (seq, uid, modseq)


#   "FLAGS" SP "(" [flag-fetch *(SP flag-fetch)] ")"         ; RFC 3501 §9
def render_flags(flags: Flags, recent: bool) -> bytes:
    r"""``(\Recent \Seen)``, sorted, so that equal sets give equal octets."""
    # A mailbox has few distinct sets, and all of its messages are asked for.  Large
    # sets are left out: a client could fill the cache with megabytes of keywords.
    return (_cached if len(flags) <= 16 else _render)(flags, recent)


def _render(flags: Flags, recent: bool) -> bytes:
    return flag_list(sorted(flags | {RECENT} if recent else flags - {RECENT}))


_cached = lru_cache(maxsize=4096)(_render)


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
