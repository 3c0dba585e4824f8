"""A listener that gives each connection to a Courier imapd of its own, as inetd would.

``python -m benchmarks.servers.superserver PORT UNUSED PEERS MAIL``; a client first
sends a line with the name of the user.  No octet passes through this process.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

_USER_SECONDS = 5
_REAP_SECONDS = 0.02


def environment(peers: Path, fam: str) -> dict[str, str]:
    """Return what the unpacked programs need to run where they lie."""
    libraries = ("usr/lib", "usr/lib/*-linux-gnu", "lib/*-linux-gnu")
    found = [str(path) for name in libraries for path in peers.glob(name)]
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LD_LIBRARY_PATH": os.pathsep.join(found),
        "GAM_CLIENT_ID": fam,
        "TCPREMOTEIP": "127.0.0.1",
        "IMAP_CAPABILITY": (
            "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT "
            "THREAD=REFERENCES SORT QUOTA IDLE"
        ),
        "IMAP_KEYWORDS": "1",
        "IMAP_USELOCKS": "1",
        "IMAP_ENHANCEDIDLE": "1",
        "IMAP_ACL": "0",
    }


def _read_user(connection: socket.socket) -> str:
    """Read the first line, and not an octet more."""
    name = bytearray()
    connection.settimeout(_USER_SECONDS)
    while not name.endswith(b"\n"):
        octet = connection.recv(1)
        if not octet:
            raise OSError("no user")
        name += octet
    connection.settimeout(None)
    return name[:-1].decode()


def _serve(connection: socket.socket, peers: Path, mail: Path, fam: str) -> None:
    try:
        user = _read_user(connection)
    except OSError as error:
        print(f"superserver: {error}", file=sys.stderr)
        return
    subprocess.Popen(
        [str(peers / "usr/bin/imapd"), "Maildir"],
        stdin=connection.fileno(),
        stdout=connection.fileno(),
        cwd=mail / user,
        env={
            **environment(peers, fam),
            "HOME": str(mail / user),
            "AUTHENTICATED": user,
            "AUTHADDR": user,
        },
    )


def main() -> None:
    """Serve until terminated."""
    port, unused, peers, mail = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    fam = f"bench-{os.getpid()}"
    gamin = next(iter(Path(peers).glob("usr/lib*/**/gam_server")), None)
    if gamin:
        # The one that Courier starts would outlive us.
        subprocess.Popen(
            [str(gamin), "--notimeout", fam], env=environment(Path(peers), fam)
        )
    # The second port is only there to answer whoever waits for it.
    with (
        socket.create_server(("127.0.0.1", int(unused))),
        socket.create_server(("127.0.0.1", int(port)), backlog=500) as listener,
    ):
        listener.settimeout(_REAP_SECONDS)
        while True:
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                # Our part of the way shall not make it wait.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with connection:
                    _serve(connection, Path(peers), Path(mail), fam)
            _reap()


def _reap() -> None:
    """Wait for those that ended: only then their CPU time is in ours."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
