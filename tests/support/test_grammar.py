"""The parser of responses takes what is right and refuses what is wrong."""

import unittest
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.support.grammar import (
    Code,
    Continuation,
    Fetched,
    NotGrammatical,
    Response,
    ResponseReader,
    Tagged,
    Untagged,
    parse_responses,
)

ENVELOPE = b'("d" "s" ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL NIL "<i>")'
TEXT_PART = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1)'

RIGHT: dict[str, tuple[bytes, Response]] = {
    "tagged": (b"a1 OK Done", Tagged(b"a1", b"OK", None, b"Done")),
    "tagged, lower case": (b"a1 ok Done", Tagged(b"a1", b"OK", None, b"Done")),
    "tagged code": (
        b"a1 NO [TRYCREATE] No",
        Tagged(b"a1", b"NO", Code(b"TRYCREATE"), b"No"),
    ),
    "appenduid": (
        b"a OK [APPENDUID 7 9] x",
        Tagged(b"a", b"OK", Code(b"APPENDUID", (7, [(9, 9)])), b"x"),
    ),
    "copyuid": (
        b"a OK [COPYUID 7 1,4:5 8:10] x",
        Tagged(b"a", b"OK", Code(b"COPYUID", (7, [(1, 1), (4, 5)], [(8, 10)])), b"x"),
    ),
    "badcharset": (
        b'a NO [BADCHARSET (US-ASCII "UTF-8")] x',
        Tagged(b"a", b"NO", Code(b"BADCHARSET", (b"US-ASCII", b"UTF-8")), b"x"),
    ),
    "badcharset alone": (
        b"a NO [BADCHARSET] x",
        Tagged(b"a", b"NO", Code(b"BADCHARSET", ()), b"x"),
    ),
    "text that looks like a literal": (
        b"a NO {3}",
        Tagged(b"a", b"NO", None, b"{3}"),
    ),
    "continuation": (b"+ Go on", Continuation(b"Go on")),
    "bare continuation": (b"+ ", Continuation(b"")),
    "greeting": (
        b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] Hi",
        Untagged(b"OK", (Code(b"CAPABILITY", (b"IMAP4rev1", b"AUTH=PLAIN")), b"Hi")),
    ),
    "permanentflags": (
        rb"* OK [PERMANENTFLAGS (\Seen x \*)] y",
        Untagged(b"OK", (Code(b"PERMANENTFLAGS", (rb"\Seen", b"x", rb"\*")), b"y")),
    ),
    "unseen": (b"* OK [UNSEEN 3] y", Untagged(b"OK", (Code(b"UNSEEN", 3), b"y"))),
    "bye": (b"* BYE x", Untagged(b"BYE", (None, b"x"))),
    "exists": (b"* 0 EXISTS", Untagged(b"EXISTS", 0)),
    "expunge": (b"* 1 EXPUNGE", Untagged(b"EXPUNGE", 1)),
    "flags": (rb"* FLAGS (\Seen $a)", Untagged(b"FLAGS", (rb"\Seen", b"$a"))),
    "list": (
        rb'* LIST (\HasNoChildren \Sent) "\\" Entw&APw-rfe',
        Untagged(b"LIST", ((rb"\HasNoChildren", rb"\Sent"), b"\\", "Entwürfe", {})),
    ),
    "list, literal": (
        b"* LIST () NIL {3}\r\na b",
        Untagged(b"LIST", ((), None, "a b", {})),
    ),
    "list, extended": (
        b'* LIST () "." x ("CHILDINFO" ("SUBSCRIBED"))',
        Untagged(b"LIST", ((), b".", "x", {b"CHILDINFO": (b"SUBSCRIBED",)})),
    ),
    "lsub": (b'* LSUB () "." &-', Untagged(b"LSUB", ((), b".", "&"))),
    "status": (
        b"* STATUS x (MESSAGES 0 SIZE 9007199254740993)",
        Untagged(b"STATUS", ("x", {b"MESSAGES": 0, b"SIZE": 9007199254740993})),
    ),
    "search": (b"* SEARCH 2 10", Untagged(b"SEARCH", [2, 10])),
    "search none": (b"* SEARCH", Untagged(b"SEARCH", [])),
    "search by modseq": (b"* SEARCH 2 (MODSEQ 7)", Untagged(b"SEARCH", [2])),
    "esearch by modseq": (
        b'* ESEARCH (TAG "a") ALL 2 MODSEQ 9223372036854775807',
        Untagged(b"ESEARCH", (b"a", False, {b"ALL": [(2, 2)], b"MODSEQ": 2**63 - 1})),
    ),
    "vanished": (b"* VANISHED 1:3,7", Untagged(b"VANISHED", (False, [(1, 3), (7, 7)]))),
    "vanished earlier": (
        b"* VANISHED (EARLIER) 2",
        Untagged(b"VANISHED", (True, [(2, 2)])),
    ),
    "highestmodseq": (
        b"* OK [HIGHESTMODSEQ 7] x",
        Untagged(b"OK", (Code(b"HIGHESTMODSEQ", 7), b"x")),
    ),
    "nomodseq": (b"* OK [NOMODSEQ] x", Untagged(b"OK", (Code(b"NOMODSEQ"), b"x"))),
    "modified": (
        b"a OK [MODIFIED 7,9] x",
        Tagged(b"a", b"OK", Code(b"MODIFIED", [(7, 7), (9, 9)]), b"x"),
    ),
    "status highestmodseq": (
        b"* STATUS x (HIGHESTMODSEQ 0)",
        Untagged(b"STATUS", ("x", {b"HIGHESTMODSEQ": 0})),
    ),
    "fetch modseq": (
        b"* 3 FETCH (MODSEQ (7))",
        Untagged(b"FETCH", Fetched(3, ((b"MODSEQ", 7),))),
    ),
    "sort": (b"* SORT 10 2", Untagged(b"SORT", [10, 2])),
    "sort none": (b"* SORT", Untagged(b"SORT", [])),
    "thread": (
        b"* THREAD (2)(3 6 (4 23)(44 7 96))",
        Untagged(b"THREAD", [[2], [3, 6, [4, 23], [44, 7, 96]]]),
    ),
    "thread of siblings": (
        b"* THREAD ((3)(5 6))",
        Untagged(b"THREAD", [[[3], [5, 6]]]),
    ),
    "thread none": (b"* THREAD", Untagged(b"THREAD", [])),
    "partial": (
        b'* ESEARCH (TAG "a") UID PARTIAL (1:3 9,4:5)',
        Untagged(b"ESEARCH", (b"a", True, {b"PARTIAL": (1, 3, [(9, 9), (4, 5)])})),
    ),
    "partial none": (
        b'* ESEARCH (TAG "a") PARTIAL (8:9 NIL)',
        Untagged(b"ESEARCH", (b"a", False, {b"PARTIAL": (8, 9, None)})),
    ),
    "esearch": (
        b'* ESEARCH (TAG "a") UID MIN 2 COUNT 3 ALL 2,5:6',
        Untagged(
            b"ESEARCH",
            (b"a", True, {b"MIN": 2, b"COUNT": 3, b"ALL": [(2, 2), (5, 6)]}),
        ),
    ),
    "esearch none": (
        b'* ESEARCH (TAG "a")',
        Untagged(b"ESEARCH", (b"a", False, {})),
    ),
    "id": (b'* ID ("name" NIL)', Untagged(b"ID", {b"name": None})),
    "no id": (b"* ID NIL", Untagged(b"ID", None)),
    "enabled": (b"* ENABLED", Untagged(b"ENABLED", ())),
    "namespace": (
        b'* NAMESPACE (("" "/")("x" NIL)) NIL NIL',
        Untagged(b"NAMESPACE", (((b"", b"/"), (b"x", None)), None, None)),
    ),
    "fetch": (
        rb"* 3 FETCH (UID 7 FLAGS (\Recent) RFC822.SIZE 4)",
        Untagged(
            b"FETCH",
            Fetched(3, ((b"UID", 7), (b"FLAGS", (rb"\Recent",)), (b"RFC822.SIZE", 4))),
        ),
    ),
    "date": (
        b'* 1 FETCH (INTERNALDATE " 7-Feb-1994 21:52:25 -0800")',
        Untagged(
            b"FETCH",
            Fetched(
                1,
                (
                    (
                        b"INTERNALDATE",
                        datetime(
                            *(1994, 2, 7, 21, 52, 25),
                            tzinfo=timezone(timedelta(hours=-8)),
                        ),
                    ),
                ),
            ),
        ),
    ),
    "sections": (
        b"* 1 FETCH (BODY[] {4}\r\n)\r\n( BODY[1.2.HEADER.FIELDS (To {1}\r\nX)]<0> "
        b'"\\"" BODY[1.MIME] NIL)',
        Untagged(
            b"FETCH",
            Fetched(
                1,
                (
                    (b"BODY[]", b")\r\n("),
                    (b"BODY[1.2.HEADER.FIELDS (To {1}\r\nX)]<0>", b'"'),
                    (b"BODY[1.MIME]", None),
                ),
            ),
        ),
    ),
}

