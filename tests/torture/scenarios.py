"""Every command that changes something, on accounts where it has work to do."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imapd.ids import Uid
from imapd.model.columns import ENVELOPE
from tests.torture.checker import Told
from tests.torture.storeactor import Actor, deliver, message

Act = Callable[[Actor], object]
KEYWORDS = [f"Word{number}" for number in range(30)]  # more than there are letters


def _make_folders(root: Path) -> None:
    for part in ("cur", "new", "tmp"):
        (root / part).mkdir(parents=True)


def usual(root: Path) -> Told:
    """An account in use: INBOX with flags, keywords and new mail, and Box."""
    return _in_use(root, "Box")


def wooded(root: Path) -> Told:
    """The same with a tree."""
    return _in_use(root, "Box", "Tree", "Tree.one", "Tree.two", "Tree.two.deep")


def _in_use(root: Path, *folders: str) -> Told:
    told = Told(folders={"": True})
    _make_folders(root)
    actor = Actor(root, told)
    for folder in folders:
        actor.create(folder)
        actor.select(folder)
        actor.append(folder, [f"in {folder}"], [])
    actor.select("")
    for number in range(1, 6):
        actor.append("", [f"message {number}"], ["\\Seen", "Old"][: number % 3])
    actor.store("", [4, 5], ["\\Deleted"])
    for folder in ("", "Box"):
        actor.subscribe(folder, True)
    actor.close()
    deliver(root, told, "", "foreign")
    return told


def wasteful(root: Path) -> Told:
    """Most of the INBOX was expunged long ago: the next UID list is written anew."""
    told = crowded(root)
    actor = Actor(root, told)
    actor.select("")
    actor.expunge("", range(11, 68))
    actor.close()
    return told


def crowded(root: Path) -> Told:
    """Most of the INBOX is to be expunged."""
    told = Told(folders={"": True})
    _make_folders(root)
    actor = Actor(root, told)
    box = actor.select("")
    for number in range(0, 70, 10):
        words = [f"many {one}" for one in range(number, number + 10)]
        actor.append("", words, ["\\Deleted"] if number else [])
    assert box.uid_next == 71
    actor.close()
    return told


def fresh(root: Path) -> Told:
    """Nothing is there but the directory above, and no mail."""
    return Told(folders={"": True})


UIDS = "1 617281 9\n3 11.M1P1.host,S=40\n5 12.M1P1.host\n7 gone.M1P1.host\n"
WORDS = "$Label1\nWork\n\n11.M1P1.host,S=40:0 1\n12.M1P1.host:1\n"


def couriers(root: Path) -> Told:
    """As Courier left it: its numbers, keywords and subscriptions."""
    told = Told(folders={"": True, "A.B": True})
    told.subscribed = {"": True, "A.B": True}
    for folder in ("", "A.B"):
        where = root / ("." + folder if folder else "")
        _make_folders(where)
        (where / "courierimapkeywords").mkdir()
        (where / "courierimapuiddb").write_text(UIDS)
        (where / "courierimapkeywords" / ":list").write_text(WORDS)
        told.nexts[folder] = (617281, 9)
        for uid, base, info in (
            (3, "11.M1P1.host,S=40", ":2,S"),
            (5, "12.M1P1.host", ":2,"),
            (0, "13.M1P1.host", ":2,FS"),
        ):
            octets = message(f"{base} of Courier in {folder}")
            (where / "cur" / (base + info)).write_bytes(octets)
            told.whole.add(octets)
            told.somewhere[octets] = frozenset({folder})
            if uid:
                told.numbers[folder, 617281, uid] = octets
    (root / ".A.B" / "maildirfolder").touch()
    (root / "courierimapsubscribed").write_text("INBOX\nINBOX.A.B\n")
    return told


@dataclass(frozen=True)
class Scenario:
    """A command, and where it is given.

    ``before`` is done by the same server before anything can happen to it.
    """

    name: str
    make: Callable[[Path], Told]
    before: Act
    act: Act


def _both(actor: Actor) -> None:
    actor.select("Box")
    actor.select("")


def _inbox(actor: Actor) -> None:
    actor.select("")


def nothing(actor: Actor) -> None:
    """Not even the account is open."""


def _close(actor: Actor) -> None:
    actor.expunge("", [4, 5])
    actor.boxes.pop("").close()


def _tracked(actor: Actor) -> None:
    actor.select("").track()


def _state(actor: Actor) -> None:
    """Modification sequences, columns and a snapshot are written."""
    actor.store("", [1, 2], ["\\Answered"])
    box = actor.boxes.pop("")
    box.save_column(ENVELOPE, {Uid(1): b"some", Uid(2): b"thing"})
    box.close()
    actor.close()


def _expunge_and_append(actor: Actor) -> None:
    actor.expunge("", range(11, 68))
    actor.append("", ["new"], [])  # into new: nobody has to sync cur for it


def _open_two(actor: Actor) -> None:
    for folder in ("", "A.B" if "A.B" in actor.told.folders else "Box"):
        actor.select(folder)


def _make_again(actor: Actor) -> None:
    actor.delete("Box")
    actor.create("Box")
    actor.select("Box")
    actor.append("Box", ["in the second Box"], [])


SCENARIOS: Final = (
    Scenario("append", usual, _both, lambda a: a.append("", ["new"], [])),
    Scenario(
        "append with flags", usual, _both, lambda a: a.append("", ["new"], ["\\Seen"])
    ),
    Scenario(
        "multiappend",
        usual,
        _both,
        lambda a: a.append("Box", ["new 1", "new 2", "new 3"], ["\\Seen", "Fresh"]),
    ),
    Scenario("copy", usual, _both, lambda a: a.copy("", "Box", [1, 2, 4], False)),
    Scenario("move", usual, _both, lambda a: a.copy("", "Box", [1, 2, 4], True)),
    Scenario("store", usual, _both, lambda a: a.store("", [1, 2, 3], ["\\Flagged"])),
    Scenario("store keywords", usual, _both, lambda a: a.store("", [1, 3], KEYWORDS)),
    Scenario("expunge", usual, _both, lambda a: a.expunge("", [4, 5])),
    Scenario("uid expunge", usual, _both, lambda a: a.expunge("", [5])),
    Scenario("close", usual, _both, _close),
    Scenario("create", usual, nothing, lambda a: a.create("New.box")),
    Scenario("create for a use", usual, nothing, lambda a: a.create("S", b"\\Sent")),
    Scenario("delete", usual, nothing, lambda a: a.delete("Box")),
    Scenario("delete a parent", wooded, nothing, lambda a: a.delete("Tree")),
    Scenario("delete, make again", usual, nothing, _make_again),
    Scenario("rename a tree", wooded, nothing, lambda a: a.rename("Tree", "Wood.x")),
    Scenario("rename the inbox", usual, nothing, lambda a: a.rename_inbox("Then")),
    Scenario("subscribe", usual, nothing, lambda a: a.subscribe("Tree.two", True)),
    Scenario("unsubscribe", usual, nothing, lambda a: a.subscribe("Box", False)),
    Scenario("uid list anew", wasteful, _inbox, lambda a: a.append("", ["new"], [])),
    Scenario("expunge, uid list anew", crowded, _inbox, _expunge_and_append),
    Scenario("state and cache", usual, _tracked, _state),
    Scenario("first open of mail", usual, nothing, _open_two),
    Scenario("first open of all", fresh, nothing, _inbox),
    Scenario("from courier", couriers, nothing, _open_two),
)


def copy_tree(source: str, target: str) -> None:
    """Copy files with their times: faster than shutil, of which there are thousands."""
    os.mkdir(target, 0o700)
    with os.scandir(source) as entries:
        for entry in entries:
            there = f"{target}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                copy_tree(entry.path, there)
                continue
            with open(entry.path, "rb") as old, open(there, "wb") as new:
                new.write(old.read())
            status = entry.stat()
            os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))


class Workshop:
    """Accounts as each kind of scenario finds them, made once and copied."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self._made: dict[Callable[[Path], Told], tuple[Path, Told]] = {}
        self._count = 0

    def account(self, scenario: Scenario) -> tuple[Path, Told]:
        """A new copy, and what was told of it."""
        if scenario.make not in self._made:
            template = self.top / scenario.make.__name__ / "Maildir"
            template.parent.mkdir()
            self._made[scenario.make] = (template, scenario.make(template))
        template, told = self._made[scenario.make]
        self._count += 1
        place = self.top / f"trial{self._count}"
        place.mkdir()
        root = place / "Maildir"
        if template.exists():
            copy_tree(str(template), str(root))
        return root, told.copy()

    def remove(self, root: Path) -> None:
        shutil.rmtree(root.parent)
