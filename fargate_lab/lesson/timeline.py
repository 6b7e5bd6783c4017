"""A task's life as a picture, from the timestamps that DescribeTasks returns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from fargate_lab.lesson.style import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, axes

PHASES = (
    ("provision", "createdAt", "pullStartedAt", SKY, "//"),
    ("pull", "pullStartedAt", "pullStoppedAt", BLUE, ""),
    ("start", "pullStoppedAt", "startedAt", ORANGE, ".."),
    ("run", "startedAt", "stoppingAt", GREEN, ""),
    ("stop", "stoppingAt", "stoppedAt", PURPLE, "xx"),
)
"""A phase's name, the timestamps it lies between, its colour and its hatch."""


def spans(task: dict[str, Any]) -> list[tuple[str, float, float]]:
    """(phase, begin, end) in seconds since the task was created; a phase not begun is left out.

    The last phase of a task that still lives ends now.
    """
    zero: dt.datetime = task["createdAt"]
    now = dt.datetime.now(tz=zero.tzinfo)
    found = []
    for name, begin, end, _colour, _hatch in PHASES:
        if begin in task:
            over = task.get(end) or task.get("stoppedAt", now)
            start = (task[begin] - zero).total_seconds()
            found.append((name, start, max(start, (over - zero).total_seconds())))
            if end not in task:
                break
    return found


def draw(tasks: Sequence[dict[str, Any]], labels: Sequence[str] = ()) -> None:
    """Tasks one under another, each phase as long as it took.

    tasks are DescribeTasks' descriptions; labels stand at the left (default: the ids' first six).
    """
    figure, pair = axes(8.4, 1.5 + 0.55 * len(tasks), title="Where a task's time goes")
    looks = {name: (colour, hatch) for name, _b, _e, colour, hatch in PHASES}
    rows = [
        label or task["taskArn"].rsplit("/", 1)[-1][:6]
        for task, label in zip(tasks, [*labels, *[""] * len(tasks)], strict=False)
    ]
    named: set[str] = set()
    for row, task in enumerate(tasks):
        for phase, begin, end in spans(task):
            colour, hatch = looks[phase]
            label = "" if phase in named else phase
            pair.barh(row, end - begin, left=begin, height=0.5, color=colour, hatch=hatch,
                      edgecolor="white", linewidth=0.6, label=label)  # fmt: skip
            named.add(phase)
    pair.set_yticks(range(len(rows)), rows)
    pair.invert_yaxis()
    pair.set_xlabel("seconds since RunTask")
    figure.legend(
        loc="outside lower center", ncols=max(1, len(named)), labelcolor=INK, frameon=False
    )
