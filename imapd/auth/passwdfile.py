"""Logins from a Dovecot passwd-file, which may change at any moment."""

import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.error import UnhandledCredentials
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from imapd.auth.discreet import log_broken
from imapd.auth.hashes import needs_thread, parse, verify
from imapd.auth.names import user_name
from imapd.auth.passwdline import LineError, UserRecord, is_ignored, parse_line
from imapd.auth.promptly import deferred
from imapd.auth.refusals import LoginRefused, LoginUnavailable
from imapd.auth.standins import StandIns
from imapd.auth.verified import VerifiedPasswords

_log = Logger()

FILE_OCTETS = 64 << 20
#: A larger file is read in a thread: the lines of 100,000 users take seconds.
SMALL_OCTETS = 65536
#: An editor that deletes and writes anew is waited for so long, with what was there.
VANISHED_SECONDS = 10.0
#: What is offered to clients is seldomer looked at than who logs in.
GLANCE_SECONDS = 0.25
#: A file changed so shortly before it was read may change again within one tick of
#: its clock, with the same size: it is read at the next login too.
_UNSETTLED_NANOSECONDS = 50_000_000
#: Of the lines that cannot be used so many are named, the others counted.
_NAMED_LINES = 50

#: What is verified for a user who is not there, where nobody is: 5000 rounds.
_NOBODY = (
    "$6$zkar.5QEIlwtMHKQ$AKHnzbCE3rrA65uPbMfrTLSFy/OU8ZeR4l8sVumtieST"
    "7zy.fvbWuVIssd.s7JQ47vyumSPyUqJe3gXM2oZVD."
)

_CLEARTEXT: tuple[type[Interface], ...] = (IUsernamePassword,)
_BOTH = (IUsernamePassword, IUsernameHashedPassword)
_NONE: Mapping[bytes, UserRecord] = MappingProxyType({})

Run = Callable[..., Deferred[Any]]
Signature = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Users:
    """The contents of the file.  Nothing of it is for logs but ``problems``."""

    records: dict[str, UserRecord] = field(repr=False)  # by name
    lines: dict[bytes, UserRecord] = field(repr=False)  # by the line itself
    broken: frozenset[str]  # names on lines that cannot be used
    problems: tuple[tuple[int, str], ...]  # line number from 1, what is wrong
    stand_ins: StandIns = field(repr=False)  # for who has no hash
    cram_stand_ins: StandIns = field(repr=False)  # or none that checks CRAM-MD5
    all_cram: bool  # every user who may log in has one that does


def parse_users(octets: bytes, known: Mapping[bytes, UserRecord] = _NONE) -> Users:
    """Read a whole file; a line that cannot be used fails only itself.

    Lines that are ``known`` from the reading before are not parsed again: one new
    password among 100,000 users must not hold up everybody's session.
    """
    records: dict[str, UserRecord] = {}
    lines: dict[bytes, UserRecord] = {}
    broken: set[str] = set()
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(octets.split(b"\n"), 1):
        line = line.removesuffix(b"\r")  # noqa: PLW2901
        if is_ignored(line):
            continue
        try:
            record = known.get(line) or parse_line(line)
        except LineError as error:
            name = line[:1024].partition(b":")[0].decode(errors="replace").lower()
            broken.add(name)
            problems.append((number, str(error)))
            continue
        if record.name in records:
            problems.append((number, "the user is there already; the first one counts"))
            continue
        records[record.name] = lines[line] = record
        if record.unsupported or record.any_password:
            problems.extend((number, text) for text in _remarks(record))
    users = records.values()
    costs = [(each.cost, each.password) for each in users if each.cost]
    cram = [(each.cost, each.password) for each in users if each.cram]
    names = frozenset(broken - records.keys())
    # Once a reading, because it is asked for at every connection.
    all_cram = all(each.cram or each.disabled for each in users)
    return Users(
        *(records, lines, names, tuple(problems)),
        *(StandIns(costs, _NOBODY), StandIns(cram, "{PLAIN}"), all_cram),
    )


def _remarks(record: UserRecord) -> Iterator[str]:
    for key in record.unsupported:
        yield f"the extra field {key} is not followed"
    if record.any_password and not record.disabled:
        yield "nopassword: any password will do"


