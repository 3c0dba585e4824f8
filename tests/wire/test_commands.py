"""Every command's grammar but SEARCH, in a table of both sides."""

import unittest
from datetime import UTC, datetime

from imapd.errors import Cannot, ImapError, LimitReached, SyntaxRejected
from imapd.model.flags import StoreMode
from imapd.model.requests import (
    AppendMessage,
    Authenticate,
    Copy,
    Create,
    Enable,
    Fetch,
    FetchAtom,
    FetchSection,
    Identify,
    ListMailboxes,
    Login,
    MailboxName,
    Nothing,
    Rename,
    Resync,
    Select,
    SequenceMatch,
    Status,
    Store,
    UidExpunge,
)
from imapd.model.sets import STAR, SequenceSet
from imapd.model.structure import Partial, Section, SectionText
from imapd.wire import commands, condstore
from tests.support.grammar_case import GrammarTestCase, Parts, Rule, many

BAD = SyntaxRejected
ONE = SequenceSet(((1, 1),))
MATCH = SequenceMatch(SequenceSet(((1, 1), (2, 2))), SequenceSet(((4, 5),)))


def list_(*patterns: str, **options: object) -> ListMailboxes:
    return ListMailboxes("", patterns, **options)  # type: ignore[arg-type]


def items(*fetched: object) -> Fetch:
    return Fetch(ONE, fetched)  # type: ignore[arg-type]


def section(*args: object, peek: bool = False, partial: Partial | None = None) -> Fetch:
    return items(FetchSection(Section(*args), peek, partial))  # type: ignore[arg-type]


