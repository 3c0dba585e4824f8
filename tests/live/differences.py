"""The list of differences from Dovecot that are accepted, and how one is matched."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("differences.toml")
RIGHT = ("imapd", "both")


@dataclass(frozen=True, slots=True)
class Accepted:
    """One ``[[difference]]`` of the file."""

    item: str
    path: str
    kind: str
    messages: re.Pattern[str]
    right: str
    rfc: str
    reason: str


@dataclass(slots=True)
class Group:
    """Differences of one sort, of all mailboxes that were compared."""

    item: str
    path: str
    kind: str
    messages: set[str] = field(default_factory=set)
    examples: list[Mapping[str, str]] = field(default_factory=list)

    def template(self) -> str:
        """An entry for the file, to be completed by whoever read the RFC."""
        example = self.examples[0] if self.examples else {}
        shown = "".join(f"# {key}: {value}\n" for key, value in example.items())
        keys = {"item": self.item, "path": self.path, "kind": self.kind}
        keys["messages"] = _pattern(self.messages)
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        shown += f"# {len(self.messages)} messages\n"
        return f'{shown}[[difference]]\n{lines}right = ""\nrfc = ""\nreason = ""\n'


def accepted(path: Path = LIST) -> list[Accepted]:
    """Read the file.

    Raises:
        ValueError: an entry has not all keys, or does not say who is right and why.
    """
    entries = []
    for table in tomllib.loads(path.read_text()).get("difference", []):
        try:
            pattern = re.compile(table.pop("messages"))
            entry = Accepted(messages=pattern, **table)
        except (KeyError, TypeError, re.error) as error:
            raise ValueError(f"{path.name}: {table}: {error}") from None
        if entry.right not in RIGHT or not entry.rfc or len(entry.reason) < 10:
            raise ValueError(f"{path.name}: {table}: who is right, by what, and why?")
        entries.append(entry)
    return entries


def gather(reports: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Group]:
    """Join what ``diff.py --json`` said of several mailboxes.

    Args:
        reports: name of a mailbox, and the report on it.
    """
    groups: dict[tuple[str, str, str], Group] = {}
    for name, report in reports:
        for found in report["groups"]:
            key = (found["item"], found["path"], found["kind"])
            group = groups.setdefault(key, Group(*key))
            group.messages |= {f"{name} {label}" for label in found["list"]}
            group.examples += found["examples"]
    return list(groups.values())


def unexpected(groups: Iterable[Group], entries: Iterable[Accepted]) -> list[str]:
    """What is not listed, and what is listed but occurs no more; [] is good."""
    entries = list(entries)
    used: set[int] = set()
    lines = []
    for group in groups:
        left = set(group.messages)
        for number, entry in enumerate(entries):
            same = (entry.item, entry.path, entry.kind)
            if same == (group.item, group.path, group.kind):
                matched = {one for one in left if entry.messages.search(one)}
                left -= matched
                if matched:
                    used.add(number)
        if left:
            lines.append("not listed:\n" + _without(group, left).template())
    for number, entry in enumerate(entries):
        if number not in used:
            lines.append(f"listed, but it occurs no more: {entry}")
    return lines


def _without(group: Group, left: set[str]) -> Group:
    examples = [
        one
        for one in group.examples
        if any(label.endswith(one["message"]) for label in left)
    ]
    return Group(group.item, group.path, group.kind, left, examples)


def _pattern(labels: set[str]) -> str:
    """A pattern of these labels, or of all where they are too many to name."""
    if len(labels) > 12:
        return "."
    return "|".join(f"^{re.escape(label)}$" for label in sorted(labels))