BODIES = {
    "text": b'("TEXT" "PLAIN" ("CHARSET" "utf-8") "<i>" "d" "7BIT" 3 1)',
    "basic": b'("image" {3}\r\npng NIL NIL NIL "BASE64" 3)',
    "multipart": b"(" + TEXT_PART * 2 + b' "MIXED")',
    "message": b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 9 %b %b 4)'
    % (ENVELOPE, TEXT_PART),
}
EXTENDED = {
    "text": b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1 "md5" ("inline" NIL) "en" "l")',
    "languages": b'("A" "B" NIL NIL NIL "7BIT" 3 NIL NIL ("en" "de"))',
    "multipart": b"(" + TEXT_PART + b' "MIXED" ("boundary" "b") NIL NIL NIL)',
    "message": b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 9 %b %b 4 NIL NIL NIL NIL)'
    % (ENVELOPE, TEXT_PART),
}


def fetch(items: bytes) -> bytes:
    return b"* 1 FETCH (" + items + b")\r\n"


WRONG: dict[str, bytes] = {
    "no line end": b"* 1 EXISTS",
    "bare LF": b"* 1 EXISTS\n",
    "LF in the middle": b"* 1 EXISTS\n* 2 EXISTS\r\n",
    "CR CR LF": b"* 1 EXISTS\r\r\n",
    "empty line": b"\r\n",
    "space at the end": b"* 1 EXISTS \r\n",
    "two spaces": b"*  1 EXISTS\r\n",
    "tab": b"*\t1 EXISTS\r\n",
    "no text": b"a1 OK\r\n",
    "empty text": b"a1 OK \r\n",
    "empty text after a code": b"a1 OK [ALERT]\r\n",
    "no space after a code": b"a1 OK [ALERT]x\r\n",
    "code not closed": b"a1 OK [ALERT x\r\n",
    "unknown code": b"a1 OK [TRYCRATE] x\r\n",
    "arguments to a bare code": b"a1 OK [ALERT x] y\r\n",
    "8 bits in text": b"a1 OK \xc3\xa4\r\n",
    "NUL in text": b"a1 OK a\0b\r\n",
    "tag with a plus": b"a+1 OK x\r\n",
    "tag with a quote": b'a" OK x\r\n',
    "tagged BYE": b"a1 BYE x\r\n",
    "tagged PREAUTH": b"a1 PREAUTH x\r\n",
    "plus without space": b"+\r\n",
    "unknown response": b"* EXIST 1\r\n",
    "negative count": b"* -1 EXISTS\r\n",
    "count too large": b"* 4294967296 EXISTS\r\n",
    "message 0": b"* 0 EXPUNGE\r\n",
    "message 0 fetched": b"* 0 FETCH (UID 1)\r\n",
    "UIDNEXT 0": b"* OK [UIDNEXT 0] x\r\n",
    "UIDVALIDITY too large": b"* OK [UIDVALIDITY 4294967296] x\r\n",
    "UNSEEN without number": b"* OK [UNSEEN] x\r\n",
    "APPENDUID without UID": b"a OK [APPENDUID 1] x\r\n",
    "APPENDUID with a star": b"a OK [APPENDUID 1 2:*] x\r\n",
    "COPYUID of different size": b"a OK [COPYUID 1 1:3 5:6] x\r\n",
    "COPYUID without targets": b"a OK [COPYUID 1 1 ] x\r\n",
    "BADCHARSET empty": b"a NO [BADCHARSET ()] x\r\n",
    "PERMANENTFLAGS with Recent": b"* OK [PERMANENTFLAGS (\\Recent)] x\r\n",
    "CAPABILITY without IMAP4rev1": b"* CAPABILITY IDLE\r\n",
    "CAPABILITY twice": b"* CAPABILITY IMAP4rev1 IDLE idle\r\n",
    "CAPABILITY, two spaces": b"* CAPABILITY IMAP4rev1  IDLE\r\n",
    "FLAGS with Recent": b"* FLAGS (\\Recent)\r\n",
    "FLAGS with a star": b"* FLAGS (\\*)\r\n",
    "FLAGS with an unknown one": b"* FLAGS (\\Forwarded)\r\n",
    "FLAGS twice": b"* FLAGS (a A)\r\n",
    "FLAGS not an atom": b"* FLAGS (a%b)\r\n",
    "FLAGS without list": b"* FLAGS\r\n",
    "FLAGS with a space": b"* FLAGS (a )\r\n",
    "LIST unknown attribute": b'* LIST (\\Chicken) "/" x\r\n',
    "LIST attribute without backslash": b'* LIST (Noselect) "/" x\r\n',
    "LIST contradiction": b'* LIST (\\HasChildren \\HasNoChildren) "/" x\r\n',
    "LIST two selectabilities": b'* LIST (\\Noselect \\Marked) "/" x\r\n',
    "LIST separator not quoted": b"* LIST () / x\r\n",
    "LIST separator too long": b'* LIST () "//" x\r\n',
    "LIST backslash not escaped": b'* LIST () "\\" x\r\n',
    "LIST name not an astring": b'* LIST () "/" a b\r\n',
    "LIST wildcard in an atom": b'* LIST () "/" a*b\r\n',
    "LIST no name": b'* LIST () "/" \r\n',
    "LIST 8 bits": b'* LIST () "/" {2}\r\n\xc3\xa4\r\n',
    "LIST bad base64": b'* LIST () "/" &A-\r\n',
    "LIST shift not ended": b'* LIST () "/" &APw\r\n',
    "LIST ASCII shifted": b'* LIST () "/" &AC8-\r\n',
    "LIST unknown extension": b'* LIST () "/" x ("X" ("y"))\r\n',
    "LIST CHILDINFO of atoms": b'* LIST () "/" x ("CHILDINFO" (SUBSCRIBED))\r\n',
    "LSUB extended": b'* LSUB () "/" x ()\r\n',
    "STATUS unknown item": b"* STATUS x (MESSAGE 1)\r\n",
    "STATUS twice": b"* STATUS x (MESSAGES 1 MESSAGES 1)\r\n",
    "STATUS UIDNEXT 0": b"* STATUS x (UIDNEXT 0)\r\n",
    "STATUS without number": b"* STATUS x (MESSAGES)\r\n",
    "SEARCH 0": b"* SEARCH 0\r\n",
    "SORT 0": b"* SORT 0\r\n",
    "THREAD space": b"* THREAD \r\n",
    "THREAD number": b"* THREAD 1\r\n",
    "THREAD empty": b"* THREAD ()\r\n",
    "THREAD 0": b"* THREAD (0)\r\n",
    "THREAD twice": b"* THREAD (1)(1)\r\n",
    "THREAD open": b"* THREAD (1\r\n",
    "THREAD closed twice": b"* THREAD (1))\r\n",
    "THREAD space between": b"* THREAD (1) (2)\r\n",
    "THREAD one nested": b"* THREAD (1 (2))\r\n",
    "THREAD one nested alone": b"* THREAD ((2))\r\n",
    "THREAD no space": b"* THREAD (1(2)(3))\r\n",
    "THREAD member after nested": b"* THREAD (1 (2)(3) 4)\r\n",
    "THREAD space at its end": b"* THREAD (1 )\r\n",
    "PARTIAL star": b'* ESEARCH (TAG "a") PARTIAL (1:* 2)\r\n',
    "PARTIAL empty": b'* ESEARCH (TAG "a") PARTIAL (1:2 )\r\n',
    "SEARCH leading 0": b"* SEARCH 01\r\n",
    "SEARCH space": b"* SEARCH \r\n",
    "SEARCH MODSEQ of nothing": b"* SEARCH (MODSEQ 7)\r\n",
    "SEARCH MODSEQ 0": b"* SEARCH 1 (MODSEQ 0)\r\n",
    "SEARCH MODSEQ not last": b"* SEARCH 1 (MODSEQ 7) 2\r\n",
    "ESEARCH MODSEQ in parentheses": b'* ESEARCH (TAG "a") MODSEQ (7)\r\n',
    "VANISHED empty": b"* VANISHED \r\n",
    "VANISHED star": b"* VANISHED 1:*\r\n",
    "VANISHED other tag": b"* VANISHED (LATER) 1\r\n",
    "HIGHESTMODSEQ 0": b"* OK [HIGHESTMODSEQ 0] x\r\n",
    "HIGHESTMODSEQ too large": b"* OK [HIGHESTMODSEQ 9223372036854775808] x\r\n",
    "NOMODSEQ with argument": b"* OK [NOMODSEQ 1] x\r\n",
    "MODIFIED of nothing": b"a OK [MODIFIED] x\r\n",
    "FETCH MODSEQ bare": b"* 1 FETCH (MODSEQ 7)\r\n",
    "FETCH MODSEQ 0": b"* 1 FETCH (MODSEQ (0))\r\n",
    "ESEARCH tag as an atom": b"* ESEARCH (TAG a) COUNT 1\r\n",
    "ESEARCH ALL empty": b'* ESEARCH (TAG "a") ALL \r\n',
    "ESEARCH MIN 0": b'* ESEARCH (TAG "a") MIN 0\r\n',
    "ESEARCH ALL star": b'* ESEARCH (TAG "a") ALL 1:*\r\n',
    "ESEARCH twice": b'* ESEARCH (TAG "a") COUNT 1 COUNT 1\r\n',
    "ESEARCH UID last": b'* ESEARCH (TAG "a") COUNT 1 UID\r\n',
    "ID of atoms": b'* ID (name "x")\r\n',
    "ID odd": b'* ID ("name")\r\n',
    "ID twice": b'* ID ("a" "x" "A" "y")\r\n',
    "ID long": b'* ID ("%b" NIL)\r\n' % (b"x" * 31),
    "NAMESPACE of two": b'* NAMESPACE (("" "/")) NIL\r\n',
    "NAMESPACE empty": b"* NAMESPACE () NIL NIL\r\n",
    "NAMESPACE spaced": b'* NAMESPACE (("" "/") ("x" "/")) NIL NIL\r\n',
    "NAMESPACE atom": b'* NAMESPACE ((x "/")) NIL NIL\r\n',
    "FETCH nothing": b"* 1 FETCH ()\r\n",
    "FETCH unknown": fetch(b"SIZE 1"),
    "FETCH not closed": b"* 1 FETCH (UID 1\r\n",
    "FETCH UID 0": fetch(b"UID 0"),
    "FETCH peek": fetch(b"BODY.PEEK[] NIL"),
    "FETCH count echoed": fetch(b"BODY[]<0.5> NIL"),
    "FETCH part 0": fetch(b"BODY[0] NIL"),
    "FETCH dot": fetch(b"BODY[1.] NIL"),
    "FETCH MIME of all": fetch(b"BODY[MIME] NIL"),
    "FETCH fields missing": fetch(b"BODY[HEADER.FIELDS] NIL"),
    "FETCH fields empty": fetch(b"BODY[HEADER.FIELDS ()] NIL"),
    "FETCH atom for a string": fetch(b"BODY[] x"),
    "FETCH literal too long": fetch(b"BODY[] {5}\r\nabc"),
    "FETCH literal too short": fetch(b"BODY[] {2}\r\nabc"),
    "FETCH literal with NUL": fetch(b"BODY[] {1}\r\n\0"),
    "FETCH LITERAL+": fetch(b"BODY[] {1+}\r\nx"),
    "FETCH quoted CR": fetch(b'BODY[] "a\rb"'),
    "FETCH quoted 8 bits": fetch(b'BODY[] "\xe4"'),
    "FETCH quoted escape": fetch(b'BODY[] "\\n"'),
    "date of one digit": fetch(b'INTERNALDATE "7-Feb-1994 21:52:25 -0800"'),
    "date with zero": fetch(b'INTERNALDATE "00-Feb-1994 21:52:25 -0800"'),
    "date that is none": fetch(b'INTERNALDATE "30-Feb-1994 21:52:25 -0800"'),
    "date of no month": fetch(b'INTERNALDATE "30-Foo-1994 21:52:25 -0800"'),
    "date without zone": fetch(b'INTERNALDATE "20-Feb-1994 21:52:25"'),
    "date as an atom": fetch(b"INTERNALDATE NIL"),
    "hour 24": fetch(b'INTERNALDATE "20-Feb-1994 24:52:25 +0000"'),
    "envelope of nine": fetch(b"ENVELOPE (" + b" ".join([b"NIL"] * 9) + b")"),
    "envelope of eleven": fetch(b"ENVELOPE (" + b" ".join([b"NIL"] * 11) + b")"),
    "envelope empty list": fetch(b"ENVELOPE (NIL NIL ()" + b" NIL" * 7 + b")"),
    "envelope atom": fetch(b"ENVELOPE (x" + b" NIL" * 9 + b")"),
    "address of three": fetch(
        b'ENVELOPE (NIL NIL ((NIL NIL "a"))' + b" NIL" * 7 + b")"
    ),
    "addresses spaced": fetch(
        b'ENVELOPE (NIL NIL ((NIL NIL "a" "b") (NIL NIL "a" "b"))' + b" NIL" * 7 + b")"
    ),
    "address without mailbox": fetch(
        b'ENVELOPE (NIL NIL ((NIL NIL NIL "b"))' + b" NIL" * 7 + b")"
    ),
    "body empty": fetch(b"BODY ()"),
    "body NIL": fetch(b"BODY NIL"),
    "text without lines": fetch(b'BODY ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3)'),
    "text as a literal": fetch(b'BODY ({4}\r\nTEXT "PLAIN" NIL NIL NIL "7BIT" 3 1)'),
    "image with lines": fetch(b'BODY ("IMAGE" "PNG" NIL NIL NIL "7BIT" 3 1)'),
    "message without envelope": fetch(
        b'BODY ("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 3)'
    ),
    "encoding NIL": fetch(b'BODY ("TEXT" "PLAIN" NIL NIL NIL NIL 3 1)'),
    "type NIL": fetch(b'BODY (NIL "PLAIN" NIL NIL NIL "7BIT" 3 1)'),
    "params odd": fetch(b'BODY ("TEXT" "PLAIN" ("a") NIL NIL "7BIT" 3 1)'),
    "params empty": fetch(b'BODY ("TEXT" "PLAIN" () NIL NIL "7BIT" 3 1)'),
    "params NIL": fetch(b'BODY ("TEXT" "PLAIN" ("a" NIL) NIL NIL "7BIT" 3 1)'),
    "multipart without subtype": fetch(b"BODY (" + TEXT_PART + b")"),
    "parts spaced": fetch(b'BODY (%b %b "MIXED")' % (TEXT_PART, TEXT_PART)),
    "extension in BODY": fetch(b"BODY " + EXTENDED["text"]),
    "too much extension": fetch(
        b'BODYSTRUCTURE ("A" "B" NIL NIL NIL "7BIT" 3 NIL NIL NIL NIL NIL)'
    ),
    "disposition as a string": fetch(
        b'BODYSTRUCTURE ("A" "B" NIL NIL NIL "7BIT" 3 NIL "inline")'
    ),
    "disposition without params": fetch(
        b'BODYSTRUCTURE ("A" "B" NIL NIL NIL "7BIT" 3 NIL ("inline"))'
    ),
    "languages empty": fetch(
        b'BODYSTRUCTURE ("A" "B" NIL NIL NIL "7BIT" 3 NIL NIL ())'
    ),
}


