"""The base subject: what SORT and THREAD compare.  RFC 5256 §2.1, §5."""

import re

_BLANKS = re.compile(r"[ \t\r\n]+")
#   subj-blob    = "[" *BLOBCHAR "]" *WSP       ; BLOBCHAR: any but "[" and "]"
_BLOB = r"\[[^\[\]]*+\] ?"
_BLOB_RUN = re.compile(rf"(?>(?:{_BLOB})+)")
#   subj-refwd   = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
_REFWD = re.compile(rf"(?:re|fwd?+) ?(?>(?:{_BLOB})?):", re.ASCII | re.IGNORECASE)
#   subj-trailer = "(fwd)" / WSP
_FWD_TRAILER = "(fwd)"
#   subj-fwd     = subj-fwd-hdr subject subj-fwd-trl
_FWD_HEADER, _FWD_END = "[fwd:", "]"


def base_subject(subject: str) -> tuple[str, bool]:
    """Return the base subject, and whether it is a reply or forward.

    The subject is decoded (RFC 2047).  In time linear in its length: what was
    found to be a row of blobs is not looked at again.
    """
    text = _BLANKS.sub(" ", subject)  # step 1
    start, end, answers = 0, len(text), False
    while True:
        end, trailed = _without_trailers(text, start, end)
        start, led = _without_leaders(text, start, end)
        answers = answers or trailed or led
        inside = start + len(_FWD_HEADER)
        if (
            text[start:inside].lower() != _FWD_HEADER
            or end <= inside
            or text[end - 1] != _FWD_END
        ):
            return text[start:end], answers
        start, end, answers = inside, end - 1, True  # step 6


def _without_trailers(text: str, start: int, end: int) -> tuple[int, bool]:
    """Step 2: where the text ends without them, and whether one was ``(fwd)``."""
    forwarded = False
    while end > start:
        if text[end - 1] == " ":
            end -= 1
        elif text[max(start, end - len(_FWD_TRAILER)) : end].lower() == _FWD_TRAILER:
            end -= len(_FWD_TRAILER)
            forwarded = True
        else:
            break
    return end, forwarded


#   subj-leader  = (*subj-blob subj-refwd) / WSP
def _without_leaders(text: str, start: int, end: int) -> tuple[int, bool]:
    """Steps 3 to 5: where the base begins, and whether a refwd preceded it."""
    answers = False
    while start < end:
        if text[start] == " ":
            start += 1
            continue
        blobs = _BLOB_RUN.match(text, start, end)
        after = start if blobs is None else blobs.end()
        leader = _REFWD.match(text, after, end)
        if leader is not None:
            start, answers = leader.end(), True
        elif blobs is None:
            break
        elif after < end:
            start = after
        else:  # nothing but blobs: the last of them is the base
            return text.rindex("[", start, end), answers
    return start, answers
