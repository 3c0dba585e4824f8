"""IMAP sessions in the midst of many hands: what they do, and what they are told."""

import random
import threading
import time
from contextlib import closing

from tests.live.base import PASSWORD, PortServer
from tests.live.client import Client, Refused, Value, number
from tests.torture.ledger import (
    FLAG_OF,
    MOVED_BY,
    REMOVED_BY,
    Ledger,
    message,
    number_of,
)

USER = "user1"
ARCHIVE = "Archive"
_ITEM = b"BODY.PEEK[HEADER.FIELDS (X-Number)]"
_PAUSE_SECONDS = 0.05
_MANY = 200
#: So many of the last messages are those that most are at work on.
HOT_COUNT = 20


class View:
    """One session in a mailbox, that believes what it is told, as clients do."""

    def __init__(self, server: PortServer, ledger: Ledger, folder: str) -> None:
        """Log in and open it."""
        self._client = Client.over_tls(server.tls_port, server.ca)
        self._client.login(USER, PASSWORD).listener = self._hear
        self._name, self._ledger, self.folder = server.folder.name, ledger, folder
        #: By sequence number less one; None: not heard of yet.
        self.uids: list[int | None] = []
        self.numbers: dict[int, int] = {}
        self._validity = 0
        self.command(b"SELECT " + self.wire(folder))
        self.look()

    def close(self) -> None:
        self._client.close()

    def wire(self, folder: str) -> bytes:
        return self._client.wire_name(folder)

    def command(self, *parts: bytes) -> list[list[Value]]:
        """Give a command; all that comes with its answer is taken in.

        Raises:
            Refused: it was not answered with OK.
        """
        return self._client.command(*parts)

    def look(self) -> None:
        """NOOP, and ask what is not known yet."""
        self.command(b"NOOP")
        unknown = [
            b"%d" % (index + 1)
            for index, uid in enumerate(self.uids)
            if uid is None or uid not in self.numbers
        ]
        if unknown:
            # By their places: nobody may be told of an expunge within a FETCH.
            words = b",".join(unknown) if len(unknown) < _MANY else b"1:*"
            _try(self, b"FETCH %b (UID %b)" % (words, _ITEM))

    def _note_validity(self, answer: list[Value]) -> None:
        if b"[UIDVALIDITY" in answer:
            self._validity = number(answer[answer.index(b"[UIDVALIDITY") + 1])

    def _hear(self, answer: list[Value]) -> None:
        first = answer[0] if len(answer) > 1 else None
        if not isinstance(first, bytes) or not first.isdigit():
            self._note_validity(answer)
            return
        at = number(first)
        if answer[1] == b"EXISTS":
            self.uids += [None] * (at - len(self.uids))
            if len(self.uids) > at:
                self._say(f"{at} EXISTS of {len(self.uids)}")
        elif answer[1] == b"EXPUNGE":
            self._is_gone(at)
        elif answer[1] == b"FETCH" and isinstance(answer[2], list):
            self._is_there(at, dict(zip(answer[2][::2], answer[2][1::2], strict=True)))  # type: ignore[arg-type]

    def _is_gone(self, at: int) -> None:
        if not 0 < at <= len(self.uids):
            self._say(f"{at} EXPUNGE of {len(self.uids)}")
            return
        uid = self.uids.pop(at - 1)
        if uid in self.numbers:
            one = self.numbers[uid]
            self._ledger.is_told_gone(self.folder, one, self._name)

    def _is_there(self, at: int, row: dict[bytes, Value]) -> None:
        if b"UID" not in row:
            return
        uid = number(row[b"UID"])
        if not 0 < at <= len(self.uids) or self.uids[at - 1] not in (None, uid):
            self._say(f"{at} is UID {uid}, not {self.uids[at - 1 : at]}")
            return
        self.uids[at - 1] = uid
        text = next((row[key] for key in row if key.startswith(b"BODY[")), None)
        if isinstance(text, bytes) and text.strip():
            self.numbers[uid] = number_of(text)
            self._ledger.saw(self.folder, self._validity, uid, self.numbers[uid])

    def _say(self, words: str) -> None:
        self._ledger.problems.append(f"{self._name}, {self.folder}: {words}")


def _try(view: View, words: bytes) -> bool:
    """Give a command; a message may be gone by now, and nothing else be wrong."""
    try:
        view.command(words)
    except Refused as refusal:
        said = str(refusal).upper()
        if "EXPUNGEISSUED" not in said and "NO LONGER EXIST" not in said:
            raise
        return False
    return True


