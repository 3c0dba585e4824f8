"""The grammar of SEARCH, in a table of both sides."""

from datetime import date

from imapd.errors import BadCharset, ImapError, LimitReached, SyntaxRejected
from imapd.model.search import (
    All,
    And,
    Body,
    Dated,
    DateField,
    DateTest,
    HasFlag,
    Header,
    ModSeqAtLeast,
    Not,
    Numbers,
    Or,
    Return,
    SearchKey,
    Size,
    Text,
    Within,
)
from imapd.model.sets import SequenceSet
from imapd.wire import commands
from imapd.wire.cursor import Cursor
from tests.support.grammar_case import GrammarTestCase, Parts, many

BAD = SyntaxRejected
ONE = SequenceSet(((1, 1),))


SEEN = HasFlag(rb"\Seen")

# name: (arguments of SEARCH, key or error)
SEARCHES: dict[str, tuple[bytes | Parts, SearchKey | type[ImapError]]] = {
    "all": (b" all", All()),
    "seen": (b" SEEN", SEEN),
    "unseen": (b" UNSEEN", Not(SEEN)),
    "draft": (b" UNDRAFT", Not(HasFlag(rb"\Draft"))),
    "new": (b" NEW", And((HasFlag(rb"\Recent"), Not(SEEN)))),
    "old": (b" OLD", Not(HasFlag(rb"\Recent"))),
    "keyword": (b" KEYWORD $x", HasFlag(b"$x")),
    "unkeyword": (b" UNKEYWORD $x", Not(HasFlag(b"$x"))),
    "keyword, not an atom": (b' KEYWORD "x"', BAD),
    "keyword, system": (rb" KEYWORD \Seen", BAD),
    "before": (
        b" BEFORE 1-Feb-2020",
        Dated(DateField.INTERNAL, DateTest.BEFORE, date(2020, 2, 1)),
    ),
    "sent since": (
        b' SENTSINCE "1-Feb-2020"',
        Dated(DateField.SENT, DateTest.SINCE, date(2020, 2, 1)),
    ),
    "on": (b" ON 31-Feb-2020", BAD),
    "larger": (b" LARGER 5", Size(True, 5)),
    "smaller": (b" SMALLER 0", Size(False, 0)),
    "younger": (b" YOUNGER 5", Within(True, 5)),
    "older": (b" OLDER 5", Within(False, 5)),
    "older than 0": (b" OLDER 0", BAD),
    "set": (b" 1", Numbers(ONE, uid=False)),
    "saved": (b" $", Numbers(SequenceSet((), saved=True), uid=False)),
    "uid": (b" UID 1", Numbers(ONE, uid=True)),
    "number 0": (b" 0", BAD),
    "from": (b" FROM x", Header(b"From", "x")),
    "subject": (b' SUBJECT "a b"', Header(b"Subject", "a b")),
    "literal": (
        (b" TO ", b"a", b" CC b"),
        And((Header(b"To", "a"), Header(b"Cc", "b"))),
    ),
    "header": (b' HEADER List-Id ""', Header(b"List-Id", "")),
    "header, no text": (b" HEADER X", BAD),
    "body": (b" BODY x", Body("x")),
    "text": (b" TEXT x", Text("x")),
    "no text": (b" TEXT", BAD),
    "modseq": (b" MODSEQ 9223372036854775807", ModSeqAtLeast(2**63 - 1)),
    "modseq too large": (b" MODSEQ 9223372036854775808", BAD),
    "modseq with entry": (rb' MODSEQ "/flags/\\draft" all 5', ModSeqAtLeast(5)),
    "modseq with other entry": (b' MODSEQ "/flags/x" none 5', BAD),
    "utf-8": (b' CHARSET UTF-8 SUBJECT "\xc3\xa4"', Header(b"Subject", "\xe4")),
    "utf-8, not named": (b' SUBJECT "\xc3\xa4"', Header(b"Subject", "\xe4")),
    "not utf-8, not named": (b' SUBJECT "\xe4"', BAD),
    "not utf-8": (b' CHARSET utf-8 SUBJECT "\xe4"', BAD),
    "latin 1": (b' CHARSET ISO-8859-1 SUBJECT "\xe4"', Header(b"Subject", "\xe4")),
    "shift_jis": (b' CHARSET Shift_JIS TEXT "\x93\xfa"', Text("\u65e5")),
    "not shift_jis": (b' CHARSET Shift_JIS TEXT "\x93"', BAD),
    "not ascii": (b' CHARSET "us-ascii" SUBJECT "\xc3\xa4"', BAD),
    "other charset": (b" CHARSET X-NONE ALL", BadCharset),
    "charset alone": (b" CHARSET UTF-8", BAD),
    "charset late": (b" ALL CHARSET UTF-8", BAD),
    "several": (b" SEEN 1", And((SEEN, Numbers(ONE, uid=False)))),
    "not": (b" NOT NOT SEEN", Not(Not(SEEN))),
    "or": (b" OR SEEN OR ALL 1", Or(SEEN, Or(All(), Numbers(ONE, uid=False)))),
    "or on the left": (b" OR OR SEEN ALL ALL", Or(Or(SEEN, All()), All())),
    "or, not": (b" OR NOT SEEN NOT ALL", Or(Not(SEEN), Not(All()))),
    "parentheses": (b" (SEEN ALL)", And((SEEN, All()))),
    "one in parentheses": (b" ((SEEN))", SEEN),
    "not of a list": (b" NOT (SEEN ALL)", Not(And((SEEN, All())))),
    "or of lists": (b" OR (SEEN) (ALL)", Or(SEEN, All())),
    "list and key": (b" (SEEN ALL) ALL", And((And((SEEN, All())), All()))),
    "not ends": (b" NOT", BAD),
    "not ends in a list": (b" (NOT)", BAD),
    "or of one": (b" OR SEEN", BAD),
    "or of one in a list": (b" (OR SEEN)", BAD),
    "or of one and a list": (b" (OR SEEN) ALL", BAD),
    "empty list": (b" ()", BAD),
    "open": (b" (SEEN", BAD),
    "closed twice": (b" (SEEN))", BAD),
    "no space": (b" SEEN(ALL)", BAD),
    "two spaces": (b" SEEN  ALL", BAD),
    "nothing": (b"", BAD),
    "nothing after the space": (b" ", BAD),
    "unknown": (b" X", BAD),
    "deepest": (b" " + b"(" * 32 + b"ALL" + b")" * 32, All()),
    "too deep": (b" " + b"(" * 33 + b"ALL" + b")" * 33, LimitReached),
    "wide, not deep": (b" " + many(40, b"(ALL)"), And((All(),) * 40)),
    "most keys": (b" " + many(500, b"ALL"), And((All(),) * 500)),
    "too many keys": (b" " + many(501, b"ALL"), LimitReached),
    "NOT x 499": (b" " + b"NOT " * 500 + b"ALL", LimitReached),
}


class SearchTests(GrammarTestCase):
    def test_search_keys(self) -> None:
        for name, (given, wanted) in SEARCHES.items():
            self.check(name, lambda c: commands.search(c).key, given, wanted)

    def test_search_returns(self) -> None:
        table: dict[str, tuple[bytes, object]] = {
            "plain": (b" ALL", None),
            "empty is ALL": (b" RETURN () ALL", frozenset((Return.ALL,))),
            "some": (b" return (min COUNT) ALL", frozenset((Return.MIN, Return.COUNT))),
            "save": (b" RETURN (SAVE) ALL", frozenset((Return.SAVE,))),
            "charset": (b" RETURN (MAX) CHARSET UTF-8 ALL", frozenset((Return.MAX,))),
            "unknown": (b" RETURN (X) ALL", BAD),
            "no keys": (b" RETURN (ALL)", BAD),
            "no list": (b" RETURN ALL", BAD),
        }
        for name, (given, wanted) in table.items():
            self.check(name, lambda c: commands.uid_search(c).returns, given, wanted)
        self.assertTrue(commands.uid_search(Cursor((b" ALL",))).uid)
        self.assertFalse(commands.search(Cursor((b" ALL",))).uid)