class GrammarTests(unittest.TestCase):
    def test_right_responses_are_understood(self) -> None:
        for name, (octets, expected) in RIGHT.items():
            try:
                self.assertEqual(parse_responses(octets + b"\r\n"), [expected], name)
            except NotGrammatical as error:
                self.fail(f"{name}: {error}")

    def test_wrong_responses_are_refused(self) -> None:
        self.assertGreater(len(WRONG), 60)
        for name, octets in WRONG.items():
            with self.assertRaises(NotGrammatical, msg=name):
                parse_responses(octets)

    def test_the_error_names_the_place(self) -> None:
        with self.assertRaises(NotGrammatical) as caught:
            parse_responses(b"* 1 EXISTS\r\n* 2 EXIST\r\n")
        self.assertEqual(caught.exception.offset, 16)
        self.assertIn("EXISTS", caught.exception.expected)

    def test_any_cut_gives_the_same_responses(self) -> None:
        octets = b"".join(octets + b"\r\n" for octets, _ in RIGHT.values())
        expected = [response for _, response in RIGHT.values()]
        for cut in range(len(octets)):
            reader = ResponseReader()
            got = reader.feed(octets[:cut]) + reader.feed(octets[cut:])
            self.assertEqual(got, expected, f"cut at {cut}")
            self.assertEqual(reader.rest, b"")

    def test_a_reader_counts_the_whole_stream(self) -> None:
        reader = ResponseReader()
        reader.feed(b"* 1 EXISTS\r\n* 2 ")
        self.assertEqual(reader.rest, b"* 2 ")
        with self.assertRaises(NotGrammatical) as caught:
            reader.feed(b"EXIST\r\n")
        self.assertEqual(caught.exception.offset, 16)


