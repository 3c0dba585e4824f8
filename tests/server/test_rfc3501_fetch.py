r"""RFC 3501, sections 6.4.5 and 7.4.2: FETCH, as tables and transcripts.

Where the RFC leaves a choice, the name of the case says which we take, and a
remark (``N:``) why.  ``INBOX`` is that of ``tests.support.rfcmailbox``.
"""

import unittest

from tests.support.messages import literal
from tests.support.rfcmailbox import GRAY, NO_BODY, NO_HEADER, TREE, filled
from tests.support.transcript import play_all

_HEADER, _, _TEXT = GRAY.partition(b"\r\n\r\n")
_HEADER += b"\r\n\r\n"

#: Sections of message 2, the tree of the RFC; None: there is no such part.
TREE_SECTIONS: dict[str, bytes | None] = {
    "": TREE,
    "HEADER": TREE[: TREE.index(b"--a")],
    "TEXT": TREE[TREE.index(b"--a") :],
    "1": b"one",
    "1.MIME": b"\r\n",
    "2": b"two",
    "2.MIME": b"Content-Type: application/octet-stream\r\n\r\n",
    "3": TREE[
        TREE.index(b"Subject: three") : TREE.index(b"\r\n--a\r\nContent-Type: mu")
    ],
    "3.MIME": b"Content-Type: message/rfc822\r\n\r\n",
    "3.HEADER": b"Subject: three\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    "3.TEXT": TREE[TREE.index(b"--b\r\n") : TREE.index(b"--b--") + 5],
    "3.1": b"three.one",
    "3.2": b"three.two",
    "3.2.MIME": b"Content-Type: application/octet-stream\r\n\r\n",
    "4": TREE[TREE.index(b"--c\r\n") : TREE.index(b"--c--") + 5],
    "4.MIME": b"Content-Type: multipart/mixed; boundary=c\r\n\r\n",
    "4.1": b"four.one",
    "4.1.MIME": b"Content-Type: image/gif\r\n\r\n",
    "4.2.HEADER.FIELDS (SUBJECT)": b"Subject: four.two\r\n\r\n",
    "4.2.HEADER.FIELDS.NOT (Content-Type)": b"Subject: four.two\r\n\r\n",
    "4.2.TEXT": TREE[TREE.index(b"--d\r\n") : TREE.index(b"--d--") + 5],
    "4.2.1": b"four.two.one",
    "4.2.1.MIME": b"Content-Type: text/plain\r\n\r\n",
    "4.2.2": TREE[TREE.index(b"--e\r\n") : TREE.index(b"--e--") + 5],
    "4.2.2.MIME": b"Content-Type: multipart/alternative; boundary=e\r\n\r\n",
    "4.2.2.1": b"four.two.two.one",
    "4.2.2.2": b"four.two.two.two",
    "4.2.2.2.MIME": b"Content-Type: text/richtext\r\n\r\n",
    "5": None,
    "1.1.1": None,
    "4.2.2.3": None,
    "4294967295": None,
}

#: Of the message without parts.
PLAIN_SECTIONS: dict[str, bytes | None] = {
    "": GRAY,
    "HEADER": _HEADER,
    "TEXT": _TEXT,
    "1": _TEXT,
    "2": None,
    "HEADER.FIELDS (DATE FROM)": (
        b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
        b"From: Terry Gray <gray@cac.washington.edu>\r\n\r\n"
    ),
    "HEADER.FIELDS (from date)": (
        b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
        b"From: Terry Gray <gray@cac.washington.edu>\r\n\r\n"
    ),
    'HEADER.FIELDS ("Cc" X-Not-There)': (
        b"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\r\n"
    ),
    "HEADER.FIELDS (X-Not-There)": b"\r\n",
    "HEADER.FIELDS.NOT (Date From Subject To Cc Message-Id MIME-Version)": (
        b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"
    ),
    "HEADER.FIELDS.NOT (X-Not-There)": _HEADER,
    "]<0.4": b"Date",
    "]<4.1": b":",
    "TEXT]<4.7": b"minutes",
    "TEXT]<0.4294967295": _TEXT,
    f"TEXT]<{len(_TEXT) - 1}.9": b"\n",
    f"TEXT]<{len(_TEXT)}.9": b"",
    "TEXT]<4294967295.1": b"",
    "HEADER.FIELDS (DATE)]<0.4": b"Date",
    "1]<0.3": b"The",
}

