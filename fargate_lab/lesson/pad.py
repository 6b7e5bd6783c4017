"""The drawing pad: a field in the notebook whose strokes the learner's own task reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from fargate_lab.lesson.errors import LabError
from fargate_lab.paths import repo_root

Strokes = list[list[list[float]]]
"""Strokes of one drawing: a stroke is a list of [x, y] points in pixels, y downwards."""

HERE = Path(__file__).parent / "static"
SAMPLES = repo_root() / "lab_docker" / "samples" / "strokes.json"


class DrawingPad(anywidget.AnyWidget):
    """Holds `strokes`: what was drawn, or the stored sample until something is drawn.

    `answer` is shown under the field. `on_draw(function)` calls function(strokes) after each
    stroke and shows what it returns.
    """

    _esm = HERE / "pad.js"
    _css = HERE / "pad.css"

    strokes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    answer = traitlets.Unicode("").tag(sync=True)
    drawn = traitlets.Bool(False).tag(sync=True)

    def __repr__(self) -> str:
        what = "your drawing" if self.drawn else "a stored sample"
        return f"DrawingPad({what}, {len(self.strokes)} strokes)"

    def on_draw(self, read: Callable[[Strokes], str]) -> None:
        """Show what `read(strokes)` says, now and after every stroke."""

        def update(change: Any = None) -> None:
            if not self.strokes:
                self.answer = ""
                return
            try:
                self.answer = read(self.strokes)
            except Exception as error:  # shown to the learner: the task may have been stopped
                self.answer = f"No answer: {error}"

        self.observe(update, names="strokes")
        update()


def samples() -> dict[str, list[Strokes]]:
    """The stored drawings, by digit."""
    if not SAMPLES.exists():
        raise LabError(f"The stored drawings are missing: {SAMPLES}. Restore them with git.")
    loaded: dict[str, list[Strokes]] = json.loads(SAMPLES.read_text(encoding="utf-8"))
    return loaded


def make_pad(sample: str = "7") -> DrawingPad:
    """A pad that holds the first stored drawing of a digit (`"0"` to `"9"`)."""
    stored, sample = samples(), str(sample)
    if sample not in stored:
        raise LabError(f"There is no stored drawing of {sample!r}; choose one of 0 to 9.")
    return DrawingPad(strokes=stored[sample][0])
