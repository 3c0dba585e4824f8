"""No stored string ends a response: all that is told of evil accounts parses.

Every answer has exactly the lines that it must have, and the strict grammar reads
each of them; where a string can be compared, it is what was stored.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from imapd.model.mailbox import NamespaceStyle
from tests.support.grammar import Response, Tagged, Untagged
from tests.torture import planted
from tests.torture.budget import Budget
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.inprocess import Peer, World, listening, shown
from tests.torture.plainutf7 import encoded

ITEMS = (
    b"(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[HEADER]"
    b" BODY.PEEK[1.MIME] BODY.PEEK[HEADER.FIELDS (Subject X)])"
)
#: Names of fields are said again in the response.
FIELDS = (b'"', b"\\", b"a b", b"(", b"{5}", b"\r\n* BYE x\r\n", b"\xff", b"", b"NIL")
#: Lines that have strings which were stored.
CARRIERS = ("ESEARCH", "FETCH", "LIST", "LSUB", "SORT", "STATUS", "THREAD")
TAGS = (b"]", b"a]b", b"'", b"&", b"~", b"<>", b"=", b"[", b"a" * 64, b"}", b"^`")


class Told:
    """Counts what was read."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()


class Asker:
    """A client that knows which lines an answer may have."""

    def __init__(self, peer: Peer, told_of: Told) -> None:
        self._peer = peer
        self._told = told_of

    def ask(self, command: bytes, *kinds: bytes, tag: bytes = b"t") -> list[Any]:
        """Return the data of the untagged lines, all of which are of these kinds."""
        name = command.split(b" ")
        verb = name[1] if name[0] == b"UID" else name[0]
        self._peer.conversation.begins(tag, verb)
        responses = self._peer.send(b"%b %b\r\n" % (tag, command))
        assert responses, f"no answer to {command[:100]!r}"
        *lines, last = responses
        assert isinstance(last, Tagged), f"{command[:100]!r} ends with {last}"
        found = []
        for line in lines:
            assert isinstance(line, Untagged), f"{line} to {command[:100]!r}"
            assert line.kind in kinds, f"{line} to {command[:100]!r}"
            self._told.kinds[line.kind.decode()] += 1
            found.append(line)
        self.last: Response = last
        return [line.data for line in found if line.kind == kinds[0]]

    def done(self, command: bytes, *kinds: bytes, tag: bytes = b"t") -> list[Any]:
        """The same of a command that must succeed."""
        data = self.ask(command, *kinds, tag=tag)
        last = self.last
        assert isinstance(last, Tagged), last
        assert last.condition == b"OK", f"{last} to {command[:100]!r}"
        return data


def _literal(octets: bytes) -> bytes:
    return b"{%d+}\r\n%b" % (len(octets), octets)


def look_at_messages(asker: Asker, octets: list[bytes], count: int) -> None:
    """FETCH, SEARCH, SORT and THREAD of everything.

    The first messages have ``octets`` in their fields, one each.
    """
    selecting = (b"OK", b"FLAGS", b"EXISTS", b"RECENT")
    asker.done(b"SELECT INBOX", *selecting)
    for each in ("1:*", "1:*"):  # from the file, and then from what is kept of it
        fetched = asker.done(b"FETCH %b " % each.encode() + ITEMS, b"FETCH", b"FLAGS")
        assert len(fetched) == count, f"{len(fetched)} of {count} messages"
        for octet, data in zip(octets, fetched, strict=False):
            if octet not in (b"\0", b"\r", b"\n"):
                subject = data[b"ENVELOPE"].subject
                assert subject == b"a%bb" % octet, f"{octet!r}: {subject!r}"
    for field in FIELDS:
        fetched = asker.done(
            b"FETCH 1:5 BODY.PEEK[HEADER.FIELDS (%b)]" % _literal(field), b"FETCH"
        )
        assert len(fetched) == min(5, count), f"{field!r}: {len(fetched)}"
    asker.done(b"UID SORT (SUBJECT FROM TO CC DISPLAYFROM) UTF-8 ALL", b"SORT")
    for algorithm in (b"REFERENCES", b"ORDEREDSUBJECT", b"REFS"):
        asker.done(b"UID THREAD %b UTF-8 ALL" % algorithm, b"THREAD")
    for tag in TAGS:
        for command in (
            b"UID SEARCH RETURN (ALL COUNT) ALL",
            b"SORT RETURN (ALL MIN) (DATE) UTF-8 ALL",
        ):
            [(told_tag, *_)] = asker.done(command, b"ESEARCH", tag=tag)
            assert told_tag == tag, f"{tag!r} became {told_tag!r}"


