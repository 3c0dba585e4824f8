"""Responses, literally: what goes out for what is put in."""

import unittest

from imapd.errors import BadCharset, ImapError, NoSuchMailbox, SyntaxRejected
from imapd.ids import Seq, Uid
from imapd.model.requests import FetchAtom
from imapd.model.structure import Partial, Section, SectionText
from imapd.wire import encode, msgatt, response, rows


def items(*columns: rows.Column) -> bytes:
    """What stands in the parentheses of a response to one message."""
    row = rows.fetch_rows([Seq(1)], columns)
    return row.removeprefix(b"* 1 FETCH (").removesuffix(b")\r\n")


UNTAGGED = {
    "capability": (
        response.capability([b"IMAP4rev1", b"IDLE"]),
        b"CAPABILITY IMAP4rev1 IDLE",
    ),
    "flags": (response.flags([rb"\Seen", b"$Junk"]), rb"FLAGS (\Seen $Junk)"),
    "no flags": (response.flags([]), b"FLAGS ()"),
    "bad flags": (
        response.flags([b"a b", b"c)\r\n* BYE x", b"", b"\xff", b"ok", rb"\*", b"\\"]),
        b"FLAGS (ok)",
    ),
    "exists": (response.exists(23), b"23 EXISTS"),
    "recent": (response.recent(0), b"0 RECENT"),
    "expunges": (
        response.expunges([Seq(44), Seq(3)]),
        b"* 44 EXPUNGE\r\n* 3 EXPUNGE\r\n",
    ),
    "list": (
        response.list_response([rb"\HasNoChildren", rb"\Sent"], ".", "Entwürfe"),
        rb'LIST (\HasNoChildren \Sent) "." Entw&APw-rfe',
    ),
    "list inbox": (response.list_response([], "/", "inbox"), b'LIST () "/" INBOX'),
    "list dotless i": (  # "ı".upper() is "I"
        response.list_response([], "/", "ınbox"),
        b'LIST () "/" &ATE-nbox',
    ),
    "list backslash": (response.list_response([], "\\", "a"), rb'LIST () "\\" a'),
    "list flat": (response.list_response([], None, "a b"), b'LIST () NIL "a b"'),
    "list nil": (response.list_response([], ".", "nil"), b'LIST () "." "nil"'),
    "list empty": (
        response.list_response([rb"\Noselect"], ".", ""),
        rb'LIST (\Noselect) "." ""',
    ),
    "list hostile": (
        response.list_response([], ".", 'a"\\\r\n* BYE %*'),
        rb'LIST () "." "a\"\\&AA0ACg-* BYE %*"',
    ),
    "list childinfo": (
        response.list_response([], "/", "x", [b"SUBSCRIBED"]),
        b'LIST () "/" x ("CHILDINFO" ("SUBSCRIBED"))',
    ),
    "lsub": (response.lsub([rb"\Noselect"], ".", "x"), rb'LSUB (\Noselect) "." x'),
    "status": (
        response.status("Trash", [(b"MESSAGES", 2), (b"SIZE", 1 << 40)]),
        b"STATUS Trash (MESSAGES 2 SIZE 1099511627776)",
    ),
    "status of nothing": (response.status("x", []), b"STATUS x ()"),
    "esearch": (
        response.esearch(b"a1", True, [(b"COUNT", 3)], [4, 5, 9]),
        b'ESEARCH (TAG "a1") UID COUNT 3 ALL 4:5,9',
    ),
    "esearch none": (
        response.esearch(b"a1", False, [(b"COUNT", 0)], []),
        b'ESEARCH (TAG "a1") COUNT 0',
    ),
    "esearch by modseq": (
        response.esearch(b"a1", False, [(b"MIN", 4)], [4, 5], modseq=917),
        b'ESEARCH (TAG "a1") MIN 4 ALL 4:5 MODSEQ 917',
    ),
    "vanished": (response.vanished([(1, 3), (7, 7)]), b"VANISHED 1:3,7"),
    "vanished earlier": (
        response.vanished([(2, 2)], earlier=True),
        b"VANISHED (EARLIER) 2",
    ),
    "highestmodseq": (
        response.status_line(b"OK", b"x", response.highestmodseq(2**63 - 1)),
        b"OK [HIGHESTMODSEQ 9223372036854775807] x",
    ),
    "nomodseq": (
        response.status_line(b"OK", b"x", response.highestmodseq(0)),
        b"OK [NOMODSEQ] x",
    ),
    "modified": (
        response.tagged(b"a", b"OK", b"x", response.modified([7, 9])),
        b"a OK [MODIFIED 7,9] x\r\n",
    ),
    "modified none": (response.modified([]), None),
    "fetch modseq": (
        msgatt.fetch_modseq(Seq(7), Uid(42), 917),
        b"7 FETCH (UID 42 MODSEQ (917))",
    ),
    "fetch flags and modseq": (
        msgatt.fetch_flags(Seq(7), frozenset({rb"\Seen"}), Uid(42), modseq=917),
        rb"7 FETCH (UID 42 FLAGS (\Seen) MODSEQ (917))",
    ),
    "modseq items": (items(rows.modseq_column([917])), b"MODSEQ (917)"),
    "namespace": (
        response.namespace("INBOX.", "."),
        b'NAMESPACE (("INBOX." ".")) NIL NIL',
    ),
    "id": (
        response.id_response({b"name": b"imapd", b"os": None}),
        b'ID ("name" "imapd" "os" NIL)',
    ),
    "no id": (response.id_response({}), b"ID NIL"),
    "enabled": (response.enabled([b"CONDSTORE"]), b"ENABLED CONDSTORE"),
    "enabled none": (response.enabled([]), b"ENABLED"),
    "bye": (response.bye("Logging out"), b"BYE Logging out"),
    "fetch": (
        rows.fetch_rows(
            [Seq(7), Seq(9)],
            [rows.uid_column([Uid(42), Uid(43)]), rows.size_column([9, 10])],
        ),
        b"* 7 FETCH (UID 42 RFC822.SIZE 9)\r\n* 9 FETCH (UID 43 RFC822.SIZE 10)\r\n",
    ),
    "fetch flags": (
        msgatt.fetch_flags(Seq(7), frozenset({rb"\Seen", b"$Junk"}), Uid(42)),
        rb"7 FETCH (UID 42 FLAGS ($Junk \Seen))",
    ),
    "fetch recent": (
        msgatt.fetch_flags(Seq(7), frozenset(), recent=True),
        rb"7 FETCH (FLAGS (\Recent))",
    ),
    "fetch many flags": (
        msgatt.render_flags(frozenset(b"k%02d" % n for n in range(20)), False),
        b"(%b)" % b" ".join(b"k%02d" % n for n in range(20)),
    ),
    "ready items": (
        items(
            rows.flags_column([b"()"]),
            rows.rendered_column(FetchAtom.ENVELOPE, [b"(e)"]),
            rows.rendered_column(FetchAtom.BODY, [b"(b)"]),
            rows.rendered_column(FetchAtom.BODYSTRUCTURE, [b"(s)"]),
        ),
        b"FLAGS () ENVELOPE (e) BODY (b) BODYSTRUCTURE (s)",
    ),
    "rfc822": (
        items(rows.literal_column(b"RFC822.HEADER", [b"a: b\r\n\r\n"])),
        b"RFC822.HEADER {8}\r\na: b\r\n\r\n",
    ),
    "size too large for a number": (
        items(rows.size_column([1 << 33])),
        b"RFC822.SIZE 4294967295",
    ),
}

