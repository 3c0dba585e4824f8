"""What the arguments of each command mean, once ``wire`` has read them.

Mailbox names are the decoded text the client wrote, prefix and separator and
all; the namespace turns them into paths.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from imapd.model.flags import StoreMode
from imapd.model.search import Return, SearchKey
from imapd.model.sets import SequenceSet
from imapd.model.sort import Criterion, ThreadAlgorithm
from imapd.model.structure import Partial, Section


@dataclass(frozen=True, slots=True)
class Login:
    """``LOGIN user password``."""

    user: bytes
    password: bytes = field(repr=False)  # no log may get it by accident


@dataclass(frozen=True, slots=True)
class Authenticate:
    """``AUTHENTICATE mechanism [initial-response]``.  RFC 3501 §6.2.2, RFC 4959.

    ``initial`` is still base64; None: none was sent, b"=": an empty one.
    """

    mechanism: bytes  # upper case
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailboxName:
    """``DELETE``, ``SUBSCRIBE``, ``UNSUBSCRIBE``, ..."""

    name: str


@dataclass(frozen=True, slots=True)
class SequenceMatch:
    """Message numbers a client knows, and their UIDs, as many.  RFC 7162 §3.2.5.2."""

    numbers: SequenceSet
    uids: SequenceSet


@dataclass(frozen=True, slots=True)
class Resync:
    """``QRESYNC (uidvalidity modseq [known-uids] [(numbers uids)])``."""

    uid_validity: int
    modseq: int
    known: SequenceSet | None = None  # None: all of the mailbox
    match: SequenceMatch | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """``SELECT name [(CONDSTORE QRESYNC (...))]``, and EXAMINE.  RFC 7162 §3."""

    name: str
    condstore: bool = False  # with any of the two
    resync: Resync | None = None


@dataclass(frozen=True, slots=True)
class Create:
    r"""``CREATE name [(USE (\Sent))]``.  RFC 6154 §3."""

    name: str
    special_use: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Rename:
    """``RENAME old new``."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ListMailboxes:
    """``LIST`` and ``LSUB``: reference and patterns, decoded.

    The selection and return options are those of RFC 5258 and RFC 5819; the
    plain command has none.
    """

    reference: str
    patterns: tuple[str, ...]
    extended: bool = False
    selection: frozenset[bytes] = frozenset()  # b"SUBSCRIBED", b"SPECIAL-USE", ...
    returns: frozenset[bytes] = frozenset()  # b"CHILDREN", b"SUBSCRIBED", ...
    status: tuple[bytes, ...] = ()  # of RETURN (STATUS (...))


@dataclass(frozen=True, slots=True)
class Status:
    """``STATUS name (items)``; items in upper case, in the client's order."""

    name: str
    items: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AppendMessage:
    """What precedes one message literal of APPEND.  RFC 3501 §6.3.11, RFC 3502."""

    flags: tuple[bytes, ...] = ()
    internal_date: datetime | None = None  # with its zone


class FetchAtom(Enum):
    """``fetch-att`` without arguments."""

    UID = "UID"
    FLAGS = "FLAGS"
    INTERNALDATE = "INTERNALDATE"
    RFC822_SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    RFC822 = "RFC822"
    RFC822_HEADER = "RFC822.HEADER"
    RFC822_TEXT = "RFC822.TEXT"
    MODSEQ = "MODSEQ"


@dataclass(frozen=True, slots=True)
class FetchSection:
    r"""``BODY[section]<partial>``; without ``peek`` it sets ``\Seen``."""

    section: Section
    peek: bool
    partial: Partial | None = None


FetchItem = FetchAtom | FetchSection


@dataclass(frozen=True, slots=True)
class Fetch:
    """``FETCH set items``: macros expanded, in order, without repetition.

    ``changed_since`` is CHANGEDSINCE, with which MODSEQ is among the items, and
    ``vanished`` asks for those that are gone too.  RFC 7162 §3.1.4.1, §3.2.6.
    """

    numbers: SequenceSet
    items: tuple[FetchItem, ...]
    uid: bool = False
    changed_since: int | None = None
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Store:
    """``STORE set [(UNCHANGEDSINCE n)] [+-]FLAGS[.SILENT] flags``."""

    numbers: SequenceSet
    mode: StoreMode
    silent: bool
    flags: tuple[bytes, ...]
    uid: bool = False
    unchanged_since: int | None = None  # RFC 7162 §3.1.3


@dataclass(frozen=True, slots=True)
class Search:
    """``SEARCH [RETURN (...)] [CHARSET x] keys``; ``returns`` None: the plain form."""

    key: SearchKey
    returns: frozenset[Return] | None = None
    uid: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """``SORT [RETURN (...)] (criteria) charset keys``.  RFC 5256, RFC 5267 §3.

    ``returns`` None: the plain form.  ``partial`` are places in the result, the
    lower first; it excludes ``Return.ALL``.
    """

    criteria: tuple[Criterion, ...]
    key: SearchKey
    returns: frozenset[Return] | None = None
    partial: tuple[int, int] | None = None
    uid: bool = False


@dataclass(frozen=True, slots=True)
class Thread:
    """``THREAD algorithm charset keys``.  RFC 5256."""

    algorithm: ThreadAlgorithm
    key: SearchKey
    uid: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """``COPY set name`` and ``MOVE set name``.  RFC 3501 §6.4.7, RFC 6851."""

    numbers: SequenceSet
    name: str
    uid: bool = False


@dataclass(frozen=True, slots=True)
class UidExpunge:
    """``UID EXPUNGE set``.  RFC 4315 §2.1."""

    numbers: SequenceSet


@dataclass(frozen=True, slots=True)
class Enable:
    """``ENABLE cap ...``, in upper case.  RFC 5161."""

    capabilities: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Identify:
    """``ID (...)`` as pairs, or NIL as none.  RFC 2971."""

    pairs: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """A command without arguments."""
