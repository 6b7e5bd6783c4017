"""Exercises that grade themselves on the state of the cloud.

A chapter's checks live in `chapterNN.py` beside this file; each is a function that looks at the
account with boto3 and returns what it found, or raises `Missing`.
"""

from __future__ import annotations

import html
import importlib
import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from fargate_lab.lesson.errors import LabError, plain
from fargate_lab.paths import state_dir

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab

Check = Callable[["Lab"], str]


class Missing(Exception):
    """An exercise is not done: what was found, what is missing, and where to read."""

    def __init__(self, missing: str, *, found: str = "", read: str = "") -> None:
        super().__init__(missing)
        self.missing, self.found, self.read = missing, found, read


@dataclass(frozen=True)
class Exercise:
    """One exercise: its number, title, check, three hints, and the section to read again."""

    number: str
    title: str
    check: Check
    hints: tuple[str, str, str]
    read: str


@dataclass(frozen=True)
class Verdict:
    """What a check says. In a notebook it shows itself."""

    number: str
    title: str
    passed: bool
    found: str
    missing: str = ""
    read: str = ""

    def __repr__(self) -> str:
        head = f"{'PASSED' if self.passed else 'NOT YET'}  exercise {self.number}: {self.title}"
        rows = [("found", self.found), ("missing", self.missing), ("read", self.read)]
        return "\n".join([head, *(f"  {name}: {text}" for name, text in rows if text)])

    def _repr_html_(self) -> str:
        # The mark is a word as well as a colour; both stand on either theme.
        colour, word = ("#009E73", "✓ passed") if self.passed else ("#D55E00", "✗ not yet")
        rows = [("found", self.found), ("missing", self.missing), ("read", self.read)]
        body = "".join(
            f"<div><b>{name}</b>: {html.escape(text)}</div>" for name, text in rows if text
        )
        return (
            f'<div style="border-left:4px solid {colour};padding:.3em .8em;margin:.2em 0">'
            f'<div><b style="color:{colour}">{word}</b> · exercise {self.number}: '
            f"{html.escape(self.title)}</div>{body}</div>"
        )


_exercises: dict[str, Exercise] = {}


def exercise(
    number: str, title: str, *, hints: tuple[str, str, str], read: str
) -> Callable[[Check], Check]:
    """Register a function as the check of exercise `number` (`"3.2"`: chapter 3, second)."""

    def register(check: Check) -> Check:
        _exercises[number] = Exercise(number, title, check, hints, read)
        return check

    return register


def get(number: str) -> Exercise:
    """The exercise. Raises LabError with the chapter's numbers when there is none."""
    number = str(number).strip()
    chapter, _, _ = number.partition(".")
    if chapter.isdigit():
        name = f"{__name__}.chapter{int(chapter):02d}"
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
    if number not in _exercises:
        known = sorted(n for n in _exercises if n.partition(".")[0] == chapter)
        listed = f"chapter {chapter} has {', '.join(known)}" if known else "write it as '3.2'"
        raise LabError(f"There is no exercise {number!r}; {listed}.")
    return _exercises[number]


def run(lab: Lab, number: str) -> Verdict:
    """Run a check. With LAB_CHECKS=strict (autograders) a failure raises AssertionError."""
    item = get(number)
    number = item.number
    try:
        verdict = Verdict(number, item.title, True, item.check(lab))
    except Missing as gap:
        verdict = Verdict(number, item.title, False, gap.found, gap.missing, gap.read or item.read)
    except EndpointConnectionError:
        raise LabError(
            "The lab's cloud does not answer. Run the chapter's first cell again, then this one."
        ) from None
    except (ClientError, BotoCoreError) as error:
        verdict = Verdict(number, item.title, False, "", plain(error), item.read)
    if verdict.passed:
        _remember(number)
    elif os.environ.get("LAB_CHECKS") == "strict":
        raise AssertionError(repr(verdict))
    return verdict


_shown: dict[str, int] = {}


def hint(number: str) -> None:
    """Print the next of the three hints; after the last, the last again."""
    item = get(number)
    number = item.number
    step = min(_shown.get(number, 0), len(item.hints) - 1)
    _shown[number] = step + 1
    print(f"Hint {step + 1} of {len(item.hints)}: {item.hints[step]}")


def passed() -> list[str]:
    """The exercises passed so far on this state folder."""
    try:
        return sorted(json.loads(_progress_file().read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []


def _progress_file() -> Path:
    return state_dir() / "progress.json"


def _remember(number: str) -> None:
    done = sorted({*passed(), number})
    path = _progress_file()
    temporary = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(done), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return  # a read-only folder must not turn a pass into a failure
