"""Writes ``maildirs-sample``: ``python -m tests.support.make_samples TARGET``.

What it makes depends on nothing but this file and ``sample_messages``.  The names
of the files and the control files are those of the programs the users had:
qmail's delivery (alice), Courier (bob), Dovecot (carol).
"""

import sys
from pathlib import Path

from tests.support import sample_messages as messages

START = 1704000000  # 2023-12-31; the files are named after it

Numbered = list[tuple[int, str]]


def virtual_size(octets: bytes) -> int:
    """The size with CRLF line ends: Dovecot's W."""
    return len(octets) + octets.count(b"\n") - octets.count(b"\r\n")


class Writer:
    """Writes one user's Maildir, and notes which files have a date of their own."""

    def __init__(self, target: Path, user: str) -> None:
        self.target = target
        self.root = target / "example.org" / user / "Maildir"
        self.dates: list[str] = []

    def message(
        self, folder: str, name: str, octets: bytes, *, date: int | None = None
    ) -> None:
        """Write ``name`` to new/, or with flags to cur/, of a folder."""
        path = self.root / folder / ("cur" if ":2," in name else "new") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(octets)
        if date is not None:
            self.dates.append(f"{path.relative_to(self.target)}\t{date}\n")

    def file(self, path: str, text: str = "") -> None:
        """Write a control file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(text.encode())


# --- qmail ---------------------------------------------------------------------------


def alice(target: Path) -> Writer:
    """As qmail-local delivers, and a local mail reader moved files to cur/."""
    writer = Writer(target, "alice")
    plain = messages.plain
    octets = [
        plain(START, "bob", "alice", "Welcome", "You have mail.\nRead it."),
        messages.ENCODED_WORDS,
        messages.RAW_UTF8,
        messages.RAW_LATIN1,
        messages.NO_HEADERS,
        messages.ONLY_HEADERS,
        messages.CRLF,
        messages.MIXED_ENDS,
        messages.attachments(START + 8000),
        *(messages.in_charset(START + 9000, *row) for row in messages.CHARSETS),
        messages.MANY_RECIPIENTS,
        b"",
    ]
    flags = ["S", "RS", "", "FS", "S", "", "S", "S", "FRS", *["S"] * 4]
    for number, content in enumerate(octets):
        name = f"{START + number * 1000}.{2310 + number * 7}.mail.example.org"
        if number < len(flags):
            name += f":2,{flags[number]}"
        writer.message("", name, content)
    return writer


# --- Courier -------------------------------------------------------------------------


class Courier:
    """One folder as Courier leaves it."""

    def __init__(self, writer: Writer, folder: str, validity: int) -> None:
        self.writer, self.folder, self.validity = writer, folder, validity
        self.numbered: Numbered = []
        self.sizes: list[tuple[int, str]] = []
        if folder:
            writer.file(f"{folder}/maildirfolder")

    def add(
        self,
        seconds: int,
        octets: bytes,
        flags: str | None,
        uid: int = 0,
        date: int | None = None,
    ) -> str:
        """Store a message; without a UID Courier has not listed it yet."""
        inode = f"{0x8F0000 + seconds % 65521:016X}"
        base = (
            f"{seconds}.M{seconds % 999983:06d}P{seconds % 31013}"
            f"V0000000000000801I{inode}_0.mx.example.org,S={len(octets)}"
        )
        name = base if flags is None else f"{base}:2,{flags}"
        self.writer.message(self.folder, name, octets, date=date)
        if uid:
            self.numbered.append((uid, base))
        self.sizes.append((len(octets), flags or ""))
        return base

    def close(self, next_uid: int) -> None:
        """Write ``courierimapuiddb``."""
        lines = [f"1 {self.validity} {next_uid}\n"]
        lines += (f"{uid} {base}\n" for uid, base in sorted(self.numbered))
        prefix = f"{self.folder}/" if self.folder else ""
        self.writer.file(f"{prefix}courierimapuiddb", "".join(lines))


def bob(target: Path) -> Writer:
    """Courier 5: UTF-8 names of folders, keywords, quota, subscriptions."""
    writer = Writer(target, "bob")
    inbox = Courier(writer, "", 704000123)
    plain = messages.plain
    hello = inbox.add(
        START + 60, plain(START + 60, "carol", "bob", "Hello", "Hi."), "S", 1
    )
    inner = messages.attachments(START + 100)
    fwd = inbox.add(START + 200, messages.forwarded(START + 190, inner), "RS", 4)
    inbox.add(START + 300, messages.report(START + 300), "FS", 5)
    late = inbox.add(START + 400, messages.NO_FINAL_NEWLINE, "", 9)
    inbox.add(START + 500, messages.NOT_CLOSED, "ST", 10)
    imported = plain(946684800, "hatter", "bob", "From the old host", "1 Jan 2000.")
    inbox.add(START + 600, imported, "S", 11, date=946684800)
    inbox.add(START + 700, plain(START + 700, "alice", "bob", "New", "Fresh."), None)
    inbox.close(12)
    writer.file(
        "courierimapkeywords/:list",
        f"$Label1\n$Forwarded\nProjekt-X\n\n{hello}:0 2\n{fwd}:1\n",
    )
    writer.file(f"courierimapkeywords/{late}", "Later\n$label1\n")
    folders = [inbox]

    sent = Courier(writer, ".Sent", 704000200)
    for number in range(3):
        seconds = START + 5000 + number
        octets = plain(seconds, "bob", "carol", f"Sent {number}", "I wrote this.")
        sent.add(seconds, octets, "S", number + 1)
    sent.close(4)
    folders.append(sent)

    lists = Courier(writer, ".Listen.T\N{LATIN SMALL LETTER O WITH DIAERESIS}pfe", 7)
    for number, (seconds, octets) in enumerate(messages.thread(START + 6000, 12)):
        lists.add(seconds, octets, "S" if number < 9 else "", 3 * number + 2)
    lists.close(40)
    folders.append(lists)

    drafts = Courier(
        writer, ".Entw\N{LATIN SMALL LETTER U WITH DIAERESIS}rfe", 704000300
    )
    seconds = START + 7000
    drafts.add(seconds, plain(seconds, "bob", "alice", "Half", "a sent"), "DS", 1)
    drafts.close(2)
    deep = Courier(
        writer,
        ".Projekte.2023.Kunden.M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller.R&D",
        5,
    )
    seconds = START + 8000
    deep.add(seconds, plain(seconds, "hatter", "bob", "Five levels", "Deep."), "S", 1)
    deep.close(2)
    folders += [drafts, deep]
    trash = Courier(writer, ".Trash", 704000400)
    seconds = START + 9000
    trash.add(seconds, plain(seconds, "dormouse", "bob", "Zzz", "Zzz."), "ST", 6)
    trash.close(7)
    Courier(writer, ".Leer", 704000500).close(1)

    # Neither .Trash nor what is marked as deleted counts.
    counted = [
        size for each in folders for size, flags in each.sizes if "T" not in flags
    ]
    first = f"{sum(counted) - counted[-1]} {len(counted) - 1}"
    writer.file("maildirsize", f"10485760S,1000C\n{first:<13}\n{counted[-1]} 1\n")
    names = ["INBOX", *("INBOX" + each.folder for each in folders[1:]), "INBOX.Fort"]
    writer.file("courierimapsubscribed", "".join(f"{name}\n" for name in names))
    return writer


# --- Dovecot -------------------------------------------------------------------------


class Dovecot:
    """One folder as Dovecot leaves it."""

    def __init__(self, writer: Writer, folder: str, validity: int, guid: str) -> None:
        self.writer, self.folder = writer, folder
        self.prefix = f"{folder}/" if folder else ""
        self.header = f"V{validity}", f"G{guid}"
        self.records: Numbered = []
        if folder:
            writer.file(f"{folder}/maildirfolder")

    def add(
        self,
        seconds: int,
        octets: bytes,
        flags: str | None,
        uid: int = 0,
        date: int | None = None,
        sized: bool = True,
    ) -> None:
        """Store a message; unsized: another program delivered it without S and W."""
        base = f"{seconds}.M{seconds % 999983}P{seconds % 31013}.imap"
        keys = f" S{len(octets)} W{virtual_size(octets)}"
        if sized:
            base += f",S={len(octets)},W={virtual_size(octets)}"
            keys = ""
        name = base if flags is None else f"{base}:2,{flags}"
        self.writer.message(self.folder, name, octets, date=date)
        if uid:
            self.records.append((uid, f"{keys} :{base}"))

    def close(self, next_uid: int, keywords: tuple[str, ...] = ()) -> None:
        """Write ``dovecot-uidlist``, version 3, and ``dovecot-keywords``."""
        validity, guid = self.header
        lines = [f"3 {validity} N{next_uid} {guid}\n"]
        lines += (f"{uid}{record}\n" for uid, record in sorted(self.records))
        self.writer.file(f"{self.prefix}dovecot-uidlist", "".join(lines))
        if keywords:
            listed = (f"{number} {name}\n" for number, name in enumerate(keywords))
            self.writer.file(f"{self.prefix}dovecot-keywords", "".join(listed))


def carol(target: Path) -> Writer:
    """Dovecot 2: UID lists with header keys, keyword letters, modified UTF-7."""
    writer = Writer(target, "carol")
    plain = messages.plain
    inbox = Dovecot(writer, "", 1704000001, "5c1f0a3be9a2916501000000a1b2c3d4")
    at = START + 100_000
    inbox.add(at, plain(at, "alice", "carol", "First", "One."), "S", 1)
    inbox.add(at + 10, messages.alternative(at + 10), "FSab", 2)
    inbox.records.append((3, f" :{at + 20}.M1P1.imap,S=500,W=512"))  # expunged since
    inbox.add(at + 30, messages.attachments(at + 30), "RSa", 7, sized=False)
    inbox.add(at + 40, messages.forwarded(at + 40, messages.CRLF, 3), "S", 8)
    inbox.add(at + 50, plain(at + 50, "bob", "carol", "Odd", "A flag X."), "SX", 9)
    inbox.add(at + 60, messages.NO_FINAL_NEWLINE, "PS,backup=1", 10)
    old = plain(867715200, "hatter", "carol", "From 1997", "APPENDed with its date.")
    inbox.add(at + 70, old, "S", 12, date=867715200)
    inbox.add(at + 80, plain(at + 80, "bob", "carol", "Delivered", "Not listed."), None)
    inbox.close(13, ("$Forwarded", "NonJunk", "Steuer-2023"))

    drafts = Dovecot(
        writer, ".Entw&APw-rfe", 1704000002, "5c1f0a3be9a2916502000000a1b2c3d4"
    )
    at += 1000
    drafts.add(at, plain(at, "carol", "bob", "Unfinished", "Dear B"), "D", 4)
    drafts.close(5)
    sent = Dovecot(writer, ".Sent", 1704000003, "5c1f0a3be9a2916503000000a1b2c3d4")
    for number in range(6):
        at += 10
        octets = plain(at, "carol", "alice", f"Note {number}", "Noted.\n" * number)
        sent.add(at, octets, "Sb" if number == 3 else "S", number + 1)
    sent.close(7, ("$MDNSent", "$Forwarded"))
    path = ".Verein.2023.Vorstand.Protokolle.M&AOQ-rz"
    deep = Dovecot(writer, path, 1704000004, "5c1f0a3be9a2916504000000a1b2c3d4")
    for number, row in enumerate(messages.CHARSETS[:5]):
        at += 10
        deep.add(at, messages.in_charset(at, *row), "S", number + 1)
    deep.close(6)
    Dovecot(writer, ".Trash", 1704000005, "5c1f0a3be9a2916505000000a1b2c3d4").close(1)

    writer.file(
        "subscriptions",
        "V\t2\n\nEntw&APw-rfe\nSent\nVerein\t2023\tVorstand\tProtokolle\tM&AOQ-rz\n",
    )
    last = f"{1704000005:08x}"  # the UIDVALIDITY given out last
    writer.file("dovecot-uidvalidity", last)
    writer.file(f"dovecot-uidvalidity.{last}")
    return writer


def main(target: Path) -> None:
    """Write all three, and the table of dates."""
    dates = [line for make in (alice, bob, carol) for line in make(target).dates]
    (target / "mtimes.tsv").write_text("".join(dates), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
