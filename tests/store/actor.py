"""One of several servers at work on the same account, as a seed lets it be.

It changes and removes only what it may without spoiling what another expects: its
own flags on every message, and its own messages.  What it did and what it was told
is its record, by which ``test_interleaved.py`` judges the outcome.
"""

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from imapd.errors import InUse, MessageGone
from imapd.ids import INBOX, Uid
from imapd.limits import Limits
from imapd.model.flags import StoreMode
from imapd.model.mailbox import Changes
from imapd.store.maildir.account import MaildirAccount
from imapd.store.maildir.mailbox import MaildirMailbox

OTHER = ("Other",)
NAMES = ("INBOX", "Other")
WORDS = 18  # of each actor: two have more than there are letters


@dataclass
class Record:
    """Messages are known by their contents, each of which is there once."""

    told: list[tuple[str, int, int, str]] = field(default_factory=list)
    #: Own messages: their folder and UID.
    kept: dict[str, tuple[str, int]] = field(default_factory=dict)
    #: Own flags on messages that have not moved, as last stored.
    flags: dict[str, list[str]] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)  # they came with flags
    problems: list[str] = field(default_factory=list)


class Actor:
    def __init__(self, root: Path, name: str, seed: int) -> None:
        self.name = name
        self.chooser = random.Random(seed)
        self.account = MaildirAccount(root, limits=Limits(lock_seconds=20))
        self.boxes = {
            "INBOX": self.account.mailbox(INBOX),
            "Other": self.account.mailbox(OTHER),
        }
        self.views: dict[str, dict[Uid, str]] = {name: {} for name in NAMES}
        self.record = Record()
        self.count = 0
        flag = {"a": r"\Flagged", "b": r"\Answered"}[name]
        for box_name in NAMES:
            self.take(box_name, self.boxes[box_name].sync(True))
        self.words = [flag, *(f"{name}word{number}" for number in range(WORDS))]

    def close(self) -> None:
        for box in self.boxes.values():
            box.close()
        self.account.close()

    def step(self) -> None:
        actions = [self.sync, self.append, self.store, self.expunge, self.move]
        action = self.chooser.choice([*actions, self.sync, self.store, self.copy])
        try:
            action()
        except (InUse, MessageGone) as error:
            self.record.problems.append(f"{action.__name__}: {error!r}")

    def finish(self) -> None:
        for name in NAMES:
            self.take(name, self.boxes[name].sync(True))

    def sync(self) -> None:
        name = self.chooser.choice(NAMES)
        self.take(name, self.boxes[name].sync(self.chooser.random() < 0.5))

    def take(self, name: str, changes: Changes) -> None:
        """Note what we are told, as a session would show it."""
        box, view = self.boxes[name], self.views[name]
        if changes.renumbered:
            self.record.problems.append(f"{name} renumbered")
        for uid in changes.expunged:
            view.pop(uid, None)
        for state in changes.added:
            if state.uid in view:
                self.record.problems.append(f"{name} {state.uid} added twice")
            try:
                body = box.read(state.uid).decode()
            except MessageGone:
                body = ""
            view[state.uid] = body
            if body:
                self.record.told.append((name, box.uid_validity, state.uid, body))
        if list(view) != sorted(view):
            self.record.problems.append(f"{name} not ascending")

    def append(self) -> None:
        name = self.chooser.choice(NAMES)
        box = self.boxes[name]
        delivery = box.begin_delivery()
        bodies = []
        for _ in range(self.chooser.choice((1, 1, 3))):
            self.count += 1
            bodies.append(f"{self.name}-{self.count}")
            delivery.begin(self.chooser.choice(([], [rb"\Seen"])), 1_500_000_000)
            delivery.write(bodies[-1].encode())
            delivery.end()
        appended = box.commit(delivery, False)
        self.take(name, appended.target)
        for uid, body in zip(appended.uids, bodies, strict=True):
            self.record.told.append((name, appended.uid_validity, uid, body))
            self.record.kept[body] = (name, uid)

    def some(self, name: str, own: bool) -> Iterator[tuple[Uid, str]]:
        """Choose messages that are in the view."""
        view = self.views[name]
        for uid in self.chooser.sample(sorted(view), min(len(view), 2)):
            if not own or self.record.kept.get(view[uid]) == (name, uid):
                yield uid, view[uid]

    def store(self) -> None:
        name = self.chooser.choice(NAMES)
        words = self.chooser.sample(self.words, 3)
        mode = self.chooser.choice((StoreMode.ADD, StoreMode.ADD, StoreMode.REMOVE))
        chosen = dict(self.some(name, own=False))
        flags = [word.encode() for word in words]
        changes = self.boxes[name].store_flags(chosen, mode, flags)
        for uid, body in chosen.items():
            if uid in changes.expunged or not body:
                continue
            had = set(self.record.flags.get(f"{name} {uid}", ()))
            had = had | {*words} if mode is StoreMode.ADD else had - {*words}
            self.record.flags[f"{name} {uid}"] = sorted(had)
        self.take(name, changes)

    def expunge(self) -> None:
        name = self.chooser.choice(NAMES)
        box = self.boxes[name]
        chosen = dict(self.some(name, own=True))
        self.take(name, box.store_flags(chosen, StoreMode.ADD, [rb"\Deleted"]))
        changes = box.expunge(chosen)
        for uid, body in chosen.items():
            if uid not in changes.expunged:
                self.record.problems.append(f"{body} is not expunged")
            self.record.kept.pop(body, None)
        self.take(name, changes)

    def move(self) -> None:
        source, target = self.chooser.sample(NAMES, 2)
        chosen = dict(self.some(source, own=True))
        copied = self.boxes[target].copy_from(self.boxes[source], chosen, True, False)
        for old, new in copied.pairs:
            self.record.kept[chosen[old]] = (target, new)
            self.record.told.append((target, copied.uid_validity, new, chosen[old]))
            self.record.moved.append(f"{target} {new}")
        if len(copied.pairs) != len(chosen):
            self.record.problems.append(f"moved {copied.pairs} of {chosen}")
        self.take(target, copied.target)
        self.take(source, copied.source)

    def copy(self) -> None:
        """There and away again: every content stays there once."""
        source, target = self.chooser.sample(NAMES, 2)
        chosen = dict(self.some(source, own=False))
        box = self.boxes[target]
        copied = box.copy_from(self.boxes[source], chosen, False, False)
        self.take(target, copied.target)
        self.take(source, copied.source)
        new = [uid for _, uid in copied.pairs]
        self.take(target, box.store_flags(new, StoreMode.ADD, [rb"\Deleted"]))
        self.take(target, box.expunge(new))


def look(box: MaildirMailbox) -> dict[int, tuple[str, frozenset[bytes]]]:
    """All that is there, by a session that has just come."""
    added = box.sync(False).added
    return {one.uid: (box.read(one.uid).decode(), one.flags) for one in added}


def main() -> None:
    """``python -m tests.store.actor ROOT NAME SEED STEPS``: print the record."""
    root, name, seed, steps = sys.argv[1:]
    actor = Actor(Path(root), name, int(seed))
    for _ in range(int(steps)):
        actor.step()
    actor.finish()
    actor.close()
    json.dump(vars(actor.record), sys.stdout)


if __name__ == "__main__":
    main()
