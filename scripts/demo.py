"""``make demo``: the server on copies of the sample Maildirs, in the foreground.

``DEMO_DIR``, ``IMAP_PORT`` and ``IMAPS_PORT`` in the environment override the
folder (``demo``) and the ports (1143, 1993).
"""

import json
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from tests.support.certificates import Authority
from tests.support.maildirs import SAMPLES, copy_all

PASSWORD = "wonderland"  # noqa: S105 - of the samples
CERTIFICATE_DAYS = 90

BANNER = """\

imapd, serving a copy of {samples} in {folder}

  IMAP    127.0.0.1:{imap}  with STARTTLS
  IMAPS   127.0.0.1:{imaps}  implicit TLS
  users   {users}; password {password}
  CA      {ca}  (made here, for clients to trust)

Try it:
  curl --cacert {ca} --user {first}:{password} \\
      imaps://127.0.0.1:{imaps}/INBOX --request 'FETCH 1:* (UID FLAGS RFC822.SIZE)'

Control-C ends it; remove {folder} to begin with fresh copies.
"""


def main() -> None:
    """Prepare what is not there yet, then become twistd."""
    os.umask(0o077)
    folder = Path(os.environ.get("DEMO_DIR") or "demo").absolute()
    imap = _port("IMAP_PORT", 1143)
    imaps = _port("IMAPS_PORT", 1993)
    folder.mkdir(parents=True, exist_ok=True)
    _copy_samples(folder)
    _make_certificate(folder)
    config = _write_config(folder, imap, imaps)
    lines = (folder / "users").read_text("utf-8").splitlines()
    users = [line.partition(":")[0] for line in lines if line and line[0] != "#"]
    print(
        BANNER.format(
            samples=SAMPLES.name,
            folder=_short(folder),
            imap=imap,
            imaps=imaps,
            users=", ".join(users),
            first=users[0],
            password=PASSWORD,
            ca=_short(folder / "ca.pem"),
        ),
        flush=True,
    )
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    command += ["--nodaemon", "--pidfile=", "imapd", "--config", str(config)]
    os.execv(command[0], command)  # noqa: S606


def _port(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise SystemExit(f"{name}={text} is no port")
    return int(text)


def _short(path: Path) -> str:
    """Relative where that is shorter, to be copied into a shell."""
    text = os.path.relpath(path)
    return str(path) if text.startswith("..") else text


def _copy_samples(folder: Path) -> None:
    """Copy what is not there; a run that was interrupted leaves nothing half."""
    wanted = [path.name for path in SAMPLES.iterdir() if path.is_dir()]
    if all((folder / name).exists() for name in [*wanted, "users"]):
        return
    with tempfile.TemporaryDirectory(dir=folder) as name:
        copy_all(Path(name))
        for path in Path(name).iterdir():
            if not (folder / path.name).exists():
                shutil.move(path, folder / path.name)


def _make_certificate(folder: Path) -> None:
    """Make an authority and a certificate, unless there is one for a day or more."""
    files = [folder / name for name in ("cert.pem", "key.pem", "ca.pem")]
    if all(file.exists() for file in files):
        certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        if left > timedelta(days=1):
            return
    Authority("imapd demo", days=CERTIFICATE_DAYS).write(folder, CERTIFICATE_DAYS)


def _write_config(folder: Path, imap: int, imaps: int) -> Path:
    """Write the configuration that an administrator would write."""
    settings = {
        "mail": f"{folder}/{{domain}}/{{local}}/Maildir",
        "auth": f"passwdfile:{folder}/users",
        "imap": f"tcp:{imap}:interface=127.0.0.1",
        "imaps": f"tcp:{imaps}:interface=127.0.0.1",
        "certificate": "cert.pem",
        "key": "key.pem",
    }
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
    if os.geteuid() == 0:
        lines.append("allow-root = true  # for the demo; never on a real server\n")
    config = folder / "imapd.toml"
    config.write_text("".join(lines), "utf-8")
    return config


if __name__ == "__main__":
    main()
