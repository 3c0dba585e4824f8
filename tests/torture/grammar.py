"""Commands as a grammar makes them: whole, of every kind, with arguments to point at.

Written from the RFCs alone.  ``GENERATORS`` has a row for each command the server
knows; a test compares the two tables.
"""

import base64
import hmac
from collections.abc import Callable
from random import Random
from typing import Any

from tests.torture import words
from tests.torture.pieces import (
    Answer,
    Argument,
    Command,
    Kind,
    Listed,
    Message,
    Piece,
    Pieces,
)


def _mailbox(chance: Random) -> Argument:
    return Argument(Kind.MAILBOX, words.mailbox(chance))


def _set(chance: Random, messages: int) -> Argument:
    return Argument(Kind.SET, words.number_set(chance, messages))


def _flags(chance: Random) -> Listed:
    return Listed(tuple((_flag(chance),) for _ in range(chance.randint(0, 3))))


def _flag(chance: Random) -> Argument:
    return Argument(Kind.FLAG, words.flag(chance))


def _listed(chance: Random, of: tuple[bytes, ...], least: int = 1) -> Listed:
    count = chance.randint(least, max(least, 4))
    return Listed(tuple((chance.choice(of),) for _ in range(count)))


def _nothing(chance: Random, messages: int) -> Pieces:
    return ()


def _id(chance: Random, messages: int) -> Pieces:
    if chance.random() < 0.2:
        return (b" NIL",)
    pairs: list[Pieces] = []
    for _ in range(chance.randint(0, 3)):
        value: Piece = b"NIL"
        if chance.random() < 0.7:
            value = Argument(Kind.STRING, words.text(chance))
        pairs.append((Argument(Kind.STRING, words.text(chance)), b" ", value))
    return (b" ", Listed(tuple(pairs)))


def _login(chance: Random, messages: int) -> Pieces:
    user, password = words.credentials(chance)
    return (b" ", Argument(Kind.ASTRING, user), b" ", Argument(Kind.ASTRING, password))


def _one_mailbox(chance: Random, messages: int) -> Pieces:
    return (b" ", _mailbox(chance))


def _create(chance: Random, messages: int) -> Pieces:
    if chance.random() < 0.7:
        return (b" ", _mailbox(chance))
    use = Argument(Kind.ATOM, b"\\" + chance.choice(words.USES))
    return (b" ", _mailbox(chance), b" (USE ", Listed(((use,),)), b")")


def _rename(chance: Random, messages: int) -> Pieces:
    return (b" ", _mailbox(chance), b" ", _mailbox(chance))


def _select(chance: Random, messages: int) -> Pieces:
    name = _mailbox(chance) if chance.random() < 0.5 else b"INBOX"
    number = words.number(chance)
    sets = words.starless(chance), words.starless(chance)
    more: bytes = chance.choice(
        (
            *(b"", b"", b"", b" (CONDSTORE)", b" (QRESYNC (1 1))"),
            b" (QRESYNC (%d 1 %b))" % (number or 1, sets[0]),
            b" (QRESYNC (%d 5 %b (%b %b)))" % (number or 1, *sets, sets[1]),
            b" (CONDSTORE QRESYNC (%d 1 (1:2 1:2)))" % (number or 1),
        )
    )
    return (b" ", name, more)


def _list(chance: Random, messages: int) -> Pieces:
    pieces: list[Piece] = [b" "]
    if chance.random() < 0.3:
        pieces += [_listed(chance, words.SELECTIONS, 0), b" "]
    pieces += [Argument(Kind.PATTERN, words.reference(chance)), b" "]
    if chance.random() < 0.2:
        found = [
            (Argument(Kind.PATTERN, words.pattern(chance)),)
            for _ in range(chance.randint(1, 3))
        ]
        pieces.append(Listed(tuple(found)))
    else:
        pieces.append(Argument(Kind.PATTERN, words.pattern(chance)))
    if chance.random() < 0.3:
        options: list[Pieces] = [
            (chance.choice(words.RETURNS),) for _ in range(chance.randint(0, 3))
        ]
        if chance.random() < 0.5:
            options.append((b"STATUS ", _listed(chance, words.STATUS)))
        pieces += [b" RETURN ", Listed(tuple(options))]
    return tuple(pieces)


def _lsub(chance: Random, messages: int) -> Pieces:
    reference = Argument(Kind.PATTERN, words.reference(chance))
    return (b" ", reference, b" ", Argument(Kind.PATTERN, words.pattern(chance)))


def _status(chance: Random, messages: int) -> Pieces:
    return (b" ", _mailbox(chance), b" ", _listed(chance, words.STATUS))


