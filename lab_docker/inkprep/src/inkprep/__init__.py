"""Handwritten digits made into a small model's input.

`from_strokes` and `from_image` both give a float32 array of shape (64,): an 8 × 8 picture,
row by row, 0 for bare paper to 16 for full ink, upright, centred and as tall as the picture.
"""

from __future__ import annotations

from inkprep.errors import InkError, Reason
from inkprep.picture import MAX_PIXELS, from_image, pixels_in
from inkprep.strokes import MAX_POINTS, from_strokes

__version__ = "1.0.0"
__all__ = [
    "MAX_PIXELS",
    "MAX_POINTS",
    "InkError",
    "Reason",
    "__version__",
    "from_image",
    "from_strokes",
    "pixels_in",
]
