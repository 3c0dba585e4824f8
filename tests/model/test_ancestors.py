"""Loops: the same answer by walking up and by link-cut trees."""

import unittest
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.model import ancestors
from imapd.model.ancestors import Forest

COUNT = 8
STEPS = st.lists(
    st.tuples(st.booleans(), st.integers(0, COUNT), st.integers(0, COUNT)),
    max_size=40,
)


class ForestTests(unittest.TestCase):
    def walk(self, forest: Forest, node: int) -> list[int]:
        path = [node]
        while forest.parent[path[-1]] >= 0:
            path.append(forest.parent[path[-1]])
        return path

    @settings(max_examples=300, deadline=None)
    @given(STEPS, st.sampled_from((0, 1, 5, 4096)))
    def test_a_link_is_refused_only_for_a_loop(
        self, steps: list[tuple[bool, int, int]], walking: int
    ) -> None:
        with (
            mock.patch.object(ancestors, "WALK_STEPS", 0),
            mock.patch.object(ancestors, "_LEAST_STEPS", walking),
        ):
            forest = Forest(COUNT)
            self.assertEqual(forest.add(), COUNT)
            for cuts, node, under in steps:
                if cuts or forest.parent[node] >= 0:
                    forest.cut(node)
                    self.assertEqual(forest.parent[node], -1)
                loop = node in self.walk(forest, under)
                self.assertIs(forest.link(node, under), not loop)
