"""What carries the lessons here, and what of Fargate it does not do."""

from __future__ import annotations

import html
import platform
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fargate_lab.lesson.backend import ask
from fargate_lab.paths import repo_root

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab

RUNTIMES = {
    "docker": "your Docker engine: a container with a CPU and memory limit for each task",
    "process": "plain processes of this machine: no Docker engine is used",
    "fargate": "AWS Fargate",
}


@dataclass(frozen=True)
class Machine:
    """Rows of (what, how it stands here), shown as a table in a notebook."""

    rows: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self.rows)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in self.rows)

    def _repr_html_(self) -> str:
        cell = '<td style="text-align:left;vertical-align:top">'
        body = "".join(
            f"<tr>{cell}<b>{html.escape(name)}</b></td>{cell}{html.escape(text)}</td></tr>"
            for name, text in self.rows
        )
        return f"<table>{body}</table>"


def describe(lab: Lab) -> Machine:
    """Python, disk, where calls go, what runs tasks, and what that does not do as Fargate does."""
    free = shutil.disk_usage(repo_root()).free / 1e9
    name, notes = _runtime(lab)
    where = lab.backend.url or f"AWS, account {lab.account}"
    return Machine(
        (
            ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
            ("disk", f"{free:.0f} GB free"),
            ("AWS calls go to", f"{where}, Region {lab.region}"),
            ("tasks run on", RUNTIMES.get(name, name)),
            *(("unlike Fargate", note) for note in notes),
        )
    )


def _runtime(lab: Lab) -> tuple[str, list[str]]:
    if lab.backend.name == "aws":
        return "fargate", []
    answer = ask(lab.backend.url, "/_lab/runtime") or {}
    return str(answer.get("runtime", lab.backend.runtime)), [
        str(n) for n in answer.get("notes", [])
    ]
