"""A certificate that is renewed, and a server that is, below clients that stay."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.servers.base import PASSWORD
from tests.live.process import REPOSITORY, temporary_folder
from tests.support.certificates import Authority
from tests.torture.asking import Asker, Ended, any_certificate
from tests.torture.figures import Figure, at_least, at_most, told
from tests.torture.serving import Served, serving

_PATIENCE_SECONDS = 60.0
_A_SECOND = 50
_USERS = 49
_LOGINS = ":".join(f"user{number}:{PASSWORD}" for number in range(_USERS))
_NOT_RELOADED = "certificate not reloaded"


async def _certificate(port: int) -> str:
    """What a new connection sees."""
    context = any_certificate()
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return ssl.DER_cert_to_PEM_cert(found)


async def _sessions(server: Served, count: int) -> list[Asker]:
    """Sessions over TLS; every other one idles."""
    context, askers = any_certificate(), []
    for number in range(count):
        source = server.source()
        asker = await Asker.connect(server.tls_port, source=source, tls=context)
        askers.append(asker)
        await asker.login(f"user{1 + number // 10}", PASSWORD)
        await asker.ask(b"SELECT INBOX")
        if number % 2:
            await asker.idle()
    return askers


async def _until(
    is_so: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str
) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        found = is_so()
        if found if isinstance(found, bool) else await found:
            return
        if time.monotonic() > end:
            raise AssertionError(what)
        await asyncio.sleep(0.02)


async def _renew(server: Served) -> None:
    """A new certificate is served, and a key that is half written changes nothing."""
    before = await _certificate(server.tls_port)

    async def is_new() -> bool:
        return await _certificate(server.tls_port) != before

    Authority("torture CA").write(server.authority.ca.parent)
    server.tell(signal.SIGHUP)
    await _until(is_new, "the new certificate is not served")
    kept = await _certificate(server.tls_port)
    server.authority.key.write_bytes(b"-----BEGIN")
    refused = server.log().count(_NOT_RELOADED)
    server.tell(signal.SIGHUP)
    await _until(
        lambda: server.log().count(_NOT_RELOADED) > refused,
        "a broken key is not told of",
    )
    if await _certificate(server.tls_port) != kept:
        raise AssertionError("a broken key changed what is served")


async def _reload_all(server: Served, sessions: int, times: int) -> int:
    """Renew it so often; return how many were dropped."""
    askers = await _sessions(server, sessions)
    for _ in range(times):
        await _renew(server)
    dropped = 0
    for number, asker in enumerate(askers):
        try:
            if number % 2:
                await asker.link.write(b"DONE\r\n")
                while not (await asker.line()).startswith(b"i OK"):
                    pass
            await asker.ask(b"NOOP")
        except Ended:
            dropped += 1
        await asker.close()
    return dropped


def reloads(sessions: int, times: int) -> Iterator[Figure]:
    """SIGHUP with a new certificate, and with a broken one.  Hardening A11."""
    with serving() as server:
        dropped = asyncio.run(_reload_all(server, sessions, times))
    yield at_most("G22", f"reload, of {sessions} dropped", dropped, "sessions", 0)
    yield told("G22", "reloads", times, "times")


class _Activated:
    """Servers one after the other at a socket that none of them has opened."""

    def __init__(self, folder: Path, options: tuple[str, ...]) -> None:
        """Open the socket."""
        self.folder = folder
        self._options = options
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self._socket.getsockname()[1])
        self._processes: list[subprocess.Popen[bytes]] = []
        self.log_file = folder / "log"

    def start(self) -> "subprocess.Popen[bytes]":
        """Start one as systemd does: descriptor 3, and its name in the environment."""
        script = (
            f"import os; os.dup2({self._socket.fileno()}, 3); "
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', "
            "LISTEN_FDNAMES='imap'); from twisted.scripts.twistd import run; run()"
        )
        command = [
            *(sys.executable, "-c", script, "--nodaemon", "--pidfile=", "imapd"),
            *("--imap", "systemd:domain=INET:name=imap"),
            *("--mail", f"{self.folder}/mail/{{user}}"),
            *("--auth", f"memory:{_LOGINS}", "--cleartext-login=always"),
            *("--allow-root=yes", *self._options),
        ]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with open(self.log_file, "ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=self.folder,
                pass_fds=(self._socket.fileno(),),
            )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """End what still runs."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._socket.close()


