"""Where a user's files are: ``/srv/mail/{domain}/{local}/Maildir``."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from imapd.errors import Unavailable

FIELDS = ("user", "local", "domain")

_FIELD = re.compile(r"\{([^{}]*)\}")
_COMPONENT_OCTETS = 255  # NAME_MAX


class NoMailLocation(Unavailable):
    """A user's files cannot be located; ``reason`` is for the log, not the client."""

    def __init__(self, reason: str) -> None:
        """Keep the reason beside the words that the client sees."""
        super().__init__("Your mail cannot be located; ask the administrator")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class MailTemplate:
    """A path with ``{user}``, ``{local}``, ``{domain}``, or a leading ``~``.

    It is expanded in a single pass: what a user name holds is never read as a
    template again.  A name can neither leave the fixed part of the path, nor add
    a component to it.
    """

    text: str

    def __post_init__(self) -> None:
        """Check the template.

        Raises:
            ValueError: what is wrong with it, and what would be right.
        """
        if "\0" in self.text:
            raise ValueError("a path has no NUL")
        if not self.text.startswith("/") and self._first != "~":
            raise ValueError('must begin with "/", or with "~/" for the user\'s home')
        for component in self._components:
            _check_component(component)
        if self._first != "~" and not _FIELD.search(self.text):
            raise ValueError(
                "would give all users the same folder; use {user}, "
                "{domain} and {local}, or ~"
            )
        if not {"user", "local"} & set(self.fields) and self._first != "~":
            raise ValueError(
                "would give all users of a domain the same folder; add {local}"
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """The names in braces, in order."""
        return tuple(_FIELD.findall(self.text))

    @property
    def _first(self) -> str:
        return self.text.split("/", 1)[0]

    @property
    def _components(self) -> list[str]:
        """What lies between slashes, after the root or the ``~``."""
        return [each for each in self.text.split("/")[1:] if each not in ("", ".")]

    # With each login, of users who come again and again.
    @lru_cache(4096)  # noqa: B019  templates are values, few, and as old as the process
    def path(self, user: bytes, home: str | None = None) -> Path:
        """Return the absolute path for one user.

        Args:
            user: the login name, UTF-8; the domain is what follows its last "@".
            home: of the user record, for ``~``.

        Raises:
            NoMailLocation: the name or the record does not fit the template.
        """
        values = _values(user)
        root = self._root(home)
        path = root
        for component in self._components:
            path = path / _expand(component, values)
        # Each component was checked alone; this is the same once more, as a whole.
        if ".." in path.parts or not path.is_relative_to(root):
            raise NoMailLocation(f"{user!r:.80} leads outside {self.text}")
        return path

    def _root(self, home: str | None) -> Path:
        if self._first != "~":
            return Path("/")
        if not home:
            raise NoMailLocation("the user record has no home, which ~ stands for")
        if not home.startswith("/") or ".." in home.split("/") or "\0" in home:
            raise NoMailLocation(f"the home {home!r} is not an absolute path")
        return Path(home)


def _check_component(component: str) -> None:
    r"""Refuse what is no folder name, and fields that two users could share.

    In ``{local}-{domain}`` the users ``a-b@c`` and ``a@b-c`` would meet; a domain
    has no "@", so that ``{local}@{domain}`` is safe.
    """
    if component == "..":
        raise ValueError('".." is not allowed')
    fields = _FIELD.findall(component)
    for field in fields:
        if field not in FIELDS:
            known = ", ".join(f"{{{each}}}" for each in FIELDS)
            raise ValueError(f"{{{field}}} is not known; known are {known}")
    if set("{}") & set(_FIELD.sub("", component)):
        raise ValueError(f"unbalanced braces in {component!r}")
    if len(fields) > 1 and not re.fullmatch(
        r"[^{}@]*\{local\}@\{domain\}[^{}@]*", component
    ):
        raise ValueError(
            f"two users could share {component!r}; put one field between slashes, "
            "or {local}@{domain}"
        )


def _values(user: bytes) -> dict[str, str]:
    try:
        name = user.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoMailLocation(f"{user!r:.80} is not UTF-8") from error
    local, at, domain = name.rpartition("@")
    values = {"user": name, "local": local if at else name}
    if at and domain:
        values["domain"] = domain
    return values


def _expand(component: str, values: dict[str, str]) -> str:
    """Fill in one component; the result is exactly one folder name."""

    def value(match: re.Match[str]) -> str:
        field = match.group(1)
        if field not in values:
            raise NoMailLocation(
                f"the user name has no {field}, which {component} needs"
            )
        text = values[field]
        if text in ("", ".", "..") or "/" in text or "\0" in text:
            raise NoMailLocation(f"{field} {text!r:.80} is no name of a folder")
        return text

    name = _FIELD.sub(value, component)
    if name in (".", "..") or len(name.encode()) > _COMPONENT_OCTETS:
        raise NoMailLocation(f"{name!r:.80} is no name of a folder")
    return name
