"""Chapter 05 in a real JupyterLab: it runs top to bottom, and a digit drawn by mouse is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fargate_lab.paths import repo_root

pytestmark = pytest.mark.browser

CHAPTER = "05-run-on-fargate.ipynb"
# Two strokes of a person's seven would do as one: along the top, then down to the left.
SEVEN = [(60, 60), (110, 58), (160, 60), (180, 62), (165, 95), (145, 130), (125, 165), (110, 195)]


def test_a_drawn_digit_is_read(tmp_path: Path) -> None:
    from tests.browser.jupyter import jupyterlab, page, run_all

    folder = tmp_path / "notebooks"
    folder.mkdir()
    solved = (repo_root() / "solutions" / CHAPTER).read_text(encoding="utf-8")
    # The last code cell stops the task; the learner draws before coming to it.
    (folder / CHAPTER).write_text(without_stopping(solved), encoding="utf-8")
    with jupyterlab(folder, tmp_path) as address, page(address.format(notebook=CHAPTER)) as view:
        assert run_all(view) == []
        canvas = view.locator(".ink-pad canvas")
        canvas.scroll_into_view_if_needed()
        answer = view.locator(".ink-answer")
        assert "reads: 3" in answer.inner_text()  # the stored drawing, before anyone draws
        view.locator(".ink-clear").click()
        box = canvas.bounding_box()
        assert box is not None
        view.mouse.move(box["x"] + SEVEN[0][0], box["y"] + SEVEN[0][1])
        view.mouse.down()
        for x, y in SEVEN[1:]:
            view.mouse.move(box["x"] + x, box["y"] + y, steps=6)
        view.mouse.up()
        view.wait_for_function(
            "() => document.querySelector('.ink-answer').textContent.includes('reads: 7')",
            timeout=20_000,
        )


def test_the_whole_chapter_runs(tmp_path: Path) -> None:
    from tests.browser.jupyter import jupyterlab, page, run_all

    folder = tmp_path / "notebooks"
    folder.mkdir()
    shutil.copy(repo_root() / "solutions" / CHAPTER, folder)
    with jupyterlab(folder, tmp_path) as address, page(address.format(notebook=CHAPTER)) as view:
        assert run_all(view) == []
        assert view.locator("text=✓ passed").count() == 3
        assert view.locator(".jp-RenderedSVG, .jp-RenderedImage").count() >= 1


def without_stopping(notebook: str) -> str:
    """The chapter up to and including the drawing pad."""
    import nbformat

    book = nbformat.reads(notebook, 4)
    last = next(i for i, cell in enumerate(book.cells) if "pad.on_draw" in cell.source)
    book.cells = book.cells[: last + 1]
    return str(nbformat.writes(book))
