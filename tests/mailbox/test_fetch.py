"""FETCH: what is read, what is sent, and how much at once."""

import unittest
from collections.abc import AsyncIterator, Sequence
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imapd.errors import ImapError, LimitReached, MessageGone, ServerBug, Unavailable
from imapd.ids import Seq, Uid
from imapd.mailbox import fetch, rendering
from imapd.mailbox.message import HEAD_OCTETS
from imapd.mailbox.planning import Plan, plan
from imapd.mailbox.rendering import Rendered
from imapd.mailbox.streams import BrokenLiteral, HeldStream
from imapd.model import columns
from imapd.model.flags import SEEN, Flags
from imapd.model.numbered import Numbered
from imapd.model.requests import FetchAtom, FetchItem, FetchSection
from imapd.model.structure import Partial, Section, SectionText
from imapd.model.view import SessionView
from imapd.wire import rows
from tests.support.memory import MemoryMailbox, OpenMailbox

PLAIN = b"Subject: one\nTo: x@example.org\n\nfirst line\nsecond\n"
WIRE = PLAIN.replace(b"\n", b"\r\n")
PARTS = (
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n\r\nworld\r\n--b--\r\n"
)
DATE = 1_700_000_000


def section(*path: int, text: SectionText | None = None, fields: str = "") -> Section:
    return Section(path, text, tuple(fields.encode().split()))


def peek(wanted: Section, partial: tuple[int, int] | None = None) -> FetchSection:
    return FetchSection(wanted, True, Partial(*partial) if partial else None)


def source(*messages: bytes) -> OpenMailbox:
    box = MemoryMailbox()
    for octets in messages or (PLAIN, PARTS):
        box.deliver(octets, date=DATE)
    return OpenMailbox(box)


def render(
    items: Sequence[FetchItem],
    uids: Sequence[int] = (1,),
    opened: OpenMailbox | None = None,
) -> Rendered:
    wanted = plan(items)
    return rendering.render(opened or source(), wanted, [Uid(uid) for uid in uids])


def lines(
    items: Sequence[FetchItem],
    uids: Sequence[int] = (1,),
    opened: OpenMailbox | None = None,
) -> list[bytes]:
    """What stands in the parentheses of each response."""
    rendered = render(items, uids, opened)
    columns = [each for each in rendered.columns if each is not None]
    found = []
    for at in range(len(rendered.uids)):
        row = rows.fetch_rows([Seq(1)], [each.only(at) for each in columns])
        found.append(row.removeprefix(b"* 1 FETCH (").removesuffix(b")\r\n"))
    return found


class PlanTests(unittest.TestCase):
    def test_what_items_need(self) -> None:
        whole = FetchSection(Section(), False)
        atom = FetchAtom
        header = peek(Section(text=SectionText.HEADER))
        #: items: columns, reads, in memory, sets Seen
        cases: dict[
            tuple[FetchItem, ...], tuple[tuple[str | None, ...], bool, bool, bool]
        ] = {
            (atom.UID, atom.FLAGS): ((None, None), False, True, False),
            (atom.ENVELOPE,): ((columns.ENVELOPE,), False, False, False),
            (atom.BODYSTRUCTURE, atom.UID): (
                (columns.BODYSTRUCTURE, None),
                *(False, False, False),
            ),
            (atom.RFC822_SIZE,): ((columns.META,), False, False, False),
            (atom.INTERNALDATE, atom.BODY): (
                (columns.META, columns.BODY),
                *(False, False, False),
            ),
            (atom.RFC822,): ((None,), True, False, True),
            (atom.RFC822_TEXT,): ((None,), True, False, True),
            (atom.RFC822_HEADER,): ((columns.HEADER,), False, False, False),
            (whole,): ((None,), True, False, True),
            (header,): ((columns.HEADER,), False, False, False),
            (peek(Section()), header): ((None, columns.HEADER), True, False, False),
        }
        for items, expected in cases.items():
            made = plan(items)
            have = (made.kinds, made.reads, made.in_memory, made.sets_seen)
            self.assertEqual(have, expected, items)

    def test_lists_of_fields_are_one_column_in_any_order_and_spelling(self) -> None:
        def kind(text: SectionText, fields: str) -> str | None:
            return plan([peek(section(text=text, fields=fields))]).kinds[0]

        fields = SectionText.HEADER_FIELDS
        first = kind(fields, "From to SUBJECT")
        assert first is not None
        self.assertFalse(columns.is_compressed(first))
        self.assertEqual(kind(fields, "subject FROM To to"), first)
        self.assertNotEqual(kind(fields, "From to"), first)
        self.assertIsNone(kind(SectionText.HEADER_FIELDS_NOT, "From to SUBJECT"))


