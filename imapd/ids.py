"""Names for the numbers that must not be mixed up."""

from typing import NewType

Uid = NewType("Uid", int)  # 1 to 2**32 - 1, RFC 3501 §2.3.1.1
Seq = NewType("Seq", int)  # 1 to the number of messages, RFC 3501 §2.3.1.2
ModSeq = NewType("ModSeq", int)  # 1 to 2**63 - 1, RFC 7162 §3.1.1
Octets = NewType("Octets", int)  # a size, in the CRLF form unless it says otherwise

#: A mailbox as its hierarchy components, decoded; ``()`` is INBOX.  Prefix,
#: separator and encoding belong to the namespace (wire) and to the store (disk).
MailboxPath = tuple[str, ...]

INBOX: MailboxPath = ()

LARGEST_NUMBER = 2**32 - 1  # nz-number; RFC 3501 §9
