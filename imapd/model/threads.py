"""ORDEREDSUBJECT, REFERENCES and REFS: which message answers which.  RFC 5256 §3.

A message is its place among those searched for, from 0 in the order of the
mailbox.  The algorithms are generators: they yield again and again, so that
others have their turn, and return a ``Forest``.  None recurs, and all take time
linear in the messages and their references, but for the loops that must not be
(``ancestors``).
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from imapd.model.ancestors import Forest as Parents
from imapd.model.sort import ThreadIds

#: Messages between two yields: a fraction of a millisecond.
STEP_MESSAGES = 512
#: Messages that are only referred to, for each that is there and in all.  What
#: refers to more says nothing of use, and would fill the memory.
MISSING_FACTOR = 2
MISSING_COUNT = 65536


@dataclass(slots=True)
class Threads:
    """Trees: the messages, and dummies, numbered from ``count`` on, at the top.

    ``children`` has an entry for every node that has any, in the order to be told.
    """

    count: int
    roots: list[int] = field(default_factory=list)
    children: dict[int, list[int]] = field(default_factory=dict)


Steps = Generator[None, None, Threads]


def ordered_subject(by_date: Sequence[int], subjects: Sequence[bytes]) -> Steps:
    """Thread by base subject alone.

    Args:
        by_date: the messages in the order of their sent dates.
        subjects: of each message, as collated.
    """
    threads = Threads(len(by_date))
    first_of: dict[bytes, int] = {}
    for done, message in enumerate(by_date):
        if not done % STEP_MESSAGES:
            yield
        root = first_of.setdefault(subjects[message], message)
        if root == message:
            threads.roots.append(message)
        else:
            threads.children.setdefault(root, []).append(message)
    return threads


def references(
    by_date: Sequence[int], ids: Sequence[ThreadIds], subjects: Sequence[bytes]
) -> Steps:
    """Thread by references, and what is left by subject."""
    threads = yield from _pruned(by_date, (yield from _linked(ids)))
    yield from _gather_subjects(threads, by_date, ids, subjects)
    return threads


def refs(by_date: Sequence[int], ids: Sequence[ThreadIds]) -> Steps:
    """Thread by references alone; the thread with the newest message is last.

    draft-ietf-morg-inthread.
    """
    parents = yield from _linked(ids)
    threads = yield from _pruned(by_date, parents)
    root_of = [-1] * len(parents)
    done = 0
    for root in threads.roots:
        stack = [root]
        while stack:
            if not done % STEP_MESSAGES:
                yield
            done += 1
            node = stack.pop()
            root_of[node] = root
            stack += threads.children.get(node, ())
    newest: dict[int, None] = {}
    for done, message in enumerate(reversed(by_date)):
        if not done % STEP_MESSAGES:
            yield
        newest.setdefault(root_of[message])
    threads.roots = list(newest)
    threads.roots.reverse()
    return threads


# Step 1: parents.


def _linked(ids: Sequence[ThreadIds]) -> Generator[None, None, list[int]]:
    """The parent of every message, and behind them of those only referred to."""
    count = len(ids)
    node_of: dict[int, int] = {}
    for message, one in enumerate(ids):
        if not message % STEP_MESSAGES:
            yield
        if one.own:  # of several messages with one id, it names the first
            node_of.setdefault(one.own, message)
    forest = Parents(count)
    parent = forest.parent
    most = count + MISSING_FACTOR * count + MISSING_COUNT
    work = 0
    for message, one in enumerate(ids):
        work += 1 + len(one.references)
        if work >= STEP_MESSAGES:
            work = 0
            yield
        above = -1
        for reference in one.references:
            node = node_of.get(reference, -1)
            if node < 0:
                if len(parent) >= most:
                    continue
                node = node_of[reference] = forest.add()
            if above >= 0 and parent[node] < 0:
                forest.link(node, above)
            above = node
        if parent[message] != above:
            forest.cut(message)
            if above >= 0:
                forest.link(message, above)
    return parent


# Steps 2 to 4: roots without the dummies that are not needed, sorted.


def _pruned(by_date: Sequence[int], parent: list[int]) -> Steps:
    """Sort while building: messages come in the order of their dates."""
    threads = Threads(len(by_date))
    yield from _skip_dummies(parent, threads.count)
    for done, message in enumerate(by_date):
        if not done % STEP_MESSAGES:
            yield
        above = parent[message]
        if above < 0:
            threads.roots.append(message)
            continue
        siblings = threads.children.get(above)
        if siblings is not None:
            siblings.append(message)
            continue
        threads.children[above] = [message]
        if above >= threads.count:  # a dummy sorts by its first child
            threads.roots.append(above)
    for place, root in enumerate(threads.roots):
        if not place % STEP_MESSAGES:
            yield
        if root >= threads.count and len(threads.children[root]) == 1:
            (threads.roots[place],) = threads.children.pop(root)
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
        while above >= count and parent[above] >= 0:
            path.append(above)
            above = parent[above]
        for each in path:
            if parent[each] >= 0:
                parent[each] = above


# Steps 5 and 6: threads that have the same subject.


@dataclass(slots=True)
class _Roots:
    """The children of the root while they are merged."""

    threads: Threads
    ids: Sequence[ThreadIds]
    next_dummy: int
    #: Those that are children of something else now.
    moved: set[int] = field(default_factory=set)
    #: Those whose children must be sorted again.
    grown: set[int] = field(default_factory=set)

    def is_dummy(self, node: int) -> bool:
        return node >= self.threads.count

    def answers(self, node: int) -> bool:
        """Whether it is a message with a ``Re:`` or the like."""
        return not self.is_dummy(node) and self.ids[node].answers

    def put(self, nodes: list[int], under: int) -> None:
        self.threads.children.setdefault(under, []).extend(nodes)
        self.grown.add(under)

    def new_dummy(self, nodes: list[int]) -> int:
        dummy = self.next_dummy
        self.next_dummy += 1
        self.threads.roots.append(dummy)
        self.moved.update(nodes)
        self.put(nodes, dummy)
        return dummy


def _gather_subjects(
    threads: Threads,
    by_date: Sequence[int],
    ids: Sequence[ThreadIds],
    subjects: Sequence[bytes],
) -> Generator[None, None, None]:
    first = max(max(threads.roots, default=0) + 1, threads.count)
    roots = _Roots(threads, ids, first)
    subject_of: dict[int, bytes] = {}
    for done, root in enumerate(threads.roots):
        if not done % STEP_MESSAGES:
            yield
        subject = subjects[_first_message(threads, root)]
        if subject:
            subject_of[root] = subject
    table: dict[bytes, int] = {}
    for done, (node, subject) in enumerate(subject_of.items()):
        if not done % STEP_MESSAGES:
            yield
        if _replaces(roots, table.setdefault(subject, node), node):
            table[subject] = node
    for done, (node, subject) in enumerate(subject_of.items()):
        if not done % STEP_MESSAGES:
            yield
        if node != table[subject] and node not in roots.moved:
            table[subject] = _merge(roots, table[subject], node)
    if roots.grown:
        yield from _sort_again(roots, by_date)


def _first_message(threads: Threads, node: int) -> int:
    return node if node < threads.count else threads.children[node][0]


def _replaces(roots: _Roots, held: int, node: int) -> bool:
    """Step 5.B.iv: whether the subject table is to have this one instead."""
    if roots.is_dummy(held):
        return False
    return roots.is_dummy(node) or (roots.answers(held) and not roots.answers(node))


def _merge(roots: _Roots, held: int, node: int) -> int:
    """Step 5.C: merge a thread with the one of the table, and return the latter."""
    if roots.is_dummy(held) and roots.is_dummy(node):
        roots.put(roots.threads.children.pop(node), held)
    elif roots.is_dummy(held) or (roots.answers(node) and not roots.answers(held)):
        roots.put([node], held)
    else:
        return roots.new_dummy([held, node])
    roots.moved.add(node)
    return held


def _sort_again(roots: _Roots, by_date: Sequence[int]) -> Generator[None, None, None]:
    threads = roots.threads
    rank = [0] * threads.count
    for place, message in enumerate(by_date):
        if not place % STEP_MESSAGES:
            yield
        rank[message] = place
    for done, node in enumerate(roots.grown & threads.children.keys()):
        if not done % STEP_MESSAGES:
            yield
        threads.children[node].sort(key=rank.__getitem__)
    at_place: dict[int, int] = {}
    for done, root in enumerate(threads.roots):
        if not done % STEP_MESSAGES:
            yield
        if root not in roots.moved:
            at_place[rank[_first_message(threads, root)]] = root
    threads.roots = []
    for done, place in enumerate(sorted(at_place)):  # nearly sorted: a quick look
        if not done % STEP_MESSAGES:
            yield
        threads.roots.append(at_place[place])
