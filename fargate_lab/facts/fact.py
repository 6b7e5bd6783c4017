"""One fact: what holds, who says so, since when, and how sure that is."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONFIDENCES = {
    "official": "read in AWS's own documentation, service model or source code",
    "official-quoted": "AWS's page or price list as quoted by a third party with address and date",
    "api-measured": "an answer of the real API, recorded on the date given",
    "code": "read in the code or test data of a public project",
    "third-party": "a blog, forum, log or issue",
    "memory": "widely known, without a source at hand",
    "lab": "the limit is sourced; the wording of the message is the lab's own",
}
"""How a fact is known, and what each level means."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_FIELDS = {"value", "unit", "text", "code", "source", "as_of", "confidence", "conflict", "since"}
_REQUIRED = {"value", "text", "source", "as_of", "confidence"}


class FactError(ValueError):
    """A fact that is written down wrongly; the text names the fact and what it lacks."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Sources that disagree: the other side, and which one is preferred and why."""

    claim: str
    source: str
    preferred: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact about AWS."""

    id: str
    """Dotted, such as `fargate.sizes.cpu_1024`."""
    value: Any
    text: str
    """The fact as a sentence."""
    source: tuple[str, ...]
    """Public sources, by name."""
    as_of: dt.date
    """When the source said so."""
    confidence: str
    """One of `CONFIDENCES`."""
    unit: str | None = None
    code: str | None = None
    """For a message: the exception it comes with."""
    since: dt.date | None = None
    """When it began to hold, where that is known."""
    conflict: Conflict | None = None

    def cite(self) -> str:
        """One line: the value, its sources, its date, how sure it is."""
        value = f"{self.value} {self.unit}" if self.unit else f"{self.value}"
        return f"{value} ({'; '.join(self.source)}; as of {self.as_of}; {self.confidence})"

    @property
    def placeholders(self) -> frozenset[str]:
        """Names that `fill` must be given."""
        return frozenset(_PLACEHOLDER.findall(str(self.value)))

    def fill(self, **values: object) -> str:
        """The value with its `{name}` places filled. Raises FactError for one left or unknown."""
        if values.keys() != self.placeholders:
            raise FactError(
                f"{self.id} wants {sorted(self.placeholders)}, was given {sorted(values)}"
            )
        return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), str(self.value))


def parse_fact(name: str, entry: Mapping[str, Any], sources: Mapping[str, str]) -> Fact:
    """A fact from its entry in a data file. Raises FactError when the entry is not well formed."""
    if not isinstance(entry, Mapping):
        raise FactError(f"{name}: expected a mapping, found {type(entry).__name__}")
    unknown, missing = entry.keys() - _FIELDS, _REQUIRED - entry.keys()
    if unknown or missing:
        raise FactError(f"{name}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    keys = entry["source"] if isinstance(entry["source"], list) else [entry["source"]]
    for key in keys:
        if key not in sources:
            raise FactError(f"{name}: source {key!r} is not in sources.yaml")
    for field in ("as_of", "since"):
        if field in entry and type(entry[field]) is not dt.date:
            raise FactError(f"{name}: {field} is not a date: {entry[field]!r}")
    if entry["confidence"] not in CONFIDENCES:
        raise FactError(f"{name}: confidence {entry['confidence']!r} is none of {[*CONFIDENCES]}")
    conflict = entry.get("conflict")
    if conflict is not None:
        if set(conflict) != {"claim", "source", "preferred"} or conflict["source"] not in sources:
            raise FactError(f"{name}: a conflict has claim, source (of sources.yaml), preferred")
        conflict = Conflict(conflict["claim"], sources[conflict["source"]], conflict["preferred"])
    return Fact(
        id=name,
        value=entry["value"],
        text=entry["text"],
        source=tuple(sources[key] for key in keys),
        as_of=entry["as_of"],
        confidence=entry["confidence"],
        unit=entry.get("unit"),
        code=entry.get("code"),
        since=entry.get("since"),
        conflict=conflict,
    )
