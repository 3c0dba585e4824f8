"""``twistd imapd`` again and again, each in some milliseconds.

``python -m`` this module: all that the server needs is imported once; each line of
input is a JSON list of arguments with which a forked process runs twistd itself.  Its
number is printed.  It dies with this process.  The only argument is empty, or the
name of a function of ``broken.py``.
"""

import ctypes
import json
import os
import signal
import sys
import traceback

import twisted.internet.endpoints
import twisted.internet.epollreactor
import twisted.scripts._twistd_unix
import twisted.web  # what plugins of Twisted itself import
from twisted.scripts import twistd

import imapd.service.tap
import twisted.plugins
from imapd.auth import passwdfile
from tests.torture import broken

_PR_SET_PDEATHSIG = 1
IMPORTED = (
    *(twisted.internet.endpoints, twisted.internet.epollreactor, twisted.plugins),
    *(twisted.scripts._twistd_unix, twisted.web, imapd.service.tap, passwdfile),
)


def _serve(arguments: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    sys.argv[:] = ["twistd", *arguments]
    twistd.run()


def main() -> None:
    """Fork a server for each line, until there are none any more."""
    if sys.argv[1]:
        getattr(broken, sys.argv[1])()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if not child:
            try:
                _serve(json.loads(line))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        print(child, flush=True)


if __name__ == "__main__":
    main()
