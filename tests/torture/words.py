"""The words of commands, drawn by chance: mostly good ones, some that are odd."""

from random import Random
from typing import Final

USERS: Final = ((b"alice", b"wonderland"), (b"bob", b"builder"), (b"carol", b"singers"))
USES: Final = (b"Sent", b"Drafts", b"Junk", b"Trash", b"Archive", b"All", b"X")
SELECTIONS: Final = (b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE")
RETURNS: Final = (b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE")
STATUS: Final = (
    *(b"MESSAGES", b"RECENT", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN", b"SIZE"),
    *(b"DELETED", b"APPENDLIMIT", b"HIGHESTMODSEQ"),
)
FETCH: Final = (
    *(b"FLAGS", b"UID", b"ENVELOPE", b"INTERNALDATE", b"BODY", b"BODYSTRUCTURE"),
    *(b"RFC822", b"RFC822.SIZE", b"RFC822.HEADER", b"RFC822.TEXT", b"MODSEQ"),
)
KEYS: Final = (
    *(b"ALL", b"ANSWERED", b"DELETED", b"DRAFT", b"FLAGGED", b"NEW", b"OLD", b"RECENT"),
    *(b"SEEN", b"UNANSWERED", b"UNDELETED", b"UNDRAFT", b"UNFLAGGED", b"UNSEEN"),
    *(b"BEFORE 1-Feb-2020", b'ON "17-Jul-1996"', b"SINCE 1-Jan-1990"),
    *(b"SENTBEFORE 1-Feb-2020", b"SENTON 1-Feb-2020", b"SENTSINCE 1-Feb-1990"),
    b"YOUNGER 100",
)
TEXT_KEYS: Final = (b"BCC", b"CC", b"FROM", b"SUBJECT", b"TO", b"BODY", b"TEXT")
CRITERIA: Final = (
    *(b"ARRIVAL", b"CC", b"DATE", b"FROM", b"SIZE", b"SUBJECT", b"TO", b"DISPLAYTO"),
    *(b"REVERSE DATE", b"REVERSE SUBJECT", b"DISPLAYFROM"),
)

_MAILBOXES: Final = (
    *(b"INBOX", b"inbox", b"one", b"two", b"one/two", b"one/two/three", b"Sent"),
    *(b"with space", b'quo"te', b"b\\ack", b"Entw&APw-rfe", b"R&-D", b"per%cent"),
    *(b"st*r", b"(paren", b"{5}", b"INBOX/child", b"&ZeVnLIqe-", b"tail/", b"NIL"),
)
_ODD_MAILBOXES: Final = (
    *(b"", b"..", b"../bob", b"/", b"a//b", b"~", b"&", b"&AC8-", b"&AAA-", b"."),
    *(b"a.b", b"cur", b"new", b"tmp", b"\xc3\xa4", b"a\x7f", b"&AAo-", b"&2AA-"),
    *(b"x" * 300, b"/".join([b"x"] * 40), b"&AGE-", b"INBOX/INBOX", b"a/../../b"),
)
_PATTERNS: Final = (b"*", b"%", b"one/%", b"*two*", b"%/%", b"INBOX", b"", b"a&b*")
_FLAGS: Final = (rb"\Seen", rb"\Deleted", rb"\Flagged", rb"\Answered", rb"\Draft")
_KEYWORDS: Final = (b"$Forwarded", b"NonJunk", b"nonjunk", b"a]b", b"k1", b"+-'&", b"$")
_FIELDS: Final = (b"Subject", b"FROM", b"to", b"X-None", b"Message-ID", b"a]b", b"Date")
_CHARSETS: Final = (b"UTF-8", b"US-ASCII", b"ISO-8859-1", b"x-none", b"shift_jis")
_TEXTS: Final = (
    *(b"x", b"test", b"", b"gr\xc3\xbc\xc3\x9fe", b'a "b"', b"back\\slash", b"a b c"),
    *(b"line\r\nend", b"(", b"{3}", b"{3+}", b"*", b"%", b"NIL", b"\xff\xfe", b"\t"),
    *(b"a" * 200, b"\xe6\x97\xa5\xe6\x9c\xac", b"a OK done", b"\r\n* BYE x"),
)
_HEADERS: Final = (
    b"From: A <a@example.org>\r\nTo: b@example.org\r\n",
    b"Subject: test\r\nMessage-ID: <1@example.org>\r\n",
    b"Subject: Re: test\r\nReferences: <1@example.org>\r\n",
    b'From: "a \\"b\\"" <"q"@[1.2.3.4]>\r\nCc: group: x@y, z@w;\r\n',
    b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nDate: 1 Feb 2020 1:2:3 +0000\r\n",
    b"Subject: \xff\x00\r\n\tfolded\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: text/plain; charset=x; name*0=a; name*1*=%ff\r\n",
    b"",
)
_BODIES: Final = (
    *(b"x\r\n", b"", b"no end", b"bare\nlf\n", b"bare\rcr\r", b"\x00\xff\r\n"),
    b"--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n",
    b"Subject: inner\r\n\r\ninner\r\n",
    b"a OK\r\n* BYE\r\n{5}\r\n",
)


def _odd(chance: Random, most: int = 12) -> bytes:
    return chance.randbytes(chance.randint(0, most))


def mailbox(chance: Random) -> bytes:
    """Draw a name as a client sends it."""
    way = chance.random()
    if way < 0.4:
        return chance.choice(_MAILBOXES[:5])
    if way < 0.93:
        return chance.choice(_MAILBOXES)
    return chance.choice(_ODD_MAILBOXES) if way < 0.98 else _odd(chance)


def reference(chance: Random) -> bytes:
    """Draw the reference of LIST."""
    return b"" if chance.random() < 0.7 else mailbox(chance)


def pattern(chance: Random) -> bytes:
    """Draw a pattern of LIST."""
    return chance.choice(_PATTERNS) if chance.random() < 0.8 else mailbox(chance)


def credentials(chance: Random) -> tuple[bytes, bytes]:
    """Draw a name and a password, which fit in two of three cases."""
    user, password = chance.choice(USERS)
    way = chance.random()
    if way < 0.66:
        return user, password
    return (text(chance), password) if way < 0.83 else (user, text(chance))


def flag(chance: Random) -> bytes:
    """Draw a flag or keyword."""
    return chance.choice(_FLAGS) if chance.random() < 0.7 else keyword(chance)


def keyword(chance: Random) -> bytes:
    """Draw a keyword, of which there are not too many."""
    if chance.random() < 0.9:
        return chance.choice(_KEYWORDS)
    return b"w%d" % chance.randrange(40)


def number(chance: Random) -> int:
    """Draw a number of 32 bits."""
    return chance.choice((0, 1, 2, 5, 100, 2**31, 2**32 - 1, chance.getrandbits(32)))


def _item(chance: Random, messages: int) -> bytes:
    if chance.random() < 0.1:
        return chance.choice((b"*", b"4294967295", b"1000"))
    return b"%d" % chance.randint(1, max(1, messages))


def number_set(chance: Random, messages: int) -> bytes:
    """Draw a sequence set, mostly of messages that are there."""
    if chance.random() < 0.2:
        return b"1:*"
    items = []
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        item = _item(chance, messages)
        if chance.random() < 0.4:
            item += b":" + _item(chance, messages)
        items.append(item)
    return b",".join(items)


def starless(chance: Random) -> bytes:
    """Draw a set without a star, ascending."""
    first = chance.randint(1, 5)
    return b"%d:%d" % (first, first + chance.randint(0, 5))


def text(chance: Random) -> bytes:
    """Draw any string."""
    return chance.choice(_TEXTS) if chance.random() < 0.8 else _odd(chance)


def charset(chance: Random) -> bytes:
    """Draw the name of a charset."""
    return chance.choice(_CHARSETS) if chance.random() < 0.3 else b"UTF-8"


def field(chance: Random) -> bytes:
    """Draw the name of a header field."""
    return chance.choice(_FIELDS) if chance.random() < 0.9 else text(chance)


def part(chance: Random) -> bytes:
    """Draw the number of a part, or none."""
    return chance.choice((b"", b"", b"1", b"2", b"1.1", b"9", b"1.2.3.4"))


def message(chance: Random) -> bytes:
    """Draw a message, seldom an empty one."""
    if chance.random() < 0.03:
        return b""
    headers = b"".join(chance.sample(_HEADERS, chance.randint(1, 4)))
    return headers + b"\r\n" + chance.choice(_BODIES)
