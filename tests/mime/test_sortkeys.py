"""RFC 5256 and RFC 5957: what SORT and THREAD see of a header."""

import unittest

from imapd.limits import DEFAULT_LIMITS
from imapd.mime.messageids import message_ids
from imapd.mime.sortkeys import derive_sort_keys
from imapd.model import columns
from imapd.model.sort import unpack_seconds
from imapd.model.threadids import ThreadIds
from tests.model.test_threadids import unpacked

INTERNAL = 1_000_000

KEYS: dict[str, dict[str, bytes]] = {
    "": {
        columns.SORT_SUBJECT: b"",
        columns.SORT_FROM: b"",
        columns.SORT_DISPLAYFROM: b"",
        columns.SORT_DISPLAYTO: b"",
    },
    "Subject: =?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=": {
        columns.SORT_SUBJECT: "GRU\u0308ßE".encode()
    },
    "Subject: first\nSubject: last": {columns.SORT_SUBJECT: b"LAST"},
    "From: Terry Gray <gray@example.org>, b@example.org": {
        columns.SORT_FROM: b"GRAY",
        columns.SORT_DISPLAYFROM: b"TERRY GRAY",
    },
    "From: =?iso-8859-1?q?J=FCrgen?= <j@example.org>": {
        columns.SORT_FROM: b"J",
        columns.SORT_DISPLAYFROM: "JU\u0308RGEN".encode(),
    },
    'From: "" <j@example.org>': {columns.SORT_DISPLAYFROM: b"J@EXAMPLE.ORG"},
    "To: gray@example.org": {
        columns.SORT_TO: b"GRAY",
        columns.SORT_DISPLAYTO: b"GRAY@EXAMPLE.ORG",
    },
    "To:\nTo: gray@example.org": {columns.SORT_TO: b"GRAY"},
    "To: a@example.org\nTo: b@example.org": {columns.SORT_TO: b"A"},
    # The address structure of a group has its name where the mailbox is.
    "To: Friends: a@example.org;": {
        columns.SORT_TO: b"FRIENDS",
        columns.SORT_DISPLAYTO: b"FRIENDS",
    },
    'Cc: "a b"@example.org': {columns.SORT_CC: b"A B"},
}

#: Value of a field, and the ids in it.
IDS: dict[bytes, list[bytes]] = {
    b"<a@b>": [b"a@b"],
    b'<"01KF8JCEOCBS0045PS"@xxx.yyy.com>': [b"01KF8JCEOCBS0045PS@xxx.yyy.com"],
    b'<"a\\"b c"@d>': [b'a"b c@d'],
    b"<a@b>\r\n\t<c@d> <e@f>": [b"a@b", b"c@d", b"e@f"],
    b"<a@b><c@d>": [b"a@b", b"c@d"],
    b"< a @\r\n b >": [b"a@b"],
    b"<a (he said) @b>": [b"a@b"],
    b"<A@b>": [b"A@b"],
    b"a@b": [],
    b"<a>": [],
    b"<@b>": [],
    b"<a@>": [],
    b"<>": [],
    b"<a@b": [],
    b"Your message of 1 May <a@b> from c@d": [b"a@b"],
    b"<x <a@b>": [b"a@b"],
    b"<a$b:c@[1.2.3.4]>": [b"a$b:c@[1.2.3.4]"],
}


def keys(header: str) -> dict[str, bytes]:
    octets = (header + "\n\n").replace("\n", "\r\n").encode()
    return derive_sort_keys(octets, INTERNAL)


def ids(header: str) -> ThreadIds:
    (found,) = unpacked(keys(header)[columns.THREAD_IDS])
    return found


class SortKeyTests(unittest.TestCase):
    def test_keys(self) -> None:
        for header, wanted in KEYS.items():
            found = keys(header)
            for kind, key in wanted.items():
                self.assertEqual(found[kind], key, f"{header!r}: {kind}")

    def test_all_kinds_are_derived_at_once(self) -> None:
        wanted = {
            kind for kind in columns.KINDS if kind.startswith(("sort.", "thread."))
        }
        self.assertEqual(keys("").keys(), wanted)

    def test_dates(self) -> None:
        for header, seconds in {
            "Date: Sun, 31 Dec 2000 16:01:33 -0800": 978307293,
            "Date: Mon, 01 Jan 2001 00:01:33 +0000": 978307293,
            "Date: 1 Jan 2001 00:01:33 nowhere": 978307293,
            "Date: 1 Jan 2001 99:99:99 +0000": 978307200,
            "Date: 1 Jan 2001": 978307200,
            "Date: yesterday": INTERNAL,
            "Date: 31 Feb 2001 00:00:00 +0000": INTERNAL,
            "": INTERNAL,
        }.items():
            found = keys(header)[columns.SORT_DATE]
            self.assertEqual(unpack_seconds(found), seconds, header)
        undated = derive_sort_keys(b"Subject: x\r\n\r\n", None)
        self.assertNotIn(columns.SORT_DATE, undated)
        self.assertIn(columns.SORT_SUBJECT, undated)

    def test_hostile_headers_are_bounded(self) -> None:
        for header in (
            "References: " + "<a@b>" * 100_000,
            "References: " + "<" * 500_000,
            "In-Reply-To: " + '<"' * 200_000,
            "Subject: " + "[x]" * 200_000,
            "To: " + "a@b," * 100_000,
            "From: " + "x" * 500_000,
        ):
            found = keys(header)
            self.assertLess(max(map(len, found.values())), 1100, header[:20])
        self.assertGreater(DEFAULT_LIMITS.header_field_octets, 500_000)


class ThreadIdTests(unittest.TestCase):
    def test_message_ids(self) -> None:
        for value, wanted in IDS.items():
            self.assertEqual(list(message_ids(value)), wanted, value)

    def test_references_come_first(self) -> None:
        parent = ids("Message-ID: <p@x>").own
        other = ids("Message-ID: <o@x>").own
        for header, wanted in {
            "References: <o@x> <p@x>\nIn-Reply-To: <q@x>": (other, parent),
            "In-Reply-To: <p@x> <o@x>": (parent,),
            "References: none\nIn-Reply-To: somebody <p@x>": (parent,),
            "References:\nIn-Reply-To: <p>": (),
            "": (),
        }.items():
            self.assertEqual(ids(header).references, wanted, header)

    def test_own_id(self) -> None:
        self.assertEqual(ids("Message-ID: none").own, 0)
        quoted, plain = ids('Message-ID: <"a"@b>').own, ids("Message-ID: <a@b>").own
        self.assertEqual(quoted, plain)
        self.assertNotEqual(plain, ids("Message-ID: <A@b>").own)

    def test_answers(self) -> None:
        for subject, answers in {
            "Re: x": True,
            "x (fwd)": True,
            "[x] y": False,
        }.items():
            self.assertIs(ids(f"Subject: {subject}").answers, answers, subject)
