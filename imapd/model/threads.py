"""ORDEREDSUBJECT, REFERENCES and REFS: which message answers which.  RFC 5256 §3.

A message is its place among those searched for, from 0 in the order of the
mailbox.  The algorithms are generators: they yield every millisecond or so, for
others to have their turn, and return ``Threads``.  None recurs; all take time linear
in the messages and their references, but for the loops that must not be
(``ancestors``); and none makes an object for each message (``IdTable`` says why).
"""

from array import array
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from imapd.model.ancestors import Forest
from imapd.model.threadids import IdTable

#: Messages, or references, between two yields: less than a millisecond.
STEP_MESSAGES = 1024
#: Messages that are only referred to, for each that is there and in all.  What
#: refers to more says nothing of use, and would fill the memory.
MISSING_FACTOR = 2
MISSING_COUNT = 65536

NONE = -1


@dataclass(slots=True)
class Threads:
    """Trees of nodes: the messages, and from ``count`` on dummies, only at the top.

    ``first`` has the first child of each node, ``next`` its next sibling, in the
    order to be told; ``NONE`` where there is none.
    """

    count: int
    roots: Sequence[int] = ()
    first: Sequence[int] = ()
    next: Sequence[int] = ()

    def children(self, node: int) -> Iterator[int]:
        """Yield the children of a node."""
        child = self.first[node]
        while child != NONE:
            yield child
            child = self.next[child]


Steps = Generator[None, None, Threads]


class _Builder:
    """Threads in the making: nodes are put at the end, in the order to be told."""

    __slots__ = ("count", "first", "last", "next", "roots")

    def __init__(self, count: int, nodes: int) -> None:
        self.count = count
        self.roots: list[int] = []
        self.first = [NONE] * nodes
        self.last = [NONE] * nodes
        self.next = [NONE] * nodes

    def put(self, node: int, under: int) -> None:
        """Make a node, and the siblings that follow it, the last children."""
        before = self.last[under]
        if before == NONE:
            self.first[under] = node
        else:
            self.next[before] = node
        self.last[under] = node

    def new_dummy(self) -> int:
        for links in (self.first, self.last, self.next):
            links.append(NONE)
        return len(self.first) - 1

    def first_message(self, node: int) -> int:
        """The message, or of a dummy its first child."""
        return node if node < self.count else self.first[node]

    def finished(self) -> Threads:
        """As it may be kept for long: four octets a number."""
        roots, first, following = (
            array("i", links) for links in (self.roots, self.first, self.next)
        )
        return Threads(self.count, roots, first, following)


def ordered_subject(by_date: Sequence[int], subjects: Sequence[bytes]) -> Steps:
    """Thread by base subject alone.

    ``by_date`` are the messages in the order of their sent dates; ``subjects`` are
    those of each message, as collated.
    """
    threads = _Builder(len(by_date), len(by_date))
    first_of: dict[bytes, int] = {}
    for done, message in enumerate(by_date):
        if not done % STEP_MESSAGES:
            yield
        root = first_of.setdefault(subjects[message], message)
        if root == message:
            threads.roots.append(message)
        else:
            threads.put(message, root)
    return threads.finished()


def references(
    by_date: Sequence[int], ids: Sequence[bytes], subjects: Sequence[bytes]
) -> Steps:
    """Thread by references, and what is left by subject.

    ``ids`` are values of the column, one for each message; the other arguments are
    as for ``ordered_subject``.
    """
    table = yield from _table(ids)
    threads = yield from _pruned(by_date, (yield from _linked(table)))
    yield from _gather_subjects(threads, by_date, table, subjects)
    return threads.finished()


