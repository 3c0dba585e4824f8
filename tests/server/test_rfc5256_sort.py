r"""RFC 5256, 5957 and 5267: SORT and THREAD.

``INBOX`` has eight messages, UIDs 2 to 9, of which 2 and 8 are ``\Seen``; ``Trash``
is empty.
"""

import unittest

from tests.support.server import Client, Server
from tests.support.transcript import play_all

#: Header, and INTERNALDATE; the number is the place.
MESSAGES = (
    (  # 1
        b"Date: Tue, 4 Jan 2000 12:00:00 +0000\n"
        b"From: Zoe <zoe@example.org>\nTo: b@example.org\n"
        b"Subject: [list] Plan\nMessage-ID: <one@x>\n",
        "01-Jan-2010 00:00:00 +0000",
    ),
    (  # 2: earlier by its zone
        b"Date: Tue, 4 Jan 2000 13:30:00 +0200\n"
        b"From: =?utf-8?q?=C3=84nne?= <anne@example.org>\nTo: Clubs: a@x, b@x;\n"
        b"Subject: banana\nMessage-ID: <two@x>\n",
        "02-Jan-2010 00:00:00 +0000",
    ),
    (  # 3
        b"Date: Wed, 5 Jan 2000 12:00:00 +0000\n"
        b"From: bob@example.org\nTo: A@example.org\nCc: c@example.org\n"
        b"Subject: Re: Plan\nMessage-ID: <three@x>\nReferences: <one@x>\n",
        "03-Jan-2010 00:00:00 +0000",
    ),
    (  # 4
        b"Date: Thu, 6 Jan 2000 12:00:00 +0000\n"
        b"From: Bob <bob@example.org>\nSubject: Re: plan (fwd)\n"
        b'Message-ID: <"four"@x>\nIn-Reply-To: <one@x>\n',
        "05-Jan-2010 00:00:00 +0000",
    ),
    (  # 5: no date but that of its arrival
        b"From: carl@example.org\nSubject: Banana\nMessage-ID: <five@x>\n",
        "04-Jan-2000 12:00:00 +0000",
    ),
    (  # 6
        b"Date: Fri, 7 Jan 2000 12:00:00 +0000\nSubject: x\n"
        b"References: <missing@x> <four@x>\nMessage-ID: <six@x>\n",
        "06-Jan-2010 00:00:00 +0000",
    ),
    (  # 7
        b"Date: Sat, 1 Jan 2000 12:00:00 +0000\nSubject: y\n"
        b"References: <away@x>\nMessage-ID: <seven@x>\n",
        "07-Jan-2010 00:00:00 +0000",
    ),
    (  # 8
        b"Date: Sun, 2 Jan 2000 12:00:00 +0000\nSubject: y\n"
        b"References: <away@x>\nMessage-ID: <eight@x>\n",
        "08-Jan-2010 00:00:00 +0000",
    ),
)

#: Arguments of SORT, and the order; None: BAD.
SORTS: dict[str, str | None] = {
    "(DATE) UTF-8 ALL": "7 8 2 1 5 3 4 6",
    "(REVERSE DATE) UTF-8 ALL": "6 4 3 1 5 2 8 7",
    "(ARRIVAL) UTF-8 ALL": "5 1 2 3 4 6 7 8",
    "(SIZE) US-ASCII ALL": "5 7 8 6 1 4 2 3",
    "(SUBJECT) UTF-8 ALL": "2 5 1 3 4 6 7 8",
    "(SUBJECT REVERSE DATE) UTF-8 ALL": "5 2 4 3 1 6 8 7",
    "(REVERSE SUBJECT DATE) UTF-8 ALL": "7 8 6 1 3 4 2 5",
    "(FROM) UTF-8 ALL": "6 7 8 2 3 4 5 1",
    "(DISPLAYFROM) UTF-8 ALL": "6 7 8 2 4 3 5 1",
    "(TO) UTF-8 1:4": "4 3 1 2",
    "(DISPLAYTO) UTF-8 1:4": "4 3 1 2",
    "(CC) UTF-8 ALL": "1 2 4 5 6 7 8 3",
    "(REVERSE CC REVERSE DATE) UTF-8 ALL": "3 6 4 1 5 2 8 7",
    "(date Date REVERSE DATE) utf-8 all": "7 8 2 1 5 3 4 6",
    '(DATE) "UTF-8" SUBJECT plan': "1 3 4",
    "(DATE) UTF-8 UNSEEN NOT 7:8": "2 5 3 4 6",
    "(DATE) UTF-8 SUBJECT {6+}\r\nbanana": "2 5",
    "(DATE) UTF-8 SUBJECT nowhere": "",
    "(DATE) UTF-8 UID 3": "2",
    "(DATE) UTF-8 9": None,
    "() UTF-8 ALL": None,
    "DATE UTF-8 ALL": None,
    "(NEWS) UTF-8 ALL": None,
    "(REVERSE) UTF-8 ALL": None,
    "(REVERSE REVERSE DATE) UTF-8 ALL": None,
    "(DATE SUBJECT )UTF-8 ALL": None,
    "(DATE) ALL": None,
    "(DATE) UTF-8": None,
    "(DATE) UTF-8 CHARSET UTF-8 ALL": None,
    "(DATE)UTF-8 ALL": None,
    "": None,
}

