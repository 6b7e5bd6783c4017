"""Every chapter runs with its exercises blank, and with every cell run twice."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from fargate_lab.lesson import release

SOURCES = release.sources()


def run(notebook: Any, tmp_path: Path, root: Path) -> list[str]:
    """Run a notebook on a cloud of its own; the first word of each check's verdict."""
    done = release.execute(notebook, root / "notebooks", tmp_path / "state")
    checks = [c for c in done.cells if c.cell_type == "code" and "lab.check(" in c.source]
    texts = [str(c.outputs[-1]["data"]["text/plain"]) for c in checks]
    return [re.split(r"\s{2,}", text)[0] for text in texts]


@pytest.mark.long
@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_a_blank_chapter_runs_to_its_end_and_passes_no_check(
    source: Path, tmp_path: Path, root: Path
) -> None:
    verdicts = run(release.blank(release.chapter(source)), tmp_path, root)
    assert verdicts
    assert set(verdicts) == {"NOT YET"}


@pytest.mark.long
@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
def test_every_cell_can_be_run_twice(source: Path, tmp_path: Path, root: Path) -> None:
    notebook = release.chapter(source)
    cells = []
    for cell in notebook.cells:
        again = copy.deepcopy(cell)
        again["id"] = f"again-{cell.id[-40:]}"
        cells += [cell, again] if cell.cell_type == "code" else [cell]
    notebook.cells = cells
    verdicts = run(notebook, tmp_path, root)
    assert set(verdicts) == {"PASSED"}