#: For each of message 1 to 4: its three RFC822 items.
RFC822 = {
    1: (GRAY, _HEADER, _TEXT),
    3: (NO_BODY, NO_BODY, b""),
    4: (NO_HEADER, b"\r\n", b"no header\r\n"),
}

TRANSCRIPTS = {
    "macros": r"""
        C: a FETCH 3 FAST
        S: * 3 FETCH (FLAGS () INTERNALDATE " 2-Feb-2004 00:00:00 +0000" RFC822.SIZE 30)
        S: a OK …
        C: b FETCH 3 all
        S: * 3 FETCH (FLAGS () INTERNALDATE … RFC822.SIZE 30 ENVELOPE (NIL "no body" …))
        S: b OK …
        C: c FETCH 3 Full
        S: * 3 FETCH (FLAGS () INTERNALDATE … ENVELOPE (…) BODY ("TEXT" "PLAIN" …))
        S: c OK …
        C: d UID FETCH 4 FAST
        S: * 3 FETCH (UID 4 FLAGS () INTERNALDATE … RFC822.SIZE 30)
        S: d OK …
    """,
    "macros stand alone": """
        C: a FETCH 1 (ALL)
        S: a BAD …
        C: b FETCH 1 (FAST UID)
        S: b BAD …
        C: c FETCH 1 FAST UID
        S: c BAD …
        C: d FETCH 1 UID FLAGS
        S: d BAD …
        C: e FETCH 1 ()
        S: e BAD …
        C: f FETCH 1
        S: f BAD …
    """,
    "items twice are answered once": r"""
        C: a FETCH 4 (FLAGS UID flags UID)
        S: * 4 FETCH (FLAGS (\Draft) UID 5)
        S: a OK …
        C: b UID FETCH 5 (UID UID FLAGS)
        S: * 4 FETCH (UID 5 FLAGS (\Draft))
        S: b OK …
    """,
    "items that are none": """
        C: a1 FETCH 1 BODY[0]
        S: a1 BAD …
        C: a2 FETCH 1 BODY[1.0]
        S: a2 BAD …
        C: a3 FETCH 1 BODY[01]
        S: a3 BAD …
        C: a4 FETCH 1 BODY[MIME]
        S: a4 BAD …
        C: a5 FETCH 1 BODY[1.]
        S: a5 BAD …
        C: a6 FETCH 1 BODY[HEADER.FIELDS ()]
        S: a6 BAD …
        C: a7 FETCH 1 BODY[HEADER.FIELDS]
        S: a7 BAD …
        C: a8 FETCH 1 BODY[HEADER.FIELDS (From]
        S: a8 BAD …
        C: a9 FETCH 1 BODY[TEXT]<0>
        S: a9 BAD …
        C: b1 FETCH 1 BODY[TEXT]<0.0>
        S: b1 BAD …
        C: b2 FETCH 1 BODY[TEXT]<-1.5>
        S: b2 BAD …
        C: b3 FETCH 1 BODY[]<0.4294967296>
        S: b3 BAD …
        C: b4 FETCH 1 BODY.PEEK
        S: b4 BAD …
        C: b5 FETCH 1 RFC822.PEEK
        S: b5 BAD …
        C: b6 FETCH 1 BODYSTRUCTURE[1]
        S: b6 BAD …
        C: b7 FETCH 1 MODSEQ[]
        S: b7 BAD …
        C: b8 FETCH 1 BODY[TEXT.1]
        S: b8 BAD …
        C: b9 FETCH 1 BODY[]]
        S: b9 BAD …
        C: c1 FETCH 1 RFC822.TEXT<0.5>
        S: c1 BAD …
    """,
    "names are said as they were asked": r"""
        N: 7.4.2 has no rule for their case; clients compare with what they wrote.
        C: a FETCH 3 (body.peek[header.fields (sUbJect "x-None")]<0.7> rfc822.size)
        S: * 3 FETCH (BODY[HEADER.FIELDS (sUbJect x-None)]<0> {7}
        S: Subject RFC822.SIZE 30)
        S: a OK …
    """,
    "BODY[] sets Seen and tells it, PEEK does not": r"""
        C: a FETCH 3 BODY.PEEK[TEXT]
        S: * 3 FETCH (BODY[TEXT] {0}
        S: )
        S: a OK …
        C: b FETCH 3 FLAGS
        S: * 3 FETCH (FLAGS ())
        S: b OK …
        C: c FETCH 3 (BODY[HEADER.FIELDS (X-Empty)] FLAGS)
        S: * 3 FETCH (BODY[HEADER.FIELDS (X-Empty)] {12}
        S: X-Empty:
        S:
        S:  FLAGS (\Seen))
        S: c OK …
        C: d FETCH 4 (FLAGS RFC822.TEXT)
        S: * 4 FETCH (FLAGS (\Draft \Seen) RFC822.TEXT {11}
        S: no header
        S: )
        S: d OK …
        C: e FETCH 4 RFC822.HEADER
        S: * 4 FETCH (RFC822.HEADER {2}
        S:
        S: )
        S: e OK …
    """,
    "a part that is not there sets nothing and is NIL or empty": r"""
        C: a FETCH 3 BODY.PEEK[7]
        S: * 3 FETCH (BODY[7] NIL)
        S: a OK …
    """,
    "the envelope of 8's example": r"""
        C: a004 fetch 1 (flags internaldate envelope)
        S: * 1 FETCH (FLAGS (\Seen) INTERNALDATE "17-Jul-1996 09:44:25 +0000" ENVELOPE ("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" (("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) ((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL "<B27397-0100000@cac.washington.edu>"))
        S: a004 OK …
    """,  # noqa: E501
    "the structure of 8's example": r"""
        C: a FETCH 1 (BODY BODYSTRUCTURE)
        S: * 1 FETCH (BODY ("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 31 2) BODYSTRUCTURE ("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 31 2 NIL NIL NIL NIL))
        S: a OK …
    """,  # noqa: E501
}