def refs(by_date: Sequence[int], ids: Sequence[bytes]) -> Steps:
    """Thread by references alone; the thread with the newest message is the last.

    draft-ietf-morg-inthread; two threads whose newest messages were sent in the
    same second are in the order of those messages.
    """
    parents = yield from _linked((yield from _table(ids)))
    threads = yield from _pruned(by_date, parents)
    root_of = yield from _root_of(threads)
    newest: dict[int, None] = {}
    for done, message in enumerate(reversed(by_date)):
        if not done % STEP_MESSAGES:
            yield
        newest.setdefault(root_of[message])
    threads.roots = list(newest)
    threads.roots.reverse()
    return threads.finished()


def _root_of(threads: _Builder) -> Generator[None, None, list[int]]:
    """The root that each node is under."""
    root_of = [NONE] * len(threads.first)
    done = 0
    for root in threads.roots:
        stack = [root]
        while stack:
            if not done % STEP_MESSAGES:
                yield
            done += 1
            node = stack.pop()
            root_of[node] = root
            if threads.first[node] != NONE:
                stack.append(threads.first[node])
            if threads.next[node] != NONE:
                stack.append(threads.next[node])
    return root_of


# Step 1: parents.


def _table(columns: Sequence[bytes]) -> Generator[None, None, IdTable]:
    table = IdTable()
    for start in range(0, len(columns), STEP_MESSAGES):
        table.extend(columns[start : start + STEP_MESSAGES])
        yield
    return table


def _linked(table: IdTable) -> Generator[None, None, list[int]]:
    """The parent of every message, and behind them of those only referred to."""
    count = len(table)
    node_of: dict[int, int] = {}
    for message in range(count):
        if not message % STEP_MESSAGES:
            yield
        own = table.own(message)
        if own:  # of several messages with one id, it names the first
            node_of.setdefault(own, message)
    forest = Forest(count)
    parent = forest.parent
    most = count + MISSING_FACTOR * count + MISSING_COUNT
    work = 0
    for message in range(count):
        named = table.references(message)
        work += 1 + len(named)
        if work >= STEP_MESSAGES:
            work = 0
            yield
        above = NONE
        for reference in named:
            node = node_of.get(reference, NONE)
            if node == NONE:
                if len(parent) >= most:
                    continue
                node = node_of[reference] = forest.add()
            if above != NONE and parent[node] == NONE:
                forest.link(node, above)
            above = node
        if parent[message] != above:
            forest.cut(message)
            if above != NONE:
                forest.link(message, above)
    return parent


# Steps 2 to 4: roots without the dummies that are not needed, sorted.


def _pruned(
    by_date: Sequence[int], parent: list[int]
) -> Generator[None, None, _Builder]:
    """Sort while building: messages come in the order of their dates."""
    threads = _Builder(len(by_date), len(parent))
    yield from _skip_dummies(parent, threads.count)
    for done, message in enumerate(by_date):
        if not done % STEP_MESSAGES:
            yield
        above = parent[message]
        if above == NONE:
            threads.roots.append(message)
            continue
        if above >= threads.count and threads.first[above] == NONE:
            threads.roots.append(above)  # a dummy sorts by its first child
        threads.put(message, above)
    for place, root in enumerate(threads.roots):
        if not place % STEP_MESSAGES:
            yield
        if root >= threads.count and threads.first[root] == threads.last[root]:
            threads.roots[place] = threads.first[root]
            threads.first[root] = threads.last[root] = NONE
    return threads


def _skip_dummies(parent: list[int], count: int) -> Generator[None, None, None]:
    """Make every parent a message, or a dummy at the top.

    "Do not promote the children if doing so would make them children of the root,
    unless there is only one child": the last case is for who knows the children.
    """
    for node in range(len(parent) - 1, -1, -1):
        if not node % STEP_MESSAGES:
            yield
        path = [node]
        above = parent[node]
        while above >= count and parent[above] != NONE:
            path.append(above)
            above = parent[above]
        for each in path:
            if parent[each] != NONE:
                parent[each] = above


# Steps 5 and 6: threads that have the same subject.