@implementer(ICredentialsChecker)
class PasswdFileChecker:
    """Check logins against a Dovecot passwd-file.

    The file is looked at for every login and read again when it changed, so a new
    password works at once; a login waits for that.  While it cannot be read logins
    are unavailable.  Names are compared in lower case, as Dovecot does.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        run: Run,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read yet: that waits until privileges have been dropped.

        Args:
            path: the file.
            run: calls a function with its arguments in a thread, like
                ``deferToThread``; bound its threads and its queue.
            monotonic: a clock in seconds.
        """
        self._path = os.fspath(path)
        self._run = run
        self._monotonic = monotonic
        self._verified = VerifiedPasswords(monotonic)
        self._users: Users | None = None
        #: Readings in a thread, numbered: the last begun, the last that is done.
        self._begun = self._done = 0
        #: Who waits for the one that runs; None: none runs.
        self._waiting: list[Deferred[None]] | None = None
        self._signature: Signature | None = None
        self._told: frozenset[str] = frozenset()
        self._vanished_seconds: float | None = None
        self._glanced_seconds = float("-inf")
        self._error = ""

    @property
    def credentialInterfaces(self) -> tuple[type[Interface], ...]:  # noqa: N802
        """What can be checked now: hashed responses if some user's hash allows it."""
        try:
            hashed = not self._known_users().cram_stand_ins.is_empty
        except LoginUnavailable:
            hashed = False
        return _BOTH if hashed else _CLEARTEXT

    @property
    def answers_hashed_for_all(self) -> bool:
        """Whether a hashed response can be checked for every user there is now."""
        try:
            return self._known_users().all_cram
        except LoginUnavailable:
            return False

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:  # noqa: N802
        """Fire with an ``AvatarId``.

        Raises:
            LoginRefused: ``reason`` tells the log why.
            LoginUnavailable: the file cannot be read, or no thread is free.
        """
        return deferred(self._check(credentials))

    async def _check(self, credentials: Any) -> bytes | tuple[()]:
        cleartext = IUsernamePassword.providedBy(credentials)
        if not cleartext and not IUsernameHashedPassword.providedBy(credentials):
            raise UnhandledCredentials("neither a password nor a hashed one")
        users = await self._current_users()
        name = user_name(credentials.username or b"").decode().lower()
        record = users.records.get(name)
        # One verification whatever the answer will be: time tells nothing.
        ask = self._try_password if cleartext else _try_response
        reason = await ask(users, name, record, credentials)
        if record is None:
            raise LoginRefused("unreadable" if name in users.broken else "unknown-user")
        if record.disabled:
            raise LoginRefused("disabled")
        if reason:
            raise LoginRefused(reason)
        if not record.allows(getattr(credentials, "peer", None)):
            raise LoginRefused("address")
        return record.avatar()

    async def _try_password(
        self, users: Users, name: str, record: UserRecord | None, credentials: Any
    ) -> str:
        """The reason to refuse, ``""`` if the password is right."""
        password: bytes = credentials.password
        usable = record is not None and not record.disabled and record.password
        # As long as any other takes a refusal for the address.
        is_allowed = record and record.allows(getattr(credentials, "peer", None))
        stand_in = users.stand_ins.of(name)  # also where there is no need of it
        stored = usable or stand_in
        # Who was not verified is looked for too: it takes a tenth of a cheap hash.
        if not needs_thread(stored):
            matches = verify(stored, password)
        elif self._verified.has(name, stored, password) and usable and is_allowed:
            matches = True
        else:
            try:
                matches = await maybeDeferred(self._run, verify, stored, password)
            except Exception:
                log_broken(_log, "a password was not verified", credentials, stored)
                raise LoginUnavailable from None
            if usable and matches is True:
                self._verified.add(name, stored, password)
        if record is not None and record.any_password:
            return ""
        return "" if usable and matches is True else "wrong-password"

    async def _current_users(self) -> Users:
        """The users as the file has them now.

        Raises:
            LoginUnavailable: it cannot be read; the log says why, once.
        """
        begun = self._begun
        while True:
            users = self._at_hand(self._done > begun)
            if users is not None:
                return users
            self._read_away()
            waiter: Deferred[None] = Deferred()
            assert self._waiting is not None
            self._waiting.append(waiter)
            await waiter

    def _known_users(self) -> Users:
        """The users without waiting, perhaps those of a moment ago.

        While a large file is read, those of before.

        Raises:
            LoginUnavailable: it cannot be read; or it was not, so far.
        """
        users, now = self._users, self._monotonic()
        if users is not None and now - self._glanced_seconds < GLANCE_SECONDS:
            return users
        self._glanced_seconds = now
        users = self._at_hand(False)
        if users is None:
            self._read_away()
            users = self._users
        if users is None:
            raise LoginUnavailable
        return users

    def _at_hand(self, was_read: bool) -> Users | None:
        """The users as they are; None: a large file must be read, and was not.

        Raises:
            LoginUnavailable: the file cannot be read; the log says why, once.
        """
        try:
            status = os.stat(self._path)
            same = was_read or _signature(status) == self._signature
            if self._users is None or not same:
                if status.st_size > SMALL_OCTETS:
                    return None
                self._take(*_read(self._path, self._users))
        except FileNotFoundError as error:
            return self._without_file(error)
        except OSError as error:
            raise self._unreadable(error) from None
        if self._error:
            _log.info("password file {path} can be read again", path=self._path)
        self._vanished_seconds, self._error = None, ""
        return self._users

    def _read_away(self) -> None:
        """Read it in a thread, unless that happens already."""
        if self._waiting is not None:
            return
        self._waiting = []
        self._begun += 1
        reading = maybeDeferred(self._run, _read, self._path, self._users)
        reading.addCallback(lambda result: self._take(*result))
        reading.addCallbacks(self._was_read, self._not_read)

    def _was_read(self, _: object) -> None:
        self._done = self._begun
        waiting, self._waiting = self._waiting or [], None
        for each in waiting:
            each.callback(None)

    def _not_read(self, failure: Failure) -> None:
        waiting, self._waiting = self._waiting or [], None
        error = failure.value
        if isinstance(error, FileNotFoundError):  # it was there a moment ago
            for each in waiting:
                each.callback(None)
            return
        if isinstance(error, OSError):
            self._unreadable(error)
        else:
            _log.failure("password file {path}", failure, path=self._path)
        for each in waiting:
            each.errback(LoginUnavailable())

    def _take(self, users: Users, signature: Signature | None) -> None:
        """Use what was read from now on."""
        self._users, self._signature = users, signature
        self._verified.forget()
        self._tell(users.problems)

    def _tell(self, problems: tuple[tuple[int, str], ...]) -> None:
        """Log each line that cannot be used, once, until it changes."""
        texts = {f"{number}: {text}" for number, text in problems}
        new = [
            (number, text)
            for number, text in problems
            if f"{number}: {text}" not in self._told
        ]
        self._told = frozenset(texts)
        path = self._path
        for number, text in new[:_NAMED_LINES]:
            _log.warn(
                "{path}, line {number}: {text}", path=path, number=number, text=text
            )
        if len(new) > _NAMED_LINES:
            count = len(new) - _NAMED_LINES
            _log.warn("{path}: {count} more lines like these", path=path, count=count)

    def _without_file(self, error: OSError) -> Users:
        """What was there, for a short while: the file may be about to be replaced."""
        now = self._monotonic()
        if self._vanished_seconds is None:
            self._vanished_seconds = now
        if self._users and now - self._vanished_seconds < VANISHED_SECONDS:
            return self._users
        raise self._unreadable(error)

    def _unreadable(self, error: OSError) -> LoginUnavailable:
        text = error.strerror or str(error)
        if text != self._error:
            _log.error("password file {path}: {text}", path=self._path, text=text)
        self._error, self._signature = text, None
        return LoginUnavailable()


