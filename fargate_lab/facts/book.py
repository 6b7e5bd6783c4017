"""Finding facts: one YAML file per subject, read when first asked for.

The file's path is the subject: `data/fargate/sizes.yaml` holds the facts `fargate.sizes.…`.
`data/sources.yaml` names every source once.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Any

from fargate_lab.facts.fact import Fact, parse_fact

DATA = Path(__file__).parent / "data"
SOURCES = "sources"


class UnknownFact(KeyError):
    """No fact has this id; the text names the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


def fact(name: str) -> Fact:
    """The fact of an id. Raises UnknownFact, with the nearest ids, when there is none."""
    for subject in _subjects():
        if name.startswith(f"{subject}."):
            found = _book(subject).get(name)
            if found is not None:
                return found
    near = difflib.get_close_matches(name, [known.id for known in facts()], n=3, cutoff=0.4)
    hint = f" Nearest: {', '.join(near)}." if near else ""
    raise UnknownFact(f"There is no fact {name!r}.{hint}")


def facts(prefix: str = "") -> list[Fact]:
    """All facts whose id begins with prefix, by subject, in the order of their file."""
    return [
        entry
        for subject in _subjects()
        if f"{subject}.".startswith(prefix) or prefix.startswith(f"{subject}.")
        for entry in _book(subject).values()
        if entry.id.startswith(prefix)
    ]


@cache
def _subjects() -> tuple[str, ...]:
    found = (p.relative_to(DATA).with_suffix("").as_posix() for p in DATA.rglob("*.yaml"))
    return tuple(sorted(name.replace("/", ".") for name in found if name != SOURCES))


@cache
def _sources() -> dict[str, str]:
    return {key: str(title) for key, title in load(DATA / f"{SOURCES}.yaml").items()}


@cache
def _book(subject: str) -> dict[str, Fact]:
    path = DATA.joinpath(*subject.split(".")).with_suffix(".yaml")
    return {
        f"{subject}.{key}": parse_fact(f"{subject}.{key}", entry, _sources())
        for key, entry in load(path).items()
    }


def load(path: Path) -> dict[str, Any]:
    """A data file's mapping."""
    import yaml  # costs 15 ms: only when a fact is asked for

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    return document
