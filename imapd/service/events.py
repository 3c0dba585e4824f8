"""What the log says.  The wording is an interface: ``packaging/fail2ban`` reads it.

One line an event, one function for each.  What an attacker chose goes through
``!r``, so that it can neither end a line nor format one, and is cut.  Where a line
comes with each login its text is made here: Twisted's way costs a sixth of a login.
"""

from twisted.logger import Logger

from imapd.service.loglines import inform

_log = Logger(namespace="imapd")

#: As long as a name may be in the log.
USER_CHARACTERS = 64
REASON_CHARACTERS = 200
#: A folder, with the Maildir that it is in.
PLACE_CHARACTERS = 200


def _cut(text: str, characters: int = USER_CHARACTERS) -> str:
    return text if len(text) <= characters else text[:characters] + "..."


def _reason(text: str) -> str:
    return _cut(text, REASON_CHARACTERS)


def listening(*, endpoint: str, tls: bool) -> None:
    """A port is open."""
    _log.info(
        "listening on {endpoint} tls={tls}",
        endpoint=endpoint,
        tls="implicit" if tls else "no",
    )


def cannot_start(*, reason: str) -> None:
    """The service gives up; the reason is also told on the terminal."""
    _log.critical("cannot start: {reason}", reason=reason)


def worker_ready(*, number: int, pid: int) -> None:
    """A process that serves clients has begun to."""
    _log.info("worker {number} serves pid={pid}", number=number, pid=pid)


def worker_ended(*, number: int, reason: str, seconds: float) -> None:
    """A process that served clients is gone; another one takes its place."""
    _log.error(
        "worker {number} ended: {reason}; another starts in {seconds:g} s",
        number=number,
        reason=_reason(reason),
        seconds=seconds,
    )


def worker_cannot_start(*, number: int, reason: str, seconds: float) -> None:
    """A process ended before it served anybody."""
    _log.critical(
        "worker {number} cannot start: {reason}; another try in {seconds:g} s",
        number=number,
        reason=_reason(reason),
        seconds=seconds,
    )


def stopping() -> None:
    """No more connections are taken; sessions are told BYE."""
    _log.info("stopping")


def login_ok(*, peer: str, user: str, mechanism: str, tls: bool) -> None:
    """Someone logged in."""
    secure = "yes" if tls else "no"
    user = _cut(user)
    inform(
        _log,
        f"login ok user={user!r} mechanism={mechanism} peer={peer} tls={secure}",
        user=user,
        mechanism=mechanism,
        peer=peer,
        tls=secure,
    )


def login_refused(*, peer: str, user: str, mechanism: str, reason: str) -> None:
    """Someone failed to log in.  Feed for fail2ban: the wording is an interface.

    Never carries the password or the SASL response.
    """
    _log.warn(
        "login refused peer={peer} mechanism={mechanism!r} reason={reason!r} "
        "user={user!r}",
        user=_cut(user),
        mechanism=_cut(mechanism),
        peer=peer,
        reason=_reason(reason),
    )


def connection_refused(*, peer: str, reason: str) -> None:
    """A connection was ended for what its client did.  Feed for fail2ban."""
    _log.warn(
        "connection refused peer={peer} reason={reason!r}",
        peer=peer,
        reason=_reason(reason),
    )


def not_accepted(*, count: int, reason: str) -> None:
    """Connections that the system did not let us have; ``reason`` is an errno's."""
    _log.error(
        "connections not accepted count={count} reason={reason}: out of descriptors "
        "or memory (LimitNOFILE= of the unit, ulimit -n)",
        count=count,
        reason=reason,
    )


def session_ended(*, peer: str, user: str, reason: str) -> None:
    """A session that had logged in is over."""
    user, reason = _cut(user), _reason(reason)
    inform(
        _log,
        f"session ended user={user!r} peer={peer} reason={reason!r}",
        user=user,
        peer=peer,
        reason=reason,
    )


def mail_refused(*, user: str, reason: str) -> None:
    """A user who logged in cannot be served: where the mail should be, and why not."""
    _log.error(
        "mail refused user={user!r} reason={reason!r}",
        user=_cut(user),
        reason=_reason(reason),
    )


def certificate_reloaded(*, path: str, serial: str) -> None:
    """New connections see another certificate now."""
    _log.info(
        "certificate reloaded path={path} serial={serial}", path=path, serial=serial
    )


def indexing(
    *, mailbox: str, done: int, total: int, per_second: float, left_seconds: float
) -> None:
    """A long job goes on: messages whose derived data is made ahead of need."""
    _log.info(
        "indexing mailbox={mailbox!r} messages={done}/{total} "
        "rate={rate}/s left={left}",
        mailbox=_cut(mailbox, PLACE_CHARACTERS),
        done=done,
        total=total,
        rate=round(per_second),
        left=duration(left_seconds),
    )


def indexed(*, mailbox: str, messages: int, seconds: float, skipped: int) -> None:
    """A long job is done; ``skipped`` messages could not be read."""
    _log.info(
        "indexed mailbox={mailbox!r} messages={messages} took={took} skipped={skipped}",
        mailbox=_cut(mailbox, PLACE_CHARACTERS),
        messages=messages,
        took=duration(seconds),
        skipped=skipped,
    )


def indexer_ended(*, reason: str, seconds: float) -> None:
    """The indexer ended while it had work, and is started again."""
    _log.warn(
        "indexer ended reason={reason!r}, another one in {seconds:.0f} s",
        reason=_reason(reason),
        seconds=seconds,
    )


def stood_still(*, seconds: float, cpu_seconds: float, times: int, where: str) -> None:
    """The reactor answered nobody meanwhile; of ``times`` this was the longest."""
    _log.warn(
        "reactor stood still for {seconds:.2f} s "
        "cpu={cpu:.2f} times={times} at {where}",
        seconds=seconds,
        cpu=cpu_seconds,
        times=times,
        where=where,
    )


def uncaught(*, where: str, traceback: str) -> None:
    """Nobody was there to catch an exception: a fault of ours, or of a library.

    The lines of the traceback follow in the same event.
    """
    _log.critical(
        "nobody caught what was raised in {where}:\n{traceback}",
        where=_cut(where, PLACE_CHARACTERS),
        traceback=traceback,
    )


def duration(seconds: float) -> str:
    """``45s``, ``12m30s`` or ``2h05m``."""
    whole = round(max(seconds, 0))
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    return f"{minutes // 60}h{minutes % 60:02}m"