CODES = {
    "permanentflags": (
        response.permanentflags([rb"\Seen", b"$Junk"], keywords=True),
        rb"PERMANENTFLAGS (\Seen $Junk \*)",
    ),
    "permanentflags fixed": (
        response.permanentflags([rb"\Seen"], keywords=False),
        rb"PERMANENTFLAGS (\Seen)",
    ),
    "permanentflags only new": (
        response.permanentflags([], keywords=True),
        rb"PERMANENTFLAGS (\*)",
    ),
    "uidvalidity": (response.uidvalidity(7), b"UIDVALIDITY 7"),
    "uidnext": (response.uidnext(8), b"UIDNEXT 8"),
    "unseen": (response.unseen(Seq(9)), b"UNSEEN 9"),
    "appenduid": (response.appenduid(7, [Uid(3955)]), b"APPENDUID 7 3955"),
    "appenduid several": (
        response.appenduid(7, [Uid(1), Uid(2)]),
        b"APPENDUID 7 1:2",
    ),
    "appenduid none": (response.appenduid(7, []), None),
    "copyuid": (
        response.copyuid(
            38505, [(Uid(304), Uid(3956)), (Uid(319), Uid(3957)), (Uid(320), Uid(3958))]
        ),
        b"COPYUID 38505 304,319:320 3956:3958",
    ),
    "copyuid descending": (  # 2:1 would mean 1, 2
        response.copyuid(7, [(Uid(5), Uid(2)), (Uid(6), Uid(1))]),
        b"COPYUID 7 5:6 2,1",
    ),
    "copyuid none": (response.copyuid(7, []), None),
}

