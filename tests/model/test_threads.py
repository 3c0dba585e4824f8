"""RFC 5256, section 3, THREAD; beside the algorithm written down as the RFC has it."""

import unittest
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.model import threads
from imapd.model.threadids import ThreadIds, pack_thread_ids
from imapd.model.threads import Steps, Threads

Tree = tuple[int | None, tuple["Tree", ...]]


def packed(ids: Sequence[ThreadIds]) -> list[bytes]:
    return [pack_thread_ids(each) for each in ids]


def finish(steps: Steps) -> Threads:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found = end.value
            assert isinstance(found, Threads)
            return found


def trees(found: Threads) -> list[Tree]:
    """As nested tuples; None for a dummy.  For shallow ones."""

    def tree(node: int) -> Tree:
        children = tuple(map(tree, found.children(node)))
        return (node if node < found.count else None), children

    return [tree(root) for root in found.roots]


def members(found: Threads) -> list[int]:
    stack, seen = list(found.roots), []
    while stack:
        node = stack.pop()
        seen.append(node)
        stack += found.children(node)
    return [node for node in seen if node < found.count]


@dataclass(eq=False)
class Node:
    message: int | None = None
    parent: "Node | None" = None
    children: list["Node"] = field(default_factory=list)

    def above(self, other: "Node") -> bool:
        at: Node | None = other
        while at is not None:
            if at is self:
                return True
            at = at.parent
        return False

    def attach(self, parent: "Node | None") -> None:
        if self.parent is not None:
            self.parent.children.remove(self)
        self.parent = parent
        if parent is not None:
            parent.children.append(self)

    def tree(self) -> Tree:
        return self.message, tuple(each.tree() for each in self.children)


class ByTheLetter:
    """RFC 5256 §3, REFERENCES, step by step."""

    def __init__(
        self, dates: Sequence[int], ids: Sequence[ThreadIds], subjects: Sequence[bytes]
    ) -> None:
        self.dates, self.ids, self.subjects = dates, ids, subjects
        self.table: dict[int, Node] = {}
        self.nodes: list[Node] = []
        for message, one in enumerate(ids):
            node = Node(message)
            self.nodes.append(node)
            if one.own and one.own not in self.table:
                self.table[one.own] = node
        self.step_1()
        self.root = Node()
        for each in (*self.table.values(), *self.nodes):  # 2
            if each.parent is None and each is not self.root:
                each.attach(self.root)
        self.step_3(self.root)

    def step_1(self) -> None:
        for message, one in enumerate(self.ids):
            last: Node | None = None
            for reference in one.references:
                node = self.table.setdefault(reference, Node())
                if last is not None and node.parent is None and not node.above(last):
                    node.attach(last)
                last = node
            node = self.nodes[message]
            if node.parent is not last:
                node.attach(None)
                if last is not None and not node.above(last):
                    node.attach(last)

    def step_3(self, parent: Node) -> None:
        for child in list(parent.children):
            self.step_3(child)
            if child.message is None and child is not self.root:
                alone = len(child.children) == 1
                if not child.children:
                    child.attach(None)
                elif parent is not self.root or alone:
                    for each in list(child.children):
                        each.attach(parent)
                    child.attach(None)

    def when(self, node: Node) -> tuple[int, int]:
        if node.message is None:
            return min(map(self.when, node.children))
        return self.dates[node.message], node.message

    def subject(self, node: Node) -> bytes:
        return self.subjects[self.when(node)[1]]

    def answers(self, node: Node) -> bool:
        return node.message is not None and self.ids[node.message].answers

    def references(self) -> list[Tree]:
        root = self.root
        root.children.sort(key=self.when)  # 4
        subjects = {id(each): self.subject(each) for each in root.children}
        table: dict[bytes, Node] = {}
        for each in root.children:  # 5.B
            subject = subjects[id(each)]
            held = table.get(subject)
            if not subject:
                continue
            if held is None or (
                held.message is not None
                and (
                    each.message is None
                    or (self.answers(held) and not self.answers(each))
                )
            ):
                table[subject] = each
        for each in list(root.children):  # 5.C
            if each.parent is not root:
                continue
            held = table.get(subjects[id(each)])
            if held is None or held is each:
                continue
            if held.message is None and each.message is None:
                for child in list(each.children):
                    child.attach(held)
                each.attach(None)
            elif held.message is None or (
                self.answers(each) and not self.answers(held)
            ):
                each.attach(held)
            else:
                dummy = Node()
                dummy.attach(root)
                each.attach(dummy)
                held.attach(dummy)
                table[subjects[id(held)]] = dummy
        self.sort(root)
        return [each.tree() for each in root.children]

    def refs(self) -> list[Tree]:
        self.sort(self.root)
        self.root.children.sort(key=self.newest)
        return [each.tree() for each in self.root.children]

    def newest(self, node: Node) -> tuple[int, int]:
        own = [] if node.message is None else [self.when(node)]
        return max(own + [self.newest(each) for each in node.children])

    def sort(self, node: Node) -> None:  # 6
        for each in node.children:
            self.sort(each)
        node.children.sort(key=self.when)


def by_date(dates: Sequence[int]) -> list[int]:
    return sorted(range(len(dates)), key=lambda message: (dates[message], message))