@dataclass
class _Visits:
    """What the clients saw who came all the while."""

    served: int = 0
    with_bye: int = 0
    refused: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


async def _visit(port: int, number: int, visits: _Visits) -> None:
    """Connect, log in, look, leave: a whole session, or up to a BYE."""
    try:
        # From many addresses, as many users: their number is bounded.
        asker = await Asker.connect(port, source=f"127.0.0.{1 + number % 250}")
    except OSError as error:
        visits.refused.append(repr(error))
        return
    except Ended as error:
        # Accepted, and told BYE instead of a greeting, is an answer.
        if error.with_bye:
            visits.with_bye += 1
        else:
            visits.unanswered.append(f"no greeting: {error.said!r}")
        return
    try:
        if number % 5 == 0:
            await asker.login(f"user{number % _USERS}", PASSWORD)
            await asker.ask(b"SELECT INBOX")
        await asker.ask(b"NOOP")
        await asker.ask(b"LOGOUT")
        visits.served += 1
    except Ended as error:
        if error.with_bye:
            visits.with_bye += 1
        else:
            visits.unanswered.append(f"no BYE: {error.said!r}")
    finally:
        await asker.close()


async def _restart_all(server: _Activated, times: int) -> tuple[_Visits, float]:
    """Restart it so often; return what was seen, and the longest way to an answer."""
    visits, longest, over = _Visits(), 0.0, False

    async def visit(number: int) -> None:
        nonlocal longest
        began = time.monotonic()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await _visit(server.port, number, visits)
        longest = max(longest, time.monotonic() - began)

    async def come() -> None:
        async with asyncio.TaskGroup() as visitors:
            number = 0
            while not over:
                visitors.create_task(visit(number))
                number += 1
                await asyncio.sleep(1 / _A_SECOND)

    process = server.start()
    coming = asyncio.create_task(come())
    for _ in range(times):
        served, end = visits.served, time.monotonic() + _PATIENCE_SECONDS
        while visits.served < served + _A_SECOND:
            if time.monotonic() > end or coming.done() or process.poll() is not None:
                raise AssertionError(f"nobody is served any more: {visits}")
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, _PATIENCE_SECONDS)
        process = server.start()
    while visits.served < served + 2 * _A_SECOND and not coming.done():
        await asyncio.sleep(0.02)
    over = True
    await coming
    process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait, _PATIENCE_SECONDS)
    return visits, longest


def restarts(times: int, *, workers: int) -> Iterator[Figure]:
    """End it and start it at the socket of systemd.  Hardening V10."""
    with temporary_folder() as folder:
        (folder / "mail").mkdir()
        server = _Activated(folder, (f"--workers={workers}",))
        try:
            visits, longest = asyncio.run(_restart_all(server, times))
        except Exception as error:
            error.add_note(server.log_file.read_text(errors="replace")[-3000:])
            raise
        finally:
            server.close()
        log = server.log_file.read_text(errors="replace")
    if "Traceback" in log:
        raise AssertionError(f"restart: {log[log.index('Traceback') :][:600]}")
    for some in (visits.refused, visits.unanswered):
        if some:
            raise AssertionError(f"restart, {workers} workers: {some[:3]}")
    what = f"restarts, {workers} workers"
    yield told("G22", what, times, "times")
    yield at_least("G22", f"{what}, sessions", visits.served, "sessions", 50 * times)
    yield told("G22", f"{what}, told BYE", visits.with_bye, "sessions")
    yield at_most("G22", f"{what}, refused", len(visits.refused), "sessions", 0)
    yield told("G22", f"{what}, longest session", longest, "s")