INTERNAL_DATES = {
    "epoch": (0, b" 1-Jan-1970 00:00:00 +0000"),
    "the RFC's": (837571465, b"17-Jul-1996 02:44:25 +0000"),
    "before 1970": (-1, b"31-Dec-1969 23:59:59 +0000"),
    "before all": (-(10**18), b" 1-Jan-0001 00:00:00 +0000"),
    "after all": (10**18, b"31-Dec-9999 23:59:59 +0000"),
}

SECTIONS = {
    "all": (Section(), None, b"BODY[]"),
    "part": (Section((1, 2)), None, b"BODY[1.2]"),
    "header": (Section(text=SectionText.HEADER), None, b"BODY[HEADER]"),
    "mime": (Section((3,), SectionText.MIME), None, b"BODY[3.MIME]"),
    "fields": (
        Section(text=SectionText.HEADER_FIELDS, fields=(b"From", b"To")),
        Partial(0, 100),
        b"BODY[HEADER.FIELDS (From To)]<0>",
    ),
    "fields not, of a part": (
        Section((2,), SectionText.HEADER_FIELDS_NOT, (b'a b"', b"nil", b"x]")),
        Partial(77, 1),
        rb'BODY[2.HEADER.FIELDS.NOT ("a b\"" "nil" x])]<77>',
    ),
    "field name of 8 bits": (
        Section(text=SectionText.HEADER_FIELDS, fields=(b"\xe4",)),
        None,
        b"BODY[HEADER.FIELDS ({1}\r\n\xe4)]",
    ),
}

STRINGS = {
    "empty": (b"", b'""'),
    "plain": (b"a b", b'"a b"'),
    "specials": (rb'a"b\c', rb'"a\"b\\c"'),
    "tab": (b"a\tb", b'"a\tb"'),
    "line end": (b"a\r\nb", b"{4}\r\na\r\nb"),
    "8 bits": (b"\xc3\xa4", b"{2}\r\n\xc3\xa4"),
    "control": (b"\x7f", b"{1}\r\n\x7f"),
    "nul": (b"a\0b", b"{3}\r\na\x80b"),
    "long": (b"a" * 1001, b"{1001}\r\n" + b"a" * 1001),
    "just short enough": (b'"' * 1000, b'"' + rb"\"" * 1000 + b'"'),
}

