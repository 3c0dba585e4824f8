"""From the command line and the TOML file to one checked ``Config``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.strcred import findCheckerFactories, makeChecker

from imapd.errors import Cannot
from imapd.limits import DEFAULT_LIMITS, Limits
from imapd.mailbox.keeper import KEPT_OCTETS
from imapd.model.mailbox import SPECIAL_USES, NamespaceStyle
from imapd.server.factory import ALL_MECHANISMS
from imapd.service import listening
from imapd.service.files import absent
from imapd.service.table import BY_KEY, Kind
from imapd.service.templates import MailTemplate
from imapd.service.tomlfile import Setting, Settings, read_toml, unknown
from imapd.store.maildir.layout import NameEncoding, check_new_name

#: More have a mistyped number, and every one has its 60 MB.
MOST_WORKERS = 256
MOST_MEMORY_MIB = 1 << 20

_USES = {use[1:].decode(): use for use in SPECIAL_USES}


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` says all that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep the lines, each with its place first."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What was configured, checked as far as is possible before serving."""

    mail: MailTemplate
    auth: tuple[str, ...]
    imap: tuple[str, ...] = ()
    imaps: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None  # None: in the file of the certificate
    cleartext_login: str = "loopback"
    mechanisms: frozenset[bytes] | None = None  # None: those that work for everybody
    namespace: NamespaceStyle | None = None  # None: auto
    cache: MailTemplate | None = None
    text_index: bool = True
    create_missing_maildir: bool = True
    #: For each use its mailbox, "/" between parent and child.
    special_use: Mapping[bytes, str] = field(
        default_factory=lambda: MappingProxyType({})
    )
    watch: str = "auto"
    index: str = "background"
    limits: Limits = DEFAULT_LIMITS
    workers: int = 0  # 0: whoever reads this serves
    mailbox_memory_mib: int = KEPT_OCTETS >> 20
    allow_root: bool = False


def load(
    given: Mapping[str, Sequence[str]],
    file: Path | None = None,
    *,
    serving: bool = True,
) -> Config:
    """Read the file, let the command line win, and check everything.

    Args:
        given: values of the command line by key, as typed.
        file: of ``--config``.
        serving: False where nothing listens and nobody logs in: only ``mail`` must
            be there then.

    Raises:
        ConfigError: with every problem found, not only the first.
    """
    settings = read_toml(file) if file else Settings()
    unreadable = bool(settings.problems) and not settings.values
    for key, values in given.items():
        _take_given(settings, key, values)
    reader = _Reader(settings, file.parent if file else Path())
    config = reader.config()
    # What is missing is not known as long as the file cannot be read.
    if not unreadable:
        reader.check_presence(serving)
    if settings.problems:
        raise ConfigError(sorted(settings.problems, key=_by_line))
    return config


def _by_line(problem: str) -> tuple[str, int]:
    """Sort by file and line; the command line, which has none, comes first."""
    place, _, _ = problem.partition(": ")
    name, _, line = place.rpartition(":")
    return (name, int(line)) if line.isdecimal() else ("", 0)


def _take_given(settings: Settings, key: str, values: Sequence[str]) -> None:
    where = f"--{key}"
    match BY_KEY[key].kind:
        case Kind.TEXT | Kind.NUMBER:
            settings.values[key] = Setting(where, values[-1])
        case Kind.TEXTS:
            settings.values[key] = Setting(where, list(values))
        case Kind.BOOLEAN:
            words = {"yes": True, "true": True, "no": False, "false": False}
            value = words.get(values[-1].lower())
            if value is None:
                settings.problems.append(f"{where}: must be yes or no")
            else:
                settings.values[key] = Setting(where, value)
        case Kind.TABLE:
            # A row of the command line wins over the same row of the file.
            old = settings.values.get(key, Setting(where, {}))
            rows = dict(old.value)
            for each in values:
                name, equals, value_text = each.partition("=")
                if not equals:
                    settings.problems.append(
                        f"{where}: write {where} {BY_KEY[key].argument}"
                    )
                rows[name] = Setting(where, value_text)
            settings.values[key] = Setting(old.where, rows)


def _check_mechanism(name: str) -> None:
    known = sorted(each.decode("ascii") for each in ALL_MECHANISMS)
    if name.upper() not in known:
        raise ValueError(f"write {', '.join(known)}")


