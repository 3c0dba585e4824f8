"""What every step of the state machine needs: sessions, numbers, files."""

import sys
from collections.abc import Sequence
from typing import ClassVar, Final
from unittest import mock

from hypothesis.stateful import RuleBasedStateMachine

from imapd.store.maildir import scan, sync
from tests.torture.modelclient import Session
from tests.torture.modelcommands import Commands
from tests.torture.modelopen import open_box
from tests.torture.modelworld import World

#: In place of the 30 ms for which the clock's tick may hide a change, and the store
#: waits for a listing to be exact: here no two changes have the same time.
TICK_SECONDS: Final = 0.0005


class Stage(RuleBasedStateMachine):
    """A world for each example; what happens in it is a subclass's."""

    steps: ClassVar[int] = 0
    examples: ClassVar[int] = 0
    commands: ClassVar[int] = 0
    transcript: ClassVar[Sequence[str]] = ()

    def __init__(self) -> None:
        super().__init__()
        self._patches = [
            mock.patch.object(module, "FINE_SECONDS", TICK_SECONDS)
            for module in (scan, sync)
        ]
        for patch in self._patches:
            patch.start()
        self.world = World()
        self.act = Commands(self.world)
        Stage.examples += 1

    def teardown(self) -> None:
        """Keep what was said; the last is that of the shortest way."""
        sessions = self.world.sessions.values()
        Stage.transcript = self.world.transcript
        Stage.commands += sum(session.commands for session in sessions)
        try:
            if sys.exc_info()[0] is None:  # else that is what is to be told
                self.world.contents()
        finally:
            self.world.close()
            for patch in self._patches:
                patch.stop()

    # Who and what.

    def session(self, who: str, *, opened: bool = True) -> Session:
        """One that is not in IDLE; ``opened``: it has a mailbox open."""
        Stage.steps += 1
        session = self.world.sessions[who]
        if session.idling:
            self.end_idle(session)
        if opened and session.view is None:
            open_box(self.world, session, "INBOX", read_only=False)
        return session

    @staticmethod
    def named(
        session: Session, by: str, picks: Sequence[int]
    ) -> tuple[str, Sequence[int]] | None:
        """Words for messages, and their UIDs; None: there is no number to name."""
        view = session.view
        assert view is not None
        if not picks or not view.uids:
            return ("1:*", view.uids[:]) if by or view.uids else None
        numbers = sorted({1 + pick % len(view.uids) for pick in picks})
        uids = [view.uids[number - 1] for number in numbers]
        return ",".join(map(str, uids if by else numbers)), uids

    def moment(self, name: str, which: int) -> int:
        """A modification sequence that somebody was told of that mailbox."""
        heard = sorted(self.world.boxes[name].heard, reverse=True)
        return heard[which % len(heard)] if heard else 1

    def place(self, box: str, pick: int) -> tuple[str, str] | None:
        """A file of a mailbox: its base name and where it is.

        In an order that is the same when all is done again, unlike that of names.
        """
        known = self.world.boxes[box]
        bases = [known.messages[uid].base for uid in sorted(known.messages)]
        bases += sorted(known.waiting)
        if not bases:
            return None
        base = bases[pick % len(bases)]
        return base, self.world.folders[box].files()[base]

    def end_idle(self, session: Session) -> None:
        """Send DONE; the rest of IDLE is a command like others."""
        responses = session.send("DONE")
        session.idling = False
        names = [session.view.box.name] if session.view is not None else []
        self.world.look(names)
        session.hear(responses, may_expunge=True)
        if session.view is not None:
            session.view.settle(may_expunge=True)
        self.world.judge_others(session, names)
