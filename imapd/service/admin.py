"""``imapd-admin``: what an administrator does beside the running server."""

import argparse
import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from zope.interface import implementer

from imapd.auth.hashes import PASSWORD_OCTETS, BadHash
from imapd.auth.newhash import hash_password
from imapd.errors import ImapError
from imapd.server.tls import TlsContext
from imapd.service import adminindex, readiness
from imapd.service.accounts import avatar_of, maildir_of, open_account
from imapd.service.acting import acting_as
from imapd.service.config import Config, ConfigError, load, make_checkers
from imapd.service.templates import NoMailLocation
from imapd.store.maildir.handback import HandBackReport, hand_back_to_courier

_DONE, _FAILED, _WRONG = 0, 1, 2  # 2 is argparse's own for a wrong command line

_DESCRIPTION = "Look after the mail that twistd imapd serves."


class Failed(Exception):
    """The command cannot do what was asked; the message is for the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 failed, 2 misused."""
    parsed = _parser().parse_args(arguments)
    try:
        with _log_told():
            result: int = parsed.run(parsed)
    except ConfigError as error:
        for problem in error.problems:
            _complain(problem)
        return _FAILED
    except Failed as error:
        _complain(str(error))
        return _FAILED
    except KeyboardInterrupt:
        return 130
    return result


def _complain(words: str) -> None:
    print(f"imapd-admin: {words}", file=sys.stderr)


@contextmanager
def _log_told() -> Iterator[None]:
    """Say what the server would log: the error of a store has no cause in it."""
    globalLogPublisher.addObserver(_tell)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(_tell)


@implementer(ILogObserver)
def _tell(event: LogEvent) -> None:
    # Twisted itself prints what is critical while nobody else does.
    if event.get("log_level") in (LogLevel.warn, LogLevel.error):
        _complain(adminindex.printable(formatEvent(event), sys.stderr))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("imapd-admin", description=_DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser(
        "check-config", help="check the file, the certificate and the logins"
    )
    check.add_argument("config", type=Path, metavar="FILE")
    check.set_defaults(run=_check_config)

    back = commands.add_parser(
        "hand-back",
        help="write the files of another server from what is now",
        description="Writes courierimapuiddb, courierimapkeywords and "
        "courierimapsubscribed, so that Courier goes on with the same UIDs, keywords "
        "and subscriptions.  Stop imapd first, or its next changes are not in them. "
        "For Dovecot there is nothing to do.",
    )
    back.add_argument("--to", choices=("courier",), required=True)
    back.add_argument("--config", type=Path, metavar="FILE", help="of twistd imapd")
    back.add_argument("--mail", metavar="TEMPLATE", help="in place of the file's")
    back.add_argument(
        "--auth",
        action="append",
        metavar="TYPE:ARGUMENTS",
        help="in place of the file's; for homes of users",
    )
    back.add_argument("user", nargs="+", metavar="USER")
    back.set_defaults(run=_hand_back)

    adminindex.add_parser(commands)

    password = commands.add_parser(
        "password",
        help="hash a password for a passwdfile",
        description="Asks twice on a terminal; otherwise reads one line of standard "
        "input.  Prints {SCHEME}hash.",
    )
    password.add_argument("--scheme", default="SHA512-CRYPT", metavar="SCHEME")
    password.set_defaults(run=_password)
    return parser


def _check_config(parsed: argparse.Namespace) -> int:
    config = load({}, parsed.config)
    problems = []
    if config.certificate is not None:
        try:
            TlsContext(config.certificate, config.key).load()
        except ValueError as error:
            problems.append(str(error))
    try:
        make_checkers(config)
    except ConfigError as error:
        problems.extend(error.problems)
    problems.extend(readiness.auth_problems(config))
    if problems:
        raise ConfigError(problems)
    for note in readiness.auth_notes(config):
        print(f"note: {note}")
    print(f"{parsed.config}: good")
    return _DONE


def _hand_back(parsed: argparse.Namespace) -> int:
    given = {
        key: value
        for key, value in (
            ("mail", [parsed.mail] if parsed.mail else None),
            ("auth", parsed.auth),
        )
        if value
    }
    config = load(given, parsed.config, serving=False)
    config = replace(config, create_missing_maildir=False, special_use={})
    failed = 0
    for user in parsed.user:
        try:
            report = _hand_back_one(config, user)
        except Failed as error:
            failed += 1
            _complain(f"{user}: {error}")
            continue
        print(
            f"{user}: {report.folders} folders, {report.messages} messages, "
            f"{report.keywords} keywords, {report.subscriptions} subscriptions"
        )
        for warning in report.warnings:
            print(f"{user}: note: {warning}")
    return _FAILED if failed else _DONE


def _hand_back_one(config: Config, user: str) -> HandBackReport:
    """Write the files of one account.

    As root this would leave files that nobody else may replace, so it becomes the
    owner of the Maildir for the time it takes.

    Raises:
        Failed: with the reason.
    """
    try:
        avatar = avatar_of(config, user)
        root = maildir_of(config, avatar)
        owner = root.stat()
    except NoMailLocation as error:
        raise Failed(error.reason) from error
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}") from error
    with acting_as(owner):
        try:
            account = open_account(config, avatar)
            try:
                return hand_back_to_courier(account)
            finally:
                account.close()
        except ImapError as error:
            raise Failed(f"{root}: {error}") from error
        except OSError as error:
            raise Failed(f"{error.filename or root}: {error.strerror}") from error


def _password(parsed: argparse.Namespace) -> int:
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise Failed("the two are not equal")
    else:
        # One octet more than is allowed is enough to say that it is too long.
        octets = sys.stdin.buffer.readline(PASSWORD_OCTETS + 3)
        try:
            password = octets.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise Failed("the password is not UTF-8") from error
    try:
        print(hash_password(parsed.scheme, password))
    except BadHash as error:
        raise Failed(str(error)) from error
    return _DONE


if __name__ == "__main__":
    sys.exit(main())
