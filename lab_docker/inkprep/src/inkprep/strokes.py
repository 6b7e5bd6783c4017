"""Strokes, as a mouse, a finger or a pen leaves them, to the model's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from inkprep.errors import InkError
from inkprep.frame import CANVAS, INK, PEN_LEAST, PEN_MOST, Array, pool, stance

MAX_POINTS = 20_000
"""Points in one drawing; a pen that samples 200 times a second takes 100 s to get there."""

_EXPECTED = "expected a list of strokes, each a list of [x, y] points"

Points = npt.NDArray[np.float64]


def from_strokes(strokes: Any) -> Array:
    """The model's input for a drawing: `strokes` is a list of strokes, each a list of [x, y].

    Any unit and origin; y grows downwards, as on a screen. Raises InkError.
    """
    lines = _parse(strokes)
    points = np.concatenate(lines)
    # The origin and the unit are the caller's: drop both before squares are taken of them.
    low = points.min(axis=0)
    with np.errstate(over="ignore"):  # seen in the next line
        extent = float((points.max(axis=0) - low).max())
    if not np.isfinite(extent):
        raise InkError("not-finite", "The drawing is wider than a number can say.")
    unit = extent if extent > 0.0 else 1.0
    lines = [(line - low) / unit for line in lines]
    stand = stance(*_ink(lines))
    for line in lines:
        line[:, 0] -= stand.slant * line[:, 1]
    length = sum(_length(line) for line in lines)
    pen = (PEN_LEAST + PEN_MOST) / 2
    for _ in range(2):  # the pen's breadth narrows the room, the room sets the length
        placed = stand.fit(pen / 2)
        # As much ink as the training pictures have.
        pen = min(max(INK / (placed.scale * length + 1.0), PEN_LEAST), PEN_MOST)
    shift = np.array([placed.dx, placed.dy])
    return pool(_draw([line * placed.scale + shift for line in lines], pen))


def _length(line: Points) -> float:
    step = line[1:] - line[:-1]
    return float(np.sqrt((step * step).sum(axis=1)).sum())


def _parse(strokes: Any) -> list[Points]:
    """Check and convert; a stroke without points is dropped (a pen that touched and left)."""
    if not isinstance(strokes, (list, tuple)):
        raise InkError("shape", f"strokes is {type(strokes).__name__}: {_EXPECTED}.")
    if len(strokes) > MAX_POINTS:
        raise InkError("too-many-points", f"{len(strokes)} strokes; at most {MAX_POINTS} points.")
    lines: list[Points] = []
    count = 0
    for number, stroke in enumerate(strokes):
        if not isinstance(stroke, (list, tuple, np.ndarray)):
            raise InkError("shape", f"Stroke {number} is {type(stroke).__name__}: {_EXPECTED}.")
        if len(stroke) == 0:
            continue
        count += len(stroke)
        if count > MAX_POINTS:
            raise InkError("too-many-points", f"More than {MAX_POINTS} points in one drawing.")
        lines.append(_points(number, stroke))
    if not lines:
        raise InkError("empty", "The drawing is empty: no stroke has a point.")
    return lines


def _points(number: int, stroke: Any) -> Points:
    try:
        line = np.asarray(stroke)
    except (ValueError, OverflowError, TypeError, RecursionError) as error:
        raise InkError("shape", f"Stroke {number} is uneven: {_EXPECTED}.") from error
    if line.ndim != 2 or line.shape[1] != 2 or line.dtype.kind not in "iuf":
        raise InkError("shape", f"Stroke {number} has no [x, y] numbers: {_EXPECTED}.")
    line = line.astype(np.float64)
    if not np.isfinite(line).all():
        raise InkError("not-finite", f"Stroke {number} has a point that is not a finite number.")
    return line


def _ink(lines: list[Points]) -> tuple[Points, Points, Points]:
    """Where the ink is: two places on each segment, weighed by its length, and all points.

    Points lie close where the hand was slow; weights by length make speed not matter. The two
    places are Gauss and Legendre's: they have exactly the segment's first and second moments.
    """
    middles, weights = [], []
    for line in lines:
        if len(line) > 1:
            step = line[1:] - line[:-1]
            middle, away = (line[1:] + line[:-1]) / 2, step / np.sqrt(12.0)
            middles += [middle - away, middle + away]
            weights += [np.hypot(step[:, 0], step[:, 1])] * 2
        # The points bound the ink; their weight is too small to move its balance.
        middles.append(line)
        weights.append(np.full(len(line), 1e-6))
    every = np.concatenate(middles)
    return every[:, 0], every[:, 1], np.concatenate(weights)


def _draw(lines: list[Points], pen: float) -> Image.Image:
    """Ink the lines, given in pixels of the working canvas, with round ends and corners."""
    image = Image.new("L", (CANVAS, CANVAS))
    ink = ImageDraw.Draw(image)
    radius = pen / 2
    for full in lines:
        line = _thinned(full)
        if len(line) > 1:
            ink.line(line.ravel().tolist(), fill=255, width=round(pen))
        for x, y in line[_corners(line)].tolist():
            ink.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return image


def _thinned(line: Points) -> Points:
    """The line without the points that are less than a pixel and a half on from the last kept."""
    if len(line) < 3:
        return line
    step = line[1:] - line[:-1]
    reached = (np.sqrt((step * step).sum(axis=1)).cumsum() / 1.5).astype(np.int64)
    kept = np.ones(len(line), dtype=bool)
    kept[1] = reached[0] > 0
    kept[2:-1] = reached[1:-1] != reached[:-2]
    return line[kept]


def _corners(line: Points) -> npt.NDArray[np.bool_]:
    """Both ends, and where the line turns so sharply that two plain segments leave a gap."""
    at = np.ones(len(line), dtype=bool)
    if len(line) > 2:
        step = line[1:] - line[:-1]
        length = np.sqrt((step * step).sum(axis=1))
        along = (step[1:] * step[:-1]).sum(axis=1)
        at[1:-1] = along < 0.9 * length[1:] * length[:-1]  # cos 26 degrees
    return at
