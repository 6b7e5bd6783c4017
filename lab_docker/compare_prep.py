#!/usr/bin/env python3
"""How much inkprep helps: the same model on the same drawn digits, naively resized and prepared.

    python3 lab_docker/compare_prep.py [--model lab_docker/model] [--count 2000]

The naive way is what one would write first: to grey, ink made bright, resized to 8 × 8.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [path for path in (str(HERE), str(HERE / "inkprep" / "src")) if path not in sys.path]

import inkprep  # noqa: E402
from app.model import Model, ModelError, load  # noqa: E402
from drawn import Drawing, drawings  # noqa: E402

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """Shares of drawings read right, 0 to 1."""

    count: int
    naive: float
    cropped: float
    picture: float
    strokes: float

    def table(self) -> str:
        """The shares, for people."""
        rows = [
            ("naive resize to 8 × 8", self.naive),
            ("crop, then resize", self.cropped),
            ("inkprep, from the picture", self.picture),
            ("inkprep, from the strokes", self.strokes),
        ]
        lines = [f"{'preparation':<28} {'read right':>10} {'errors':>7}"]
        lines += [
            f"{name:<28} {share:>10.1%} {round((1 - share) * self.count):>7}"
            for name, share in rows
        ]
        return "\n".join(lines)


def naive(picture: Image.Image, *, crop: bool = False) -> Array:
    """Grey, ink bright, resized, on demand cropped to the ink first.

    Ink is taken to be the rarer side, so that colours do not decide.
    """
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture.convert("RGBA"))
    grey = np.asarray(paper.convert("L"), dtype=np.float32)
    ink = 255 - grey if float(np.median(grey)) > 127 else grey
    ink = ink - ink.min()
    if crop:
        ys, xs = np.nonzero(ink > ink.max() / 2)
        ink = ink[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    small = np.asarray(Image.fromarray(ink).resize((8, 8), Image.Resampling.BOX))
    return (small * (16 / max(float(small.max()), 1.0))).astype(np.float32).reshape(64)


def compare(model: Model, drawn: Sequence[Drawing]) -> Comparison:
    """Read every drawing three ways."""
    digits = [drawing.digit for drawing in drawn]

    def right(prepared: list[Array]) -> float:
        read = [prediction["digit"] for prediction in model.predict(np.stack(prepared))]
        return float(np.mean(np.array(read) == digits))

    return Comparison(
        len(drawn),
        right([naive(drawing.picture) for drawing in drawn]),
        right([naive(drawing.picture, crop=True) for drawing in drawn]),
        right([inkprep.from_image(drawing.picture) for drawing in drawn]),
        right([inkprep.from_strokes(drawing.strokes) for drawing in drawn]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0, or 1 when there is no model yet."""
    parser = argparse.ArgumentParser(description="How much inkprep helps on drawn digits.")
    parser.add_argument("--model", type=Path, default=HERE / "model", help="folder of the model")
    parser.add_argument("--count", type=int, default=2000, help="drawings (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other drawings")
    options = parser.parse_args(arguments)
    try:
        model = load(options.model)
    except ModelError as error:
        print(f"{error} Make it with: python3 lab_docker/train.py", file=sys.stderr)  # noqa: T201
        return 1
    print(compare(model, drawings(options.count, options.seed)).table())  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
