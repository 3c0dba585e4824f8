"""Writes ``docs/configuration.rst``: ``python -m scripts.configuration_reference``.

A test compares the file with what this would write.
"""

from pathlib import Path

from imapd.limits import Limits
from imapd.service.table import OPTIONS, Option

TARGET = Path(__file__).resolve().parents[1] / "docs" / "configuration.rst"

HEAD = """\
.. Written by scripts/configuration_reference.py; change imapd/service/table.py.

Configuration
=============

``twistd imapd`` takes every setting as an option, ``--mail TEMPLATE``, and as a key of
the TOML file given with ``--config FILE``, ``mail = "TEMPLATE"``.  The command line
wins, key by key; of ``special-use`` and ``limits`` row by row.  Every error is told at
once, with file and line, and nothing is served then; ``imapd-admin check-config FILE``
says the same without serving.  Relative paths in the file begin at its folder.

``twistd`` has options of its own, which come before ``imapd``: ``--nodaemon``,
``--uid`` and ``--gid`` (they take effect after ports are opened and keys are read),
``--pidfile``, ``--logfile``, ``--logger``, ``--umask`` (ours is 077).

"""

TEMPLATES = """\
Templates
---------

``{user}`` is the login name, ``{local}`` and ``{domain}`` what is before and after its
last ``@``, and a leading ``~`` the home of the user record.  A template begins with
``/`` or ``~``, and two fields never share a component, but for ``{local}@{domain}``:
two users must not meet in one folder.  For the same reason use ``{local}`` without
``{domain}`` only where all users are of one domain.  A name can neither leave the fixed
part of the template nor add a component to it.  ``mail=maildir:PATH`` in the record of
a user comes before the template.

Endpoints
---------

``imap`` and ``imaps`` take Twisted's endpoint strings: ``tcp:993``,
``tcp:993:interface=192.0.2.1``, ``tcp6:993``, ``unix:/run/imapd.sock``,
``systemd:domain=INET6:name=imaps`` (a socket that systemd opened, by its
``FileDescriptorName``), and ``haproxy:`` before any of them, where a proxy tells the
address of the client with the PROXY protocol, version 1 or 2.  Behind ``haproxy:``
nothing is greeted, and nobody counted, before that header; let only the proxy reach
such a port.

Signals
-------

SIGHUP reads certificate and key again: new connections get the new one, running
sessions stay, and if the files are no good the log says why and the old one is kept.
After privileges have dropped both files must be readable for the user that is left.
SIGTERM closes the ports, says BYE to every session and ends within ten seconds.

"""


def _row(option: Option) -> str:
    lines = [
        f"``{option.key}``",
        f"    {option.help}",
        "",
        f"    Default: {option.default}.  Example: ``{option.key} = {option.example}``",
    ]
    if option.choices:
        lines[-1] += f"  One of {', '.join(option.choices)}."
    if option.kind.repeatable:
        lines[-1] += "  The option is repeatable."
    return "\n".join([*lines, "", ""])


def _limits() -> str:
    lines = [
        "Limits",
        "------",
        "",
        "The rows of ``[limits]``; the unit is the last word of each name.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - Name",
        "     - Default",
        "     - Least",
        "     - Bounds",
    ]
    for name, field in Limits.__dataclass_fields__.items():
        lines += [
            f"   * - ``{name}``",
            f"     - {field.default}",
            f"     - {field.metadata['least']}",
            f"     - {field.metadata['source']}",
        ]
    return "\n".join([*lines, ""])


def reference() -> str:
    """The whole text."""
    settings = "Settings\n--------\n\n" + "".join(map(_row, OPTIONS))
    return HEAD + settings + TEMPLATES + _limits()


if __name__ == "__main__":
    TARGET.write_text(reference(), "utf-8")