class BodyTests(unittest.TestCase):
    def parsed(self, item: bytes, octets: bytes, name: str) -> Any:
        try:
            [response] = parse_responses(fetch(item + b" " + octets))
        except NotGrammatical as error:
            self.fail(f"{name}: {error}")
        assert isinstance(response, Untagged)
        return response.data[item]

    def test_bodies_are_understood(self) -> None:
        for name, octets in BODIES.items():
            self.parsed(b"BODY", octets, name)
        for name, octets in (BODIES | EXTENDED).items():
            self.parsed(b"BODYSTRUCTURE", octets, name)

    def test_what_they_hold(self) -> None:
        text = self.parsed(b"BODYSTRUCTURE", EXTENDED["text"], "text")
        self.assertEqual((text.octets, text.lines, text.md5), (3, 1, b"md5"))
        self.assertEqual(text.disposition, (b"inline", ()))
        self.assertEqual((text.language, text.location), ((b"en",), b"l"))
        message = self.parsed(b"BODY", BODIES["message"], "message")
        self.assertEqual(message.envelope.from_, ((None, None, b"a", b"b"),))
        self.assertEqual(message.message.type, b"TEXT")
        multipart = self.parsed(b"BODY", BODIES["multipart"], "multipart")
        self.assertEqual(len(multipart.parts), 2)