#: Arguments of THREAD, and the threads; None: BAD.
THREADS: dict[str, str | None] = {
    "ORDEREDSUBJECT UTF-8 ALL": "(7 8)(2 5)(1 (3)(4))(6)",
    "REFERENCES UTF-8 ALL": "((7)(8))((2)(5))(1 (3)(4 6))",
    "REFS UTF-8 ALL": "((7)(8))(2)(5)(1 (3)(4 6))",
    "references us-ascii 2:8": "((7)(8))((2)(5))((3)(4 6))",
    "REFERENCES UTF-8 3,6": "(3)(6)",
    "REFERENCES UTF-8 7": "(7)",
    "REFERENCES UTF-8 SUBJECT nowhere": "",
    "REFERENCES UTF-8 9": None,
    "REFERENCES ALL": None,
    "REFERENCES UTF-8": None,
    "SUBJECT UTF-8 ALL": None,
    '"REFS" UTF-8 ALL': None,
    "RETURN () REFS UTF-8 ALL": None,
    "": None,
}

TRANSCRIPTS = {
    "a charset we do not know is NO and names those we do": """
        C: a SORT (DATE) X-NONE ALL
        S: a NO [BADCHARSET (US-ASCII UTF-8)] …
        C: b UID THREAD REFERENCES UTF-7 ALL
        S: b NO [BADCHARSET (US-ASCII UTF-8)] …
        C: c UID SORT (DATE) ISO-8859-1 SUBJECT banana
        S: * SORT 3 6
        S: c OK …
    """,
    "RFC 5267 3.1: return options": """
        C: a SORT RETURN (MIN) (DATE) UTF-8 ALL
        S: * ESEARCH (TAG "a") MIN 7
        S: a OK …
        C: b UID SORT RETURN (MAX count MIN) (DATE) UTF-8 ALL
        S: * ESEARCH (TAG "b") UID MIN 8 MAX 7 COUNT 8
        S: b OK …
        C: c UID SORT RETURN () (REVERSE DATE) UTF-8 ALL
        S: * ESEARCH (TAG "c") UID ALL 7,5,4,2,6,3,9,8
        S: c OK …
        C: d SORT RETURN (ALL) (DATE) UTF-8 ALL
        S: * ESEARCH (TAG "d") ALL 7:8,2,1,5,3:4,6
        S: d OK …
        C: e SORT RETURN (MIN MAX ALL COUNT) (DATE) UTF-8 SUBJECT nowhere
        S: * ESEARCH (TAG "e") COUNT 0
        S: e OK …
    """,
    "RFC 5267 4.4: PARTIAL": """
        C: a SORT RETURN (PARTIAL 1:3) (DATE) UTF-8 ALL
        S: * ESEARCH (TAG "a") PARTIAL (1:3 7:8,2)
        S: a OK …
        C: b UID SORT RETURN (PARTIAL 9:7 COUNT) (DATE) UTF-8 ALL
        S: * ESEARCH (TAG "b") UID COUNT 8 PARTIAL (7:9 5,7)
        S: b OK …
        C: c SORT RETURN (PARTIAL 9:10) (DATE) UTF-8 ALL
        S: * ESEARCH (TAG "c") PARTIAL (9:10 NIL)
        S: c OK …
        C: d SORT RETURN (PARTIAL 1:2 ALL) (DATE) UTF-8 ALL
        S: d BAD …
        C: e SORT RETURN (PARTIAL 1:2 PARTIAL 3:4) (DATE) UTF-8 ALL
        S: e BAD …
        C: f SORT RETURN (PARTIAL 1:*) (DATE) UTF-8 ALL
        S: f BAD …
    """,
    "RFC 5267: what is no option": """
        C: a SORT RETURN (SAVE) (DATE) UTF-8 ALL
        S: a BAD …
        C: b SORT RETURN (UPDATE) (DATE) UTF-8 ALL
        S: b BAD …
        C: c SORT RETURN (COUNT)(DATE) UTF-8 ALL
        S: c BAD …
    """,
    "an empty mailbox": """
        C: a SELECT Trash
        S: …
        S: a OK …
        C: b SORT (DATE) UTF-8 ALL
        S: * SORT
        S: b OK …
        C: c UID THREAD REFERENCES UTF-8 ALL
        S: * THREAD
        S: c OK …
        C: d SORT RETURN (MIN COUNT) (DATE) UTF-8 ALL
        S: * ESEARCH (TAG "d") COUNT 0
        S: d OK …
    """,
    "only in the selected state": """
        C: a UNSELECT
        S: a OK …
        C: b SORT (DATE) UTF-8 ALL
        S: b BAD …
        C: c THREAD REFS UTF-8 ALL
        S: c BAD …
    """,
    "3: EXPUNGE is told by UID SORT, and not by SORT": r"""
        C2: a UID STORE 3 +FLAGS.SILENT (\Deleted)
        S2: a OK …
        C2: b UID EXPUNGE 3
        S2: * 2 EXPUNGE
        S2: b OK …
        C: a SORT (DATE) UTF-8 ALL
        S: * SORT 7 8 1 5 3 4 6
        S: a OK …
        C: b UID THREAD REFERENCES UTF-8 ALL
        S: * THREAD ((8)(9))(2 (4)(5 7))(6)
        S: * 2 EXPUNGE
        S: * 5 RECENT
        S: b OK …
        C: c SORT (DATE) UTF-8 ALL
        S: * SORT 6 7 1 4 2 3 5
        S: c OK …
    """,
    "3: new messages are there from the moment they are told": r"""
        C2| a APPEND INBOX {52+}\r\nDate: Mon, 3 Jan 2000 12:00:00 +0000\r\n
        C2| Subject: n\r\n\r\n\r\n
        S2: …
        S2: a OK …
        C: a SORT (DATE) UTF-8 ALL
        S: * SORT 7 8 2 1 5 3 4 6
        S: …
        S: a OK …
        C: b SORT (DATE) UTF-8 ALL
        S: * SORT 7 8 9 2 1 5 3 4 6
        S: b OK …
    """,
}