@st.composite
def mailboxes(
    draw: st.DrawFn,
) -> tuple[list[int], list[ThreadIds], list[bytes]]:
    count = draw(st.integers(0, 12))
    an_id = st.integers(1, 9)
    ids = [
        ThreadIds(
            draw(st.integers(0, 9)),
            tuple(draw(st.lists(an_id, max_size=4))),
            draw(st.booleans()),
        )
        for _ in range(count)
    ]
    dates = [draw(st.integers(0, 5)) for _ in range(count)]
    subjects = [draw(st.sampled_from((b"", b"A", b"B", b"C"))) for _ in range(count)]
    return dates, ids, subjects


class ThreadTests(unittest.TestCase):
    @settings(max_examples=400, deadline=None)
    @given(mailboxes())
    def test_references_is_what_the_steps_of_the_rfc_make(
        self, mailbox: tuple[list[int], list[ThreadIds], list[bytes]]
    ) -> None:
        dates, ids, subjects = mailbox
        found = finish(threads.references(by_date(dates), packed(ids), subjects))
        self.assertEqual(trees(found), ByTheLetter(*mailbox).references())
        self.assertEqual(sorted(members(found)), list(range(len(ids))))

    @settings(max_examples=200, deadline=None)
    @given(mailboxes())
    def test_refs(
        self, mailbox: tuple[list[int], list[ThreadIds], list[bytes]]
    ) -> None:
        dates, ids, _ = mailbox
        found = finish(threads.refs(by_date(dates), packed(ids)))
        self.assertEqual(trees(found), ByTheLetter(*mailbox).refs())
        self.assertEqual(sorted(members(found)), list(range(len(ids))))

    @given(mailboxes())
    def test_ordered_subject(
        self, mailbox: tuple[list[int], list[ThreadIds], list[bytes]]
    ) -> None:
        dates, _, subjects = mailbox
        order = by_date(dates)
        found = trees(finish(threads.ordered_subject(order, subjects)))
        wanted: dict[bytes, list[int]] = {}
        for message in order:
            wanted.setdefault(subjects[message], []).append(message)
        self.assertEqual(
            found,
            [
                (each[0], tuple((one, ()) for one in each[1:]))
                for each in wanted.values()
            ],
        )

    def references(self, *ids: ThreadIds) -> Threads:
        return finish(
            threads.references(range(len(ids)), packed(ids), [b""] * len(ids))
        )

    def test_the_second_message_with_an_id_has_none(self) -> None:
        found = self.references(ThreadIds(1), ThreadIds(1), ThreadIds(2, (1,)))
        self.assertEqual(trees(found), [(0, ((2, ()),)), (1, ())])

    def test_a_message_that_refers_to_itself(self) -> None:
        self.assertEqual(trees(self.references(ThreadIds(1, (1,)))), [(0, ())])

    def test_siblings_of_a_message_that_is_not_there(self) -> None:
        found = self.references(ThreadIds(1, (9,)), ThreadIds(2, (9,)))
        self.assertEqual(trees(found), [(None, ((0, ()), (1, ())))])
        found = self.references(ThreadIds(1, (9,)))
        self.assertEqual(trees(found), [(0, ())])


class HostileTests(unittest.TestCase):
    """Each would take hours if any step were quadratic, or break a recursion."""

    COUNT = 100_000

    def thread(self, ids: list[ThreadIds]) -> Threads:
        order = range(len(ids))
        found = finish(threads.references(order, packed(ids), [b"S"] * len(ids)))
        self.assertEqual(sorted(members(found)), list(order))
        self.assertEqual(
            len(members(finish(threads.refs(order, packed(ids))))), len(ids)
        )
        return found

    def test_a_deep_chain(self) -> None:
        chain = [ThreadIds(n + 1, (n,) if n else ()) for n in range(self.COUNT)]
        found = self.thread(chain)
        self.assertEqual(list(found.roots), [0])
        self.assertEqual(list(found.children(7)), [8])
        self.assertEqual(list(self.thread(chain[::-1]).roots), [self.COUNT - 1])

    def test_a_chain_of_messages_that_are_not_there(self) -> None:
        ids = [
            ThreadIds(10**9 + n, tuple(range(50 * n + 1, 50 * n + 52)))
            for n in range(1000)
        ]
        self.assertEqual(len(self.thread(ids).roots), 1)

    def test_a_wide_thread(self) -> None:
        self.thread([ThreadIds(n + 1, (10**9,)) for n in range(self.COUNT)])

    def test_one_subject(self) -> None:
        for answers in (False, True):
            ids = [ThreadIds(n + 1, (), answers) for n in range(self.COUNT)]
            self.assertEqual(len(self.thread(ids).roots), 1)

    def test_a_deep_chain_that_is_cut_and_joined_again(self) -> None:
        """Walking up would be a thousand million steps."""
        count = 20_000
        chain = [
            ThreadIds(10**9 + n, tuple(range(99 * n + 1, 99 * n + 101)))
            for n in range(count // 99)
        ]
        cuts = [ThreadIds(n, (n - 2,)) for n in range(count // 2, count)]
        self.thread(chain + cuts)

    def test_more_references_than_are_looked_at(self) -> None:
        ids = [
            ThreadIds(10**9 + n, tuple(range(100 * n + 1, 100 * n + 101)))
            for n in range(3000)
        ]
        self.thread(ids)