# rule: {name: (arguments, value or error)}
CASES: dict[Rule, dict[str, tuple[bytes | Parts, object]]] = {
    commands.no_arguments: {
        "nothing": (b"", Nothing()),
        "space": (b" ", BAD),
        "word": (b" x", BAD),
        "literal": ((b"", b"", b""), BAD),
    },
    commands.login: {
        "atoms": (b" bob secret", Login(b"bob", b"secret")),
        "literals": (
            (b" ", b"b b", b" ", b"s\xc3\xa4", b""),
            Login(b"b b", b"s\xc3\xa4"),
        ),
        "empty": (b' "" ""', Login(b"", b"")),
        "one": (b" bob", BAD),
        "three": (b" a b c", BAD),
        "no space": (b'bob "secret"', BAD),
        "two spaces": (b" bob  secret", BAD),
        "NUL": ((b" bob ", b"a\0b", b""), BAD),
    },
    commands.authenticate: {
        "mechanism": (b" plain", Authenticate(b"PLAIN", None)),
        "initial": (b" PLAIN AGEAYg==", Authenticate(b"PLAIN", b"AGEAYg==")),
        "empty initial": (b" PLAIN =", Authenticate(b"PLAIN", b"=")),
        "no base64": (b" PLAIN !", BAD),
        "two words": (b" PLAIN AAAA AAAA", BAD),
        "space at the end": (b" PLAIN ", BAD),
        "none": (b" ", BAD),
        "longest": (b" " + b"A" * 64, Authenticate(b"A" * 64, None)),
        "too long": (b" " + b"A" * 65, BAD),
    },
    commands.mailbox_name: {
        "atom": (b" a.b", MailboxName("a.b")),
        "inbox": (b" inbox", MailboxName("INBOX")),
        "literal": ((b" ", b"a b", b""), MailboxName("a b")),
        "parameters": (b" a (CONDSTORE)", BAD),
        "not canonical": (b" a&b", Cannot),
    },
    condstore.select: {
        "plain": (b" inbox", Select("INBOX")),
        "condstore": (b" a (condstore)", Select("a", condstore=True)),
        "resync": (
            b" a (QRESYNC (5 7))",
            Select("a", condstore=True, resync=Resync(5, 7)),
        ),
        "with both": (
            b" a (CONDSTORE QRESYNC (5 7))",
            Select("a", condstore=True, resync=Resync(5, 7)),
        ),
        "known": (
            b" a (QRESYNC (5 7 1:3,9))",
            Select(
                "a", condstore=True, resync=Resync(5, 7, SequenceSet(((1, 3), (9, 9))))
            ),
        ),
        "match": (
            b" a (QRESYNC (5 7 (1,2 4:5)))",
            Select("a", condstore=True, resync=Resync(5, 7, None, MATCH)),
        ),
        "known and match": (
            b" a (QRESYNC (5 9223372036854775807 1 (1,2 4:5)))",
            Select("a", condstore=True, resync=Resync(5, 2**63 - 1, ONE, MATCH)),
        ),
        "no parameters": (b" a ()", BAD),
        "space at the end": (b" a ", BAD),
        "unknown": (b" a (CONDSTOR)", BAD),
        "twice": (b" a (CONDSTORE CONDSTORE)", BAD),
        "argument of condstore": (b" a (CONDSTORE 5)", BAD),
        "resync without arguments": (b" a (QRESYNC)", BAD),
        "resync without modseq": (b" a (QRESYNC (5))", BAD),
        "UIDVALIDITY 0": (b" a (QRESYNC (0 7))", BAD),
        "modseq 0": (b" a (QRESYNC (5 0))", BAD),
        "modseq too large": (b" a (QRESYNC (5 9223372036854775808))", BAD),
        "modseq endless": (b" a (QRESYNC (5 " + b"9" * 5000 + b"))", BAD),
        "known with star": (b" a (QRESYNC (5 7 1:*))", BAD),
        "known saved": (b" a (QRESYNC (5 7 $))", BAD),
        "match with star": (b" a (QRESYNC (5 7 (1,* 4:5)))", BAD),
        "match descending": (b" a (QRESYNC (5 7 (2,1 4:5)))", BAD),
        "match of a range backwards": (b" a (QRESYNC (5 7 (2:1 4:5)))", BAD),
        "match twice the same": (b" a (QRESYNC (5 7 (1,1 4:5)))", BAD),
        "match of other size": (b" a (QRESYNC (5 7 (1:3 4:5)))", BAD),
        "match, then known": (b" a (QRESYNC (5 7 (1,2 4:5) 1))", BAD),
        "open": (b" a (QRESYNC (5 7)", BAD),
        "more": (b" a (CONDSTORE) x", BAD),
    },
    commands.create: {
        "plain": (b" a", Create("a")),
        "use": (rb" a (USE (\Sent \Drafts))", Create("a", (rb"\Sent", rb"\Drafts"))),
        "use in lower case": (rb" a (use (\Sent))", Create("a", (rb"\Sent",))),
        "no use": (b" a (USE ())", Create("a")),
        "not a use": (b" a (USE (Sent))", BAD),
        "other parameter": (rb" a (USED (\Sent))", BAD),
        "open": (rb" a (USE (\Sent)", BAD),
    },
    commands.rename: {
        "two": (b" inbox a", Rename("INBOX", "a")),
        "one": (b" a", BAD),
        "three": (b" a b c", BAD),
    },
    commands.list_mailboxes: {
        "plain": (b' "" *', list_("*")),
        "reference": (b" a. %", ListMailboxes("a.", ("%",))),
        "empty pattern": (b' "" ""', list_("")),
        "unreadable": (b' a&b "x&"', ListMailboxes("\ufffd", ("\ufffd",))),
        "selection": (
            b' (subscribed remote) "" *',
            list_(
                "*",
                extended=True,
                selection=frozenset((b"SUBSCRIBED", b"REMOTE")),
                returns=frozenset((b"SUBSCRIBED",)),
            ),
        ),
        "empty selection": (b' () "" *', list_("*", extended=True)),
        "special use": (
            b' (SPECIAL-USE) "" *',
            list_(
                "*",
                extended=True,
                selection=frozenset((b"SPECIAL-USE",)),
                returns=frozenset((b"SPECIAL-USE",)),
            ),
        ),
        "patterns": (b' "" (a "b c" %)', list_("a", "b c", "%", extended=True)),
        "literal pattern": ((b' "" (', b"a", b" b)"), list_("a", "b", extended=True)),
        "returns": (
            b' "" * RETURN (children STATUS (messages size messages))',
            list_(
                "*",
                extended=True,
                returns=frozenset((b"CHILDREN", b"STATUS")),
                status=(b"MESSAGES", b"SIZE"),
            ),
        ),
        "no returns": (b' "" * RETURN ()', list_("*", extended=True)),
        "no patterns": (b' "" ()', BAD),
        "only RECURSIVEMATCH": (b' (RECURSIVEMATCH) "" *', BAD),
        "only REMOTE RECURSIVEMATCH": (b' (REMOTE RECURSIVEMATCH) "" *', BAD),
        "unknown selection": (b' (X) "" *', BAD),
        "unknown return": (b' "" * RETURN (X)', BAD),
        "status without items": (b' "" * RETURN (STATUS)', BAD),
        "status with none": (b' "" * RETURN (STATUS ())', BAD),
        "not RETURN": (b' "" * X ()', BAD),
        "too many patterns": (b' "" (' + many(101) + b")", LimitReached),
        "most patterns": (
            b' "" (' + many(100) + b")",
            list_(*["a"] * 100, extended=True),
        ),
        "nested": (b' "" ((a))', BAD),
    },
    commands.lsub: {
        "plain": (b' "" *', list_("*")),
        "extended": (b' (SUBSCRIBED) "" *', BAD),
        "patterns": (b' "" (a)', BAD),
    },
    commands.status: {
        "items": (
            b" a (messages UNSEEN SIZE DELETED uidnext UIDVALIDITY RECENT)",
            Status(
                "a",
                (
                    *(b"MESSAGES", b"UNSEEN", b"SIZE", b"DELETED"),
                    *(b"UIDNEXT", b"UIDVALIDITY", b"RECENT"),
                ),
            ),
        ),
        "twice": (b" a (UNSEEN UNSEEN)", Status("a", (b"UNSEEN",))),
        "none": (b" a ()", BAD),
        "no list": (b" a UNSEEN", BAD),
        "unknown": (b" a (X)", BAD),
    },
    commands.fetch: {
        "atom": (b" 1 flags", items(FetchAtom.FLAGS)),
        "list": (b" 1 (UID FLAGS uid)", items(FetchAtom.UID, FetchAtom.FLAGS)),
        "fast": (
            b" 1 FAST",
            items(FetchAtom.FLAGS, FetchAtom.INTERNALDATE, FetchAtom.RFC822_SIZE),
        ),
        "macro in a list": (b" 1 (FAST)", BAD),
        "body": (b" 1 BODY", items(FetchAtom.BODY)),
        "structure": (b" 1 BODYSTRUCTURE", items(FetchAtom.BODYSTRUCTURE)),
        "old forms": (
            b" 1 (RFC822 RFC822.HEADER RFC822.TEXT)",
            items(FetchAtom.RFC822, FetchAtom.RFC822_HEADER, FetchAtom.RFC822_TEXT),
        ),
        "no old peek": (b" 1 RFC822.PEEK", BAD),
        "all": (b" 1 BODY[]", section()),
        "peek": (b" 1 body.peek[text]", section((), SectionText.TEXT, peek=True)),
        "part": (b" 1 BODY[1.2]", section((1, 2))),
        "part's text": (b" 1 BODY[1.TEXT]", section((1,), SectionText.TEXT)),
        "mime": (b" 1 BODY[1.mime]", section((1,), SectionText.MIME)),
        "mime of nothing": (b" 1 BODY[MIME]", BAD),
        "header": (b" 1 BODY[HEADER]", section((), SectionText.HEADER)),
        "fields": (
            b' 1 BODY[HEADER.FIELDS (To "X y")]',
            section((), SectionText.HEADER_FIELDS, (b"To", b"X y")),
        ),
        "field in a literal": (
            (b" 1 BODY[HEADER.FIELDS (", b"To", b")]"),
            section((), SectionText.HEADER_FIELDS, (b"To",)),
        ),
        "fields not": (
            b" 1 BODY[2.HEADER.FIELDS.NOT (To)]<0.10>",
            section(
                (2,), SectionText.HEADER_FIELDS_NOT, (b"To",), partial=Partial(0, 10)
            ),
        ),
        "no fields": (b" 1 BODY[HEADER.FIELDS ()]", BAD),
        "fields missing": (b" 1 BODY[HEADER.FIELDS]", BAD),
        "partial": (b" 1 BODY[]<5.6>", section(partial=Partial(5, 6))),
        "partial of nothing": (b" 1 BODY[]<5.0>", BAD),
        "partial without count": (b" 1 BODY[]<5>", BAD),
        "partial open": (b" 1 BODY[]<5.6", BAD),
        "partial too large": (b" 1 BODY[]<4294967296.1>", BAD),
        "part 0": (b" 1 BODY[0]", BAD),
        "part 01": (b" 1 BODY[01]", BAD),
        "part too large": (b" 1 BODY[4294967296]", BAD),
        "dot at the end": (b" 1 BODY[1.]", BAD),
        "two dots": (b" 1 BODY[1..2]", BAD),
        "number after text": (b" 1 BODY[TEXT.1]", BAD),
        "open section": (b" 1 BODY[TEXT", BAD),
        "section of an atom": (b" 1 FLAGS[]", BAD),
        "unknown section": (b" 1 BODY[X]", BAD),
        "unknown": (b" 1 X", BAD),
        "none": (b" 1 ()", BAD),
        "open": (b" 1 (FLAGS", BAD),
        "modseq": (b" 1 modseq", Fetch(ONE, (FetchAtom.MODSEQ,))),
        "changed since": (
            b" 1 FLAGS (CHANGEDSINCE 7)",
            Fetch(ONE, (FetchAtom.FLAGS, FetchAtom.MODSEQ), changed_since=7),
        ),
        "changed since, and modseq": (
            b" 1 (MODSEQ FLAGS) (changedsince 7)",
            Fetch(ONE, (FetchAtom.MODSEQ, FetchAtom.FLAGS), changed_since=7),
        ),
        "changed since nothing": (
            b" 1 MODSEQ (CHANGEDSINCE 0)",
            Fetch(ONE, (FetchAtom.MODSEQ,), changed_since=0),
        ),
        "no modifier": (b" 1 FLAGS ()", BAD),
        "unknown modifier": (b" 1 FLAGS (UNCHANGEDSINCE 1)", BAD),
        "modifier twice": (b" 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 1)", BAD),
        "modifier without number": (b" 1 FLAGS (CHANGEDSINCE)", BAD),
        "modifier too large": (b" 1 FLAGS (CHANGEDSINCE 9223372036854775808)", BAD),
        "vanished by number": (b" 1 FLAGS (CHANGEDSINCE 7 VANISHED)", BAD),
        "no set": (b" FLAGS", BAD),
        "deepest": (
            b" 1 BODY[" + b".".join([b"1"] * 100) + b"]",
            section((1,) * 100),
        ),
        "too deep": (b" 1 BODY[" + b".".join([b"1"] * 101) + b"]", LimitReached),
    },
    commands.uid_fetch: {
        "set": (
            b" 1:* UID",
            Fetch(SequenceSet(((1, STAR),)), (FetchAtom.UID,), uid=True),
        ),
        "vanished": (
            b" 1 MODSEQ (VANISHED CHANGEDSINCE 7)",
            Fetch(ONE, (FetchAtom.MODSEQ,), True, 7, vanished=True),
        ),
        "vanished alone": (b" 1 MODSEQ (VANISHED)", BAD),
    },
    commands.store: {
        "replace": (
            rb" 1 FLAGS (\Seen)",
            Store(ONE, StoreMode.REPLACE, False, (rb"\Seen",)),
        ),
        "add": (b" 1 +flags a b", Store(ONE, StoreMode.ADD, False, (b"a", b"b"))),
        "remove": (b" 1 -FLAGS.SILENT ()", Store(ONE, StoreMode.REMOVE, True, ())),
        "no flags": (b" 1 FLAGS", BAD),
        "no flags after the space": (b" 1 FLAGS ", BAD),
        "both": (b" 1 FLAGS (a) b", BAD),
        "two signs": (b" 1 ++FLAGS a", BAD),
        "other": (b" 1 FLAGS.LOUD a", BAD),
        "unchanged since": (
            b" 1 (unchangedsince 7) +FLAGS a",
            Store(ONE, StoreMode.ADD, False, (b"a",), unchanged_since=7),
        ),
        "unchanged since nothing": (
            b" 1 (UNCHANGEDSINCE 0) FLAGS ()",
            Store(ONE, StoreMode.REPLACE, False, (), unchanged_since=0),
        ),
        "unknown modifier": (b" 1 (CHANGEDSINCE 1) FLAGS a", BAD),
        "modifier twice": (b" 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 1) FLAGS a", BAD),
        "modifier without space": (b" 1 (UNCHANGEDSINCE 1)FLAGS a", BAD),
        "modifier without number": (b" 1 (UNCHANGEDSINCE) FLAGS a", BAD),
        "modifier too large": (b" 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS a", BAD),
        "too many": (b" 1 FLAGS " + many(10001), LimitReached),
    },
    commands.uid_store: {
        "uid": (b" 1 FLAGS ()", Store(ONE, StoreMode.REPLACE, False, (), uid=True)),
    },
    commands.copy: {
        "copy": (b" 1 a", Copy(ONE, "a")),
        "saved": (b" $ a", Copy(SequenceSet((), saved=True), "a")),
        "no mailbox": (b" 1", BAD),
    },
    commands.uid_copy: {"copy": (b" 1 inbox", Copy(ONE, "INBOX", uid=True))},
    commands.uid_expunge: {
        "set": (b" 1", UidExpunge(ONE)),
        "none": (b"", BAD),
        "two": (b" 1 2", BAD),
    },
    commands.enable: {
        "one": (b" condstore", Enable((b"CONDSTORE",))),
        "twice": (b" X UTF8=ACCEPT x", Enable((b"X", b"UTF8=ACCEPT"))),
        "none": (b"", BAD),
        "list": (b" (X)", BAD),
    },
    commands.identify: {
        "NIL": (b" nil", Identify(())),
        "empty": (b" ()", Identify(())),
        "pairs": (b' ("a" "b" "c" NIL)', Identify(((b"a", b"b"), (b"c", None)))),
        "half a pair": (b' ("a")', BAD),
        "atoms": (b" (a b)", BAD),
        "nested": (b' (("a" "b"))', BAD),
        "most": (b" (" + many(60, b'""') + b")", Identify(((b"", b""),) * 30)),
        "too many": (b" (" + many(62, b'""') + b")", LimitReached),
    },
}