def _append(chance: Random, messages: int) -> Pieces:
    pieces: list[Piece] = [b" ", _mailbox(chance)]
    for _ in range(1 if chance.random() < 0.9 else 3):
        pieces.append(b" ")
        if chance.random() < 0.4:
            pieces += [_flags(chance), b" "]
        if chance.random() < 0.4:
            pieces.append(b'"17-Jul-1996 02:44:25 -0700" ')
        pieces.append(Message(words.message(chance)))
    return tuple(pieces)


def _fetch(chance: Random, messages: int) -> Pieces:
    pieces: list[Piece] = [b" ", _set(chance, messages), b" "]
    if chance.random() < 0.2:
        pieces.append(chance.choice((b"ALL", b"FAST", b"FULL")))
    else:
        items = tuple(_fetch_item(chance) for _ in range(chance.randint(1, 4)))
        pieces += [Listed(items)] if chance.random() < 0.7 else items[0]
    if chance.random() < 0.15:
        pieces.append(b" (CHANGEDSINCE %d)" % words.number(chance))
    return tuple(pieces)


def _fetch_item(chance: Random) -> Pieces:
    if chance.random() < 0.6:
        return (chance.choice(words.FETCH),)
    part = words.part(chance)
    end: bytes = b"]" + chance.choice((b"", b"", b"<0.10>", b"<5.1>", b"<99999.5>"))
    begin: bytes = chance.choice((b"BODY[", b"BODY.PEEK["))
    if chance.random() < 0.5:
        text = chance.choice((b"", b"HEADER", b"TEXT", b"MIME"))
        section = b".".join(filter(None, (part, text)))
        return (begin, Argument(Kind.SECTION, section), end)
    name: bytes = chance.choice((b"HEADER.FIELDS ", b"HEADER.FIELDS.NOT "))
    fields = tuple(
        (Argument(Kind.ASTRING, words.field(chance)),)
        for _ in range(chance.randint(1, 3))
    )
    return (begin, (part + b"." if part else b"") + name, Listed(fields), end)


def _store(chance: Random, messages: int) -> Pieces:
    since: bytes = chance.choice((b"", b"", b"", b"(UNCHANGEDSINCE 1) "))
    sign: bytes = chance.choice((b"", b"+", b"-"))
    what = b" %b%bFLAGS%b " % (since, sign, chance.choice((b"", b".SILENT")))
    flags: Pieces = (_flags(chance),) if chance.random() < 0.8 else (_flag(chance),)
    return (b" ", _set(chance, messages), what, *flags)


def _copy(chance: Random, messages: int) -> Pieces:
    return (b" ", _set(chance, messages), b" ", _mailbox(chance))


def _expunge(chance: Random, messages: int) -> Pieces:
    return (b" ", _set(chance, messages))


def _enable(chance: Random, messages: int) -> Pieces:
    names = (b"CONDSTORE", b"QRESYNC", b"UTF8=ACCEPT", b"X")
    found = [Argument(Kind.ATOM, chance.choice(names)) for _ in range(2)]
    return (b" ", found[0], b" ", found[1])


def _search(chance: Random, messages: int) -> Pieces:
    pieces: list[Piece] = [b" "]
    if chance.random() < 0.3:
        pieces += [b"RETURN ", _listed(chance, (b"MIN", b"MAX", b"ALL", b"COUNT"), 0)]
        pieces.append(b" ")
    if chance.random() < 0.2:
        pieces += [b"CHARSET ", Argument(Kind.ASTRING, words.charset(chance)), b" "]
    return (*pieces, *_keys(chance, messages))


def _keys(chance: Random, messages: int) -> Pieces:
    pieces: list[Piece] = []
    for number in range(chance.randint(1, 3)):
        pieces += ([b" "] if number else []) + list(_key(chance, messages, 3))
    return tuple(pieces)


def _key(chance: Random, messages: int, depth: int) -> Pieces:
    way = chance.randrange(10 if depth else 7)
    if way < 3:
        return (chance.choice(words.KEYS),)
    if way < 5:
        name: bytes = chance.choice(words.TEXT_KEYS)
        return (name + b" ", Argument(Kind.TEXT, words.text(chance)))
    if way == 5:
        header = Argument(Kind.ASTRING, words.field(chance))
        return (b"HEADER ", header, b" ", Argument(Kind.TEXT, words.text(chance)))
    if way == 6:
        return _numbered_key(chance, messages)
    first = _key(chance, messages, depth - 1)
    if way == 7:
        return (b"NOT ", *first)
    second = _key(chance, messages, depth - 1)
    if way == 8:
        return (b"OR ", *first, b" ", *second)
    return (Listed((first, second)),)


