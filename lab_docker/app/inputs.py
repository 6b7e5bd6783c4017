"""What a caller sends, checked and made into the model's input; used by all three roles."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import inkprep
import numpy as np
import numpy.typing as npt

MAX_INSTANCES = 256
"""Drawings in one request."""

IMAGE_TYPES = ("image/png", "image/jpeg")
_KEYS = ("strokes", "pixels", "image")
_STATUS = {"too-large": 413}

Array = npt.NDArray[np.float32]


class Refused(Exception):
    """A request that cannot be answered: an HTTP status, a code for programs, a text for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> dict[str, Any]:
        """What the caller is told."""
        return {"error": {"code": self.code, "message": str(self)}}


def read_body(kind: str, body: bytes) -> Array:
    """The pictures in a request body of media type `kind`, shape (n, 64). Raises Refused."""
    media = kind.partition(";")[0].strip().lower()
    if media == "application/json" or (not media and body):
        return read_json(body)
    if media in IMAGE_TYPES:
        return _ink(inkprep.from_image, body, max_pixels=inkprep.MAX_PIXELS)[np.newaxis]
    if not body:
        raise Refused(400, "empty-body", f"The body is empty. {EXPECTED}")
    accepted = ", ".join(("application/json", *IMAGE_TYPES))
    raise Refused(415, "media-type", f"Content-Type is {media!r}; accepted: {accepted}.")


EXPECTED = (
    'Send {"strokes": [[[x, y], …], …]}, {"pixels": 64 numbers from 0 to 16}, '
    '{"image": base64 of a PNG or JPEG} or {"instances": [up to 256 of these]}.'
)


def read_json(body: bytes | str) -> Array:
    """The pictures in a JSON text, shape (n, 64). Raises Refused."""
    if not body:
        raise Refused(400, "empty-body", f"The body is empty. {EXPECTED}")
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise Refused(400, "json", "The JSON is nested too deeply.") from error
    except ValueError as error:  # also bytes that are not UTF-8, and numbers of 5,000 digits
        raise Refused(400, "json", f"This is not JSON: {error}.") from error
    return read_document(document)


def read_document(document: Any) -> Array:
    """The pictures in a decoded JSON document, shape (n, 64). Raises Refused."""
    if not isinstance(document, dict):
        raise Refused(422, "shape", f"A JSON object was expected. {EXPECTED}")
    if "instances" not in document:
        return _instance(document, inkprep.MAX_PIXELS)[0][np.newaxis]
    instances = document["instances"]
    if not isinstance(instances, list) or not instances:
        raise Refused(422, "shape", f"instances must be a list that is not empty. {EXPECTED}")
    if len(instances) > MAX_INSTANCES:
        raise Refused(
            422, "too-many", f"{len(instances)} instances; at most {MAX_INSTANCES} in one request."
        )
    # Decoding pictures is what costs: one limit for all of them together.
    left = inkprep.MAX_PIXELS
    rows = []
    for number, instance in enumerate(instances):
        try:
            row, used = _instance(instance, left)
        except Refused as error:
            raise Refused(error.status, error.code, f"Instance {number}: {error}") from error
        left -= used
        rows.append(row)
    return np.stack(rows)


def _instance(instance: Any, max_pixels: int) -> tuple[Array, int]:
    """One drawing, and how many picture pixels it took to read it."""
    if not isinstance(instance, dict):
        raise Refused(422, "shape", f"A JSON object was expected. {EXPECTED}")
    given = [key for key in _KEYS if key in instance]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise Refused(422, "shape", f"Exactly one of strokes, pixels, image; found {found}.")
    value = instance[given[0]]
    if given[0] == "strokes":
        return _ink(inkprep.from_strokes, value), 0
    if given[0] == "pixels":
        return _pixels(value), 0
    return _image(value, max_pixels)


def _pixels(value: Any) -> Array:
    """64 numbers, or 8 rows of 8, from 0 to 16."""
    flat = value
    if isinstance(value, list) and len(value) == 8 and all(isinstance(r, list) for r in value):
        flat = [number for row in value for number in row]
        if any(len(row) != 8 for row in value):
            flat = None
    if not isinstance(flat, list) or len(flat) != 64:
        raise Refused(422, "shape", "pixels must be 64 numbers or 8 rows of 8 numbers.")
    for number in flat:
        # bool is an int to Python, not to a person; NaN fails every comparison.
        if type(number) not in (int, float) or not 0 <= number <= 16:
            raise Refused(422, "range", "pixels must be numbers from 0 (paper) to 16 (ink).")
    return np.array(flat, dtype=np.float32)


def _image(value: Any, max_pixels: int) -> tuple[Array, int]:
    if not isinstance(value, str):
        raise Refused(422, "shape", "image must be a text: base64 of a PNG or JPEG.")
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(422, "base64", f"image is not base64: {error}.") from error
    used = inkprep.pixels_in(content)
    return _ink(inkprep.from_image, content, max_pixels=max_pixels), used


def _ink(prepare: Any, value: Any, **limits: int) -> Array:
    """Let inkprep do the work; what it refuses, the caller is told."""
    try:
        prepared: Array = prepare(value, **limits)
    except inkprep.InkError as error:
        raise Refused(_STATUS.get(error.reason, 422), error.reason, str(error)) from error
    return prepared
