"""What was measured: samples of each metric and server, medians and ratios of them."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from benchmarks.servers import OURS, VARIANTS


class Kind(Enum):
    """What a value is; of each less is better."""

    SECONDS = "s"
    OCTETS = "B"
    FACTOR = "x"
    SHARE = "%"


@dataclass(frozen=True)
class Sample:
    """One round of one server, for one unit of work."""

    value: float
    #: Of all processes of the server; None where only the value counts.
    cpu: float | None = None
    #: Of the time in which the client computed: near 1 it was the limit.
    client_share: float | None = None


@dataclass
class Metric:
    """One row: its samples by name of server."""

    name: str
    unit: str
    kind: Kind = Kind.SECONDS
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def value(self, server: str) -> float | None:
        """Return the median, None where nothing was measured."""
        return _median([sample.value for sample in self.samples.get(server, ())])

    def cpu(self, server: str) -> float | None:
        """Return the median of the server's CPU time for a unit."""
        found = [sample.cpu for sample in self.samples.get(server, ())]
        return _median([cpu for cpu in found if cpu is not None])

    def client_share(self, server: str) -> float | None:
        """Return the median share of the client in the wall time."""
        found = [sample.client_share for sample in self.samples.get(server, ())]
        return _median([share for share in found if share is not None])

    def ratio(self, ours: str, other: str) -> float | None:
        """How many times less than the other's our value is."""
        return _ratio(self.value(other), self.value(ours))

    def cpu_ratio(self, ours: str, other: str) -> float | None:
        """How many times less than the other's our CPU time is."""
        return _ratio(self.cpu(other), self.cpu(ours))


def _variants(metric: Metric) -> Iterator[Metric]:
    for server, suffix in VARIANTS.items():
        if metric.samples.get(server):
            samples = {**metric.samples, OURS: metric.samples[server]}
            yield Metric(metric.name + suffix, metric.unit, metric.kind, samples)


def without_variant(name: str) -> str:
    """The name of the row that this one is a variant of, or is."""
    for suffix in VARIANTS.values():
        name = name.removesuffix(suffix)
    return name


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _ratio(other: float | None, ours: float | None) -> float | None:
    if other is None or ours is None:
        return None
    if ours <= 0:
        # Less than can be measured: no ratio, unless the other is there too.
        return 1.0 if other <= 0 else None
    return max(other, 0.0) / ours


class Results:
    """All rows of one run, and what is to be said about them."""

    def __init__(self, servers: tuple[str, ...]) -> None:
        self.servers = servers
        self.metrics: dict[str, Metric] = {}
        #: Why a server has no figure: (metric, server) -> reason.
        self.reasons: dict[tuple[str, str], str] = {}
        #: What the reader has to know of a row: metric -> sentences.
        self.notes: dict[str, list[str]] = {}

    def add(
        self,
        name: str,
        server: str,
        sample: Sample,
        *,
        unit: str,
        kind: Kind = Kind.SECONDS,
    ) -> None:
        """Add one sample."""
        metric = self.metrics.setdefault(name, Metric(name, unit, kind))
        metric.unit, metric.kind = unit, kind
        metric.samples.setdefault(server, []).append(sample)

    def note(self, name: str, text: str) -> None:
        """Add what the reader of a row has to know, once."""
        notes = self.notes.setdefault(name, [])
        if text not in notes:
            notes.append(text)
            print(f"   # {name}: {text}", flush=True)

    def excuse(self, names: tuple[str, ...], server: str, reason: str) -> None:
        """Say why a server has no figure in these rows."""
        for name in names:
            if self.reasons.setdefault((name, server), reason) == reason:
                self.metrics.setdefault(name, Metric(name, ""))
        print(f"   # {server}: {reason}", flush=True)

    def has_word(self, name: str, server: str) -> bool:
        """Whether a row has a figure of that server, or a reason why not."""
        metric = self.metrics.get(name)
        measured = metric is not None and bool(metric.samples.get(server))
        return measured or (name, server) in self.reasons

    def arrange(self, names: Sequence[str]) -> None:
        """Put the rows in that order, those not named after them."""
        found = [name for name in names if name in self.metrics]
        order = dict.fromkeys((*found, *self.metrics))
        self.metrics = {name: self.metrics[name] for name in order}

    @property
    def columns(self) -> list[str]:
        """The servers that have columns; a variant of ours has rows."""
        names = (OURS if name in VARIANTS else name for name in self.servers)
        return list(dict.fromkeys(names))

    def visible(self) -> Iterator[Metric]:
        """The rows to show; those that others are made from begin with ``few-``.

        Behind a row comes one for each variant of ours that was measured: in it our
        figures are the variant's, and all others are the same.
        """
        for metric in self.metrics.values():
            if not metric.name.startswith("few-"):
                yield metric
                yield from _variants(metric)

    def as_json(self) -> Mapping[str, Any]:
        """Return all of it, for ``json.dump``."""
        return {
            "servers": list(self.servers),
            "metrics": {
                metric.name: {
                    "unit": metric.unit,
                    "kind": metric.kind.value,
                    "samples": {
                        server: [
                            {
                                "value": sample.value,
                                "cpu": sample.cpu,
                                "client_share": sample.client_share,
                            }
                            for sample in samples
                        ]
                        for server, samples in metric.samples.items()
                    },
                }
                for metric in self.metrics.values()
            },
            "reasons": [
                {"metric": name, "server": server, "reason": reason}
                for (name, server), reason in self.reasons.items()
            ],
            "notes": self.notes,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Results":
        """Return what ``as_json`` returned."""
        results = cls(tuple(stored["servers"]))
        for name, row in stored["metrics"].items():
            samples = {
                server: [Sample(**sample) for sample in found]
                for server, found in row["samples"].items()
            }
            kind = Kind(row["kind"])
            results.metrics[name] = Metric(name, row["unit"], kind, samples)
        for row in stored["reasons"]:
            results.reasons[row["metric"], row["server"]] = row["reason"]
        results.notes = {name: list(notes) for name, notes in stored["notes"].items()}
        return results
