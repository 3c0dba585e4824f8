r"""RFC 3501, section 6.4.4 and 7.2.5, RFC 4731, RFC 5032: SEARCH.

``INBOX`` is that of ``tests.support.rfcmailbox``: the minutes (\Seen, 1996), the
tree (\Flagged $Work, 1 Feb 2004), no body (2 Feb 2004), no header (\Draft, 2010).
"""

import unittest

from tests.support.rfcmailbox import filled
from tests.support.transcript import play_all

#: What is searched for, and the message numbers found; None: BAD.
KEYS: dict[str, list[int] | None] = {
    "ALL": [1, 2, 3, 4],
    "all": [1, 2, 3, 4],
    "ANSWERED": [],
    "DELETED": [],
    "DRAFT": [4],
    "FLAGGED": [2],
    "SEEN": [1],
    "RECENT": [],
    "NEW": [],
    "OLD": [1, 2, 3, 4],
    "UNANSWERED": [1, 2, 3, 4],
    "UNDELETED": [1, 2, 3, 4],
    "UNDRAFT": [1, 2, 3],
    "UNFLAGGED": [1, 3, 4],
    "UNSEEN": [2, 3, 4],
    "unSeen": [2, 3, 4],
    "KEYWORD $Work": [2],
    "KEYWORD $WORK": [2],
    "UNKEYWORD $Work": [1, 3, 4],
    "KEYWORD none": [],
    "KEYWORD \\Seen": None,
    'KEYWORD "$Work"': None,
    # A result that was saved: SEARCHRES is not offered, and nothing ever is.
    "$": None,
    "UID $": None,
    "NOT $": None,
    "OR SEEN ($)": None,
    # Dates: internal ones disregard time and zone; here the zone is UTC.
    "ON 1-Feb-2004": [2],
    'ON "1-Feb-2004"': [2],
    "ON 01-feb-2004": [2],
    'ON " 1-Feb-2004"': None,
    "BEFORE 2-Feb-2004": [1, 2],
    "SINCE 2-Feb-2004": [3, 4],
    "since 1-FEB-2004 before 2-FEB-2004": [2],
    "SENTON 17-Jul-1996": [1],
    "SENTBEFORE 18-Jul-1996": [1],
    "SENTBEFORE 17-Jul-1996": [],
    "SENTSINCE 17-Jul-1996": [1],
    "SENTSINCE 18-Jul-1996": [],
    "ON 30-Feb-2004": None,
    "ON 2004-02-01": None,
    "ON 1-Feb-04": None,
    "ON": None,
    # RFC 5032
    "YOUNGER 1": [],
    "OLDER 1": [1, 2, 3, 4],
    "OLDER 0": None,
    "OLDER 4294967295": [],
    # Texts: substrings, in any case.
    "FROM GRAY": [1],
    'FROM "terry gray"': [1],
    "TO washington": [1],
    "CC klensin": [1],
    "CC nobody": [],
    "BCC x": [],
    "SUBJECT wg": [1],
    "SUBJECT tree": [2],
    'SUBJECT ""': [1, 2, 3],
    "HEADER Message-ID B27397": [1],
    'HEADER message-id ""': [1],
    'HEADER X-Empty ""': [3],
    "HEADER X-Empty x": [],
    'HEADER None ""': [],
    "HEADER Subject": None,
    "BODY decided": [1],
    "BODY IMAP4rev1": [],
    "TEXT IMAP4rev1": [1],
    "TEXT four.two.two.TWO": [2],
    'TEXT ""': [1, 2, 3, 4],
    'BODY ""': [1, 2, 3, 4],
    # Sizes: larger and smaller are both strict.
    "LARGER 30": [1, 2],
    "SMALLER 30": [4],
    "LARGER 29 SMALLER 31": [3],
    "LARGER -1": None,
    "LARGER 4294967296": None,
    # Numbers.
    "1": [1],
    "4:2": [2, 3, 4],
    "1,3": [1, 3],
    "*": [4],
    "2:*": [2, 3, 4],
    "UID 2": [1],
    "UID 1": [],
    "uid 5:3": [2, 3, 4],
    "UID *": [4],
    "UID 99:*": [4],
    "0": None,
    "5": None,
    # Several keys are all meant; OR takes two, NOT one; parentheses.
    "UNSEEN FLAGGED": [2],
    "NOT SEEN": [2, 3, 4],
    "NOT NOT SEEN": [1],
    "not (SEEN)": [2, 3, 4],
    "NOT 2:3": [1, 4],
    "OR SEEN DRAFT": [1, 4],
    "OR OR SEEN DRAFT FLAGGED": [1, 2, 4],
    "OR SEEN OR DRAFT FLAGGED": [1, 2, 4],
    "OR (UNSEEN FLAGGED) (DRAFT)": [2, 4],
    "OR NOT UNSEEN NOT UNDRAFT": [1, 4],
    "(SEEN)": [1],
    "((SEEN))": [1],
    "(UNSEEN) (UNFLAGGED 1:3)": [3],
    "(OR SEEN DRAFT) NOT UID 2": [4],
    "OR SEEN": None,
    "NOT": None,
    "()": None,
    "(SEEN": None,
    "SEEN)": None,
    "( SEEN)": None,
    "(SEEN )": None,
    "(SEEN)(DRAFT)": None,
    "": None,
    "NONSENSE": None,
    "MODSEQ": None,
    # Charsets; 6.4.4 wants US-ASCII, and clients UTF-8.
    "CHARSET US-ASCII SUBJECT tree": [2],
    'charset "utf-8" SUBJECT tree': [2],
    "CHARSET UTF-8": None,
    "CHARSET": None,
    "CHARSET US-ASCII SUBJECT {2+}\r\n\xc3\xbc": None,
    "CHARSET UTF-8 SUBJECT {2+}\r\n\xc3\xbc": [],
    "CHARSET UTF-8 SUBJECT {1+}\r\n\xfc": None,
    "CHARSET ISO-8859-1 SUBJECT {4+}\r\ntree": [2],
    "CHARSET windows-1252 SUBJECT {1+}\r\n\xfc": [],
    "CHARSET windows-1252 SUBJECT {1+}\r\n\x81": None,
    "CHARSET iso-2022-jp SUBJECT {10+}\r\n\x1b(Btree\x1b(J": [2],
    "SUBJECT {2+}\r\n\xc3\xbc": [],
}

