"""The frame every digit is put in: how tall, how wide, how slanted, how balanced.

The numbers are read off the training pictures (the UCI "Optical Recognition of Handwritten
Digits" set, as scikit-learn bundles it): digits there touch the top and bottom row, stay within
the six middle columns, and were counted down from 32 × 32 pixels in blocks of 4 × 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

CELLS = 8
FULL = 16.0
CANVAS = 64
"""Pixels a side of the working canvas: 8 for each cell."""

INK = 1240.0
"""Ink of a digit, in full pixels of the working canvas: 4.85 of 16 a cell.

Every class of the training pictures has this much: a 1 is written broad there, an 8 fine.
"""

PEN_LEAST, PEN_MOST = 5.0, 15.0
"""How fine and how broad a stroke may become to get there."""

TALL = 60.0
WIDE = 50.0
"""The box that ink must fit, in pixels of the working canvas."""

MAX_SLANT = 0.7
"""Steepest slant that is taken for a slant; beyond it a shape is what it is (tan of the angle)."""


@dataclass(frozen=True)
class Stance:
    """How a drawing stands once its slant is taken out, in its own units.

    Upright coordinates are (x - slant * y, y); `mass` is the ink's balance along x.
    """

    slant: float
    left: float
    right: float
    top: float
    bottom: float
    mass: float

    def fit(self, margin: float) -> Fit:
        """Fill the frame and balance on the middle column.

        `margin` is what the drawn thickness adds on each side, in canvas pixels.
        """
        width, height = self.right - self.left, self.bottom - self.top
        scale = min(
            (TALL - 2 * margin) / height if height > 0 else math.inf,
            (WIDE - 2 * margin) / width if width > 0 else math.inf,
        )
        if not math.isfinite(scale):  # a dot, or two points closer than a float can tell
            scale = 1.0
        middle, edge = CANVAS / 2, margin + 1.0
        dx = middle - scale * self.mass
        # Balanced, but never over the edge.
        low, high = edge - scale * self.left, CANVAS - edge - scale * self.right
        if low <= high:
            dx = min(max(dx, low), high)
        else:
            dx = middle - scale * (self.left + self.right) / 2
        return Fit(scale, dx, middle - scale * (self.top + self.bottom) / 2)


@dataclass(frozen=True)
class Fit:
    """From upright coordinates to the working canvas: u' = scale * u + dx, y' = scale * y + dy."""

    scale: float
    dx: float
    dy: float


def stance(inked: Points, outer: Points, weights: npt.NDArray[Any]) -> Stance:
    """Measure a drawing: its balance from the places `inked` with their weights, its extent from
    the places `outer`; both of shape (n, 2), x and y."""
    xs, ys = inked[:, 0], inked[:, 1]
    total = float(weights.sum())
    mean_x, mean_y = float(weights @ xs) / total, float(weights @ ys) / total
    slant = _slant(xs - mean_x, ys - mean_y, weights)
    upright, down = outer[:, 0] - slant * outer[:, 1], outer[:, 1]
    return Stance(
        slant,
        float(upright.min()),
        float(upright.max()),
        float(down.min()),
        float(down.max()),
        mean_x - slant * mean_y,
    )


def _slant(dx: Points, dy: Points, weights: npt.NDArray[Any]) -> float:
    """How far x moves for each unit of y, from the ink's second moments; 0 for a flat drawing."""
    weighed = weights * dy
    spread_y, spread_x = float(weighed @ dy), float(weights @ (dx * dx))
    # A flat drawing has no height to be slanted along: dividing by it would tear it apart.
    if spread_y <= 0.05 * spread_x or spread_y <= 0.0:
        return 0.0
    return max(-MAX_SLANT, min(MAX_SLANT, float(weighed @ dx) / spread_y))


def pool(canvas: Image.Image) -> Array:
    """Count a working canvas of 0 to 255 down to 64 cells of 0 to 16."""
    cells = np.asarray(canvas.reduce(CANVAS // CELLS), dtype=np.float32)
    counted: Array = (cells * np.float32(FULL / 255)).reshape(CELLS * CELLS)
    return counted
