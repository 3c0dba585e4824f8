"""Several commands one after another, as chance has it."""

import random
from collections.abc import Callable

from tests.torture.storeactor import Actor, Refused

_COMMANDS = 6
_FLAGS = ("\\Seen", "\\Flagged", "Alpha", "Beta")


def script(actor: Actor, chance: random.Random) -> None:
    """Give some commands; what is answered with NO is passed over."""
    for _ in range(_COMMANDS):
        command = chance.choice(_CHOICES)
        try:
            command(actor, chance)
        except Refused:
            continue


def _some_folder(actor: Actor, chance: random.Random) -> str:
    there = [".".join(one.path) for one in actor.account.folders()]
    folder = chance.choice(["" if name == "INBOX" else name for name in there])
    actor.select(folder)
    return folder


def _some_uids(actor: Actor, folder: str, chance: random.Random) -> list[int]:
    homes = {uid for home_set, uid in actor.told.fixed.values() if home_set == {folder}}
    uids = sorted(homes)
    return sorted(chance.sample(uids, min(len(uids), chance.randint(1, 3))))


def _word(actor: Actor) -> str:
    return f"script {len(actor.told.whole)}"


def _append(actor: Actor, chance: random.Random) -> None:
    folder = _some_folder(actor, chance)
    words = [f"{_word(actor)} {number}" for number in range(chance.randint(1, 3))]
    actor.append(folder, words, chance.sample(_FLAGS, chance.randint(0, 2)))


def _copy(actor: Actor, chance: random.Random) -> None:
    source, target = _some_folder(actor, chance), _some_folder(actor, chance)
    there = {octets for octets, home in actor.told.fixed if home == target}
    # What was expunged there may come back when the power goes, and would be two.
    there |= {octets for octets, home in actor.told.gone if home == target}
    uids = [
        uid
        for uid in _some_uids(actor, source, chance)
        if actor.octets(source, uid) not in there
    ]
    if source != target and uids:
        actor.copy(source, target, uids, chance.random() < 0.5)


def _store(actor: Actor, chance: random.Random) -> None:
    folder = _some_folder(actor, chance)
    if uids := _some_uids(actor, folder, chance):
        actor.store(folder, uids, [chance.choice(_FLAGS)])


def _expunge(actor: Actor, chance: random.Random) -> None:
    folder = _some_folder(actor, chance)
    if uids := _some_uids(actor, folder, chance):
        actor.store(folder, uids, ["\\Deleted"])
        actor.expunge(folder, uids)


def _create(actor: Actor, chance: random.Random) -> None:
    folder = f"Made{chance.randint(1, 3)}"
    if not actor.told.folders.get(folder):
        actor.create(folder)
        actor.select(folder)


def _is_settled(actor: Actor, folder: str) -> bool:
    """Whether it is no INBOX, and the record has its mail under this name alone.

    Not so after a RENAME that a death cut short: it may be under either.
    """
    return bool(folder and actor.told.folders.get(folder))


def _delete(actor: Actor, chance: random.Random) -> None:
    folder = _some_folder(actor, chance)
    if _is_settled(actor, folder):
        actor.delete(folder)


def _rename(actor: Actor, chance: random.Random) -> None:
    folder = _some_folder(actor, chance)
    if _is_settled(actor, folder) and "." not in folder:
        actor.rename(folder, f"To{len(actor.told.numbers)}")


def _subscribe(actor: Actor, chance: random.Random) -> None:
    actor.subscribe(_some_folder(actor, chance), chance.random() < 0.7)


_CHOICES: tuple[Callable[[Actor, random.Random], None], ...] = (
    *(_append, _append, _append, _copy, _copy, _store, _expunge),
    *(_create, _create, _delete, _rename, _subscribe),
)
