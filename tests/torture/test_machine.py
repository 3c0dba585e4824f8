"""The state machine for a few seconds, and the model itself against wrong answers."""

import unittest

from tests.torture.budget import Budget
from tests.torture.machine import EXAMPLES_AT_ONCE, hunt, run
from tests.torture.model import Box, Difference, Message, Stamp, View

SEED = 17
EXAMPLES = 100


class MachineTests(unittest.TestCase):
    def test_server_and_model_agree(self) -> None:
        """As many examples on every machine: they are the same everywhere."""
        # Hardening: D09, D13, D14.
        hunt(SEED, examples=EXAMPLES)

    def test_figures(self) -> None:
        figures = list(run(Budget(0, SEED)))
        self.assertEqual([each for each in figures if each.met is False], [])
        told = {each.what: each.value for each in figures}
        self.assertGreaterEqual(told["examples against the model"], EXAMPLES_AT_ONCE)
        self.assertGreater(told["commands in them"], 10 * EXAMPLES_AT_ONCE)


class ModelTests(unittest.TestCase):
    """What the model must not let pass, one wrong answer each."""

    def setUp(self) -> None:
        self.box = Box("INBOX")
        for uid in (2, 5):
            self.arrive(uid)
        self.view = self.open()

    def arrive(self, uid: int) -> Message:
        message = Message(f"base{uid}", f"m{uid}", frozenset(), fresh=True)
        self.box.arrive(uid, message)
        return message

    def open(self, *, read_only: bool = False) -> View:
        view = View(self.box, read_only=read_only)
        self.box.enter(view)
        view.exists(len(self.box.messages))
        return view

    def differs(self, what: str) -> "unittest.case._AssertRaisesContext[Difference]":
        return self.assertRaisesRegex(Difference, what)

    def test_uids(self) -> None:
        with self.differs("gave UID"):
            self.arrive(5)
        with self.differs("gave UID"):
            self.arrive(3)

    def test_numbers(self) -> None:
        with self.differs("EXISTS 1"):
            self.view.exists(1)
        with self.differs("EXISTS 3"):
            self.view.exists(3)
        with self.differs("which is there"):
            self.view.expunged(1)
        view = self.open()
        with self.differs("never had"):
            view.vanished([3])
        with self.differs("number 1 is 2"):
            view.fetched(1, {b"UID": 5})

    def test_an_expunge_held_back_keeps_the_number(self) -> None:
        self.box.remove(2, noticed=True)
        self.arrive(6)
        self.view.exists(3)
        self.assertEqual(self.view.fetched(3, {b"UID": 6}), 6)
        self.view.settle(may_expunge=False)
        with self.differs("knows UIDs"):
            self.view.settle(may_expunge=True)
        self.view.vanished([2])
        self.view.settle(may_expunge=True)

    def test_flags(self) -> None:
        self.view.fetched(1, {b"FLAGS": (rb"\Recent",)})
        self.view.settle(may_expunge=True)
        message = self.box.messages[2]
        message.change(frozenset([r"\seen"]), unnoticed=True)
        self.view.fetched(1, {b"FLAGS": (rb"\Recent",)})  # it may not know yet
        with self.differs("is thought to have"):
            self.view.settle(may_expunge=True)
        self.box.look()
        self.box.looked()
        with self.differs("not"):
            self.view.fetched(1, {b"FLAGS": (rb"\Recent",)})

    def test_recent(self) -> None:
        other = self.open()
        recent = {b"FLAGS": (rb"\Recent",)}
        self.view.fetched(1, recent)
        with self.differs("changes within"):
            self.view.fetched(1, {b"FLAGS": ()})
        with self.differs("two sessions"):
            other.fetched(1, recent)
        with self.differs("to another already"):
            self.open(read_only=True).fetched(1, recent)

    def test_recent_to_nobody(self) -> None:
        with self.differs("to nobody"):
            self.view.fetched(1, {b"FLAGS": ()})

    def test_sequences(self) -> None:
        message = self.box.messages[2]
        self.view.fetched(1, {b"MODSEQ": 7})
        with self.differs("cannot have MODSEQ"):
            self.view.fetched(1, {b"MODSEQ": 8})
        self.assertEqual((message.is_above(6), message.is_above(7)), (True, False))
        message.change(frozenset([r"\seen"]))
        self.box.look()
        self.assertIs(message.is_above(7), True)
        self.assertIsNone(message.is_above(9))
        with self.differs("cannot have MODSEQ"):
            self.view.fetched(1, {b"MODSEQ": 7})
        self.view.fetched(1, {b"MODSEQ": 9})
        self.assertEqual(message.stamps, [Stamp(9)])


if __name__ == "__main__":
    unittest.main()
