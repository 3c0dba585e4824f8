"""What may happen, a step at a time."""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.torture.model import Flags
from tests.torture.modelkeys import KEYS, Tree, key_of
from tests.torture.modelopen import open_box, resync
from tests.torture.modelstage import Stage
from tests.torture.modelworld import NAMES

WHO = st.sampled_from("ABC")
BOX = st.sampled_from((NAMES[0], *NAMES))  # mostly all meet in one
PICK = st.integers(0, 7)
#: Message numbers, or UIDs, of what is there; none: ``1:*``.
PICKS = st.one_of(st.just(()), st.sets(PICK, min_size=1, max_size=3).map(sorted))
FLAG = (r"\seen", r"\flagged", r"\deleted", "$work")
SOME_FLAGS = st.sets(st.sampled_from(FLAG), max_size=2).map(frozenset)
MODES = tuple(f"{sign}FLAGS{end}" for sign in ("", "+", "-") for end in ("", ".SILENT"))
BY = st.sampled_from(("", "UID "))
#: Which of the modification sequences that were told, the newest first.
MOMENT = st.integers(0, 5)


class Rules(Stage):
    """One command, or one act of another program, or of time."""

    # How it begins.

    @initialize(
        flags=st.lists(SOME_FLAGS, max_size=4),
        enabled=st.lists(
            st.sampled_from(("", "CONDSTORE", "QRESYNC", "QRESYNC")),
            min_size=3,
            max_size=3,
        ),
    )
    def begin(self, flags: list[Flags], enabled: list[str]) -> None:
        for each in flags:
            self.act.append(self.session("A", opened=False), "INBOX", each)
        for who, what in zip("ABC", enabled, strict=True):
            if what:
                self.enable(who, what)

    # Mailboxes.

    @rule(who=WHO, box=BOX, read_only=st.booleans(), condstore=st.booleans())
    def select(self, who: str, box: str, read_only: bool, condstore: bool) -> None:
        session = self.session(who, opened=False)
        open_box(self.world, session, box, read_only=read_only, condstore=condstore)

    @rule(
        who=WHO,
        box=BOX,
        same_validity=st.sampled_from((True, True, True, False)),
        which=st.sampled_from((None, None, None, 0, 1, 3)),
        known=st.one_of(
            st.just([]), st.sets(st.integers(1, 9), min_size=1).map(sorted)
        ),
    )
    def come_back(
        self,
        who: str,
        box: str,
        same_validity: bool,
        which: int | None,
        known: list[int],
    ) -> None:
        session = self.session(who, opened=False)
        if not session.qresync:
            self.enable(who, "QRESYNC")
        modseq = None if which is None else self.moment(box, which)
        resync(
            self.world,
            session,
            box,
            same_validity=same_validity,
            modseq=modseq,
            known=known,
        )

    @rule(who=WHO, verb=st.sampled_from(("CLOSE", "UNSELECT")))
    def close(self, who: str, verb: str) -> None:
        session = self.session(who)
        self.act.close(session, verb)

    @rule(who=WHO, what=st.sampled_from(("CONDSTORE", "QRESYNC")))
    def enable(self, who: str, what: str) -> None:
        session = self.session(who, opened=False)
        session.condstore = True
        session.qresync = session.qresync or what == "QRESYNC"
        self.world.command(session, f"ENABLE {what}")

    @rule(who=WHO, box=BOX, modseq=st.booleans())
    def status(self, who: str, box: str, modseq: bool) -> None:
        self.act.status(self.session(who, opened=False), box, modseq=modseq)

    @rule(who=WHO, verb=st.sampled_from(("NOOP", "CHECK")))
    def noop(self, who: str, verb: str) -> None:
        self.world.command(self.session(who), verb)

    # Messages.

    @rule(who=WHO, box=BOX, flags=SOME_FLAGS)
    def append(self, who: str, box: str, flags: Flags) -> None:
        self.act.append(self.session(who, opened=False), box, flags)

    @rule(
        who=WHO,
        by=BY,
        verb=st.sampled_from(("COPY", "MOVE")),
        picks=PICKS,
        to=BOX,
    )
    def transfer(
        self, who: str, by: str, verb: str, picks: Sequence[int], to: str
    ) -> None:
        session = self.session(who)
        if named := self.named(session, by, picks):
            self.act.transfer(session, by + verb, named, to)

    @rule(
        who=WHO,
        by=BY,
        picks=PICKS,
        mode=st.sampled_from(MODES),
        flags=SOME_FLAGS,
        which=st.one_of(st.none(), MOMENT),
    )
    def store(
        self,
        who: str,
        by: str,
        picks: Sequence[int],
        mode: str,
        flags: Flags,
        which: int | None,
    ) -> None:
        session = self.session(who)
        if (named := self.named(session, by, picks)) and session.view is not None:
            name = session.view.box.name
            since = None if which is None else self.moment(name, which)
            self.act.store(session, by + "STORE", named, mode, flags, since)

    @rule(who=WHO, picks=PICKS)
    def delete(self, who: str, picks: Sequence[int]) -> None:
        session = self.session(who)
        named = self.named(session, "UID ", picks)
        if named and session.view is not None and not session.view.read_only:
            flags = frozenset([r"\deleted"])
            self.act.store(session, "UID STORE", named, "+FLAGS.SILENT", flags, None)
            if named[0] == "1:*":
                named = "1:*", session.view.uids[:]  # it was told of more
            self.act.expunge(session, named)

    @rule(who=WHO, picks=st.one_of(st.none(), PICKS))
    def expunge(self, who: str, picks: Sequence[int] | None) -> None:
        session = self.session(who)
        self.act.expunge(
            session, None if picks is None else self.named(session, "UID ", picks)
        )

    # Questions.

    @rule(
        who=WHO,
        by=BY,
        picks=PICKS,
        items=st.sampled_from(("FLAGS", "UID FLAGS", "FLAGS MODSEQ", "BODY[TEXT]")),
    )
    def fetch(self, who: str, by: str, picks: Sequence[int], items: str) -> None:
        session = self.session(who)
        if named := self.named(session, by, picks):
            self.act.fetch(session, by + "FETCH", named, items)

    @rule(who=WHO, by=BY, which=MOMENT, vanished=st.booleans())
    def fetch_changes(self, who: str, by: str, which: int, vanished: bool) -> None:
        session = self.session(who)
        named = self.named(session, by, ())
        if named and session.view is not None:
            since = self.moment(session.view.box.name, which)
            words = " VANISHED" if vanished and by and session.qresync else ""
            self.act.fetch(
                session,
                by + "FETCH",
                named,
                "FLAGS",
                f" (CHANGEDSINCE {since}{words})",
                since,
            )

    @rule(who=WHO, by=BY, tree=KEYS)
    def search(self, who: str, by: str, tree: Tree) -> None:
        session = self.session(who)
        view = session.view
        if view is not None:
            key = key_of(tree, view, lambda which: self.moment(view.box.name, which))
            if key is not None:
                self.act.search(session, by + "SEARCH", key)

    @rule(who=WHO, verb=st.sampled_from(("FETCH {} FLAGS", "STORE {} FLAGS ()")))
    def beyond(self, who: str, verb: str) -> None:
        session = self.session(who)
        if session.view is not None:
            text = verb.format(len(session.view.uids) + 1)
            self.world.command(session, text, expect="BAD NO", may_expunge=False)

    # Time.

    @rule(who=WHO)
    def idle(self, who: str) -> None:
        session = self.session(who)
        responses = session.send("IDLE")
        session.idling = True
        view = session.view
        if view is not None:
            self.world.look([view.box.name])
            session.hear(responses, may_expunge=True)
            view.settle(may_expunge=True)
            self.world.judge_others(session, [view.box.name])

    @rule()
    def time_passes(self) -> None:
        self.world.pass_time()

    @rule(who=WHO)
    def lose_connection(self, who: str) -> None:
        self.world.reconnect(self.session(who, opened=False))

    @rule(how=st.sampled_from((None, None, "stop", "crash")))
    def restart(self, how: str | None) -> None:
        if how is not None:
            Stage.steps += 1
            self.world.restart(crash=how == "crash")

    # Another program.

    @rule(box=BOX, flags=st.one_of(st.none(), SOME_FLAGS))
    def other_delivers(self, box: str, flags: Flags | None) -> None:
        self.world.other_delivers(box, self.act.subject(), flags)

    @rule(box=BOX, pick=PICK, flags=SOME_FLAGS)
    def other_marks(self, box: str, pick: int, flags: Flags) -> None:
        if found := self.place(box, pick):
            self.world.other_marks(box, *found, flags)

    @rule(box=BOX, pick=PICK)
    def other_removes(self, box: str, pick: int) -> None:
        if found := self.place(box, pick):
            self.world.other_removes(box, *found)
