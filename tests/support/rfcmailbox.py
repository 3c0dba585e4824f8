"""The mailbox that the tests of the RFCs read: four messages, UIDs 2 to 5."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from tests.support.server import Server

#: RFC 3501 §8, with a body of our own.
GRAY = b"""\
Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: Terry Gray <gray@cac.washington.edu>
Subject: IMAP4rev1 WG mtg summary and minutes
To: imap@cac.washington.edu
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>
Message-Id: <B27397-0100000@cac.washington.edu>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

The minutes.
All is decided.
""".replace(b"\n", b"\r\n")

#: The tree of RFC 3501 §6.4.5, with each leaf's number in it.
TREE = b"""\
From: tree@example.org
Subject: tree
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=a

--a

one
--a
Content-Type: application/octet-stream

two
--a
Content-Type: message/rfc822

Subject: three
Content-Type: multipart/mixed; boundary=b

--b

three.one
--b
Content-Type: application/octet-stream

three.two
--b--
--a
Content-Type: multipart/mixed; boundary=c

--c
Content-Type: image/gif

four.one
--c
Content-Type: message/rfc822

Subject: four.two
Content-Type: multipart/mixed; boundary=d

--d
Content-Type: text/plain

four.two.one
--d
Content-Type: multipart/alternative; boundary=e

--e
Content-Type: text/plain

four.two.two.one
--e
Content-Type: text/richtext

four.two.two.two
--e--
--d--
--c--
--a--
""".replace(b"\n", b"\r\n")

NO_BODY = b"Subject: no body\r\nX-Empty:\r\n\r\n"
NO_HEADER = b"\r\nno header\r\n"

MESSAGES = (
    (GRAY, r"(\Seen)", '"17-Jul-1996 02:44:25 -0700"'),
    (TREE, r"(\Flagged $Work)", '" 1-Feb-2004 23:59:59 +0000"'),
    (NO_BODY, "", '"02-Feb-2004 00:00:00 +0000"'),
    (NO_HEADER, r"(\Draft)", '"31-Dec-2010 12:00:00 +0530"'),
)


@cache
def _template() -> Path:
    """The Maildirs, made once a process."""
    folder = TemporaryDirectory()
    atexit.register(folder.cleanup)
    test = TestCase()
    server = Server(test, root=Path(folder.name))
    client = server.login()
    client.append(b"Subject: gone\r\n\r\n\r\n", flags=r"(\Deleted)")
    client.ok("SELECT INBOX")
    client.ok("CLOSE")
    for octets, flags, date in MESSAGES:
        client.append(octets, flags=flags, date=date)
    client.ok("CREATE Trash")
    client.ok("SELECT INBOX")
    client.ok("LOGOUT")
    test.doCleanups()
    return server.root


def filled(test: TestCase) -> Server:
    """A server whose alice has them, none recent, UID 1 gone, and an empty Trash."""
    folder = TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    root = Path(folder.name) / "mail"
    shutil.copytree(_template(), root)
    return Server(test, root=root)
