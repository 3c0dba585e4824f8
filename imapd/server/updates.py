"""Untagged responses for what changed under a session.  RFC 3501 §5.2, §7.3, §7.4."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from imapd.ids import Seq, Uid
from imapd.mailbox.api import SelectedMailbox
from imapd.model.flags import SYSTEM_FLAGS
from imapd.model.sets import runs
from imapd.wire import msgatt, response
from imapd.wire.response import untagged

#: Changed flags in one piece.
PIECE_MESSAGES = 1024
#: Ranges of UIDs in one response.
PIECE_RANGES = 1024


def news(
    selected: SelectedMailbox, *, may_expunge: bool, by_uid: bool = False
) -> Iterator[bytes]:
    """Drain the view: what the session is told now, as lines, in pieces.

    A UID goes with every change of flags, also outside UID commands: clients
    that keep messages by UID need no table of numbers then.  ``by_uid``: VANISHED
    in place of EXPUNGE, where modification sequences are kept.  RFC 7162 §3.2.10.
    """
    view = selected.view
    if not view.has_news:
        return
    updates = view.drain(may_expunge=may_expunge)
    if by_uid and updates.vanished and selected.highest_modseq:
        lines = list(vanished(runs(updates.vanished)))
    else:
        lines = [response.expunges(updates.expunged)] if updates.expunged else []
    if updates.exists is not None:
        lines.append(untagged(response.exists(updates.exists)))
    if updates.recent is not None:
        lines.append(untagged(response.recent(updates.recent)))
    if lines:
        yield b"".join(lines)
    for start in range(0, len(updates.flags), PIECE_MESSAGES):
        piece = updates.flags[start : start + PIECE_MESSAGES]
        yield flag_changes(selected, piece)


def vanished(
    ranges: Iterable[tuple[int, int]], *, earlier: bool = False
) -> Iterator[bytes]:
    """VANISHED, as lines of a length that clients can bear.  RFC 7162 §3.2.10."""
    known = list(ranges)
    for start in range(0, len(known), PIECE_RANGES):
        piece = known[start : start + PIECE_RANGES]
        yield untagged(response.vanished(piece, earlier=earlier))


def flag_changes(
    selected: SelectedMailbox, messages: Iterable[tuple[Seq, Uid]]
) -> bytes:
    """The flags of messages, as lines, and MODSEQ where the client wants it."""
    view = selected.view
    tells_modseq = selected.condstore and selected.highest_modseq
    return b"".join(
        untagged(
            msgatt.fetch_flags(
                seq,
                selected.flags(uid),
                uid,
                recent=uid in view.recent,
                modseq=selected.modseq(uid) if tells_modseq else None,
            )
        )
        for seq, uid in messages
        if not view.is_gone(uid)
    )


def modseqs(selected: SelectedMailbox, uids: Sequence[Uid]) -> bytes:
    """The modification sequences of messages whose flags the client knows."""
    view = selected.view
    return b"".join(
        untagged(msgatt.fetch_modseq(seq, uid, selected.modseq(uid)))
        for uid in uids
        if not view.is_gone(uid) and (seq := view.seq(uid)) is not None
    )


def flag_lines(selected: SelectedMailbox) -> bytes:
    """FLAGS and PERMANENTFLAGS, as lines: what messages here may have.

    RFC 3501 §7.2.6, §7.1.
    """
    return _flag_lines(
        tuple(selected.keywords), selected.read_only, selected.may_create_keywords
    )


@lru_cache(maxsize=64)  # a user's mailboxes have much the same ones
def _flag_lines(
    keywords: tuple[bytes, ...], read_only: bool, may_create_keywords: bool
) -> bytes:
    flags = [*SYSTEM_FLAGS, *keywords]
    permanent = response.permanentflags(() if read_only else flags, may_create_keywords)
    return untagged(response.flags(flags)) + untagged(
        response.status_line(b"OK", b"Flags that are kept", permanent)
    )
