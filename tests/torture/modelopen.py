"""SELECT and EXAMINE, and a client that comes back with what it knows."""

from collections.abc import Sequence
from typing import Final

from tests.torture.model import View, demand
from tests.torture.modelclient import Session
from tests.torture.modelcommands import judge_earlier
from tests.torture.modelworld import World

ALL_UIDS: Final = range(1, 1 << 32)


def open_box(
    world: World,
    session: Session,
    name: str,
    *,
    read_only: bool,
    condstore: bool = False,
) -> None:
    """SELECT and EXAMINE.  RFC 3501 §6.3.1, §6.3.2."""
    session.leave()
    session.condstore = session.condstore or condstore
    view = View(world.boxes[name], read_only=read_only)
    verb = "EXAMINE" if read_only else "SELECT"
    told = world.open(session, view, f"{verb} {name}" + " (CONDSTORE)" * condstore)
    demand(not told.earlier and not told.fetched, "told of changes unasked")
    _opened(world, session, view)


def resync(
    world: World,
    session: Session,
    name: str,
    *,
    same_validity: bool,
    modseq: int | None,
    known: Sequence[int],
) -> None:
    """SELECT with QRESYNC.  RFC 7162 §3.2.5.

    Args:
        world: all there is.
        session: who has enabled it.
        name: of the mailbox.
        same_validity: whether the client has the right UIDVALIDITY.
        modseq: since when; None: since the client was there last.
        known: UIDs that the client asks of; none: all.
    """
    session.leave()
    box, cache = world.boxes[name], session.caches.get(name)
    since = (cache.modseq if cache else 0) if modseq is None else modseq
    if not since or not box.validity:
        open_box(world, session, name, read_only=False)
        return
    view = View(box, read_only=False)
    named: range | set[int] = set(known) or ALL_UIDS
    known_uids: set[int] = set()
    if cache is not None and modseq is None and same_validity:
        known_uids = {uid for uid in cache.uids if uid in named}
        flags = cache.flags.items()
        view.flags.update({uid: each for uid, each in flags if uid in known_uids})
    there = [one for uid, one in box.messages.items() if uid in named]
    newer = {one.uid: one.is_above(since) for one in there}
    if (
        since > box.highest or box.may_fall
    ):  # not from here, it may seem: all may be told
        newer = {uid: above or None for uid, above in newer.items()}
    gone = {
        uid
        for uid, above in box.gone.items()
        if uid in named and above is not None and above >= since
    }
    validity = box.validity if same_validity else box.validity + 1
    more = " " + ",".join(map(str, sorted(known))) if known else ""
    text = f"SELECT {name} (QRESYNC ({validity} {since}{more}))"
    told = world.open(session, view, text)
    answered = {uid for uid, _ in told.fetched}
    if not same_validity:
        demand(not told.earlier and not answered, "told of another's UIDs")
    else:
        judge_earlier(box, told, gone, named)
        _judge_changed(answered, newer, named)
        for uid in known_uids.difference(view.uids):
            demand(uid in told.earlier, "not told VANISHED", uid)
            view.flags.pop(uid, None)
    _opened(world, session, view)


def _judge_changed(
    answered: set[int], newer: dict[int, bool | None], named: range | set[int]
) -> None:
    demand(all(uid in named for uid in answered), "told of UIDs unasked", answered)
    for uid, changed in newer.items():
        right = changed in (None, uid in answered)
        demand(right, "UID", uid, "is told" if changed is False else "is not told")


def _opened(world: World, session: Session, view: View) -> None:
    view.settle(may_expunge=True)
    world.judge_others(session, [view.box.name])
