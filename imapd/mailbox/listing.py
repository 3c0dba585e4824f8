"""Which names LIST and LSUB answer with.  RFC 3501 §6.3.8, §6.3.9, RFC 5258.

Pure: from the mailboxes that are there and the names subscribed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from imapd.ids import MailboxPath
from imapd.mailbox.names import Namespace
from imapd.model.mailbox import Folder
from imapd.model.requests import ListMailboxes
from imapd.wire.patterns import PatternMatcher

#: Selection options that a child may match, as CHILDINFO tells them.  RFC 5258 §3.5.
_CRITERIA = (b"SUBSCRIBED", b"SPECIAL-USE")


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the answer.

    ``path`` is None where there is no mailbox of this name: a parent that only
    exists in its children, a subscription to something deleted.
    """

    name: str
    path: MailboxPath | None
    attributes: tuple[bytes, ...]
    child_info: tuple[bytes, ...] = ()


class Tree:
    """Every name of an account: its mailboxes, their parents, its subscriptions."""

    def __init__(
        self,
        namespace: Namespace,
        folders: Iterable[Folder],
        subscribed: Iterable[MailboxPath] = (),
    ) -> None:
        self._separator = namespace.separator
        self.folders = {namespace.name(each.path): each for each in folders}
        self.subscribed = {namespace.name(path) for path in subscribed}
        self._parents = self._all_above(self.folders)

    def _all_above(self, names: Iterable[str]) -> set[str]:
        return {parent for name in names for parent in self._above(name)}

    def _above(self, name: str) -> Iterator[str]:
        while self._separator in name:
            name = name.rpartition(self._separator)[0]
            yield name

    def listed(self, request: ListMailboxes) -> list[Listed]:
        """The answer to LIST, sorted, INBOX first."""
        selected = self._selected(request)
        names = self._matching(selected, request)
        above: set[str] = set()
        if b"RECURSIVEMATCH" in request.selection:
            above = self._all_above(selected)
            # Not for the sake of children that are listed themselves: RFC 5258 §3.5.
            names |= self._matching(self._all_above(selected - names), request)
        return [
            self._describe(name, request, name in above)
            for name in sorted(names, key=_inbox_first)
        ]

    def _selected(self, request: ListMailboxes) -> set[str]:
        """What the selection options select, without RECURSIVEMATCH."""
        names = set(self.folders) | self._parents
        if b"SUBSCRIBED" in request.selection:
            names = set(self.subscribed)
        if b"SPECIAL-USE" in request.selection:
            names = {name for name in names if self._special_use(name)}
        return names

    def _special_use(self, name: str) -> bytes | None:
        folder = self.folders.get(name)
        return None if folder is None else folder.special_use

    def _describe(self, name: str, request: ListMailboxes, below: bool) -> Listed:
        """One line; ``below``: names under this one are selected."""
        folder = self.folders.get(name)
        attributes = []
        if folder is None:
            # One of them only: RFC 5258 §6 has a single mbox-list-sflag.
            attributes = [rb"\NonExistent" if request.extended else rb"\Noselect"]
        attributes.append(
            rb"\HasChildren" if name in self._parents else rb"\HasNoChildren"
        )
        if folder is not None and folder.special_use is not None:
            attributes.append(folder.special_use)
        wants = request.selection | request.returns
        if b"SUBSCRIBED" in wants and name in self.subscribed:
            attributes.append(rb"\Subscribed")
        return Listed(
            name,
            None if folder is None else folder.path,
            tuple(attributes),
            tuple(each for each in _CRITERIA if each in request.selection)
            if below
            else (),
        )

    def subscriptions(self, request: ListMailboxes) -> list[Listed]:
        r"""The answer to LSUB.

        With ``%`` also parents that are not subscribed, as ``\Noselect``: a name
        below them is.  RFC 3501 §6.3.9.
        """
        names = set(self.subscribed)
        if any("%" in pattern for pattern in request.patterns):
            names |= self._all_above(names)
        return [
            Listed(
                name,
                None,
                () if name in self.subscribed else (rb"\Noselect",),
            )
            for name in sorted(self._matching(names, request), key=_inbox_first)
        ]

    def _matching(self, names: Iterable[str], request: ListMailboxes) -> set[str]:
        patterns = [request.reference + pattern for pattern in request.patterns]
        matcher = PatternMatcher(patterns, self._separator)
        # INBOX has no case (RFC 3501 §5.1), nor has it as the first of several
        # components: clients are set up with "Inbox." as their prefix.
        upper = PatternMatcher([each.upper() for each in patterns], self._separator)
        headed = PatternMatcher(
            [_with_inbox(each, self._separator) for each in patterns], self._separator
        )
        below = "INBOX" + self._separator
        return {
            name
            for name in names
            if matcher.matches(name)
            or (name == "INBOX" and upper.matches(name))
            or (name.startswith(below) and headed.matches(name))
        }


def _with_inbox(pattern: str, separator: str) -> str:
    """Write a first component that may be INBOX, or its beginning, in upper case."""
    head = re.split(rf"[*%{re.escape(separator)}]", pattern, maxsplit=1)[0]
    if not "INBOX".startswith(head.upper()):
        return pattern
    return head.upper() + pattern[len(head) :]


def _inbox_first(name: str) -> tuple[bool, str]:
    return name != "INBOX", name
