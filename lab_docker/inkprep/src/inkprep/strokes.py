"""Strokes, as a mouse, a finger or a pen leaves them, to the model's input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from inkprep.errors import InkError
from inkprep.frame import CANVAS, INK, PEN_LEAST, PEN_MOST, Array, Stance, pool, stance

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
    if not math.isfinite(extent):
        raise InkError("not-finite", "The drawing is wider than a number can say.")
    points = (points - low) / (extent or 1.0)
    ends = np.cumsum([len(line) for line in lines])
    stand, length = _measure(points, ends)
    pen = (PEN_LEAST + PEN_MOST) / 2
    for _ in range(2):  # the pen's breadth narrows the room, the room sets the length
        placed = stand.fit(pen / 2)
        # As much ink as the training pictures have.
        pen = min(max(INK / (placed.scale * length + 1.0), PEN_LEAST), PEN_MOST)
    points[:, 0] -= stand.slant * points[:, 1]
    points *= placed.scale
    points += (placed.dx, placed.dy)
    return pool(_draw(points, ends, pen))


def _measure(points: Points, ends: npt.NDArray[np.int64]) -> tuple[Stance, float]:
    """How the drawing stands, and the length of its lines once it stands upright.

    Points lie close where the hand was slow: segments are weighed by their length, so that speed
    does not matter. Each counts at two places, Gauss and Legendre's, which have exactly its first
    and second moments.
    """
    step = points[1:] - points[:-1]
    weights = np.hypot(step[:, 0], step[:, 1])
    weights[ends[:-1] - 1] = 0.0  # from one stroke's end to the next one's start the pen is up
    if not weights.any():
        return stance(points, points, np.ones(len(points))), 0.0
    middle = (points[1:] + points[:-1]) * 0.5
    away = step * math.sqrt(1 / 12)
    inked = np.concatenate((middle - away, middle + away))
    stand = stance(inked, points, np.concatenate((weights, weights)))
    upright = np.hypot(step[:, 0] - stand.slant * step[:, 1], step[:, 1])
    upright[ends[:-1] - 1] = 0.0
    return stand, float(upright.sum())


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


def _draw(points: Points, ends: npt.NDArray[np.int64], pen: float) -> Image.Image:
    """Ink the lines, given in pixels of the working canvas, with round ends and corners."""
    image = Image.new("L", (CANVAS, CANVAS))
    ink = ImageDraw.Draw(image)
    radius, start = pen / 2, 0
    for end in ends.tolist():
        line = _thinned(points[start:end])
        start = end
        if len(line) > 1:
            ink.line(line.ravel().tolist(), fill=255, width=round(pen))
        for x, y in line[_corners(line)].tolist():
            ink.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return image


def _thinned(line: Points) -> Points:
    """The line without the points that are less than four pixels on from the last kept."""
    if len(line) < 3:
        return line
    step = line[1:] - line[:-1]
    reached = (np.hypot(step[:, 0], step[:, 1]).cumsum() * 0.25).astype(np.int64)
    kept = np.ones(len(line), dtype=bool)
    kept[1] = reached[0] > 0
    kept[2:-1] = reached[1:-1] != reached[:-2]
    return line[kept]


def _corners(line: Points) -> npt.NDArray[np.bool_]:
    """Both ends, and where the line turns so sharply that two plain segments leave a gap."""
    at = np.ones(len(line), dtype=bool)
    if len(line) > 2:
        step = line[1:] - line[:-1]
        length = np.hypot(step[:, 0], step[:, 1])
        along = step[1:, 0] * step[:-1, 0] + step[1:, 1] * step[:-1, 1]
        at[1:-1] = along < 0.7 * length[1:] * length[:-1]  # cos 45 degrees
    return at