class FetchTests(unittest.TestCase):
    def test_transcripts(self) -> None:
        play_all(TRANSCRIPTS, lambda: filled(self))

    def test_sections(self) -> None:
        client = filled(self).login(select="INBOX")
        for number, table in {1: PLAIN_SECTIONS, 2: TREE_SECTIONS}.items():
            for section, wanted in table.items():
                end = ">" if "<" in section else "]"
                raw = client.ok(f"FETCH {number} BODY.PEEK[{section}{end}")
                if wanted:
                    got: bytes | None = literal(raw)
                else:
                    got = b"" if b"{0}\r\n)" in raw else None
                    self.assertTrue(got is not None or b" NIL)\r\n" in raw, raw)
                self.assertEqual(got, wanted, f"{number}: {section}")

    def test_rfc822_items(self) -> None:
        """RFC822 is BODY[], and so on, whatever it is called."""
        client = filled(self).login(select="INBOX")
        client.ok("EXAMINE INBOX")
        for number, wanted in RFC822.items():
            names = ("RFC822", "RFC822.HEADER", "RFC822.TEXT")
            sections = ("BODY[]", "BODY[HEADER]", "BODY[TEXT]")
            for name, section, octets in zip(names, sections, wanted, strict=True):
                old = client.ok(f"FETCH {number} {name}").replace(name.encode(), b"?")
                new = client.ok(f"FETCH {number} {section}")
                new = new.replace(section.encode(), b"?")
                self.assertEqual(
                    old.partition(b"\r\nt")[0], new.partition(b"\r\nt")[0], section
                )
                if octets:
                    self.assertEqual(literal(old), octets, (number, name))
            size = client.ok(f"FETCH {number} RFC822.SIZE")
            self.assertIn(b"RFC822.SIZE %d)" % len(wanted[0]), size)
