"""What a mailbox had under another server, to be carried on without a break."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imapd.ids import Uid


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The numbers and keywords of a Maildir folder that has no ``dovecot-uidlist``.

    ``entries`` are (UID, base file name) in strictly ascending order of UIDs; the
    base is what comes before the last ``:``.  Entries of files that are gone are
    allowed.  ``keywords`` are the names of all keywords in use, and
    ``message_keywords`` those of single messages, by base.  With
    ``keywords_complete`` the messages in ``entries`` have no others: letters in
    their names that say more are from before.  ``guid`` is the folder's if it had
    one while it had these numbers.
    """

    uid_validity: int
    uid_next: int
    entries: Sequence[tuple[Uid, bytes]]
    keywords: Sequence[bytes] = ()
    message_keywords: Mapping[bytes, frozenset[bytes]] = field(default_factory=dict)
    keywords_complete: bool = False
    guid: str = ""