class CommandTests(GrammarTestCase):
    def test_arguments(self) -> None:
        for rule, cases in CASES.items():
            for name, (given, wanted) in cases.items():
                self.check(f"{rule.__name__}, {name}", rule, given, wanted)

    def test_start(self) -> None:
        table: dict[str, tuple[bytes, object]] = {
            "plain": (b"a noop", (b"a", b"NOOP")),
            "uid": (b"a uid fetch", (b"a", b"UID FETCH")),
            "uid alone": (b"a UID", BAD),
            "no name": (b"a", BAD),
            "no name after the space": (b"a ", BAD),
            "no tag": (b" NOOP", BAD),
            "empty": (b"", BAD),
            "continuation": (b"+ NOOP", BAD),
            "untagged": (b"* NOOP", BAD),
            "two spaces": (b"a  NOOP", BAD),
            "8-bit": (b"a \xe4", BAD),
            "NUL": (b"a\0 NOOP", BAD),
            "TAB": (b"a\tNOOP", BAD),
        }
        for name, (given, wanted) in table.items():
            self.check(name, commands.command_start, given, wanted)


class AppendTests(unittest.TestCase):
    DATE = datetime(1996, 7, 17, 2, 44, 25, tzinfo=UTC)

    def test_prefix(self) -> None:
        day = b'"17-Jul-1996 02:44:25 +0000"'
        table: dict[str, tuple[Parts, object]] = {
            "plain": ((b"a APPEND x ",), ("x", (), None)),
            "flags": ((rb"a APPEND x (\Seen a) ",), ("x", (rb"\Seen", b"a"), None)),
            "no flags": ((b"a APPEND x () ",), ("x", (), None)),
            "date": ((b"a APPEND x " + day + b" ",), ("x", (), self.DATE)),
            "both": ((b"a APPEND x (a) " + day + b" ",), ("x", (b"a",), self.DATE)),
            "mailbox comes": ((b"a APPEND ",), None),
            "mailbox came": (
                (b"a APPEND ", b"inbox", b" (a) "),
                ("INBOX", (b"a",), None),
            ),
            "wrong order": ((b"a APPEND x " + day + b" (a) ",), BAD),
            "no space": ((b"a APPEND x",), BAD),
            "no space after flags": ((b"a APPEND x (a)",), BAD),
            "literal8": ((b"a APPEND x ~",), BAD),
            "Recent": ((rb"a APPEND x (\Recent) ",), BAD),
            "literal in the flags": ((b"a APPEND x (",), BAD),
            "second literal": (
                (b"a APPEND ", b"x", b" ", b"", b" "),
                BAD,
            ),
            "not canonical": ((b"a APPEND a&b ",), Cannot),
            "NUL": ((b"a APPEND ", b"a\0", b" "), BAD),
        }
        for name, (parts, wanted) in table.items():
            if isinstance(wanted, type) and issubclass(wanted, ImapError):
                with self.assertRaises(wanted, msg=name):
                    commands.append_prefix(parts)
            elif isinstance(wanted, tuple):
                mailbox, flags, day_ = wanted
                self.assertEqual(
                    commands.append_prefix(parts),
                    commands.AppendPrefix(mailbox, AppendMessage(flags, day_)),
                    name,
                )
            else:
                self.assertIsNone(commands.append_prefix(parts), name)

    def test_next_and_end(self) -> None:
        self.assertEqual(commands.append_next(b" "), AppendMessage())
        self.assertEqual(commands.append_next(b" (a) "), AppendMessage((b"a",)))
        for text in (b"", b"  ", b" x ", b" (a)", b"(a) "):
            with self.assertRaises(SyntaxRejected, msg=text):
                commands.append_next(text)
        commands.append_end(b"")
        for text in (b" ", b"x", b" (a)"):
            with self.assertRaises(SyntaxRejected, msg=text):
                commands.append_end(text)
