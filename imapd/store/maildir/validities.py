"""The UIDVALIDITYs of one account: none is ever given out twice.

They are counted in two places, in the files that Dovecot counts in and in the state of
the account: either of them may be lost, or on a full disk.
"""

from contextlib import suppress

from imapd.errors import ImapError
from imapd.store.maildir import uidvalidity
from imapd.store.maildir.folders import FolderTree
from imapd.store.state import AccountState
from imapd.store.translate import translate_errors


class Validities:
    """What an account gives to mailboxes that are made."""

    def __init__(self, root: bytes, tree: FolderTree, state: AccountState) -> None:
        self._root = root
        self._tree = tree
        self._state = state

    def reserve(self) -> int:
        """Give out a UIDVALIDITY that no mailbox here has had, and keep it.

        Raises:
            Unavailable, OverQuota, NoPermission: it cannot be written down.
        """
        with translate_errors("reserving a UIDVALIDITY", self._root):
            known = self._state.uid_validity
            least = known + 1 if known < uidvalidity.LARGEST_PLAUSIBLE else 1
            value = uidvalidity.reserve(self._root, least, self._greatest)
            self._state.note_uid_validity(value)
            return value

    def note(self, value: int) -> None:
        """Never give it out again.  Either place is enough: the disk may be full."""
        try:
            self._state.note_uid_validity(value)
        except ImapError:
            uidvalidity.raise_to(self._root, value)
            return
        with suppress(OSError):
            uidvalidity.raise_to(self._root, value)

    def _greatest(self) -> int:
        names = [b"", *self._tree.listing().values()]
        directories = map(self._tree.location, names)
        return max(map(uidvalidity.of_directory, directories))
