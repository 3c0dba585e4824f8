"""The list of differences from Dovecot that are accepted, and how one is matched."""

import ast
import contextlib
import fnmatch
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("differences.toml")
RIGHT = ("imapd", "both")
_NUMBER = re.compile(r"#([0-9]+) ")


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that the two servers answered differently.

    ``label`` is what ``bench/diff.py`` calls the message: number, Message-ID and
    section, or the text of a search.
    """

    mailbox: str
    item: str
    path: str
    kind: str
    label: str
    theirs: str
    ours: str

    @property
    def number(self) -> int | None:
        """The message's sequence number; None for a search."""
        found = _NUMBER.match(self.label)
        return int(found[1]) if found else None

    @property
    def section(self) -> str:
        """``BODY[1.MIME]``, where a section is what differs."""
        return self.label.rpartition(" ")[2]

    @property
    def values(self) -> str:
        return f"{_plain(self.theirs)} => {_plain(self.ours)}"


def _plain(shown: str) -> str:
    """Text that ``diff.py`` shows as Python writes it, in quotes, without them."""
    quote, cut = shown[:1], shown.endswith("…")
    if quote in ("'", '"') and (cut or shown.endswith(quote)):
        with contextlib.suppress(ValueError, SyntaxError):
            written = shown[:-1] + quote if cut else shown
            return str(ast.literal_eval(written)) + ("…" if cut else "")
    return shown


@dataclass(slots=True)
class Accepted:
    """One ``[[difference]]`` of the file."""

    item: re.Pattern[str]
    path: re.Pattern[str]
    kind: str
    section: re.Pattern[str] | None
    values: re.Pattern[str] | None
    more: int | None
    places: frozenset[tuple[str, int | None]]  # mailbox or pattern, message number
    right: str
    rfc: str
    reason: str
    found: set[tuple[str, int | None]] = field(default_factory=set)

    def accepts(self, one: Difference) -> bool:
        """Whether it is this difference; if so, its place is noted."""
        same = self.item.fullmatch(one.item) and self.path.fullmatch(one.path)
        if not same or self.kind != one.kind or not self._explains(one):
            return False
        if self.section and not self.section.fullmatch(one.section):
            return False
        places = {
            (mailbox, number)
            for mailbox, number in self.places
            if number in (None, one.number) and fnmatch.fnmatch(one.mailbox, mailbox)
        }
        self.found |= places
        return bool(places)

    def _explains(self, one: Difference) -> bool:
        if self.values is not None:
            return self.values.fullmatch(one.values) is not None
        try:
            return int(one.theirs) - int(one.ours) == self.more
        except ValueError:
            return False

    def stale(self) -> list[str]:
        """The places where it is listed and does not occur."""
        missed = sorted(self.places - self.found, key=repr)
        return [
            f"listed, but it occurs no more: {self.item.pattern} {self.path.pattern} "
            f"in {mailbox} #{number}: {self.reason}"
            for mailbox, number in missed
        ]


def accepted(path: Path = LIST) -> list[Accepted]:
    """Read the file.

    Raises:
        ValueError: an entry has not all keys, or does not say who is right and why.
    """
    entries = []
    for table in tomllib.loads(path.read_text()).get("difference", []):
        try:
            entry = _entry(dict(table))
        except (KeyError, TypeError, ValueError, re.error) as error:
            raise ValueError(f"{path.name}: {table}: {error!r}") from None
        if entry.right not in RIGHT or not entry.rfc or len(entry.reason) < 10:
            raise ValueError(f"{path.name}: {table}: who is right, by what, and why?")
        entries.append(entry)
    return entries


def _entry(table: dict[str, Any]) -> Accepted:
    messages: Mapping[str, list[int]] = table.pop("messages", {})
    places: set[tuple[str, int | None]]
    places = {(mailbox, number) for mailbox in messages for number in messages[mailbox]}
    places |= {(mailbox, None) for mailbox in table.pop("mailboxes", ())}
    patterns: dict[str, Any] = {
        key: re.compile(table.pop(key), re.DOTALL) if key in table else None
        for key in ("item", "path", "section", "values")
    }
    more = table.pop("more", None)
    if not places or (patterns["values"] is None) is (more is None):
        raise ValueError("messages or mailboxes, and either values or more")
    if patterns["item"] is None or patterns["path"] is None:
        raise ValueError("item and path")
    return Accepted(more=more, places=frozenset(places), **patterns, **table)


def gather(reports: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[Difference]:
    """Yield what ``diff.py --json`` said of several mailboxes.

    Args:
        reports: name of a mailbox, and the report on it, with all its examples.

    Raises:
        ValueError: a report leaves examples out.
    """
    for mailbox, report in reports:
        for group in report["groups"]:
            told = [one["message"] for one in group["examples"]]
            if set(told) != set(group["list"]) or len(set(told)) != group["messages"]:
                raise ValueError(f"{mailbox}: not every difference has its example")
            for one in group["examples"]:
                keys = (group["item"], group["path"], group["kind"])
                yield Difference(mailbox, *keys, one["message"], one["a"], one["b"])


def unexpected(found: Iterable[Difference], entries: Iterable[Accepted]) -> list[str]:
    """What is not listed, and what is listed but occurs no more; [] is good."""
    entries = list(entries)
    left: dict[tuple[str, str, str], list[Difference]] = {}
    for one in found:
        # All are asked: two may explain one difference, and neither is stale then.
        if not any([entry.accepts(one) for entry in entries]):
            left.setdefault((one.item, one.path, one.kind), []).append(one)
    lines = ["not listed:\n" + _template(group) for group in left.values()]
    return lines + [line for entry in entries for line in entry.stale()]


def _template(group: list[Difference]) -> str:
    """An entry for the file, to be completed by whoever read the RFC."""
    shown = "".join(
        f"# {one.mailbox} {one.label}: {one.values!r}\n" for one in group[:5]
    )
    first = group[0]
    keys = {"item": re.escape(first.item), "path": re.escape(first.path)}
    keys |= {"kind": first.kind, "values": re.escape(first.values)}
    keys |= {"right": "", "rfc": "", "reason": ""}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    numbers: dict[str, set[int]] = {}
    for one in group:
        numbers.setdefault(one.mailbox, set()).update(
            () if one.number is None else (one.number,)
        )
    if any(numbers.values()):
        lines += [
            f"messages.{json.dumps(mailbox)} = {sorted(those)}"
            for mailbox, those in numbers.items()
        ]
    else:
        lines.append(f"mailboxes = {json.dumps(list(numbers))}")
    lines.append(f"# {len(group)} in all")
    return shown + "\n".join(["[[difference]]", *lines, ""])
