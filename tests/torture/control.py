"""G12: whatever happens to the files beside the mail, the mail is there.

Every file that is not mail, of an account of ours, of Courier's, of both and of one
in which a tree is being renamed, is cut, flipped, zeroed and replaced at every place;
the real store opens what is left of it, works in it, and opens it again.
"""

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

from imapd.errors import ImapError
from imapd.store import quiet
from imapd.store.maildir import snapshot
from tests.torture.budget import Budget
from tests.torture.corrupted import Trial
from tests.torture.corruption import Corruption, any_of, every
from tests.torture.figures import Figure, at_most, told
from tests.torture.originals import DIRECTORIES, NAMES, Original

_IN_MEMORY = Path("/dev/shm")
#: A larger file is a database: its pages are mostly empty, and one octet in so many
#: is corrupted by the sweep; chance finds the others.
_WHOLLY_SWEPT_OCTETS = 4096
_DATABASE_STEP = 97
_NOT_TOUCHED = [f"{one}/dovecot-uidlist" for one in DIRECTORIES.values() if one]
_NOT_TOUCHED.append("dovecot-uidlist")


def run(budget: Budget) -> Iterator[Figure]:
    """Sweep in any order while there is time, then corrupt two files at once."""
    with (
        tempfile.TemporaryDirectory(dir=_place()) as directory,
        # Else only a large mailbox would have a snapshot.
        mock.patch.object(snapshot, "LEAST_MESSAGES", 1),
    ):
        originals = {}
        for name in NAMES:
            place = Path(directory, name.strip("'"))
            place.mkdir()
            originals[name] = Original(name, place)
        yield from _run(budget, originals)


def _place() -> Path | None:
    return _IN_MEMORY if _IN_MEMORY.is_dir() else None


def _run(budget: Budget, originals: dict[str, Original]) -> Iterator[Figure]:
    for original in originals.values():
        check(original, (), "not corrupted")
    sweep = [
        (name, [one])
        for name, original in originals.items()
        for one in _sweep(original)
    ]
    random.Random(budget.seed).shuffle(sweep)
    count = 0
    for label, chance in budget.trials("control"):
        if count < len(sweep):
            name, corruptions = sweep[count]
        else:
            name = chance.choice(NAMES)
            original = originals[name]
            original.put_back()
            corruptions = [
                any_of(original.files, original.root, chance)
                for _ in range(chance.randrange(1, 5))
            ]
        check(originals[name], corruptions, label)
        count += 1
        budget.did()
    yield at_most("G12", "mail lost, UIDs confused, exceptions", 0, "defects", 0)
    yield told("G12", "corrupted accounts opened", count, "trials")
    share = 100 * min(1, count / len(sweep))
    yield told("G12", "of the sweep of single corruptions", share, "%")


def _sweep(original: Original) -> Iterator[Corruption]:
    original.put_back()
    for file in original.files:
        size = (original.root / file).stat().st_size
        small = size <= _WHOLLY_SWEPT_OCTETS
        yield from every(original.root, file, 1 if small else _DATABASE_STEP)


def check(original: Original, corruptions: Sequence[Corruption], label: str) -> None:
    """Make one trial.

    Raises:
        AssertionError: a defect; the text has the label and what was done.
    """
    original.put_back()
    quiet.forget()
    done = ", ".join(map(str, corruptions))
    for one in corruptions:
        one.apply(original.root)
    trial = Trial(original, {one.file for one in corruptions})
    try:
        wrong = trial.run()
    except ImapError as error:
        # Whoever reads a link in the place of a UID list may have the numbers: it is
        # not touched, and neither is the mail.
        wrong = trial.lost()
        if not any((original.root / name).is_symlink() for name in _NOT_TOUCHED):
            wrong += [f"refused: {error!r} because of {error.__cause__!r}"]
    except Exception as error:
        raise AssertionError(f"{label}: {original.name}, {done}: {error!r}") from error
    assert not wrong, f"{label}: {original.name}, {done}: {'; '.join(wrong)}"
