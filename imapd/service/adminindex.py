"""``imapd-admin index``: derive now, in the foreground, what clients will ask for."""

import argparse
import math
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from imapd.auth.passwdfile import FILE_OCTETS, parse_users
from imapd.errors import ImapError
from imapd.ids import INBOX, MailboxPath
from imapd.mailbox.indexing import CannotKeep, Claimed, Indexing, Tally
from imapd.service.accounts import avatar_of, maildir_of, open_account
from imapd.service.acting import acting_as
from imapd.service.config import Config, load
from imapd.service.events import duration
from imapd.service.templates import NoMailLocation
from imapd.store.maildir.account import MaildirAccount

DONE, FAILED, INTERRUPTED = 0, 1, 130

#: Between two lines, or two states of the bar.
LINE_SECONDS: Final = 30.0
BAR_SECONDS: Final = 0.1
#: A mailbox that the server indexes just now is waited for, and looked at so often.
CLAIMED_SECONDS: Final = 1.0
_BAR_COLUMNS: Final = 20
_LEAST_COLUMNS: Final = 40


class CannotIndex(Exception):
    """A user, or a mailbox, has to be left out; the message says why."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "index",
        help="derive ahead of time what clients will ask for",
        description="Fills the cache, as the server does in the background: after "
        "mail was copied from elsewhere, the first client finds all of it at hand.  "
        "May run beside the server, be stopped with Ctrl-C, and go on another time.",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", required=True, help="of twistd imapd"
    )
    parser.add_argument(
        "--mailbox",
        metavar="NAME",
        help='only this one; "/" is between parent and child',
    )
    parser.add_argument(
        "user",
        nargs="*",
        metavar="USER",
        help="if none is given: all that passwdfiles list",
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Index the users given, or all; return the exit code."""
    config = load({}, parsed.config, serving=False)
    config = replace(config, create_missing_maildir=False, special_use={})
    users = parsed.user or list(_listed_users(config))
    if not users:
        _complain("no users are listed; name them")
        return FAILED
    path = None if parsed.mailbox is None else mailbox_path(parsed.mailbox)
    failed = 0
    with interruption() as stop:
        for user in users:
            if stop:
                break
            try:
                failed += _User(config, user, stop).run(path)
            except CannotIndex as error:
                failed += 1
                _complain(f"{user}: {error}")
        if stop:
            print("stopped; it can be gone on with", file=sys.stderr)
            return INTERRUPTED
    return FAILED if failed else DONE


def mailbox_path(name: str) -> MailboxPath:
    """Read a name as the administrator writes it."""
    return INBOX if name.upper() == "INBOX" else tuple(name.split("/"))


def mailbox_name(path: MailboxPath) -> str:
    """Write a name as the administrator reads it."""
    return "/".join(path) or "INBOX"


def printable(words: str, stream: TextIO) -> str:
    """What a terminal may get: names are chosen by users."""
    visible = "".join(each if each.isprintable() else "?" for each in words)
    encoding = stream.encoding or "utf-8"
    return visible.encode(encoding, "replace").decode(encoding)


def _complain(words: str) -> None:
    print(f"imapd-admin: {printable(words, sys.stderr)}", file=sys.stderr)


def _listed_users(config: Config) -> Iterator[str]:
    """Every user that a passwdfile names; of other logins nobody knows them."""
    for description in config.auth:
        kind, _, path = description.partition(":")
        if kind != "passwdfile":
            _complain(f"{kind} cannot list its users; name them to have them indexed")
            continue
        try:
            with open(path, "rb") as file:
                records = parse_users(file.read(FILE_OCTETS)).records
        except OSError as error:
            _complain(f"{path}: {error.strerror}")
            continue
        yield from records