class RenderTests(SynchronousTestCase):
    def test_every_item(self) -> None:
        header = b"Subject: one\r\nTo: x@example.org\r\n\r\n"
        body = b"first line\r\nsecond\r\n"
        fields = section(text=SectionText.HEADER_FIELDS, fields="To X-No")
        others = section(text=SectionText.HEADER_FIELDS_NOT, fields="TO")
        cases: list[tuple[FetchItem, bytes]] = [
            (FetchAtom.UID, b"UID 1"),
            (FetchAtom.RFC822_SIZE, b"RFC822.SIZE %d" % len(WIRE)),
            (
                FetchAtom.INTERNALDATE,
                b'INTERNALDATE "14-Nov-2023 22:13:20 +0000"',
            ),
            (FetchAtom.RFC822, b"RFC822 {%d}\r\n%b" % (len(WIRE), WIRE)),
            (
                FetchAtom.RFC822_HEADER,
                b"RFC822.HEADER {%d}\r\n%b" % (len(header), header),
            ),
            (FetchAtom.RFC822_TEXT, b"RFC822.TEXT {%d}\r\n%b" % (len(body), body)),
            (peek(Section()), b"BODY[] {%d}\r\n%b" % (len(WIRE), WIRE)),
            (
                peek(section(text=SectionText.TEXT)),
                b"BODY[TEXT] {%d}\r\n%b" % (len(body), body),
            ),
            (peek(section(1)), b"BODY[1] {%d}\r\n%b" % (len(body), body)),
            (peek(section(2)), b"BODY[2] NIL"),
            (
                peek(fields),
                b"BODY[HEADER.FIELDS (To X-No)] {21}\r\nTo: x@example.org\r\n\r\n",
            ),
            (
                peek(others),
                b"BODY[HEADER.FIELDS.NOT (TO)] {16}\r\nSubject: one\r\n\r\n",
            ),
            (peek(Section(), (3, 5)), b"BODY[]<3> {5}\r\n" + WIRE[3:8]),
            (
                peek(Section(), (0, 2**32 - 1)),
                b"BODY[]<0> {%d}\r\n%b" % (len(WIRE), WIRE),
            ),
            (peek(Section(), (2**32 - 1, 9)), b"BODY[]<4294967295> {0}\r\n"),
        ]
        for item, expected in cases:
            opened = source()
            self.assertEqual(lines((item,), (1,), opened), [expected], item)
            # Once more, from the cache where it has it.
            self.assertEqual(lines((item,), (1,), opened), [expected], item)
        rendered = render((FetchAtom.UID, FetchAtom.FLAGS, FetchAtom.RFC822_SIZE))
        dynamic = [each is None for each in rendered.columns]
        self.assertEqual(dynamic, [False, True, False])

    def test_columns_are_computed_once(self) -> None:
        opened = source()
        items = (FetchAtom.ENVELOPE, FetchAtom.BODY, FetchAtom.BODYSTRUCTURE)
        first = lines(items, (1, 2), opened)
        self.assertEqual(opened.box.reads, [1, 2])
        self.assertEqual(lines(items, (1, 2), opened), first)
        self.assertEqual(opened.box.reads, [1, 2])
        self.assertTrue(first[0].startswith(b'ENVELOPE (NIL "one" '))
        self.assertIn(b" BODY ((", first[1])

    def test_a_column_that_lacks_a_few_is_completed(self) -> None:
        opened = source(*[PLAIN] * 5)
        expected = lines((FetchAtom.ENVELOPE,), range(1, 6), opened)
        del opened.box.columns[columns.ENVELOPE][Uid(3)]
        del opened.box.reads[:]
        self.assertEqual(lines((FetchAtom.ENVELOPE,), range(1, 6), opened), expected)
        self.assertEqual(opened.box.reads, [3])

    def test_a_header_is_read_without_the_rest(self) -> None:
        long = b"X: " + b"y" * HEAD_OCTETS + b"\nSubject: far\n\nbody\n"
        cases = {
            "short": (b"Subject: x\n\n" + b"y\n" * 50_000, b"Subject: x\r\n\r\n"),
            "long": (long, long.replace(b"\n", b"\r\n").removesuffix(b"body\r\n")),
            "no body": (b"Subject: x\n", b"Subject: x\r\n"),
            "no header": (b"\n" + b"x" * 100_000, b"\r\n"),
            "nothing": (b"", b""),
            "no end": (b"x" * 100_000, b"x" * 100_000),
        }
        # The empty line at and around the place where reading stops.
        for over in range(-9, 6):
            head = b"X: " + b"y" * (HEAD_OCTETS + over) + b"\r\n\r\n"
            cases[f"over {over}"] = (head + b"z" * 99, head)
        for name, (octets, header) in cases.items():
            item = peek(Section(text=SectionText.HEADER))
            expected = b"BODY[HEADER] {%d}\r\n%b" % (len(header), header)
            self.assertEqual(lines((item,), (1,), source(octets)), [expected], name)

    def test_a_message_is_read_once_for_all_items(self) -> None:
        opened = source()
        items = (FetchAtom.RFC822_HEADER, peek(section(1)), FetchAtom.ENVELOPE)
        render(items, (2,), opened)
        self.assertEqual(opened.box.reads, [2])

    def test_gone(self) -> None:
        for item in (
            FetchAtom.ENVELOPE,
            FetchAtom.RFC822_SIZE,
            FetchAtom.INTERNALDATE,
            FetchAtom.RFC822,
            peek(section(1)),
        ):
            rendered = render((item,), (1, 9))
            self.assertEqual(rendered.uids, [1], item)
            self.assertIsInstance(rendered.errors[Uid(9)], MessageGone, item)

    def test_a_defect_with_one_message_hides_no_other(self) -> None:
        def broken(octets: bytes) -> None:
            raise ValueError("a defect")

        with patch("imapd.mime.structure.parse_stored", broken):
            rendered = render((FetchAtom.BODY, FetchAtom.UID), (1, 2))
        self.assertEqual(rendered.uids, [])
        self.assertIsInstance(rendered.errors[Uid(1)], ServerBug)
        self.assertIsInstance(rendered.errors[Uid(2)], ServerBug)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_batches(self) -> None:
        small = source(*[b"Subject: x\r\n\r\n"] * 200)
        uids = range(1, 201)
        self.assertEqual(render((FetchAtom.RFC822,), uids, small).count, 128)
        large = source(*[b"Subject: x\r\n\r\n" + b"y" * 30000] * 20)
        huge = source(*[b"Subject: x\r\n\r\n" + b"y" * 600000] * 2)
        # What is sent as it is, and what is put together part by part.
        for item in (FetchAtom.RFC822, FetchAtom.RFC822_TEXT):
            self.assertEqual(render((item,), range(1, 21), large).count, 9, item)
            self.assertEqual(render((item,), (1, 2), huge).count, 1, item)

    def test_a_thousand_partials_are_not_a_thousand_messages(self) -> None:
        opened = source(b"\r\n" + b"x" * 1_000_000)
        items = [peek(Section(), (n, 2**32 - 1)) for n in range(1000)]
        rendered = render(items, (1,), opened)
        self.assertIsInstance(rendered.errors[Uid(1)], LimitReached)
        self.assertEqual(rendered.uids, [])
        # Every part, the header and the whole are what clients ask for.
        self.assertEqual(render(items[:4], (1,), opened).uids, [1])
        pieces = [peek(Section(), (n * 1000, 1000)) for n in range(1000)]
        (line,) = lines(pieces, (1,), opened)
        self.assertEqual(line.count(b"BODY[]<"), 1000)


