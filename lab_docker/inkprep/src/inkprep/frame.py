"""The frame every digit is put in: how tall, how wide, how slanted, how balanced.

The numbers are read off the training pictures (the UCI "Optical Recognition of Handwritten
Digits" set, as scikit-learn bundles it): digits there touch the top and bottom row, stay within
the six middle columns, and were counted down from 32 × 32 pixels in blocks of 4 × 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

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
class Fit:
    """An affine map from source coordinates to the working canvas.

    x' = scale * (x - slant * y) + dx;  y' = scale * y + dy
    """

    scale: float
    slant: float
    dx: float
    dy: float

    def apply(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Points of shape (n, 2) on the working canvas."""
        placed = np.empty_like(points)
        placed[:, 1] = points[:, 1] * self.scale + self.dy
        placed[:, 0] = (points[:, 0] - self.slant * points[:, 1]) * self.scale + self.dx
        return placed


def slant_of(xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], weights: Array) -> float:
    """How far x moves for each unit of y, from the ink's second moments; 0 for a flat drawing."""
    total = weights.sum()
    dx = xs - (weights @ xs) / total
    dy = ys - (weights @ ys) / total
    spread_y = weights @ (dy * dy)
    spread_x = weights @ (dx * dx)
    # A flat drawing has no height to be slanted along: dividing by it would tear it apart.
    if spread_y <= 0.05 * spread_x or spread_y <= 0.0:
        return 0.0
    slant = float(weights @ (dx * dy) / spread_y)
    return max(-MAX_SLANT, min(MAX_SLANT, slant))


def fit(
    xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], weights: Array, *, margin: float
) -> Fit:
    """Stand the ink upright, make it fill the frame, and balance it on the middle column.

    `margin` is what the drawn thickness adds on each side, in canvas pixels.
    """
    slant = slant_of(xs, ys, weights)
    upright = xs - slant * ys
    left, right = float(upright.min()), float(upright.max())
    top, bottom = float(ys.min()), float(ys.max())
    room_y, room_x = TALL - 2 * margin, WIDE - 2 * margin
    scale = min(
        room_y / (bottom - top) if bottom > top else np.inf,
        room_x / (right - left) if right > left else np.inf,
    )
    if not np.isfinite(scale):  # a dot, or two points closer than a float can tell
        scale = 1.0
    middle = CANVAS / 2
    mass = float(weights @ upright / weights.sum())
    dx = middle - scale * mass
    # Balanced, but never over the edge.
    edge = margin + 1.0
    low, high = edge - scale * left, CANVAS - edge - scale * right
    dx = min(max(dx, low), high) if low <= high else middle - scale * (left + right) / 2
    return Fit(scale, slant, dx, middle - scale * (top + bottom) / 2)


def pool(canvas: npt.NDArray[np.uint8]) -> Array:
    """Count a canvas of 0 to 255 down to 64 cells of 0 to 16."""
    side = canvas.shape[0] // CELLS
    blocks = canvas.reshape(CELLS, side, CELLS, side)
    sums = blocks.sum(axis=(1, 3), dtype=np.float32)
    cells: Array = (sums * np.float32(FULL / (255.0 * side * side))).reshape(CELLS * CELLS)
    return cells
