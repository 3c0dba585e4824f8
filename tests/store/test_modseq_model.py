r"""Clients that come and go, two processes, a third program, crashes and odd clocks.

Whatever happens in between: a client that asks what changed since what it was told
knows afterwards what is on disk.  No flag takes back a value it had, which is the one
thing that a crash within seconds can hide (``maildir.journal``).
"""

import os
import shutil
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from imapd.ids import Uid
from imapd.model.flags import StoreMode
from imapd.model.sets import SequenceSet
from imapd.store.maildir import modseqmerge
from imapd.store.maildir.mailbox import MaildirMailbox
from imapd.store.maildir.numberclock import NumberClock
from imapd.store.state import AccountState
from tests.store.folders import MEMORY, settle

BOTH = st.sampled_from((0, 1))
KEYWORDS = tuple(b"k%d" % bit for bit in range(12))
LETTERS = "abcdefghijkl"


class Client:
    """What one client keeps between its connections."""

    def __init__(self) -> None:
        self.flags: dict[int, frozenset[bytes]] = {}
        self.modseq = 0


class Machine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="imapd-modseq-", dir=MEMORY))
        self.box = self.root / "cur"
        for part in ("cur", "new", "tmp"):
            (self.root / part).mkdir()
        (self.root / "dovecot-keywords").write_text(
            "".join(f"{bit} k{bit}\n" for bit in range(12))
        )
        self.offset = 0
        #: What time the processes think it is, and which of them is asked.
        self.clocks = [self.new_clock(), self.new_clock()]
        self.current = 0
        self.patch = mock.patch.object(modseqmerge, "now_microseconds", self.now)
        self.patch.start()
        self.counter = 0
        self.validity = 77
        self.clients = [Client(), Client()]
        self.states = [self.new_state(), self.new_state()]
        self.processes = [self.new_process(0), self.new_process(1)]
        for _ in range(3):
            self.other_delivers()

    def new_clock(self) -> NumberClock:
        return NumberClock(lambda: time.time_ns() + 1000 * self.offset)

    def now(self) -> int:
        return self.clocks[self.current].microseconds()

    def process(self, which: int) -> MaildirMailbox:
        """The one that does something now."""
        self.current = which
        return self.processes[which]

    def new_state(self) -> AccountState:
        return AccountState(os.fsencode(self.root))

    def new_process(self, which: int) -> MaildirMailbox:
        self.current, self.clocks[which] = which, self.new_clock()
        mailbox = MaildirMailbox(
            (),
            self.root,
            cache=None,
            overflow=None,
            take_over=lambda directory: None,
            new_uid_validity=lambda: self.validity,
            modseqs=self.states[which],
        )
        mailbox.sync(claim_recent=False)
        return mailbox

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.stop()
            for state in self.states:
                state.close()
            shutil.rmtree(self.root)

    def fresh_flags(self) -> list[bytes]:
        """A set of flags that no message had yet."""
        self.counter += 1
        return [name for bit, name in enumerate(KEYWORDS) if self.counter >> bit & 1]

    def truth(self) -> dict[int, frozenset[bytes]]:
        lines = (self.root / "dovecot-uidlist").read_text().splitlines()[1:]
        uids = {line.partition(" :")[2]: int(line.split()[0]) for line in lines}
        found = {}
        for part in ("cur", "new"):
            for name in os.listdir(self.root / part):
                base, _, letters = name.partition(":2,")
                if base in uids:
                    found[uids[base]] = frozenset(
                        KEYWORDS[LETTERS.index(letter)]
                        for letter in letters
                        if letter in LETTERS
                    )
        return found

    # What happens.

    @rule(which=BOTH, pick=st.integers(0, 20))
    def store(self, which: int, pick: int) -> None:
        mailbox = self.process(which)
        uids = sorted(mailbox._core.index)
        if uids:
            mailbox.store_flags(
                [uids[pick % len(uids)]], StoreMode.REPLACE, self.fresh_flags()
            )

    @rule(which=BOTH, pick=st.integers(0, 20))
    def expunge(self, which: int, pick: int) -> None:
        mailbox = self.process(which)
        uids = sorted(mailbox._core.index)
        if uids:
            doomed = [Uid(uids[pick % len(uids)])]
            mailbox.store_flags(doomed, StoreMode.ADD, [rb"\Deleted"])
            mailbox.expunge(doomed)

    @rule(which=BOTH)
    def append(self, which: int) -> None:
        mailbox = self.process(which)
        delivery = mailbox.begin_delivery()
        delivery.begin([], None)
        delivery.write(b"x")
        delivery.end()
        mailbox.commit(delivery, claim_recent=False)

    @rule()
    def other_delivers(self) -> None:
        self.counter += 1
        path = self.root / "tmp" / f"{self.counter}.other"
        path.write_bytes(b"x")
        os.rename(path, self.root / "new" / path.name)

    @rule(pick=st.integers(0, 20))
    def other_changes(self, pick: int) -> None:
        names = sorted(os.listdir(self.box))
        if names:
            name = names[pick % len(names)]
            flags = self.fresh_flags()
            letters = "".join(LETTERS[KEYWORDS.index(flag)] for flag in flags)
            base = name.partition(":2,")[0]
            os.rename(self.box / name, self.box / f"{base}:2,{letters}")

    @rule(pick=st.integers(0, 20))
    def other_removes(self, pick: int) -> None:
        names = sorted(os.listdir(self.box))
        if names:
            os.unlink(self.box / names[pick % len(names)])

    @rule(which=BOTH)
    def flush(self, which: int) -> None:
        save = self.process(which).unsaved()
        if save is not None:
            save()

    @rule(which=BOTH)
    def restart(self, which: int) -> None:
        self.process(which).close()
        self.processes[which] = self.new_process(which)

    @rule(which=BOTH)
    def crash(self, which: int) -> None:
        self.processes[which] = self.new_process(which)

    @rule()
    def lose_the_state(self) -> None:
        (self.root / "imapd-state.sqlite3").unlink(missing_ok=True)

    @rule(seconds=st.sampled_from((-7200, -1, 1, 7200)))
    def set_the_clock(self, seconds: int) -> None:
        self.offset += seconds * 1_000_000

    @rule(which=BOTH, who=BOTH)
    def resync(self, which: int, who: int) -> None:
        settle()  # else a change within one tick of the clock may wait for the next
        mailbox, client = self.process(which), self.clients[who]
        if mailbox.changed():
            mailbox.sync(claim_recent=False)
        mailbox.track()
        kept = mailbox.modseqs
        assert kept is not None
        index = mailbox._core.index
        present = sorted(index)
        known = client.modseq if client.modseq <= kept.highest else 0
        named = SequenceSet(((1, max(mailbox.uid_next - 1, 1)),)).resolve(0)
        gone = kept.vanished(client.modseq, named)
        for uid in list(client.flags):
            told_gone = gone is None or any(a <= uid <= b for a, b in gone)
            if told_gone and uid not in index:
                del client.flags[uid]
        for uid in kept.newer(present, known):
            client.flags[uid] = index.flags[uid]
        client.modseq = kept.highest
        truth = self.truth()
        assert client.flags == truth, (client.flags, truth)


Machine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


ModSeqModelTests = Machine.TestCase


if __name__ == "__main__":
    unittest.main()
