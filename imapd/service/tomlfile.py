"""Reading the TOML file: settings with the line they stand on, and all its errors."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imapd.service.table import BY_KEY, Kind, Option

_FILE_OCTETS = 1 << 20

#   A line that begins a table, and one that sets a key; enough of TOML to tell where
#   a key of a file stands that the real parser has accepted.
_HEADER = re.compile(r'\s*\[\s*"?([\w-]+)"?\s*\]')
_KEY = re.compile(r'\s*"?([\w-]+)"?\s*(?:\.\s*"?([\w-]+)"?\s*)?=')


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, and where a person finds it: ``--mail`` or ``imapd.toml:3``."""

    where: str
    value: Any  # str, list[str], bool, or dict[str, Setting], as the Kind says


@dataclass(slots=True)
class Settings:
    """What was set, and what was wrong while it was read."""

    values: dict[str, Setting] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_toml(path: Path) -> Settings:
    """Read the file; never raises, the problems say what was wrong and where."""
    settings = Settings()
    try:
        with path.open("rb") as file:
            octets = file.read(_FILE_OCTETS + 1)
        if len(octets) > _FILE_OCTETS:
            raise ValueError("larger than 1 MiB")
        text = octets.decode("utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        settings.problems.append(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        settings.problems.append(f"{path}:{line}: not UTF-8")
    except (ValueError, RecursionError) as error:
        settings.problems.append(_syntax_problem(path, error))
    else:
        _read_document(document, _lines(text), path, settings)
    return settings


def _syntax_problem(path: Path, error: Exception) -> str:
    """``imapd.toml:3: Invalid value (column 8)``: the place first, as in the others."""
    if isinstance(error, RecursionError):
        return f"{path}: nested too deeply"
    match = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", str(error))
    if match is None:
        return f"{path}: {error}"
    words, line, column = match.groups()
    return f"{path}:{line}: {words} (column {column})"


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line on which each key, and each key of a table, is set."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            table = (header.group(1),)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            names = (*table, *filter(None, key.groups()))
            for length in range(1, len(names) + 1):
                lines.setdefault(names[:length], number)
    return lines


def _read_document(
    document: Mapping[str, Any],
    lines: Mapping[tuple[str, ...], int],
    path: Path,
    settings: Settings,
) -> None:
    for key, value in document.items():
        where = f"{path}:{lines.get((key,), 1)}"
        option = BY_KEY.get(key)
        if option is None:
            settings.problems.append(f"{where}: {unknown(key, BY_KEY)}")
        elif not _fits(option.kind, value):
            settings.problems.append(f"{where}: {_misfit(option)}")
        elif option.kind is Kind.TABLE:
            table = {
                name: Setting(
                    f"{path}:{lines.get((key, name), lines.get((key,), 1))}", v
                )
                for name, v in value.items()
            }
            settings.values[key] = Setting(where, table)
        else:
            single = option.kind is Kind.TEXTS and isinstance(value, str)
            settings.values[key] = Setting(where, [value] if single else value)


def unknown(key: str, known: Iterable[str], what: str = "setting") -> str:
    """``unknown setting "imapss"; did you mean imaps?``."""
    names = sorted(known)
    plain = {_plain(name): name for name in names}
    close = difflib.get_close_matches(_plain(key), plain, 1)
    listed = f"known are {', '.join(names)}"
    hint = f"did you mean {plain[close[0]]}?" if close else listed
    return f'unknown {what} "{key}"; {hint}'


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _fits(kind: Kind, value: object) -> bool:
    match kind:
        case Kind.TEXT:
            return isinstance(value, str)
        case Kind.TEXTS:
            items = value if isinstance(value, list) else [value]
            return all(isinstance(item, str) for item in items)
        case Kind.BOOLEAN:
            return isinstance(value, bool)
        case Kind.NUMBER:
            return isinstance(value, int) and not isinstance(value, bool)
        case Kind.TABLE:
            return isinstance(value, dict)


def _misfit(option: Option) -> str:
    return (
        f"{option.key} must be {option.kind.value}, "
        f"for example {option.key} = {option.example}"
    )
