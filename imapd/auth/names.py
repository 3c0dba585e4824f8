"""Which user names a login may have."""

import re

from imapd.auth.refusals import LoginRefused

USER_NAME_OCTETS = 128

#   user-name = part [ "@" part ]         ; ours: a name becomes a path
#   part      = first *( first / "." / "-" )
#   first     = ALPHA / DIGIT / "_" / "+"
# Over ASCII alone SASLprep (RFC 4013 §2) changes nothing, and no two names look
# alike.
_PART = rb"[A-Za-z0-9_+][A-Za-z0-9_+.-]*"
_USER_NAME = re.compile(rb"%b(?:@%b)?" % (_PART, _PART))


def user_name(octets: bytes) -> bytes:
    """Return ``octets`` as they are, if a login may have this name.

    One rule for LOGIN and for every mechanism.  Case is left to the checkers.

    Raises:
        LoginRefused: too long, empty, no UTF-8, a control, ``..``, ``/``, a part
            that begins with a dot or a hyphen, or anything else not allowed.
    """
    fits = len(octets) <= USER_NAME_OCTETS and _USER_NAME.fullmatch(octets)
    if not fits or b".." in octets:
        raise LoginRefused("bad-name")
    return octets
