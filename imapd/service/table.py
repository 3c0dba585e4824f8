"""Every setting there is: one row each, for the command line and the TOML file."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How a setting is written, and what the file may hold for it."""

    TEXT = "a string"
    TEXTS = "a string or a list of strings"
    BOOLEAN = "true or false"
    NUMBER = "a whole number"
    TABLE = "a table"

    @property
    def repeatable(self) -> bool:
        """Whether the option may be given more than once."""
        return self in (Kind.TEXTS, Kind.TABLE)


@dataclass(frozen=True, slots=True)
class Option:
    """One setting; the option on the command line is ``--`` and the key."""

    key: str
    kind: Kind
    argument: str  # what stands for the value in --help
    example: str  # the right-hand side of a TOML line that is right
    default: str  # in words, for people
    help: str
    choices: tuple[str, ...] = ()


OPTIONS = (
    Option(
        key="mail",
        kind=Kind.TEXT,
        argument="TEMPLATE",
        example='"/srv/mail/{domain}/{local}/Maildir"',
        default="none; it must be given",
        help="Where a user's Maildir is.  {user} is the login name, {local} and "
        "{domain} what is before and after its last @; a leading ~ is the home of "
        "the user record.  Where the record has a uid, a Maildir that belongs neither "
        "to it nor to the server is refused.",
    ),
    Option(
        key="auth",
        kind=Kind.TEXTS,
        argument="TYPE:ARGUMENTS",
        example='"passwdfile:/etc/imapd/users"',
        default="none; it must be given",
        help="Who may log in; asked in the order given.  --help-auth lists the types.",
    ),
    Option(
        key="imap",
        kind=Kind.TEXTS,
        argument="ENDPOINT",
        example='"tcp:143:interface=127.0.0.1"',
        default="none",
        help="Listen here for IMAP in the clear, with STARTTLS if there is a "
        "certificate.",
    ),
    Option(
        key="imaps",
        kind=Kind.TEXTS,
        argument="ENDPOINT",
        example='"tcp:993"',
        default='"tcp:993" if there is a certificate and no imap or imaps is given',
        help="Listen here for IMAP in implicit TLS.",
    ),
    Option(
        key="certificate",
        kind=Kind.TEXT,
        argument="FILE",
        example='"/etc/ssl/imapd/fullchain.pem"',
        default="none",
        help="PEM file: the certificate of the server, then its chain.  Read again "
        "on SIGHUP.",
    ),
    Option(
        key="key",
        kind=Kind.TEXT,
        argument="FILE",
        example='"/etc/ssl/imapd/privkey.pem"',
        default="the file of the certificate",
        help="PEM file: the private key, not encrypted.  Read again on SIGHUP.",
    ),
    Option(
        key="cleartext-login",
        kind=Kind.TEXT,
        argument="WHERE",
        example='"never"',
        default="loopback",
        help="Where a password may be sent without TLS: never, from loopback, or "
        "always.  Elsewhere LOGINDISABLED is said and a try is refused unseen.",
        choices=("never", "loopback", "always"),
    ),
    Option(
        key="mechanisms",
        kind=Kind.TEXTS,
        argument="NAME",
        example='["PLAIN", "LOGIN"]',
        default="those that work for every user",
        help="The SASL mechanisms to offer: PLAIN, LOGIN, CRAM-MD5.  CRAM-MD5 works "
        "only for users whose password is kept as PLAIN or CRAM-MD5, and is offered "
        "if that is so for all of them, or if it is named here.",
    ),
    Option(
        key="namespace",
        kind=Kind.TEXT,
        argument="STYLE",
        example='"auto"',
        default="auto",
        help='How names of mailboxes look: courier ("INBOX.a.b"), dovecot ("a.b"), '
        'slash ("a/b"), or auto: what the clients of the account know, and slash for '
        "a new one.",
        choices=("auto", "courier", "dovecot", "slash"),
    ),
    Option(
        key="cache",
        kind=Kind.TEXT,
        argument="TEMPLATE",
        example='"/var/cache/imapd/{domain}/{local}"',
        default="in the Maildir",
        help="The folder for what can be derived again, if not in the Maildir; "
        "written like --mail.",
    ),
    Option(
        key="text-index",
        kind=Kind.BOOLEAN,
        argument="yes|no",
        example="false",
        default="yes",
        help="Keep an index of the words of messages beside the cache, so that "
        "searching bodies does not read them.  It takes about an eighth of the size "
        "of the texts, and never more than all of it.",
    ),
    Option(
        key="create-missing-maildir",
        kind=Kind.BOOLEAN,
        argument="yes|no",
        example="false",
        default="yes",
        help="Make the Maildir of a user who logs in for the first time.",
    ),
    Option(
        key="special-use",
        kind=Kind.TABLE,
        argument="USE=MAILBOX",
        example='{ Sent = "Sent", Trash = "Trash" }',
        default="none",
        help="Mailboxes to make at the first login: Sent, Drafts, Trash, Junk or "
        'Archive, and the name, with "/" between parent and child.',
    ),
    Option(
        key="watch",
        kind=Kind.TEXT,
        argument="HOW",
        example='"poll"',
        default="auto",
        help="How new mail is noticed while a client idles: inotify, which tells at "
        "once, but not what other machines do; poll, which looks twice a second; or "
        "auto: inotify on local file systems, poll on all others.",
        choices=("auto", "inotify", "poll"),
    ),
    Option(
        key="index",
        kind=Kind.TEXT,
        argument="WHEN",
        example='"off"',
        default="background",
        help="When what clients ask for is derived from messages: background, ahead "
        "of need, by a process that takes what the others leave of the machine; or "
        "off, when it is asked for.  Either way it is kept in the cache.",
        choices=("background", "off"),
    ),
    Option(
        key="limits",
        kind=Kind.TABLE,
        argument="NAME=NUMBER",
        example="{ append_octets = 104857600 }",
        default="see the list of limits",
        help="What one connection, command or message may cost.",
    ),
    Option(
        key="mailbox-memory",
        kind=Kind.NUMBER,
        argument="MIB",
        example="512",
        default="128",
        help="How many MiB the mailboxes that nobody has open may take in each "
        "process, so that the next session finds them loaded, and what they leave the "
        "answers that clients ask for again and again; 0: none is kept.  A message is "
        "about 600 octets, and its answer to a list of messages as many.",
    ),
    Option(
        key="workers",
        kind=Kind.NUMBER,
        argument="NUMBER",
        example="4",
        default="0",
        help="How many processes serve the clients; 0: this one alone.  They share "
        "the ports, the limits and the log, and see each other's changes at once.  "
        "More than there are cores is of no use.",
    ),
    Option(
        key="allow-root",
        kind=Kind.BOOLEAN,
        argument="yes|no",
        example="false",
        default="no",
        help="Serve as uid 0, where every bug is everybody's.  Better: --uid and "
        "--gid of twistd, which take effect when ports are open and keys read.",
    ),
)

BY_KEY = {option.key: option for option in OPTIONS}