@dataclass(slots=True)
class _Roots:
    """The children of the root while they are merged."""

    threads: _Builder
    table: IdTable
    #: Those that are children of something else now, or no more.
    moved: set[int] = field(default_factory=set)
    #: Those whose children must be sorted again.
    grown: set[int] = field(default_factory=set)

    def is_dummy(self, node: int) -> bool:
        return node >= self.threads.count

    def answers(self, node: int) -> bool:
        """Whether it is a message with a ``Re:`` or the like."""
        return not self.is_dummy(node) and bool(self.table.answers[node])

    def put(self, node: int, under: int) -> None:
        self.threads.put(node, under)
        self.grown.add(under)
        self.moved.add(node)


def _gather_subjects(
    threads: _Builder,
    by_date: Sequence[int],
    table: IdTable,
    subjects: Sequence[bytes],
) -> Generator[None, None, None]:
    roots = _Roots(threads, table)
    subject_of: dict[int, bytes] = {}
    for done, root in enumerate(threads.roots):
        if not done % STEP_MESSAGES:
            yield
        subject = subjects[threads.first_message(root)]
        if subject:
            subject_of[root] = subject
    held: dict[bytes, int] = {}
    for done, (node, subject) in enumerate(subject_of.items()):
        if not done % STEP_MESSAGES:
            yield
        if _replaces(roots, held.setdefault(subject, node), node):
            held[subject] = node
    for done, (node, subject) in enumerate(subject_of.items()):
        if not done % STEP_MESSAGES:
            yield
        if node != held[subject] and node not in roots.moved:
            held[subject] = _merge(roots, held[subject], node)
    if roots.grown:
        yield from _sort_again(roots, by_date)


def _replaces(roots: _Roots, held: int, node: int) -> bool:
    """Step 5.B.iv: whether the subject table is to have this one instead."""
    if roots.is_dummy(held):
        return False
    return roots.is_dummy(node) or (roots.answers(held) and not roots.answers(node))


def _merge(roots: _Roots, held: int, node: int) -> int:
    """Step 5.C: merge a thread with the one of the table, and return the latter."""
    threads = roots.threads
    if roots.is_dummy(held) and roots.is_dummy(node):
        last = threads.last[node]
        roots.put(threads.first[node], held)
        threads.last[held] = last
        threads.first[node] = threads.last[node] = NONE
        roots.moved.add(node)
    elif roots.is_dummy(held) or (roots.answers(node) and not roots.answers(held)):
        roots.put(node, held)
    else:
        dummy = threads.new_dummy()
        threads.roots.append(dummy)
        roots.put(held, dummy)
        roots.put(node, dummy)
        return dummy
    return held


def _sort_again(roots: _Roots, by_date: Sequence[int]) -> Generator[None, None, None]:
    threads = roots.threads
    rank = [0] * threads.count
    for place, message in enumerate(by_date):
        if not place % STEP_MESSAGES:
            yield
        rank[message] = place
    for done, node in enumerate(roots.grown):
        if not done % STEP_MESSAGES:
            yield
        yield from _sort_children(threads, node, rank)
    root_at: dict[int, int] = {}
    for done, root in enumerate(threads.roots):
        if not done % STEP_MESSAGES:
            yield
        if root not in roots.moved:
            root_at[rank[threads.first_message(root)]] = root
    threads.roots = []
    for done, place in enumerate(sorted(root_at)):  # nearly sorted: a quick look
        if not done % STEP_MESSAGES:
            yield
        threads.roots.append(root_at[place])


def _sort_children(
    threads: _Builder, node: int, rank: list[int]
) -> Generator[None, None, None]:
    children = []
    child = threads.first[node]
    while child != NONE:
        children.append(child)
        child = threads.next[child]
        if not len(children) % STEP_MESSAGES:
            yield
    children.sort(key=rank.__getitem__)  # a few runs one after the other
    threads.first[node] = threads.last[node] = NONE
    for done, child in enumerate(children):
        if done % STEP_MESSAGES == STEP_MESSAGES - 1:
            yield
        threads.next[child] = NONE
        threads.put(child, node)