@contextmanager
def interruption() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C, or SIGTERM; the second one interrupts."""
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, catch) for number in numbers]
    try:
        yield caught
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


class _User:
    """One user's mailboxes."""

    def __init__(self, config: Config, user: str, stop: list[int]) -> None:
        self._config = config
        self._user = user
        self._stop = stop
        self._folders = self._messages = self._skipped = 0

    def run(self, path: MailboxPath | None) -> int:
        """Index one mailbox, or all; return how many could not be.

        As root this would leave files that nobody else may replace, so it becomes
        the owner of the Maildir for the time it takes.

        Raises:
            CannotIndex: none of them can be.
        """
        try:
            avatar = avatar_of(self._config, self._user)
            owner = maildir_of(self._config, avatar).stat()
        except NoMailLocation as error:
            raise CannotIndex(error.reason) from error
        except OSError as error:
            raise CannotIndex(f"{error.filename}: {error.strerror}") from error
        with acting_as(owner):
            try:
                account = open_account(self._config, avatar)
            except ImapError as error:
                raise CannotIndex(str(error)) from error
            try:
                failed = self._all(account, path)
            finally:
                account.close()
        print(
            f"{self._user}: {self._folders} folders, {self._messages} messages looked "
            f"at, {self._skipped} passed over",
            flush=True,
        )
        return failed

    def _all(self, account: MaildirAccount, only: MailboxPath | None) -> int:
        try:
            account.tidy_cache()
            paths = [folder.path for folder in account.folders()]
        except ImapError as error:
            raise CannotIndex(str(error)) from error
        failed = 0
        for path in paths if only is None else [only]:
            if self._stop:
                break
            try:
                self._one(account, path)
            except ImapError as error:
                failed += 1
                _complain(f"{self._user}: {mailbox_name(path)}: {error}")
        return failed

    def _one(self, account: MaildirAccount, path: MailboxPath) -> None:
        mailbox = account.mailbox(path)
        name = f"{self._user}: {mailbox_name(path)}"
        with shown(sys.stdout, name) as progress:
            try:
                tally = self._run(Indexing(mailbox), name, progress)
            except CannotKeep:
                raise CannotIndex("the cache cannot be written") from None
            finally:
                mailbox.close()
        self._folders += 1
        self._messages += tally.done
        self._skipped += tally.skipped

    def _run(self, indexing: Indexing, name: str, progress: "Progress") -> Tally:
        told = False
        while not self._stop:
            try:
                return indexing.run(lambda: bool(self._stop), progress.show)
            except Claimed:
                if not told:
                    _complain(f"{name}: another process is at it; waiting")
                told = True
                time.sleep(CLAIMED_SECONDS)
        return indexing.tally


class Progress:
    """Lines, for a file: one each half minute, and one at the end of a long job."""

    wait_seconds = LINE_SECONDS

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = printable(name, stream)
        self._tally = Tally()
        self._began_seconds = self._shown_seconds = time.monotonic()

    def show(self, tally: Tally) -> None:
        """Take in what was done; show it, if it is time."""
        self._tally = replace(tally)
        now = time.monotonic()
        if now - self._shown_seconds >= self.wait_seconds:
            self._shown_seconds = now
            self._write()

    def end(self) -> None:
        """Show what came of it."""
        if self._tally.done:
            self._print(self._line())

    def _write(self) -> None:
        self._print(self._line())

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def _line(self) -> str:
        tally = self._tally
        seconds = time.monotonic() - self._began_seconds
        rate = tally.done / seconds if seconds else 0.0
        words = f"{self._name}: {tally.done}/{tally.done + tally.left} messages, "
        if not tally.left:
            return words + duration(seconds)
        left = duration(tally.left / rate) if rate else "?"
        return words + f"{rate:.0f}/s, {left} left"


class Bar(Progress):
    """A bar, for a terminal: always in the same line, which goes in the end."""

    wait_seconds = BAR_SECONDS

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream, name)
        self._shown_seconds = -math.inf  # it is there from the beginning

    def end(self) -> None:
        """Make room for what came of it."""
        self._stream.write("\r\x1b[K")
        super().end()

    def _write(self) -> None:
        total = self._tally.done + self._tally.left
        if not total:
            return
        full = _BAR_COLUMNS * self._tally.done // total
        bar = "#" * full + "." * (_BAR_COLUMNS - full)
        columns = max(shutil.get_terminal_size().columns, _LEAST_COLUMNS) - 1
        room = columns - _BAR_COLUMNS - 3
        self._stream.write(f"\r[{bar}] {self._line()[-room:]}\x1b[K")
        self._stream.flush()


@contextmanager
def shown(stream: TextIO, name: str) -> Iterator[Progress]:
    """Show how a mailbox comes on, for as long as the block runs."""
    progress = (Bar if stream.isatty() else Progress)(stream, name)
    try:
        yield progress
    finally:
        progress.end()
