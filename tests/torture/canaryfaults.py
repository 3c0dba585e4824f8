"""Faults of a server that is asked to log in, chosen by the name of who does.

Imported in the process of a server, before it serves: see ``canary.py``.  Each is what
could break in a checker, in a thread or in a command; some tell what they were given,
as many a library does that names the request which failed.
"""

import time
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail

from imapd.auth import hashes, passwdfile
from imapd.server import commands, logins
from imapd.server.registry import COMMANDS
from imapd.server.session import Session
from imapd.service import worker, workers

#: Longer than the watchdog lets pass without a word.
_STILL_SECONDS = 0.4


def _secret(credentials: Any) -> bytes:
    secret: bytes | None = getattr(credentials, "password", None)
    response: bytes = getattr(credentials, "response", b"")
    return response if secret is None else secret


def _words(credentials: Any) -> Any:
    raise OSError(f"bind as x: {_secret(credentials)!r}")


def _key(credentials: Any) -> Any:
    raise KeyError(_secret(credentials).decode("utf-8", "replace"))


def _quiet(credentials: Any) -> Any:
    password = _secret(credentials)  # in the frame, and not in the words
    raise RuntimeError(f"injected: {len(password)} octets")


def _later(credentials: Any) -> Any:
    return fail(OSError(f"query failed: {_secret(credentials)!r}"))


def _unheard(credentials: Any) -> Any:
    """A Deferred whose failure nobody hears of, until it is collected."""
    password = _secret(credentials)

    def work(_: object) -> None:
        raise RuntimeError(f"injected, unheard: {len(password)} octets")

    later: Deferred[None] = Deferred()
    later.addCallback(work)
    later.callback(None)
    return None


def _slowly(credentials: Any) -> Any:
    password = _secret(credentials)
    time.sleep(_STILL_SECONDS)
    del password
    return None


FAULTS = {
    b"words": _words,
    b"key": _key,
    b"quiet": _quiet,
    b"later": _later,
    b"unheard": _unheard,
    b"slowly": _slowly,
}


def _in_the_checker() -> None:
    asks = passwdfile.PasswdFileChecker.requestAvatarId

    def request(self: Any, credentials: Any) -> Any:
        fault = FAULTS.get(credentials.username)
        broken = fault(credentials) if fault else None
        return broken if broken is not None else asks(self, credentials)

    passwdfile.PasswdFileChecker.requestAvatarId = request  # type: ignore[method-assign]


def _in_the_thread() -> None:

    def broken(stored: str, password: bytes) -> bool:
        if password.startswith(b"thread-"):
            raise ValueError(f"cannot hash {password!r}")
        return hashes.verify(stored, password)

    vars(passwdfile)["verify"] = broken


def _in_commands() -> None:
    assert commands.GROUPS  # they are in the table
    enter = logins._enter

    def entering(connection: Any, mechanism: bytes, user: bytes, *rest: Any) -> None:
        if user == b"entering":
            raise RuntimeError("injected: entering")
        enter(connection, mechanism, user, *rest)

    vars(logins)["_enter"] = entering
    login = COMMANDS[b"LOGIN"]

    async def handler(session: Session, arguments: Any) -> Any:
        if arguments.user == b"handler":
            raise RuntimeError("injected: handler")
        answer = await login.handler(session, arguments)
        if arguments.user == b"handled":
            raise RuntimeError("injected: handled")
        return answer

    COMMANDS[b"LOGIN"] = replace(login, handler=handler)

    async def noop(session: Session, arguments: Any) -> Any:
        raise RuntimeError("injected: noop")

    COMMANDS[b"NOOP"] = replace(COMMANDS[b"NOOP"], handler=noop)


def install() -> None:
    """Put all of them in place, here and in every process that is started to serve."""
    _in_the_checker()
    _in_the_thread()
    _in_commands()
    workers._MODULE = __spec__.name  # type: ignore[misc]


if __name__ == "__main__":
    install()
    worker.main()