def _read(path: str, before: Users | None) -> tuple[Users, Signature | None]:
    """Read the file; blocks.  The signature is None if it may still change unseen.

    Raises:
        OSError: it cannot be read.
    """
    # Never wait for the other end of a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        octets = file.read(FILE_OCTETS + 1)
    if len(octets) > FILE_OCTETS:
        raise OSError(f"larger than {FILE_OCTETS} octets")
    users = parse_users(octets, before.lines if before else _NONE)
    settled = not 0 <= time.time_ns() - status.st_mtime_ns < _UNSETTLED_NANOSECONDS
    return users, _signature(status) if settled else None


async def _try_response(
    users: Users, name: str, record: UserRecord | None, response: Any
) -> str:
    """The reason to refuse a hashed response, ``""`` if it is right."""
    known = record is not None and record.cram
    stand_in = users.cram_stand_ins.of(name)
    parsed = parse((record.password if record and known else "") or stand_in)
    check = response.checkPassword
    if parsed.scheme.raw_octets:  # two contexts, not a password
        check = getattr(response, "check_contexts", None)
        if check is None:  # credentials that are not ours know only passwords
            return "scheme"
    # Nobody's password leaves the file for a login that is somebody else's.
    secret = parsed.raw if known else secrets.token_bytes(32)
    matches = await maybeDeferred(check, secret)
    if record is not None and not known:
        return "scheme"
    return "" if matches is True and known else "wrong-password"


def _signature(status: os.stat_result) -> Signature:
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
