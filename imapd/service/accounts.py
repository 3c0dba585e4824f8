"""From a login, or the name of a user, to the account in its Maildir."""

from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path

from imapd.auth.avatar import AvatarId
from imapd.auth.passwdfile import FILE_OCTETS, parse_users
from imapd.service import events
from imapd.service.config import Config
from imapd.service.templates import MailTemplate, NoMailLocation
from imapd.store.maildir.account import MaildirAccount, StoreOptions


def maildir_of(config: Config, avatar: AvatarId) -> Path:
    """Where the mail of a user is: as the record says, or else by the template.

    Raises:
        NoMailLocation: name and record do not fit; ``reason`` is for the log.
    """
    if avatar.mail is None:
        return config.mail.path(bytes(avatar), avatar.home)
    kind, _, rest = avatar.mail.partition(":")
    location, *options = rest.split(":")
    if kind != "maildir" or options or "%" in location:
        raise NoMailLocation(
            f"mail={avatar.mail} of the user record is not served; "
            "maildir:PATH is, without % and options"
        )
    if location.startswith("~"):
        return _in_home(location, avatar)
    if not location.startswith("/") or ".." in location.split("/"):
        raise NoMailLocation(f"mail={avatar.mail} of the user record is not absolute")
    return Path(location)


def _in_home(location: str, avatar: AvatarId) -> Path:
    try:
        template = MailTemplate(location)
    except ValueError as error:
        raise NoMailLocation(f"mail={avatar.mail} of the user record {error}") from None
    return template.path(bytes(avatar), avatar.home)


def open_account(config: Config, avatar: AvatarId) -> MaildirAccount:
    """Open the account of a user; blocks.

    Raises:
        Unavailable: it cannot be located or used; for ``NoMailLocation`` the caller
            logs the reason, otherwise the store has.
    """
    root = maildir_of(config, avatar)
    cache = config.cache
    options = StoreOptions(
        namespace=config.namespace,
        cache_directory=cache.path(bytes(avatar), avatar.home) if cache else None,
        text_index=config.text_index,
        create_missing=config.create_missing_maildir,
        special_use=config.special_use,
        owner=avatar.uid,
    )
    return MaildirAccount(root, options=options, limits=config.limits)


def locate(
    config: Config, avatar: AvatarId
) -> tuple[Hashable, Callable[[], MaildirAccount]]:
    """For ``MailRealm``: what names the account of a login, and how to open it.

    The owner is a part of the name: opening is where it is looked at.

    Raises:
        NoMailLocation: the log has the reason.
    """
    try:
        root = maildir_of(config, avatar)
        if config.cache is not None:
            config.cache.path(bytes(avatar), avatar.home)
    except NoMailLocation as error:
        user = bytes(avatar).decode("utf-8", "replace")
        events.mail_refused(user=user, reason=error.reason)
        raise
    return (root, avatar.uid), partial(open_account, config, avatar)


def avatar_of(config: Config, user: str) -> AvatarId:
    """A user by name, without a password: for commands of the administrator.

    The record comes from the first ``passwdfile`` that has the user; where there is
    none the name stands alone.

    Raises:
        OSError: such a file cannot be read.
    """
    for description in config.auth:
        kind, _, path = description.partition(":")
        if kind != "passwdfile":
            continue
        with open(path, "rb") as file:
            record = parse_users(file.read(FILE_OCTETS)).records.get(user.lower())
        if record is not None:
            return record.avatar()
    return AvatarId(user.encode())