def look_at_mailboxes(asker: Asker) -> int:
    """LIST, LSUB and STATUS of everything; return how many mailboxes there are."""
    listed = asker.done(b'LIST "" *', b"LIST")
    asker.done(b'LIST "" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)', b"LIST")
    asker.done(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" *', b"LIST")
    asker.done(b'LIST "" * RETURN (STATUS (MESSAGES UIDNEXT))', b"LIST", b"STATUS")
    asker.done(b'LSUB "" *', b"LSUB")
    asker.done(b'LSUB "" %', b"LSUB")
    names = [each[2] for each in listed]
    assert len(set(names)) == len(names), "a mailbox is listed twice"
    for each in listed:
        if rb"\NONEXISTENT" in {name.upper() for name in each[0]}:
            continue
        if rb"\NOSELECT" in {name.upper() for name in each[0]}:
            continue
        sent = encoded(each[2])
        [(name, _)] = asker.done(b"STATUS %b (MESSAGES)" % _literal(sent), b"STATUS")
        assert name == each[2], f"{each[2]!r} became {name!r}"
    return len(names)


def log_in_oddly(world: World) -> int:
    """Refuse each name and password with one line; return how many there were."""
    tried = 0
    names = [b"a%bb" % bytes([number]) for number in range(0x100)]
    for name in (*names, *planted.EVIL):
        peer = world.connect()
        for user, password in ((name, b"x"), (b"alice", name)):
            if peer.is_open:
                peer.conversation.begins(b"t", b"LOGIN")
                responses = peer.send(
                    b"t LOGIN %b %b\r\n" % (_literal(user), _literal(password))
                )
                [answer] = responses
                assert isinstance(answer, Tagged), answer
                assert answer.condition in (b"NO", b"BAD"), f"{user!r}: {answer}"
                tried += 1
        peer.leave()
    return tried


def trial(chance: Random, messages: list[bytes], octets: list[bytes], of: Told) -> int:
    """Look at one account; return how many mailboxes it has."""
    style = chance.choice(list(NamespaceStyle))
    with listening(), World(namespace=style) as world:
        planted.plant(world.root / "alice" / "Maildir", chance, messages)
        peer = world.connect()
        peer.log_in()
        asker = Asker(peer, of)
        mailboxes = look_at_mailboxes(asker)
        look_at_messages(asker, octets, len(messages))
        return mailboxes


def run(budget: Budget) -> Iterator[Figure]:
    """P18."""
    of, mailboxes, messages = Told(), 0, 0
    with listening(), World() as world:
        logins = log_in_oddly(world)
    for number, (label, chance) in enumerate(budget.trials("injection")):
        octets: list[bytes] = []
        if number == 0:
            pairs = list(planted.of_each_octet())
            octets = [octet for octet, _ in pairs]
            stored = [message for _, message in pairs] + list(planted.evil_messages())
        else:
            stored = list(planted.random_messages(chance, 100))
        messages += len(stored)
        try:
            mailboxes += trial(chance, stored, octets, of)
        except Exception as error:
            raise AssertionError(f"{label}: {shown(error)}") from None
    yield told("P18", "messages", messages, "messages")
    yield told("P18", "mailboxes", mailboxes, "mailboxes")
    yield told("P18", "names and passwords", logins, "logins")
    for kind in CARRIERS:
        yield at_least("P18", f"lines of {kind}", of.kinds[kind], "lines", 1)
    yield at_most("P18", "lines that do not parse, or must not be", 0, "lines", 0)
