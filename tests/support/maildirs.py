"""Copies of ``maildirs-sample`` to work on; the files themselves are never touched.

``python -m tests.support.maildirs TARGET`` copies all of it, to try a server on.
"""

import os
import shutil
import sys
from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[2] / "maildirs-sample"
USERS = ("alice", "bob", "carol")


def copy_sample(name: str, target: Path) -> Path:
    """Copy one user's mail below ``target``; return the path of the Maildir.

    What git does not keep is made again: empty directories, the times of the
    message files (which are their INTERNALDATE) and modes.

    Args:
        name: "alice", with or without "@example.org".
        target: made if need be; gets example.org/alice/Maildir.
    """
    local, _, domain = name.partition("@")
    place = Path(domain or "example.org") / local / "Maildir"
    maildir = target / place
    shutil.copytree(SAMPLES / place, maildir)
    for folder in folders(maildir):
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(mode=0o700, exist_ok=True)
    for message, seconds in message_seconds(place).items():
        os.utime(target / message, (seconds, seconds))
    for number in maildir.glob("dovecot-uidvalidity.*"):
        number.chmod(0o444)
    return maildir


def copy_all(target: Path) -> None:
    """Copy every user and the password file ``users``."""
    for user in USERS:
        copy_sample(user, target)
    shutil.copy(SAMPLES / "users", target)


def folders(maildir: Path) -> list[Path]:
    """INBOX and the directories of the other mailboxes."""
    return [maildir, *sorted(p for p in maildir.glob(".*") if p.is_dir())]


def messages(maildir: Path) -> list[Path]:
    """The message files of all mailboxes."""
    return sorted(
        path
        for folder in folders(maildir)
        for part in ("cur", "new")
        for path in (folder / part).glob("[!.]*")
    )


def message_seconds(place: Path) -> dict[Path, int]:
    """When each message below ``place`` arrived; paths relative to the samples.

    The name of a message file begins with that time; ``mtimes.tsv`` lists those
    that were stored under a date of their own.
    """
    own = dict(
        line.split("\t")
        for line in (SAMPLES / "mtimes.tsv").read_text("utf-8").splitlines()
    )
    paths = (path.relative_to(SAMPLES) for path in messages(SAMPLES / place))
    return {
        path: int(own.get(str(path)) or path.name.split(".", maxsplit=1)[0])
        for path in paths
    }


if __name__ == "__main__":
    copy_all(Path(sys.argv[1]))