def _numbered_key(chance: Random, messages: int) -> Pieces:
    numbers = _set(chance, messages)
    keyword = Argument(Kind.FLAG, words.keyword(chance))
    amount = Argument(Kind.NUMBER, b"%d" % words.number(chance))
    ways: tuple[Pieces, ...] = (
        *((numbers,), (b"UID ", numbers)),
        *((b"KEYWORD ", keyword), (b"UNKEYWORD ", keyword)),
        *((b"LARGER ", amount), (b"SMALLER ", amount)),
        *((b"OLDER ", amount), (b"MODSEQ %d" % words.number(chance),)),
    )
    return chance.choice(ways)


def _sort(chance: Random, messages: int) -> Pieces:
    pieces: list[Piece] = [b" "]
    if chance.random() < 0.3:
        options = (b"MIN", b"MAX", b"COUNT", b"PARTIAL 1:3")
        pieces += [b"RETURN ", _listed(chance, options, 0), b" "]
    pieces += [_listed(chance, words.CRITERIA), b" "]
    pieces += [Argument(Kind.ASTRING, words.charset(chance)), b" "]
    return (*pieces, *_keys(chance, messages))


def _thread(chance: Random, messages: int) -> Pieces:
    names = (b"REFERENCES", b"ORDEREDSUBJECT", b"REFS")
    algorithm = Argument(Kind.ATOM, chance.choice(names))
    charset = Argument(Kind.ASTRING, words.charset(chance))
    return (b" ", algorithm, b" ", charset, b" ", *_keys(chance, messages))


def _authenticate(chance: Random) -> Command:
    user, password = words.credentials(chance)
    plain = base64.b64encode(b"\0%b\0%b" % (user, password))
    name, secret = base64.b64encode(user), base64.b64encode(password)

    def digest(challenge: bytes) -> bytes:
        code = hmac.digest(password, base64.b64decode(challenge), "md5").hex()
        return base64.b64encode(b"%b %b" % (user, code.encode()))

    def say(line: bytes) -> Answer:
        return lambda challenge: line

    initial = Argument(Kind.BASE64, plain)
    ways: tuple[tuple[Pieces, tuple[Answer, ...]], ...] = (
        ((b" PLAIN",), (say(plain),)),
        ((b" PLAIN ", initial), ()),
        ((b" PLAIN =",), ()),
        ((b" LOGIN",), (say(name), say(secret))),
        ((b" LOGIN ", Argument(Kind.BASE64, name)), (say(secret),)),
        ((b" CRAM-MD5",), (digest,)),
        ((b" ", Argument(Kind.ATOM, b"XOAUTH2")), ()),
        ((b" PLAIN",), (say(b"*"),)),
        ((b" CRAM-MD5",), (say(words.text(chance).replace(b"\n", b"")),)),
    )
    return Command(b"AUTHENTICATE", *chance.choice(ways))


Generator = Callable[[Random, int], Pieces]

GENERATORS: dict[bytes, Generator] = {
    **dict.fromkeys((b"CAPABILITY", b"NOOP", b"LOGOUT", b"NAMESPACE"), _nothing),
    **dict.fromkeys((b"CHECK", b"CLOSE", b"UNSELECT", b"EXPUNGE"), _nothing),
    **dict.fromkeys((b"STARTTLS", b"IDLE", b"AUTHENTICATE"), _nothing),
    **dict.fromkeys((b"DELETE", b"SUBSCRIBE", b"UNSUBSCRIBE"), _one_mailbox),
    **dict.fromkeys((b"COPY", b"UID COPY", b"MOVE", b"UID MOVE"), _copy),
    **dict.fromkeys((b"FETCH", b"UID FETCH"), _fetch),
    **dict.fromkeys((b"STORE", b"UID STORE"), _store),
    **dict.fromkeys((b"SEARCH", b"UID SEARCH"), _search),
    **dict.fromkeys((b"SORT", b"UID SORT"), _sort),
    **dict.fromkeys((b"THREAD", b"UID THREAD"), _thread),
    **dict.fromkeys((b"SELECT", b"EXAMINE"), _select),
    b"ID": _id,
    b"LOGIN": _login,
    b"CREATE": _create,
    b"RENAME": _rename,
    b"LIST": _list,
    b"LSUB": _lsub,
    b"STATUS": _status,
    b"APPEND": _append,
    b"UID EXPUNGE": _expunge,
    b"ENABLE": _enable,
}


def command(name: bytes, chance: Random, messages: int = 5) -> Command:
    """Make a command; ``messages`` is how many the mailbox may have."""
    if name == b"AUTHENTICATE":
        return _authenticate(chance)
    if name == b"IDLE":
        return Command(name, answers=(lambda text: b"DONE",))
    made: Any = GENERATORS[name](chance, messages)
    return Command(name, made)
