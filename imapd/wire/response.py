"""Responses as octets; those to FETCH are in ``msgatt``.  RFC 3501 §7.

A function named for an untagged response returns its content, without ``* ``
and CRLF: ``untagged`` adds them.  ``tagged``, ``error`` and ``continuation``
return whole lines.  A function named for a response code returns it without
brackets, for the ``code`` of the status responses.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from imapd.errors import ImapError
from imapd.ids import Seq, Uid
from imapd.model import utf7
from imapd.wire.chars import TAG_CHARS
from imapd.wire.encode import (
    NIL,
    flag_list,
    mailbox,
    nstring,
    quoted,
    quoted_or_literal,
    range_set,
    uid_set,
)

#: Longer texts are cut: they carry names a client chose.
TEXT_OCTETS = 900

_UNPRINTABLE = re.compile(rb"[^\x20-\x7e]")
#   resp-text-code = atom [SP 1*<any TEXT-CHAR except "]">]  ; RFC 3501 §9
_CODE = re.compile(rb"[A-Za-z][A-Za-z0-9-]*(?: [\x20-\x5c\x5e-\x7e]+)?")

READ_ONLY = b"READ-ONLY"
READ_WRITE = b"READ-WRITE"
CLOSED = b"CLOSED"  # RFC 7162 §3.2.11


# --- lines ---------------------------------------------------------------------


def untagged(content: bytes) -> bytes:
    """``* 23 EXISTS`` and CRLF, from what the functions below return."""
    return b"* %b\r\n" % content


#   response-tagged = tag SP resp-cond-state CRLF            ; RFC 3501 §9
def tagged(
    tag: bytes | None, condition: bytes, text: bytes | str, code: bytes | None = None
) -> bytes:
    """``a1 OK [READ-WRITE] SELECT completed`` and CRLF.

    With None for the tag, or with what is no tag, the answer is untagged, as for
    a command whose tag could not be read.  RFC 3501 §7.1.3.
    """
    name = tag if tag is not None and TAG_CHARS.fullmatch(tag) else b"*"
    line = status_line if code else _usual_line
    return b"%b %b\r\n" % (name, line(condition, text, code))


def error(tag: bytes | None, failure: ImapError) -> bytes:
    """``a1 NO [NONEXISTENT] No such mailbox`` and CRLF: what a command died of."""
    return tagged(tag, failure.condition, str(failure), failure.code)


#   continue-req = "+" SP (resp-text / base64) CRLF          ; RFC 3501 §9
def continuation(text: bytes = b"") -> bytes:
    """``+ Ready for 42 octets`` and CRLF; base64 of any length stays one line."""
    return b"+ %b\r\n" % _no_code(_UNPRINTABLE.sub(b"?", text))


#   resp-text = ["[" resp-text-code "]" SP] text             ; RFC 3501 §9
def _resp_text(text: bytes | str, code: bytes | None) -> bytes:
    """``[ALERT] text``, printable ASCII in one line whatever was put in."""
    octets = text.encode("ascii", "replace") if isinstance(text, str) else text
    octets = _UNPRINTABLE.sub(b"?", octets).strip()[:TEXT_OCTETS] or b"-"
    if code is not None and _CODE.fullmatch(code):
        return b"[%b] %b" % (code, octets)
    return _no_code(octets)


def _no_code(octets: bytes) -> bytes:
    """``(x] text`` for ``[x] text``: a text of ours is never read as a code."""
    return b"(" + octets[1:] if octets.startswith(b"[") else octets


#   resp-cond-state = ("OK" / "NO" / "BAD") SP resp-text     ; RFC 3501 §9
def status_line(
    condition: bytes, text: bytes | str, code: bytes | None = None
) -> bytes:
    """``OK [ALERT] Text``, untagged: OK, NO, BAD, PREAUTH or BYE.  RFC 3501 §7.1.

    The text is cleaned: no line end, no octet outside printable ASCII, never
    empty.  A code that could end its brackets early is left out.
    """
    return b"%b %b" % (condition, _resp_text(text, code))


#: Without a code there are few, most of them constants of the handlers.
_usual_line = lru_cache(maxsize=128)(status_line)


def greeting(text: bytes | str, capabilities: Iterable[bytes]) -> bytes:
    """``* OK [CAPABILITY IMAP4rev1 ...] text`` and CRLF.  RFC 3501 §7.1.1."""
    return untagged(_usual_line(b"OK", text, capability(capabilities)))


def bye(text: bytes | str, code: bytes | None = None) -> bytes:
    """``BYE Logging out``, untagged.  RFC 3501 §7.1.5."""
    return status_line(b"BYE", text, code)


# --- response codes --------------------------------------------------------------


def permanentflags(flags: Iterable[bytes], keywords: bool) -> bytes:
    r"""``PERMANENTFLAGS (\Deleted \Seen \*)``; ``\*``: new keywords may be made."""
    listed = flag_list(flags)
    if not keywords:
        return b"PERMANENTFLAGS " + listed
    more = b" \\*)" if len(listed) > 2 else b"\\*)"
    return b"PERMANENTFLAGS " + listed[:-1] + more


def uidvalidity(value: int) -> bytes:
    """``UIDVALIDITY 3857529045``.  RFC 3501 §7.1."""
    return b"UIDVALIDITY %d" % value


def uidnext(value: int) -> bytes:
    """``UIDNEXT 4392``.  RFC 3501 §7.1."""
    return b"UIDNEXT %d" % value


def unseen(first: Seq) -> bytes:
    """``UNSEEN 12``: the number of the first message not seen.  RFC 3501 §7.1."""
    return b"UNSEEN %d" % first


def appenduid(uid_validity: int, uids: Iterable[Uid]) -> bytes | None:
    """``APPENDUID 38505 3955``; several for MULTIAPPEND, None for none.

    RFC 4315 §3.
    """
    appended = uid_set(uids)
    return b"APPENDUID %d %b" % (uid_validity, appended) if appended else None


def copyuid(uid_validity: int, pairs: Iterable[tuple[Uid, Uid]]) -> bytes | None:
    """``COPYUID 38505 304,319:320 3956:3958``; None if nothing was copied.

    ``pairs`` are (source, target).  The n-th number of one set belongs to the
    n-th of the other, so only steps of plus one become ranges.  RFC 4315 §3.
    """
    copied = list(pairs)
    if not copied:
        return None
    sources = uid_set(source for source, _ in copied)
    targets = uid_set(target for _, target in copied)
    return b"COPYUID %d %b %b" % (uid_validity, sources, targets)


def highestmodseq(value: int) -> bytes:
    """``HIGHESTMODSEQ 715194045007``, or ``NOMODSEQ`` for 0: none are kept.

    RFC 7162 §3.1.2.
    """
    return b"HIGHESTMODSEQ %d" % value if value else b"NOMODSEQ"


def modified(numbers: Iterable[int]) -> bytes | None:
    """``MODIFIED 7,9``: what a conditional STORE left alone; None for nothing.

    RFC 7162 §3.1.3.
    """
    found = uid_set(numbers)
    return b"MODIFIED " + found if found else None


def capability(names: Iterable[bytes]) -> bytes:
    """``CAPABILITY IMAP4rev1 IDLE``: a code, and the response.  RFC 3501 §7.2.1."""
    return _capability(tuple(names))


@lru_cache(maxsize=64)  # told twice in each session, and mostly the same
def _capability(names: tuple[bytes, ...]) -> bytes:
    return b" ".join((b"CAPABILITY", *names))


# --- mailbox data ----------------------------------------------------------------


def flags(names: Iterable[bytes]) -> bytes:
    r"""``FLAGS (\Answered \Seen $Forwarded)``, untagged.  RFC 3501 §7.2.6."""
    return b"FLAGS " + flag_list(names)


def exists(count: int) -> bytes:
    """``23 EXISTS``, untagged.  RFC 3501 §7.3.1."""
    return b"%d EXISTS" % count


def recent(count: int) -> bytes:
    """``5 RECENT``, untagged.  RFC 3501 §7.3.2."""
    return b"%d RECENT" % count


def expunges(seqs: Iterable[Seq]) -> bytes:
    """``* 44 EXPUNGE`` and CRLF, a line for each, in this order.  RFC 3501 §7.4.1."""
    return b"".join([b"* %d EXPUNGE\r\n" % seq for seq in seqs])


#   expunged-resp = "VANISHED" [SP "(EARLIER)"] SP known-uids  ; RFC 7162 §7
def vanished(ranges: Iterable[tuple[int, int]], *, earlier: bool = False) -> bytes:
    """``VANISHED 505,507:510``, untagged, of UIDs.  RFC 7162 §3.2.10.

    ``earlier``: they were gone before, and no message number changes.
    """
    word = b"VANISHED (EARLIER)" if earlier else b"VANISHED"
    return b"%b %b" % (word, range_set(ranges))


#   (DQUOTE QUOTED-CHAR DQUOTE / nil)                        ; RFC 3501 §9
def _separator(separator: str | None) -> bytes:
    return NIL if separator is None else quoted(separator.encode("ascii"))


#   mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil)
#                  SP mailbox [SP mbox-list-extended]        ; RFC 5258 §6
def list_response(
    attributes: Iterable[bytes],
    separator: str | None,
    name: str,
    child_info: Iterable[bytes] = (),
) -> bytes:
    r"""``LIST (\HasChildren \Drafts) "." Entw&APw-rfe``, untagged.  RFC 3501 §7.2.2.

    ``separator`` is one printable ASCII character.  ``child_info`` are selection
    options that children match: ``("CHILDINFO" ("SUBSCRIBED"))``.  RFC 5258 §3.5.
    """
    return b"LIST " + _mailbox_list(attributes, separator, name, child_info)


def lsub(attributes: Iterable[bytes], separator: str | None, name: str) -> bytes:
    r"""``LSUB (\Noselect) "." lists``, untagged.  RFC 3501 §7.2.3."""
    return b"LSUB " + _mailbox_list(attributes, separator, name, ())


def _mailbox_list(
    attributes: Iterable[bytes],
    separator: str | None,
    name: str,
    child_info: Iterable[bytes],
) -> bytes:
    line = b"%b %b %b" % (flag_list(attributes), _separator(separator), mailbox(name))
    options = b" ".join(map(quoted, child_info))
    return b'%b ("CHILDINFO" (%b))' % (line, options) if options else line


#   "STATUS" SP mailbox SP "(" [status-att-list] ")"         ; RFC 3501 §9
def status(name: str, pairs: Iterable[tuple[bytes, int]]) -> bytes:
    """``STATUS Trash (MESSAGES 231 UIDNEXT 44292)``, untagged.  RFC 3501 §7.2.4."""
    counts = b" ".join(b"%b %d" % pair for pair in pairs)
    return b"STATUS %b (%b)" % (mailbox(name), counts)


#   esearch-response = "ESEARCH" [search-correlator] [SP "UID"]
#                      *(SP search-return-data)              ; RFC 4466 §2.6.2
def esearch(
    tag: bytes,
    uid: bool,
    pairs: Iterable[tuple[bytes, int]],
    numbers: Iterable[int] | None = None,
    modseq: int | None = None,
) -> bytes:
    """``ESEARCH (TAG "a1") UID COUNT 3 ALL 4:5,9``, untagged.  RFC 4731 §3.1.

    ``pairs`` are MIN, MAX and COUNT, the first two only if something was found.
    ``numbers`` is what ALL names, ascending; without any, ALL is left out.
    ``modseq`` is the highest of the messages told: ``MODSEQ 1236``.  §3.2.
    """
    words = [b"ESEARCH (TAG %b)" % quoted_or_literal(tag)]
    if uid:
        words.append(b"UID")
    words += [b"%b %d" % pair for pair in pairs]
    if numbers is not None and (found := uid_set(numbers)):
        words.append(b"ALL " + found)
    if modseq is not None:
        words.append(b"MODSEQ %d" % modseq)
    return b" ".join(words)


# --- server data -----------------------------------------------------------------


def namespace(prefix: str, separator: str | None) -> bytes:
    """``NAMESPACE (("INBOX." ".")) NIL NIL``, untagged: one, personal.  RFC 2342."""
    name = quoted_or_literal(utf7.encode(prefix))
    return b"NAMESPACE ((%b %b)) NIL NIL" % (name, _separator(separator))


def id_response(pairs: Mapping[bytes, bytes | None]) -> bytes:
    """``ID ("name" "imapd")``, or ``ID NIL``, untagged.  RFC 2971 §3.2."""
    told = b" ".join(
        b"%b %b" % (quoted_or_literal(key), nstring(value))
        for key, value in pairs.items()
    )
    return b"ID (%b)" % told if told else b"ID NIL"


def enabled(names: Iterable[bytes]) -> bytes:
    """``ENABLED CONDSTORE``, or only the word, untagged.  RFC 5161 §3.2."""
    return b" ".join((b"ENABLED", *names))