def filled(test: unittest.TestCase) -> Server:
    server = Server(test)
    client = server.login()
    client.append(b"Subject: gone\r\n\r\n", flags=r"(\Deleted)")
    client.ok("SELECT INBOX")
    client.ok("CLOSE")
    for number, (header, date) in enumerate(MESSAGES, 1):
        octets = (header + b"\ntext\n").replace(b"\n", b"\r\n")
        flags = r"(\Seen)" if number in (1, 7) else ""
        client.append(octets, flags=flags, date=f'"{date}"')
    client.ok("CREATE Trash")
    client.ok("LOGOUT")
    return server


class SortTests(unittest.TestCase):
    def check(self, client: Client, text: str, said: str | None) -> None:
        command = text.rstrip(" ").encode()
        if said is None:
            client.bad(command)
            client.ok("NOOP")  # too many BAD in a row would end it
            return
        wanted = f"* {said}".rstrip().encode() + b"\r\nt"
        raw = client.ok(command)
        self.assertTrue(raw.startswith(wanted), f"{text}: {raw!r}")

    def by_uid(self, said: str | None) -> str | None:
        """UIDs are the numbers and one."""
        if said is None:
            return None
        return "".join(str(int(c) + 1) if c.isdigit() else c for c in said)

    def test_sort(self) -> None:
        client = filled(self).login(select="INBOX")
        for _ in range(2):  # derived, and from memory
            for arguments, order in SORTS.items():
                said = None if order is None else f"SORT {order}"
                self.check(client, f"SORT {arguments}", said)
                self.check(client, f"UID SORT {arguments}", self.by_uid(said))

    def test_thread(self) -> None:
        client = filled(self).login(select="INBOX")
        for _ in range(2):
            for arguments, threads in THREADS.items():
                said = None if threads is None else f"THREAD {threads}"
                self.check(client, f"THREAD {arguments}", said)
                self.check(client, f"UID THREAD {arguments}", self.by_uid(said))

    def test_another_process_finds_what_the_cache_has(self) -> None:
        server = filled(self)
        server.login(select="INBOX").ok("THREAD REFERENCES UTF-8 ALL")
        again = Server(self, root=server.root).login(select="INBOX")
        for arguments, order in SORTS.items():
            if order is not None:
                self.check(again, f"SORT {arguments}", f"SORT {order}")

    def test_a_client_is_told_what_there_is(self) -> None:
        raw = Server(self).login().ok("CAPABILITY")
        for name in (
            *(b"SORT", b"SORT=DISPLAY", b"ESORT"),
            *(b"THREAD=ORDEREDSUBJECT", b"THREAD=REFERENCES", b"THREAD=REFS"),
        ):
            self.assertIn(name, raw.split())

    def test_transcripts(self) -> None:
        play_all(TRANSCRIPTS, lambda: filled(self))
