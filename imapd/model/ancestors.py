"""A forest that changes, and whether a node is above another: in O(log n) a step.

THREAD must not make a loop (RFC 5256 §3), and walking up takes as long as a
thread is deep.  Senders choose that depth, so after a while of walking the answer
comes from a link-cut tree (Sleator and Tarjan), which is slower for what is shallow.
"""

#: Steps up per node that walking may cost on the average, before trees do it.
WALK_STEPS = 16
_LEAST_STEPS = 4096


class Forest:
    """Parents of nodes; -1 for none."""

    __slots__ = ("_steps_left", "_trees", "parent", "was_parent")

    def __init__(self, count: int) -> None:
        self.parent: list[int] = [-1] * count
        #: False: it never had a child, so nothing can be below it.
        self.was_parent = bytearray(count)
        self._steps_left = _LEAST_STEPS + WALK_STEPS * count
        self._trees: _LinkCutTrees | None = None

    def add(self) -> int:
        """Add a node without parent, and return its number."""
        self.parent.append(-1)
        self.was_parent.append(0)
        self._steps_left += WALK_STEPS
        if self._trees is not None:
            self._trees.add()
        return len(self.parent) - 1

    def link(self, node: int, under: int) -> bool:
        """Give a node that has no parent one, unless that would make a loop."""
        if node == under or (self.was_parent[node] and self._root(under) == node):
            return False
        self.parent[node] = under
        self.was_parent[under] = 1
        if self._trees is not None:
            self._trees.link(node, under)
        return True

    def cut(self, node: int) -> None:
        """Take a node's parent away."""
        if self.parent[node] >= 0:
            self.parent[node] = -1
            if self._trees is not None:
                self._trees.cut(node)

    def _root(self, node: int) -> int:
        if self._trees is not None:
            return self._trees.root(node)
        parent, left = self.parent, self._steps_left
        while (above := parent[node]) >= 0:
            node = above
            left -= 1
            if left < 0:
                self._trees = _LinkCutTrees(parent)
                return self._trees.root(node)
        self._steps_left = left
        return node


class _LinkCutTrees:
    """Each path that was asked for is one splay tree, by depth.

    ``up`` of a splay tree's root is the node above its path: a parent that does not
    know of this child.
    """

    def __init__(self, parent: list[int]) -> None:
        self.up = list(parent)
        self.left = [-1] * len(parent)
        self.right = [-1] * len(parent)

    def add(self) -> None:
        for links in (self.up, self.left, self.right):
            links.append(-1)

    def link(self, root: int, under: int) -> None:
        self._access(root)
        self.up[root] = under

    def cut(self, node: int) -> None:
        self._access(node)
        above = self.left[node]
        self.up[above] = -1
        self.left[node] = -1

    def root(self, node: int) -> int:
        self._access(node)
        while self.left[node] >= 0:
            node = self.left[node]
        self._splay(node)  # what pays for the way down
        return node

    def _access(self, node: int) -> None:
        """Make the path from the root to the node one splay tree, node on top."""
        below, at = -1, node
        while at >= 0:
            self._splay(at)
            self.right[at] = below
            below, at = at, self.up[at]
        self._splay(node)

    def _is_top(self, node: int) -> bool:
        above = self.up[node]
        return above < 0 or node not in (self.left[above], self.right[above])

    def _splay(self, node: int) -> None:
        while not self._is_top(node):
            above = self.up[node]
            if not self._is_top(above):
                over = self.up[above]
                straight = (self.left[above] == node) == (self.left[over] == above)
                self._rotate(above if straight else node)
            self._rotate(node)

    def _rotate(self, node: int) -> None:
        up, left, right = self.up, self.left, self.right
        above = up[node]
        over = up[above]
        if over >= 0:
            if left[over] == above:
                left[over] = node
            elif right[over] == above:
                right[over] = node
        up[node], up[above] = over, node
        near, far = (left, right) if left[above] == node else (right, left)
        moved = far[node]
        near[above], far[node] = moved, above
        if moved >= 0:
            up[moved] = above
