"""Untagged responses for what changed under a session.  RFC 3501 §5.2, §7.3, §7.4."""

from collections.abc import Iterator

from imapd.mailbox.api import SelectedMailbox
from imapd.model.flags import SYSTEM_FLAGS
from imapd.wire import msgatt, response
from imapd.wire.response import untagged

#: Changed flags in one piece.
PIECE_MESSAGES = 1024


def news(selected: SelectedMailbox, *, may_expunge: bool) -> Iterator[bytes]:
    """Drain the view: what the session is told now, as lines, in pieces.

    A UID goes with every change of flags, also outside UID commands: clients
    that keep messages by UID need no table of numbers then.
    """
    view = selected.view
    if not view.has_news:
        return
    updates = view.drain(may_expunge=may_expunge)
    lines = [untagged(response.expunge(seq)) for seq in updates.expunged]
    if updates.exists is not None:
        lines.append(untagged(response.exists(updates.exists)))
    if updates.recent is not None:
        lines.append(untagged(response.recent(updates.recent)))
    if lines:
        yield b"".join(lines)
    for start in range(0, len(updates.flags), PIECE_MESSAGES):
        piece = updates.flags[start : start + PIECE_MESSAGES]
        yield b"".join(
            untagged(
                msgatt.fetch_flags(
                    seq, selected.flags(uid), uid, recent=uid in view.recent
                )
            )
            for seq, uid in piece
            if not view.is_gone(uid)
        )


def flag_lines(selected: SelectedMailbox) -> bytes:
    """FLAGS and PERMANENTFLAGS, as lines: what messages here may have.

    RFC 3501 §7.2.6, §7.1.
    """
    flags = [*SYSTEM_FLAGS, *selected.keywords]
    permanent = response.permanentflags(
        () if selected.read_only else flags, selected.may_create_keywords
    )
    return untagged(response.flags(flags)) + untagged(
        response.status_line(b"OK", b"Flags that are kept", permanent)
    )
