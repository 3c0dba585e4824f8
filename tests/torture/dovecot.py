"""A real Dovecot that reads what a crash left, where one is installed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.store.folders import MEMORY
from tests.torture.checker import Mercy, Told, check
from tests.torture.maildirs import Folder, read_account
from tests.torture.scenarios import copy_tree

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
DOVEADM = shutil.which("doveadm", path=_PATH)
# Dovecot does not work for root: give it a name space in which we are somebody else.
_USER = os.getuid() or 1000
_AS_USER = (
    []
    if os.getuid()
    else ["unshare", "-U", f"--map-user={_USER}", f"--map-group={_USER}"]
)
_CONFIGURATION = """
base_dir={top}/run
state_dir={top}/state
log_path={top}/log
ssl=no
first_valid_uid=0
first_valid_gid=0
mail_uid={user}
mail_gid={user}
mail_location=maildir:{top}/Maildir
namespace inbox {{
  inbox = yes
  separator = .
}}
"""


def is_there() -> bool:
    """Whether Dovecot can be run here at all."""
    if DOVEADM is None:
        return False
    try:
        return subprocess.run([*_AS_USER, "true"], check=False).returncode == 0
    except OSError:
        return False


class Dovecot:
    """Judges copies of accounts."""

    def __init__(self, top: Path) -> None:
        self._top = top
        for part in ("run", "state", "home"):
            (top / part).mkdir()
        text = _CONFIGURATION.format(top=top, user=_USER)
        (top / "dovecot.conf").write_text(text)

    def _doveadm(self, *arguments: str) -> str:
        assert DOVEADM is not None
        result = subprocess.run(
            [*_AS_USER, DOVEADM, "-c", str(self._top / "dovecot.conf"), *arguments],
            env={
                "HOME": str(self._top / "home"),
                "USER": pwd.getpwuid(os.getuid()).pw_name,
                "PATH": _PATH,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def judge(self, root: Path, told: Told) -> list[str]:
        """Let Dovecot read a copy; return what it lost, changed or complained of."""
        copy = self._top / "Maildir"
        shutil.rmtree(copy, ignore_errors=True)
        log = self._top / "log"
        log.unlink(missing_ok=True)
        copy_tree(str(root), str(copy))
        before = read_account(os.fsencode(copy))
        self._break_locks(copy)
        query = ("-f", "tab", "fetch", "mailbox uid flags", "mailbox", "*", "all")
        rows = [line.split("\t") for line in self._doveadm(*query).splitlines()[1:]]
        lines = []
        for name, folder in before.items():
            box = name or "INBOX"
            found = {int(uid): flags for where, uid, flags in rows if where == box}
            lines += _compare(box, folder, found)
        # It may number what is new, and nothing else.
        lines += check(os.fsencode(copy), told, Mercy(unopened=True))
        said = log.read_text() if log.exists() else ""
        lines += [line for line in said.splitlines() if _complains(line)]
        return lines

    def _break_locks(self, copy: Path) -> None:
        """Our process is not dead, only said to be: Dovecot would wait for it."""
        for lock in copy.rglob("*.lock"):
            lock.unlink()


def _complains(line: str) -> bool:
    return any(
        word in line for word in ("Error", "Panic", "Fatal", "Broken", "rebuild")
    )


def _compare(box: str, folder: Folder, found: dict[int, str]) -> list[str]:
    lines = []
    for message in folder.messages:
        if message.uid is None or not folder.uid_validity:
            continue
        flags = found.get(message.uid)
        if flags is None:
            lines.append(f"{box}: Dovecot does not show UID {message.uid}")
            continue
        theirs = set(flags.split()) - {"\\Recent"}
        if theirs != message.flags:
            lines.append(f"{box}: UID {message.uid} has {theirs}, not {message.flags}")
    return lines


@contextmanager
def dovecot() -> Iterator[Dovecot | None]:
    """One to ask, in a directory of its own; None where there is none."""
    if not is_there():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="imapd-dovecot-", dir=MEMORY) as top:
        yield Dovecot(Path(top))