class _Reader:
    """Turns settings into a ``Config``, collecting problems on the way."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder  # where relative paths of the file begin

    def problem(self, where: str, words: str) -> None:
        self.settings.problems.append(f"{where}: {words}")

    def config(self) -> Config:
        """What was set; where a value was no good, a stand-in and a problem."""
        limits = self.limits()
        return Config(
            mail=self.template("mail") or MailTemplate("~"),
            auth=self.auth(),
            imap=self.texts("imap", listening.check),
            imaps=self.imaps(),
            certificate=self.path("certificate"),
            key=self.path("key"),
            cleartext_login=self.choice("cleartext-login", "loopback"),
            mechanisms=self.mechanisms(),
            namespace=self.namespace(),
            cache=self.template("cache"),
            text_index=self.boolean("text-index", True),
            create_missing_maildir=self.boolean("create-missing-maildir", True),
            special_use=MappingProxyType(self.special_use(limits)),
            watch=self.choice("watch", "auto"),
            index=self.choice("index", "background"),
            limits=limits,
            workers=self.number("workers", 0, MOST_WORKERS),
            mailbox_memory_mib=self.number(
                "mailbox-memory", KEPT_OCTETS >> 20, MOST_MEMORY_MIB
            ),
            allow_root=self.boolean("allow-root", False),
        )

    def check_presence(self, serving: bool) -> None:
        """What must be there, and what must not be without something else."""
        values = self.settings.values
        here = "configuration"
        for key in ("mail", "auth") if serving else ("mail",):
            if not (key in values and values[key].value) and not self._named(key):
                self.problem(here, f"{key} is missing: {key} = {BY_KEY[key].example}")
        if serving:
            self._check_listening(here)
        if "key" in values and "certificate" not in values:
            self.problem(values["key"].where, "key is of no use without certificate")

    def _named(self, key: str) -> bool:
        """Whether a problem was already found with this setting."""
        return any(f": {key} must be" in each for each in self.settings.problems)

    def _check_listening(self, here: str) -> None:
        values = self.settings.values
        imap = values["imap"].value if "imap" in values else []
        if "certificate" in values:
            return
        if "imaps" in values:
            self.problem(values["imaps"].where, "imaps needs certificate and key")
        elif not imap:
            self.problem(
                here,
                "nothing to listen on: give certificate and key, and tcp:993 is "
                'served; or, to try it out, imap = "tcp:1143:interface=127.0.0.1"',
            )
        elif self.choice("cleartext-login", "loopback") != "always":
            for each in imap:
                if not listening.stays_local(each):
                    self.problem(
                        values["imap"].where,
                        f"nobody could log in at {each} from elsewhere: there is no "
                        "TLS without certificate and key; give them, or add "
                        ":interface=127.0.0.1",
                    )

    def texts(self, key: str, check: Callable[[str], None]) -> tuple[str, ...]:
        setting = self.settings.values.get(key)
        if setting is None:
            return ()
        for each in setting.value:
            try:
                check(each)
            except ValueError as error:
                shown = _without_secrets(each) if key == "auth" else repr(each)
                self.problem(setting.where, f"{key} {shown}: {error}")
        return tuple(setting.value)

    def auth(self) -> tuple[str, ...]:
        """The logins; a relative path in the file begins at its folder."""
        given = self.texts("auth", check_auth)
        setting = self.settings.values.get("auth")
        if setting is None or setting.where.startswith("--"):
            return given
        return tuple(self._in_folder(each) for each in given)

    def _in_folder(self, description: str) -> str:
        kind, _, path = description.partition(":")
        if kind not in ("passwdfile", "file") or not path.strip():
            return description
        return f"{kind}:{(self.folder / path).absolute()}"

    def mechanisms(self) -> frozenset[bytes] | None:
        names = self.texts("mechanisms", _check_mechanism)
        named = frozenset(each.upper().encode("ascii", "replace") for each in names)
        return named & ALL_MECHANISMS if names else None

    def imaps(self) -> tuple[str, ...]:
        values = self.settings.values
        if "certificate" in values and not {"imap", "imaps"} & set(values):
            return ("tcp:993",)
        return self.texts("imaps", listening.check)

    def template(self, key: str) -> MailTemplate | None:
        setting = self.settings.values.get(key)
        if setting is None:
            return None
        try:
            return MailTemplate(setting.value)
        except ValueError as error:
            self.problem(setting.where, f"{key} {setting.value!r}: {error}")
            return None

    def path(self, key: str) -> Path | None:
        setting = self.settings.values.get(key)
        if setting is None:
            return None
        path = Path(setting.value)
        if not setting.where.startswith("--"):
            path = self.folder / path
        if words := absent(path):
            self.problem(setting.where, f"{key} {str(path)!r:.200}: {words}")
        return path.absolute()

    def choice(self, key: str, default: str) -> str:
        setting = self.settings.values.get(key)
        if setting is None:
            return default
        choices = BY_KEY[key].choices
        if setting.value not in choices:
            words = f"{key} must be one of {', '.join(choices)}, not {setting.value!r}"
            line = f"{setting.where}: {words}"
            if line not in self.settings.problems:
                self.settings.problems.append(line)
            return default
        return str(setting.value)

    def boolean(self, key: str, default: bool) -> bool:
        setting = self.settings.values.get(key)
        return default if setting is None else bool(setting.value)

    def number(self, key: str, default: int, most: int) -> int:
        setting = self.settings.values.get(key)
        if setting is None:
            return default
        number = _number(setting.value)
        if number is None or not 0 <= number <= most:
            self.problem(setting.where, f"{key} must be a number from 0 to {most}")
            return default
        return number

    def namespace(self) -> NamespaceStyle | None:
        style = self.choice("namespace", "auto")
        return None if style == "auto" else NamespaceStyle(style)

    def rows(self, key: str) -> Mapping[str, Setting]:
        setting = self.settings.values.get(key)
        return {} if setting is None else setting.value

    def special_use(self, limits: Limits) -> dict[bytes, str]:
        uses: dict[bytes, str] = {}
        for name, setting in self.rows("special-use").items():
            if name not in _USES:
                self.problem(setting.where, unknown(name, _USES, "special use"))
            elif not isinstance(setting.value, str):
                self.problem(
                    setting.where, f'{name} must be a string: {name} = "{name}"'
                )
            else:
                mailbox = setting.value
                try:  # at the first login it would be too late
                    check_new_name(tuple(mailbox.split("/")), limits, NameEncoding.UTF8)
                except Cannot as error:
                    words = f"{name} = {mailbox!r:.300} is no name for a mailbox"
                    self.problem(setting.where, f"{words}: {error}")
                if mailbox in uses.values():
                    self.problem(setting.where, f"{mailbox!r} is used twice")
                uses[_USES[name]] = mailbox
        return uses

    def limits(self) -> Limits:
        known = Limits.__dataclass_fields__
        good: dict[str, int] = {}
        for name, setting in self.rows("limits").items():
            if name not in known:
                self.problem(setting.where, unknown(name, known, "limit"))
                continue
            number = _number(setting.value)
            least = known[name].metadata["least"]
            if number is None or number < least:
                self.problem(
                    setting.where, f"{name} must be a number of at least {least}"
                )
            else:
                good[name] = number
        return Limits(**good)


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:19])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def check_auth(description: str) -> None:
    """Check the type of an ``--auth``; its arguments are checked when it is made.

    Raises:
        ValueError: no plugin has this type; the message lists those there are.
    """
    name = description.partition(":")[0]
    names = {factory.authType for factory in findCheckerFactories()}
    if name not in names:
        raise ValueError(unknown(name, names, "type"))


def make_checkers(config: Config) -> list[Any]:
    """One checker for each ``auth``, in order.

    Raises:
        ConfigError: what a checker says about its arguments.
    """
    problems = []
    checkers = []
    for description in config.auth:
        try:
            checkers.append(_with_octets(makeChecker(description)))
        except Exception as error:  # a plugin of anybody's
            shown = _without_secrets(description)
            problems.append(f"auth {shown}: {error or type(error).__name__}")
    if problems:
        raise ConfigError(problems)
    return checkers


def _without_secrets(description: str) -> str:
    """How a login is named where others may read it: ``memory:`` holds passwords."""
    kind, colon, _ = description.partition(":")
    return repr(description if kind in ("passwdfile", "file") else kind + colon)


def _with_octets(checker: Any) -> Any:
    """Twisted's ``memory:`` keeps strings, and compares them with our octets."""
    if type(checker) is InMemoryUsernamePasswordDatabaseDontUse:
        users = {_octets(name): _octets(word) for name, word in checker.users.items()}
        checker.users = users
    return checker


def _octets(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
