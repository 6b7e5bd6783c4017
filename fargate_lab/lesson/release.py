"""Make `solutions/` (executed) and `notebooks/` (exercises blank) from the chapters' text.

A chapter is written once, as a jupytext percent script `solutions/src/NN-title.py`. A code cell
marked `exercise="3.1"` holds its answer between nbgrader's markers; the cell marked `check="3.1"`
grades it. Both get nbgrader's metadata (schema 3).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat.v4 import new_markdown_cell

from fargate_lab.cloud import process
from fargate_lab.lesson.errors import LabError
from fargate_lab.paths import cache_dir, repo_root

Notebook = Any
"""A notebook node of nbformat 4."""

BLANK = "# Write your code here."
_SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION[ \t]*\n?",
    re.DOTALL | re.MULTILINE,
)
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def sources(root: Path | None = None) -> list[Path]:
    """The chapters' texts, in order."""
    return sorted(((root or repo_root()) / "solutions" / "src").glob("[0-9][0-9]-*.py"))


def chapter(source: Path, order: Iterable[Path] = ()) -> Notebook:
    """A chapter as a notebook without outputs, with its solutions, metadata and navigation."""
    notebook = jupytext.read(source, fmt="py:percent")
    for cell in notebook.cells:
        _mark(cell)
        if cell.cell_type == "markdown":
            # JupyterLab leaves no room after a folded answer.
            cell.source = cell.source.replace("<details>", '<details style="margin-bottom:1em">')
    notebook.cells.append(new_markdown_cell(_navigation(source, list(order) or sources())))
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem[:40]}-{index:02d}"
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def blank(notebook: Notebook) -> Notebook:
    """The same notebook for a learner: answers taken out, no outputs."""
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.source = _SOLUTION.sub(
                lambda m: f"{m['indent']}{BLANK}\n", cell.source + "\n"
            ).rstrip("\n")
            cell.outputs, cell.execution_count = [], None
    return copy


def execute(notebook: Notebook, folder: Path, state: Path) -> Notebook:
    """Run a notebook from top to bottom against a cloud of its own on the folder `state`."""
    from nbclient import NotebookClient

    environment = {**os.environ, "LAB_STATE_DIR": str(state), "LAB_CACHE_DIR": str(cache_dir())}
    environment["PYTHONPATH"] = str(repo_root())
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
    )
    try:
        client.execute(env=environment)
    finally:
        process.stop(state)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran: new each time, read by nobody
    return notebook


def release(
    only: Iterable[str] = (), *, run: bool = True, say: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Write both notebooks of every chapter (or of those whose number is in `only`).

    run False keeps the stored outputs' files as they are and writes `notebooks/` alone.
    Returns the files written. A chapter that fails leaves its old files untouched. Raises LabError
    for a number that no chapter has.
    """
    root, written = repo_root(), []
    for source in _chosen(only):
        say(f"{source.stem} …")
        notebook = chapter(source)
        blanked = blank(notebook)
        if run:
            state = Path(tempfile.mkdtemp(prefix="fargate-lab-release-"))
            try:
                solved = execute(notebook, root / "solutions", state)
            finally:
                shutil.rmtree(state, ignore_errors=True)
            written.append(_write(solved, root / "solutions" / f"{source.stem}.ipynb"))
        written.append(_write(blanked, root / "notebooks" / f"{source.stem}.ipynb"))
    return written


def _chosen(only: Iterable[str]) -> list[Path]:
    texts = {source.name[:2]: source for source in sources()}
    unknown = sorted(set(only) - set(texts))
    if unknown:
        raise LabError(f"There is no chapter {unknown[0]}; there are {', '.join(texts)}.")
    return [source for number, source in texts.items() if not only or number in only]


def drift(root: Path | None = None) -> list[str]:
    """What in `solutions/` and `notebooks/` no longer is what the texts make; empty when all is."""
    root = root or repo_root()
    found: list[str] = []
    texts = sources(root)
    for folder in ("solutions", "notebooks"):
        # A name that begins with a dot is an editor's or a tool's copy.
        stray = {p.stem for p in (root / folder).glob("[!.]*.ipynb")} ^ {s.stem for s in texts}
        found += [f"{folder}/{name}.ipynb has no counterpart" for name in sorted(stray)]
    for source in texts:
        made = chapter(source, texts)
        for folder, expected in (("solutions", made), ("notebooks", blank(made))):
            path = root / folder / f"{source.stem}.ipynb"
            if path.exists() and _cells(nbformat.read(path, 4)) != _cells(expected):
                found.append(f"{folder}/{path.name} differs from solutions/src/{source.name}")
    return found


def _mark(cell: Notebook) -> None:
    metadata = cell.metadata
    for key, graded in (("exercise", False), ("check", True)):
        number = metadata.pop(key, None)
        if number is None:
            continue
        metadata["nbgrader"] = {
            "schema_version": 3,
            "grade_id": f"{key}-{str(number).replace('.', '-')}",
            "solution": not graded,
            "grade": graded,
            "locked": graded,
            "task": False,
            **({"points": 1} if graded else {}),
        }


def _navigation(source: Path, order: list[Path]) -> str:
    at = order.index(source)
    links = []
    if at:
        links.append(f"← [{_title(order[at - 1])}]({order[at - 1].stem}.ipynb)")
    if at + 1 < len(order):
        links.append(f"[{_title(order[at + 1])}]({order[at + 1].stem}.ipynb) →")
    return "---\n" + " · ".join(links)


def _title(source: Path) -> str:
    match = re.search(r"^# # (.+)$", source.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else source.stem


def _cells(notebook: Notebook) -> list[tuple[str, str, str, str]]:
    return [
        (c.cell_type, c.id, c.source, json.dumps(c.metadata, sort_keys=True))
        for c in notebook.cells
    ]


def _write(notebook: Notebook, target: Path) -> Path:
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_suffix(".tmp")
    temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    temporary.replace(target)
    return target