class Harness:
    """A ``fetch.Mailbox`` over a memory mailbox."""

    def __init__(self, opened: OpenMailbox, *, read_only: bool = False) -> None:
        self.flags: dict[Uid, Flags] = {
            uid: each.flags for uid, each in opened.box.disk.items()
        }
        self.view = SessionView(self.flags, [Uid(1)])
        self.opened = opened
        self.marked: list[list[Uid]] = []
        self.mark_error: ImapError | None = None
        self.mailbox = fetch.Mailbox(
            view=self.view,
            read_only=read_only,
            flags=lambda uids: [self.flags.get(uid) for uid in uids],
            render=self.render,
            mark_seen=self.mark_seen,
            read_piece=lambda stream: succeed(stream.read()),
        )

    async def render(self, plan: Plan, uids: Sequence[Uid]) -> Rendered:
        return rendering.render(self.opened, plan, uids)

    async def mark_seen(self, uids: Sequence[Uid]) -> None:
        if self.mark_error is not None:
            raise self.mark_error
        self.marked.append(list(uids))
        for uid in uids:
            self.flags[uid] = self.flags[uid] | {SEEN}
        self.view.flags_changed(uids)


class ResponseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.harness = Harness(source(PLAIN, PARTS, PLAIN))

    def batches(
        self, items: Sequence[FetchItem], *, with_uid: bool = False
    ) -> tuple[list[bytes], ImapError | None]:
        uids = self.harness.view.uids
        messages = Numbered.of((Seq(n), uid) for n, uid in enumerate(uids, 1))
        sent: list[bytes] = []

        async def collect(batches: AsyncIterator[bytes]) -> None:
            async for batch in batches:
                sent.append(batch)

        done = Deferred.fromCoroutine(
            collect(
                fetch.responses(
                    self.harness.mailbox, messages, items, with_uid=with_uid
                )
            )
        )
        errors: list[Any] = []

        def failed(failure: Failure) -> None:
            errors.append(failure.value)

        done.addErrback(failed)
        self.assertTrue(done.called)
        return sent, errors[0] if errors else None

    def test_from_memory_nothing_is_read(self) -> None:
        sent, error = self.batches((FetchAtom.FLAGS,), with_uid=True)
        self.assertIsNone(error)
        self.assertEqual(
            sent,
            [
                b"* 1 FETCH (UID 1 FLAGS (\\Recent))\r\n"
                b"* 2 FETCH (UID 2 FLAGS ())\r\n* 3 FETCH (UID 3 FLAGS ())\r\n"
            ],
        )
        sent, _ = self.batches((FetchAtom.FLAGS, FetchAtom.UID))
        self.assertIn(b"* 2 FETCH (FLAGS () UID 2)\r\n", sent[0])
        self.assertEqual(self.harness.opened.box.reads, [])

    def test_uid_is_said_once(self) -> None:
        items = (FetchAtom.RFC822_SIZE, FetchAtom.UID)
        sent, _ = self.batches(items, with_uid=True)
        self.assertTrue(sent[0].startswith(b"* 1 FETCH (UID 1 RFC822.SIZE "), sent)
        self.assertEqual(sent[0].count(b"UID"), 3)

    def test_seen_is_set_and_said(self) -> None:
        sent, _ = self.batches((FetchSection(section(1), False),))
        self.assertEqual(self.harness.marked, [[1, 2, 3]])
        self.assertIn(rb"FLAGS (\Recent \Seen))", sent[0])
        self.assertFalse(self.harness.view.has_news)
        sent, _ = self.batches((FetchSection(section(1), False),))
        self.assertNotIn(b"FLAGS", sent[0])

    def test_seen_is_not_set_where_nothing_may_be(self) -> None:
        self.harness = Harness(source(PLAIN), read_only=True)
        sent, _ = self.batches((FetchAtom.RFC822, FetchAtom.FLAGS))
        self.assertIn(rb"FLAGS (\Recent))", sent[0])
        self.assertEqual(self.harness.marked, [])

    def test_seen_that_cannot_be_set_hides_no_mail(self) -> None:
        self.harness.mark_error = Unavailable("disk full")
        sent, error = self.batches((FetchAtom.RFC822,))
        self.assertIsNone(error)
        self.assertEqual(b"".join(sent).count(b"FETCH (RFC822 {"), 3)

    def test_gone_messages_are_passed_wherever_they_stand(self) -> None:
        for gone in ((1,), (2,), (3,), (1, 2), (1, 2, 3)):
            self.harness = Harness(source(PLAIN, PARTS, PLAIN))
            for uid in gone:
                del self.harness.opened.box.disk[Uid(uid)]
            for items in ((peek(Section()),), (FetchAtom.RFC822,), (FetchAtom.BODY,)):
                sent, error = self.batches(items)
                self.assertIsInstance(error, MessageGone, gone)
                told = b"".join(sent).count(b" FETCH (")
                self.assertEqual(told, 3 - len(gone), (gone, items))

    def test_gone_is_told_after_everything_else(self) -> None:
        del self.harness.opened.box.disk[Uid(2)]
        sent, error = self.batches((FetchAtom.RFC822_HEADER,))
        self.assertIsInstance(error, MessageGone)
        self.assertIn(b"* 1 FETCH", sent[0])
        self.assertIn(b"* 3 FETCH", sent[0])
        self.assertNotIn(b"* 2 FETCH", sent[0])
        del self.harness.flags[Uid(2)]
        sent, error = self.batches((FetchAtom.FLAGS,))
        self.assertIsInstance(error, MessageGone)
        self.assertNotIn(b"* 2 FETCH", sent[0])

    def test_a_large_message_comes_in_pieces_between_small_ones(self) -> None:
        # Hardening: X6.
        large = b"Subject: large\n\n" + b"0123456789abcde\n" * 100_000
        self.harness = Harness(source(PLAIN, large, PLAIN))
        wire = large.replace(b"\n", b"\r\n")
        whole = FetchSection(Section(), False)
        cases: dict[tuple[FetchItem, ...], bytes] = {
            (whole,): b"FLAGS (\\Seen) BODY[]",
            (FetchAtom.RFC822, FetchAtom.RFC822_SIZE): (
                b"RFC822.SIZE %d RFC822" % len(wire)
            ),
            (FetchAtom.ENVELOPE, peek(Section()), FetchAtom.FLAGS): (
                b'ENVELOPE (NIL "large" NIL NIL NIL NIL NIL NIL NIL NIL) '
                b"FLAGS (\\Seen) BODY[]"
            ),
        }
        for items, head in cases.items():
            sent, error = self.batches(items)
            self.assertIsNone(error)
            self.assertGreater(len(sent), 10)
            self.assertLess(max(map(len, sent)), 300_000)
            expected = b"* 2 FETCH (%b {%d}\r\n%b)\r\n* 3 FETCH (" % (
                *(head, len(wire), wire),
            )
            self.assertIn(expected, b"".join(sent), items)

    def test_what_needs_the_structure_is_sent_at_once(self) -> None:
        large = b"Subject: large\n\n" + b"0123456789abcde\n" * 100_000
        self.harness = Harness(source(large))
        for other in (FetchAtom.BODYSTRUCTURE, peek(section(1)), FetchAtom.RFC822_TEXT):
            sent, error = self.batches((peek(Section()), other))
            self.assertIsNone(error)
            self.assertEqual(len(sent), 1, other)

    def test_a_large_message_that_becomes_shorter_is_not_made_up(self) -> None:
        # Hardening: P20.
        self.harness = Harness(source(b"x" * 2_000_000))
        read = HeldStream.read
        with patch.object(HeldStream, "read", lambda self: read(self)[:-1]):
            sent, error = self.batches((peek(Section()),))
        self.assertIsInstance(error, BrokenLiteral)
        head, _, octets = b"".join(sent).partition(b"{2000000}\r\n")
        self.assertEqual(head, b"* 1 FETCH (BODY[] ")
        self.assertLess(len(octets), 2_000_000)

    def test_many_messages_come_in_batches_in_order(self) -> None:
        # Hardening: V01.
        self.harness = Harness(source(*[PLAIN] * 300))
        sent, _ = self.batches((FetchAtom.RFC822_SIZE,))
        self.assertEqual(len(sent), 2)
        numbers = [int(line.split()[1]) for line in b"".join(sent).splitlines()]
        self.assertEqual(numbers, list(range(1, 301)))
        self.harness = Harness(source(*[b"\n"] * 1500))
        self.assertEqual(len(self.batches((FetchAtom.FLAGS,))[0]), 2)