TRANSCRIPTS = {
    "6.4.4: a charset we do not know is NO and names those we do": """
        C: a SEARCH CHARSET X-NONE TEXT x
        S: a NO [BADCHARSET (US-ASCII UTF-8)] …
        C: b UID SEARCH CHARSET {6}
        S: + …
        C: BASE64 TEXT x
        S: b NO [BADCHARSET (US-ASCII UTF-8)] …
        C: c SEARCH CHARSET UTF-7 TEXT x
        S: c NO [BADCHARSET (US-ASCII UTF-8)] …
        C: d SEARCH CHARSET UTF-16 TEXT x
        S: d NO [BADCHARSET (US-ASCII UTF-8)] …
    """,
    "RFC 4731 3.1: each option": """
        C: a SEARCH RETURN (MIN) UNSEEN
        S: * ESEARCH (TAG "a") MIN 2
        S: a OK …
        C: b SEARCH RETURN (MAX) UNSEEN
        S: * ESEARCH (TAG "b") MAX 4
        S: b OK …
        C: c SEARCH RETURN (ALL) NOT 2
        S: * ESEARCH (TAG "c") ALL 1,3:4
        S: c OK …
        C: d SEARCH RETURN (COUNT) UNSEEN
        S: * ESEARCH (TAG "d") COUNT 3
        S: d OK …
        C: e SEARCH RETURN (all count Max MIN) UNSEEN
        S: * ESEARCH (TAG "e") MIN 2 MAX 4 COUNT 3 ALL 2:4
        S: e OK …
        C: f UID SEARCH RETURN () UNSEEN
        S: * ESEARCH (TAG "f") UID ALL 3:5
        S: f OK …
        C: g SEARCH RETURN (COUNT) CHARSET UTF-8 SUBJECT tree
        S: * ESEARCH (TAG "g") COUNT 1
        S: g OK …
    """,
    "RFC 4731 3.1: nothing found: no MIN, MAX, ALL, but COUNT": """
        C: a SEARCH RETURN (MIN MAX ALL COUNT) DELETED
        S: * ESEARCH (TAG "a") COUNT 0
        S: a OK …
        C: b UID SEARCH RETURN (MIN) DELETED
        S: * ESEARCH (TAG "b") UID
        S: b OK …
        C: c UID SEARCH RETURN () DELETED
        S: * ESEARCH (TAG "c") UID
        S: c OK …
    """,
    "RFC 4731 3.1: what is no option": """
        C: a SEARCH RETURN ALL SEEN
        S: a BAD …
        C: b SEARCH RETURN (SAVE) SEEN
        S: b BAD …
        C: c SEARCH RETURN (COUNT)
        S: c BAD …
        C: d SEARCH RETURN (COUNT)SEEN
        S: d BAD …
        C: e SEARCH RETURN(COUNT) SEEN
        S: e BAD …
        C: f SEARCH CHARSET UTF-8 RETURN (COUNT) SEEN
        S: f BAD …
    """,
    "RFC 4731 3.1: odd tags are said back as they were": r"""
        C: ~]}$ SEARCH RETURN (COUNT) ALL
        S: * ESEARCH (TAG "~]}$") COUNT 4
        S: ~]}$ OK …
    """,
    "an empty mailbox": """
        C: a SELECT Trash
        S: …
        S: a OK …
        N: BAD, says 9, seq-number.  But clients send it behind SELECT without
        N: waiting, to ask for all there is, and other servers say: nothing.
        C: b SEARCH 1:*
        S: * SEARCH
        S: b OK …
        C: c SEARCH UNSEEN
        S: * SEARCH
        S: c OK …
        C: d UID SEARCH 1:*
        S: * SEARCH
        S: d OK …
        C: g SEARCH 1
        S: g BAD …
        C: e UID SEARCH UID 1:*
        S: * SEARCH
        S: e OK …
        C: f UID SEARCH RETURN (COUNT MIN) ALL
        S: * ESEARCH (TAG "f") UID COUNT 0
        S: f OK …
    """,
}


class SearchTests(unittest.TestCase):
    def test_keys(self) -> None:
        server = filled(self)
        client = server.login(select="INBOX")
        for key, found in KEYS.items():
            text = f"SEARCH {key}".rstrip(" ").encode("latin-1")
            if found is None:
                client.bad(text)
                client.ok("NOOP")  # too many BAD in a row would end it
                continue
            said = b"".join(b" %d" % number for number in found)
            raw = client.ok(text)
            self.assertTrue(
                raw.startswith(b"* SEARCH%b\r\nt" % said), f"{key}: {raw!r}"
            )
            uids = b"".join(b" %d" % (number + 1) for number in found)
            raw = client.ok(b"UID " + text)
            self.assertTrue(
                raw.startswith(b"* SEARCH%b\r\nt" % uids), f"{key}: {raw!r}"
            )

    def test_transcripts(self) -> None:
        play_all(TRANSCRIPTS, lambda: filled(self))
