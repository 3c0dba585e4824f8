"""``twistd``, with a copy of all that the server sends: ``python -m`` this module.

The arguments are twistd's own.  ``IMAPD_LIVE_SENT`` names the folder in which each
connection's octets are kept; ``tests.live.sent`` reads them.  The server knows
nothing of it.
"""

import os
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from twisted.scripts.twistd import run

from imapd.server.connection import ClientConnection

_names: "WeakKeyDictionary[ClientConnection, str]" = WeakKeyDictionary()
_numbers = count(1)
_send = ClientConnection.send


def record(folder: Path) -> None:
    """Keep what connections send from now on; one file each, named by its number."""

    def keep(connection: ClientConnection, octets: bytes, suffix: str = "") -> None:
        name = _names.get(connection)
        if name is None:
            # A server that is started again goes on in the same folder.
            name = _names[connection] = f"{os.getpid()}-{next(_numbers)}"
        with open(folder / f"{name}{suffix}", "ab") as file:
            file.write(octets)

    def send(connection: ClientConnection, octets: bytes) -> None:
        if not connection.gate.lost:
            keep(connection, octets)
        _send(connection, octets)

    def send_line(connection: ClientConnection, line: bytes) -> None:
        keep(connection, line + b"\r\n", ".beside")

    replaced: Any = ClientConnection
    replaced.send = send
    # What the stock class would say by itself: nothing of it may be reached.
    replaced.sendLine = send_line


if __name__ == "__main__":
    record(Path(os.environ["IMAPD_LIVE_SENT"]))
    run()