class Hand(threading.Thread):
    """Does one thing after another until it is told to leave off."""

    def __init__(
        self, name: str, ledger: Ledger, seed: int, over: threading.Event
    ) -> None:
        """``over`` is set when there is enough."""
        super().__init__(name=name)
        self.ledger, self._over = ledger, over
        self.chance = random.Random(f"{seed}/{name}")

    def run(self) -> None:
        """Work; what goes wrong is for the ledger."""
        try:
            self.work()
        except Exception as error:  # of any kind: the main thread tells it
            self.ledger.problems.append(f"{self.name}: {error!r}")

    def work(self) -> None:
        raise NotImplementedError

    @property
    def goes_on(self) -> bool:
        return not self._over.is_set()


class Watcher(Hand):
    """Only looks, again and again."""

    def __init__(
        self, server: PortServer, ledger: Ledger, seed: int, over: threading.Event
    ) -> None:
        super().__init__(f"watcher of {server.folder.name}", ledger, seed, over)
        self._server = server
        self.view: View | None = None

    def work(self) -> None:
        self.view = View(self._server, self.ledger, "INBOX")
        while self.goes_on:
            self.view.look()
            self.ledger.did("looks")
            time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        """Log out; until then it can be asked what it knows."""
        if self.view is not None:
            self.view.close()


class Session(Hand):
    """A client that changes what is its own."""

    def __init__(
        self,
        name: str,
        server: PortServer,
        ledger: Ledger,
        seed: int,
        over: threading.Event,
    ) -> None:
        """``name`` as in the tables of ``ledger.py``."""
        super().__init__(name, ledger, seed, over)
        self._server = server
        self._numbers = ledger.numbers()

    def work(self) -> None:
        deeds = (self._append, self._flag, self._flag, self._remove, self._move)
        with closing(View(self._server, self.ledger, "INBOX")) as view:
            while self.goes_on:
                self.chance.choice(deeds)(view)
                view.look()

    def _append(self, view: View) -> None:
        count = self.chance.choice((1, 1, 3))
        for one in [next(self._numbers) for _ in range(count)]:
            octets = message(one).replace(b"\n", b"\r\n")
            view.command(b"APPEND INBOX ()", octets)
            self.ledger.there.add(one)
            self.ledger.did("APPEND")

    def _pick(self, view: View, digits: set[int], most: int) -> dict[int, int]:
        """Return UIDs and numbers; others are at work on the last messages, too."""
        known = [
            (uid, view.numbers[uid])
            for uid in filter(None, view.uids)
            if uid in view.numbers and view.numbers[uid] % 10 in digits
        ]
        if self.chance.random() < 0.7:
            known = known[-HOT_COUNT:]
        count = self.chance.randint(1, most)
        return dict(self.chance.sample(known, min(len(known), count)))

    def _flag(self, view: View) -> None:
        chosen = self._pick(view, set(range(10)), HOT_COUNT)
        if not chosen:
            return
        flag, wanted = FLAG_OF[self.name], self.chance.random() < 0.6
        keys = [(one, flag) for one in chosen.values()]
        self.ledger.flags.update(dict.fromkeys(keys))
        uids = b",".join(b"%d" % uid for uid in chosen)
        sign = b"+" if wanted else b"-"
        if _try(view, b"UID STORE %b %bFLAGS (%b)" % (uids, sign, flag.encode())):
            # A UID that is not there is passed over: RFC 3501 section 6.4.8.  The
            # answer told that it is gone, and Dovecot gave its message another one.
            left = [(one, flag) for uid, one in chosen.items() if uid in view.uids]
            self.ledger.flags.update(dict.fromkeys(left, wanted))
        self.ledger.did("STORE")

    def _remove(self, view: View) -> None:
        own = {digit for digit, who in REMOVED_BY.items() if who == self.name}
        for uid, one in self._pick(view, own, 3).items():
            self.ledger.removed.add(one)
            _try(view, b"UID STORE %d +FLAGS.SILENT (\\Deleted)" % uid)
            _try(view, b"UID EXPUNGE %d" % uid)
            self.ledger.did("EXPUNGE")

    def _move(self, view: View) -> None:
        own = {digit for digit, who in MOVED_BY.items() if who == self.name}
        for uid, one in self._pick(view, own, 3).items():
            self.ledger.moved.add(one)
            if _try(view, b"UID MOVE %d %b" % (uid, view.wire(ARCHIVE))):
                self.ledger.did("MOVE")
