"""Drawn digits, made: every digit in several hands, each drawing with its own slant, size and pen.

Nothing here is used to train the model; these drawings stand for the people who will use it.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

Point = tuple[float, float]
Stroke = list[Point]
Strokes = list[Stroke]

SAMPLES = Path(__file__).parent / "samples" / "strokes.json"


@dataclass(frozen=True)
class Drawing:
    """One drawn digit: its strokes in canvas pixels, and the picture a person would have saved."""

    digit: int
    strokes: Strokes
    picture: Image.Image


def arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float) -> Stroke:
    """Points on an ellipse from `start` to `end` degrees; 0 is right, 90 is down."""
    steps = max(2, int(abs(end - start) / 12))
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def hands() -> dict[int, list[Strokes]]:
    """Each digit as different people write it, in a box one unit high; y grows downwards."""
    return {
        0: [
            [arc(0.35, 0.5, 0.33, 0.5, -90, 275)],
            [arc(0.3, 0.5, 0.24, 0.5, -60, 310)],
            [arc(0.42, 0.5, 0.4, 0.48, -110, -480)],
        ],
        1: [
            [[(0.2, 0.0), (0.2, 0.5), (0.2, 1.0)]],
            [[(0.0, 0.25), (0.22, 0.0), (0.22, 1.0)]],
            [[(0.02, 0.2), (0.25, 0.0), (0.25, 1.0)], [(0.0, 1.0), (0.5, 1.0)]],
        ],
        2: [
            [[*arc(0.3, 0.28, 0.3, 0.28, -170, 40), (0.0, 1.0), (0.65, 1.0)]],
            [[*arc(0.32, 0.25, 0.3, 0.25, -160, 60), (0.02, 0.97), (0.3, 0.93), (0.68, 1.0)]],
            [[(0.02, 0.1), (0.35, 0.0), (0.58, 0.18), (0.5, 0.45), (0.0, 1.0), (0.6, 0.98)]],
        ],
        3: [
            [[*arc(0.27, 0.25, 0.27, 0.25, -150, 80), *arc(0.27, 0.73, 0.31, 0.27, -80, 150)]],
            [[(0.0, 0.0), (0.5, 0.0), (0.22, 0.4), *arc(0.24, 0.7, 0.3, 0.3, -80, 140)]],
            [
                [*arc(0.25, 0.24, 0.28, 0.24, -160, 70), (0.15, 0.48)],
                [(0.15, 0.48), *arc(0.25, 0.74, 0.32, 0.26, -80, 160)],
            ],
        ],
        4: [
            [[(0.3, 0.0), (0.0, 0.6), (0.68, 0.6)], [(0.48, 0.3), (0.45, 1.0)]],
            [[(0.45, 1.0), (0.45, 0.0), (0.0, 0.66), (0.65, 0.66)]],
            [[(0.05, 0.0), (0.02, 0.5), (0.55, 0.48)], [(0.52, 0.05), (0.5, 1.0)]],
        ],
        5: [
            [[(0.6, 0.0), (0.1, 0.0), (0.06, 0.42), *arc(0.28, 0.69, 0.31, 0.3, -110, 140)]],
            [
                [(0.1, 0.02), (0.08, 0.45), *arc(0.27, 0.7, 0.3, 0.3, -100, 150)],
                [(0.1, 0.02), (0.6, 0.0)],
            ],
            [
                [
                    (0.62, 0.02), (0.12, 0.03), (0.05, 0.4), (0.4, 0.42), (0.58, 0.68),
                    (0.4, 0.96), (0.0, 0.95),
                ]
            ],
        ],
        6: [
            [[(0.45, 0.0), (0.18, 0.25), *arc(0.3, 0.7, 0.28, 0.3, -170, -530)]],
            [[(0.3, 0.0), (0.1, 0.35), (0.04, 0.7), *arc(0.3, 0.73, 0.26, 0.27, 150, -200)]],
            [[*arc(0.5, 0.55, 0.5, 0.55, -95, -180), *arc(0.28, 0.72, 0.28, 0.28, 180, -170)]],
        ],
        7: [
            [[(0.0, 0.0), (0.6, 0.0), (0.2, 1.0)]],
            [[(0.0, 0.02), (0.58, 0.0), (0.25, 1.0)], [(0.12, 0.5), (0.6, 0.5)]],
            [[(0.0, 0.12), (0.02, 0.02), (0.55, 0.02), (0.38, 0.4), (0.28, 1.0)]],
        ],
        8: [
            [
                [
                    *arc(0.3, 0.25, 0.25, 0.25, -60, -270),
                    *arc(0.3, 0.75, 0.3, 0.25, -90, 270),
                    *arc(0.3, 0.25, 0.25, 0.25, 90, -60),
                ]
            ],
            [arc(0.3, 0.25, 0.24, 0.25, -90, 275), arc(0.3, 0.74, 0.29, 0.26, -90, 275)],
            [
                [
                    (0.55, 0.1), (0.3, 0.0), (0.08, 0.2), (0.3, 0.48), (0.55, 0.75),
                    (0.3, 1.0), (0.05, 0.78), (0.3, 0.48), (0.52, 0.25), (0.5, 0.08),
                ]
            ],
        ],
        9: [
            [[*arc(0.28, 0.28, 0.28, 0.28, -20, -370), (0.55, 0.4), (0.5, 1.0)]],
            [[*arc(0.28, 0.27, 0.26, 0.27, 0, -360), *arc(0.28, 0.7, 0.27, 0.3, 0, 130)]],
            [[*arc(0.3, 0.3, 0.28, 0.3, 10, -350), (0.4, 0.75), (0.25, 1.0)]],
        ],
    }  # fmt: skip


def drawings(count: int, seed: int = 0) -> list[Drawing]:
    """`count` drawings, the digits taking turns; the same for the same seed everywhere."""
    chance = random.Random(seed)
    shapes = hands()
    return [_draw(i % 10, chance.choice(shapes[i % 10]), chance) for i in range(count)]


def _draw(digit: int, shape: Strokes, chance: random.Random) -> Drawing:
    """Place one shape on a canvas as an unsteady hand would, and make its picture."""
    width, height = chance.randint(90, 480), chance.randint(90, 480)
    size = min(width, height) * chance.uniform(0.35, 0.8)
    wide = chance.uniform(0.8, 1.25)
    slant, turn = chance.uniform(-0.35, 0.45), math.radians(chance.uniform(-9, 9))
    x0 = chance.uniform(0.06 * width, max(0.07 * width, 0.9 * width - 0.75 * size * wide))
    y0 = chance.uniform(0.06 * height, max(0.07 * height, 0.94 * height - size))
    cos, sin = math.cos(turn), math.sin(turn)
    strokes: Strokes = []
    for stroke in shape:
        placed: Stroke = []
        for x, y in stroke:
            x, y = x + chance.gauss(0, 0.012), y + chance.gauss(0, 0.012)
            x, y = wide * x - slant * (y - 0.5), y
            x, y = x * cos - (y - 0.5) * sin, x * sin + (y - 0.5) * cos + 0.5
            placed.append((round(x0 + size * x, 1), round(y0 + size * y, 1)))
        strokes.append(placed)
    return Drawing(digit, strokes, _picture(strokes, (width, height), size, chance))


def _picture(
    strokes: Strokes, canvas: tuple[int, int], size: float, chance: random.Random
) -> Image.Image:
    """The drawing as saved: any pen, any colours, sometimes dark paper, sometimes none."""
    thick = max(2, round(size * chance.uniform(0.04, 0.17)))
    dark = tuple(chance.randint(0, 90) for _ in range(3))
    light = tuple(chance.randint(185, 255) for _ in range(3))
    style = chance.choice(("paper", "paper", "board", "glass"))
    ink, paper = (light, dark) if style == "board" else (dark, light)
    if style == "glass":
        image = Image.new("RGBA", canvas, (0, 0, 0, 0))
        fill: tuple[int, ...] = (*ink, 255)
    else:
        image, fill = Image.new("RGB", canvas, paper), ink
    pen = ImageDraw.Draw(image)
    half = thick / 2
    for stroke in strokes:
        pen.line(stroke, fill=fill, width=thick, joint="curve")
        for x, y in (stroke[0], stroke[-1]):
            pen.ellipse((x - half, y - half, x + half, y + half), fill=fill)
    return image


def samples() -> dict[int, list[Strokes]]:
    """The stored drawings (`samples/strokes.json`): at least three for each digit."""
    stored = json.loads(SAMPLES.read_text(encoding="utf-8"))
    return {int(digit): drawn for digit, drawn in stored.items()}