LINES = {
    "ok": (response.tagged(b"a1", b"OK", b"Done"), b"a1 OK Done\r\n"),
    "code": (
        response.tagged(b"a1", b"OK", "Done", response.READ_ONLY),
        b"a1 OK [READ-ONLY] Done\r\n",
    ),
    "no tag": (response.tagged(None, b"BAD", "What?"), b"* BAD What?\r\n"),
    "no good tag": (response.tagged(b"a\r\nb", b"BAD", "What?"), b"* BAD What?\r\n"),
    "plus": (response.tagged(b"+", b"BAD", "What?"), b"* BAD What?\r\n"),
    "hostile text": (
        response.tagged(b"a1", b"NO", "é\r\n* BYE \0\xff"),
        b"a1 NO ???* BYE ??\r\n",
    ),
    "empty text": (response.tagged(b"a1", b"NO", " "), b"a1 NO -\r\n"),
    "text like a code": (
        response.tagged(b"a1", b"NO", "[ALERT] Give me"),
        b"a1 NO (ALERT] Give me\r\n",
    ),
    "bad code": (
        response.tagged(b"a1", b"NO", "No", b"ALERT] x\r\n"),
        b"a1 NO No\r\n",
    ),
    "long text": (
        response.tagged(b"a1", b"NO", "x" * 5000),
        b"a1 NO " + b"x" * 900 + b"\r\n",
    ),
    "error": (
        response.error(b"a1", NoSuchMailbox("No such mailbox")),
        b"a1 NO [NONEXISTENT] No such mailbox\r\n",
    ),
    "bad": (response.error(None, SyntaxRejected("Hm")), b"* BAD Hm\r\n"),
    "charset": (
        response.error(b"a", BadCharset("No")),
        b"a NO [BADCHARSET (US-ASCII UTF-8)] No\r\n",
    ),
    "silent error": (response.error(b"a1", ImapError()), b"a1 NO -\r\n"),
    "greeting": (
        response.greeting("Ready", [b"IMAP4rev1"]),
        b"* OK [CAPABILITY IMAP4rev1] Ready\r\n",
    ),
    "continuation": (response.continuation(b"Ready"), b"+ Ready\r\n"),
    "bare continuation": (response.continuation(), b"+ \r\n"),
    "hostile continuation": (response.continuation(b"a\r\nb"), b"+ a??b\r\n"),
    "untagged": (response.untagged(b"1 EXISTS"), b"* 1 EXISTS\r\n"),
}


class ResponseTests(unittest.TestCase):
    def test_contents_and_codes(self) -> None:
        for name, (got, expected) in (UNTAGGED | CODES).items():
            self.assertEqual(got, expected, name)

    def test_lines(self) -> None:
        for name, (got, expected) in LINES.items():
            self.assertEqual(got, expected, name)

    def test_internal_dates_always_have_their_fixed_width(self) -> None:
        for name, (seconds, date) in INTERNAL_DATES.items():
            expected = b'INTERNALDATE "%b"' % date
            self.assertEqual(items(rows.internaldate_column([seconds])), expected, name)

    def test_section_names_are_those_the_client_wrote(self) -> None:
        for name, (section, partial, expected) in SECTIONS.items():
            self.assertEqual(msgatt.section_name(section, partial), expected, name)

    def test_sections(self) -> None:
        cases = {
            (b"BODY[9]", None): b"BODY[9] NIL",
            (b"BODY[]", b""): b"BODY[] {0}\r\n",
            (b"BODY[]<0>", b"a\0"): b"BODY[]<0> {2}\r\na\x80",
            (
                b'BODY[HEADER.FIELDS ("%d")]',
                b"x",
            ): b'BODY[HEADER.FIELDS ("%d")] {1}\r\nx',
        }
        for (name, value), expected in cases.items():
            self.assertEqual(items(rows.literal_column(name, [value])), expected)
        self.assertEqual(
            rows.fetch_rows(
                [Seq(1), Seq(2)], [rows.literal_column(b"A", [None, b"\0"])]
            ),
            b"* 1 FETCH (A NIL)\r\n* 2 FETCH (A {1}\r\n\x80)\r\n",
        )
        self.assertEqual(rows.fetch_rows([], [rows.size_column([])]), b"")

    def test_strings(self) -> None:
        for name, (octets, expected) in STRINGS.items():
            self.assertEqual(encode.quoted_or_literal(octets), expected, name)
            self.assertEqual(encode.nstring(octets), expected, name)
        self.assertEqual(encode.nstring(None), b"NIL")

    def test_quoted_refuses_what_needs_a_literal(self) -> None:
        # Hardening: P18.
        for octets in (b"\r", b"\0", b"\x7f", b"\xe4"):
            with self.assertRaises(ValueError, msg=repr(octets)):
                encode.quoted(octets)

    def test_a_name_with_a_lone_surrogate_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            encode.mailbox("a\udc80")
