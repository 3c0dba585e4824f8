"""The command line of ``twistd imapd``, made from the table of settings."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.strcred import AuthOptionMixin
from twisted.python import usage

from imapd.service.config import Config, ConfigError, load
from imapd.service.table import OPTIONS, Option

_Handler = Callable[["Options", str], None]


def _collector(option: Option) -> _Handler:
    def collect(self: "Options", value: str) -> None:
        self.given.setdefault(option.key, []).append(value)

    collect.__doc__ = _help(option)
    return collect


def _help(option: Option) -> str:
    choices = f"  One of {', '.join(option.choices)}." if option.choices else ""
    again = "  Repeatable." if option.kind.repeatable else ""
    return f"{option.help}{choices}{again}  [default: {option.default}]"


class Options(usage.Options, AuthOptionMixin):
    """Options of the same names as the keys of the file given with --config."""

    synopsis = "[options]"
    longdesc = (
        "Serves Maildirs to virtual users over IMAP4rev1.  Each option is also a "
        "key of the TOML file given with --config; the command line wins."
    )
    # Twisted's names, both of them.
    supportedInterfaces = (IUsernamePassword, IUsernameHashedPassword)  # noqa: N815
    optParameters = (  # noqa: N815
        ("config", "c", None, "A TOML file with any of the other options as keys."),
    )

    #: What ``makeService`` works from; set when the options were parsed.
    config: Config

    def __init__(self) -> None:
        """Nothing is given yet."""
        self.given: dict[str, list[str]] = {}
        super().__init__()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:  # noqa: N802
        """Parse; what is wrong ends the program with a line each, and status 1.

        ``twistd`` would print the whole help of its own before our words.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise SystemExit(
                f"imapd: {error}\nimapd: see twistd imapd --help"
            ) from None

    def parseArgs(self, *arguments: str) -> None:  # noqa: N802 - Twisted's name
        """Refuse arguments that belong to no option.

        Raises:
            UsageError: there is one.
        """
        if arguments:
            raise usage.UsageError(f"{arguments[0]!r} belongs to no option")

    def postOptions(self) -> None:  # noqa: N802 - Twisted's name
        """Read the file, check everything, and tell all that is wrong at once."""
        file = self["config"]
        try:
            self.config = load(self.given, Path(file) if file else None)
        except ConfigError as error:
            lines = "\n".join(f"imapd: {each}" for each in error.problems)
            raise SystemExit(lines) from None


for _option in OPTIONS:
    # usage.Options finds options by the names of methods; auth replaces the mixin's,
    # which would make the checker before the file was read.
    setattr(Options, "opt_" + re.sub("-", "_", _option.key), _collector(_option))
