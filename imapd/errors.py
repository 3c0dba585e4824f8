"""What a client may be told when a command fails: data, rendered by ``wire``."""

from typing import ClassVar


class ImapError(Exception):
    """A command failed in a way the client may be told about.

    The message goes to the client as it stands: ASCII, one line, no paths, no
    secrets.  Any other exception is our bug: the client sees ``NO [SERVERBUG]``.
    """

    condition: ClassVar[bytes] = b"NO"  # b"BAD" only if the client broke the grammar
    code: bytes | None = None  # without brackets; RFC 3501 §7.1, RFC 5530


class ClientGone(ConnectionAbortedError):
    """The session ended while a command ran: nobody waits for an answer.

    Of other connections, such as one to a database, this says nothing.
    """


class SyntaxRejected(ImapError):
    """The command does not follow the grammar.  RFC 3501 §7.1.3."""

    condition = b"BAD"


class WrongState(ImapError):
    """The command exists, but not in this state.  RFC 3501 §3."""

    condition = b"BAD"


class TooBig(ImapError):
    """A literal or a message is larger than we take.  RFC 7889 §4, RFC 5530."""

    code = b"TOOBIG"


class LimitReached(ImapError):
    """A count is larger than we take.  RFC 5530 §3."""

    code = b"LIMIT"


class BadCharset(ImapError):
    """SEARCH names a charset we do not know.  RFC 3501 §6.4.4."""

    code = b"BADCHARSET (US-ASCII UTF-8)"


class NoSuchMailbox(ImapError):
    """The mailbox does not exist.  RFC 5530 §3."""

    code = b"NONEXISTENT"


class NoDestination(ImapError):
    """APPEND, COPY or MOVE names a mailbox the client may create.  RFC 3501 §6.3.11."""

    code = b"TRYCREATE"


class AlreadyExists(ImapError):
    """CREATE or RENAME names a mailbox that is there.  RFC 5530 §3."""

    code = b"ALREADYEXISTS"


class Cannot(ImapError):
    """It can never be done as asked: a name we cannot store, INBOX deleted.

    RFC 5530 §3.
    """

    code = b"CANNOT"


class UnsupportedUse(ImapError):
    """CREATE asks for a special use that the mailbox cannot have.  RFC 6154 §3."""

    code = b"USEATTR"


class HasChildren(ImapError):
    """DELETE of a name that is only a parent.  RFC 9051 §7.1."""

    code = b"HASCHILDREN"


class NoPermission(ImapError):
    """The file system or the mode of the mailbox forbids it.  RFC 5530 §3."""

    code = b"NOPERM"


class ReadOnly(ImapError):
    """A change was asked of a mailbox that is open read-only.  RFC 3501 §7.1."""

    code = b"READ-ONLY"


class OverQuota(ImapError):
    """The disk or the quota is full.  RFC 5530 §3."""

    code = b"OVERQUOTA"


class Unavailable(ImapError):
    """Something we depend on does not work just now; the log says what.

    RFC 5530 §3.
    """

    code = b"UNAVAILABLE"


class InUse(ImapError):
    """A lock was held by somebody else for too long.  RFC 5530 §3."""

    code = b"INUSE"


class MessageGone(ImapError):
    """Another session or program expunged the message.  RFC 5530 §3."""

    code = b"EXPUNGEISSUED"


class StoreDamaged(ImapError):
    """A file is not what it must be, and must not be touched.  RFC 5530 §3."""

    code = b"CORRUPTION"


class AuthenticationFailed(ImapError):
    """Wrong user or password: which of them is for the log only.  RFC 5530 §3."""

    code = b"AUTHENTICATIONFAILED"


class AuthorizationFailed(ImapError):
    """The login is right but may not act as the identity asked for.  RFC 5530 §3."""

    code = b"AUTHORIZATIONFAILED"


class PrivacyRequired(ImapError):
    """A cleartext login without TLS.  RFC 5530 §3."""

    code = b"PRIVACYREQUIRED"


class ServerBug(ImapError):
    """An exception of ours reached the top; the log has it.  RFC 5530 §3."""

    code = b"SERVERBUG"
