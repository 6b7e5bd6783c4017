"""A picture of a digit, of any size and colour, to the model's input."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from inkprep.errors import InkError
from inkprep.frame import CANVAS, INK, Array, pool, stance

MAX_PIXELS = 16_000_000
"""Largest picture that is decoded, in pixels; a few kilobytes can unpack to gigabytes."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
"""What is decoded. Everything else Pillow knows stays shut: fewer decoders, fewer surprises."""

_WORK = 256
"""Longest side after the first reduction; eight times finer than what comes out."""

_FAINT = 0.08
"""Least contrast between ink and paper, of 1: below it the picture is called empty."""

Grey = npt.NDArray[np.float32]


def from_image(picture: bytes | Path | Image.Image, *, max_pixels: int = MAX_PIXELS) -> Array:
    """The model's input for a picture: its bytes, its path, or a Pillow image.

    Ink may be dark on light or light on dark, in any colour. Raises InkError.
    """
    ink = _ink_of(_grey(_open(picture, max_pixels)))
    rows, columns = np.flatnonzero(ink.max(axis=1) > 0.5), np.flatnonzero(ink.max(axis=0) > 0.5)
    if not len(rows) or not len(columns):
        raise InkError("empty", "The picture is empty: no ink stands out from its paper.")
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ys, xs = np.nonzero(ink > 0.3)
    places = np.stack((xs, ys), axis=1).astype(np.float64) + 0.5
    stand = stance(places, places, ink[ys, xs])
    placed = stand.fit(0.5)
    canvas = _place(ink, placed.scale, stand.slant, placed.dx, placed.dy)
    return pool(_thickness(canvas))


def pixels_in(picture: bytes) -> int:
    """Pixels that decoding would make, from the header alone; 0 if it is no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            width, height = Image.open(io.BytesIO(picture), formats=FORMATS).size
    except Exception:  # a damaged header raises whatever its damage makes it raise
        return 0
    return width * height


def _open(picture: bytes | Path | Image.Image, max_pixels: int) -> Image.Image:
    """Decode, with the size looked at before any pixel is."""
    if isinstance(picture, Image.Image):
        _check_size(picture, max_pixels)
        return picture
    source = io.BytesIO(picture) if isinstance(picture, bytes) else picture
    try:
        with warnings.catch_warnings():
            # Our own, lower limit is checked below; Pillow only warns at its first one.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source, formats=FORMATS)
        _check_size(image, max_pixels)
        image.draft("L", (_WORK, _WORK))  # JPEG: decode no finer than needed
        image.load()
    except InkError:
        raise
    except Image.DecompressionBombError as error:
        raise InkError("too-large", f"The picture unpacks to over {max_pixels} pixels.") from error
    # A decoder of damaged files raises whatever its damage makes it raise.
    except Exception as error:
        kinds = ", ".join(FORMATS)
        raise InkError(
            "unreadable", f"This is not a whole picture in one of these formats: {kinds}."
        ) from error
    return image


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise InkError(
            "too-large", f"The picture has {width} × {height} pixels; at most {max_pixels} fit."
        )
    if width == 0 or height == 0:
        raise InkError("empty", "The picture has no pixels.")


def _grey(image: Image.Image) -> Grey:
    """Brightness 0 to 1, at most _WORK pixels a side, transparency laid on a fitting paper."""
    shrink = math.ceil(max(image.size) / (2 * _WORK))
    if image.mode in ("1", "P", "PA", "I;16", "I", "F"):
        image = _plain(image)
    if shrink > 1:
        image = image.reduce(shrink)
    if "A" in image.getbands():
        return _flatten(image.convert("LA"))
    return _fitted(image.convert("L"))


def _plain(image: Image.Image) -> Image.Image:
    """Modes that cannot be averaged (palettes, bits) or reach beyond 255, made ordinary."""
    if image.mode in ("I;16", "I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        spread = high - low if high > low else 1.0
        return Image.fromarray(((values - low) * (255.0 / spread)).astype(np.uint8))
    transparent = image.mode == "PA" or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB" if image.mode == "P" else "L")


def _fitted(image: Image.Image) -> Grey:
    longest = max(image.size)
    if longest > _WORK:
        size = tuple(max(1, round(side * _WORK / longest)) for side in image.size)
        image = image.resize((size[0], size[1]), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)


def _flatten(image: Image.Image) -> Grey:
    """Lay a see-through picture on paper that its ink stands out from."""
    light, alpha = (_fitted(band) for band in image.split())
    solid = alpha > 0.5
    if not solid.any():
        return np.ones_like(light)
    paper = 0.0 if float(light[solid].mean()) > 0.5 else 1.0
    if bool(solid.all()):
        return light
    flat: Grey = light * alpha + paper * (1 - alpha)
    return flat


def _ink_of(grey: Grey) -> Grey:
    """Ink 0 to 1 from brightness: the paper is what the picture's rim shows.

    Ends are taken at quantiles, so that a speck of dust does not set the contrast.
    """
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = float(np.median(rim))
    away = np.abs(grey - paper)
    # The side of the paper that most of the contrast lies on is ink; the other is glare.
    darker = float(np.maximum(paper - grey, 0).sum()) >= float(np.maximum(grey - paper, 0).sum())
    away = np.maximum(paper - grey if darker else grey - paper, 0)
    strongest = float(away.max())
    if strongest < _FAINT:
        raise InkError("empty", "The picture is empty: no ink stands out from its paper.")
    solid = away[away > 0.5 * strongest]
    full = float(np.median(solid))
    ink: Grey = np.clip((away / full - 0.2) / 0.6, 0.0, 1.0).astype(np.float32)
    return ink


def _place(ink: Grey, scale: float, slant: float, dx: float, dy: float) -> Image.Image:
    """Resample the cropped ink onto the working canvas, upright, scaled and balanced."""
    image = Image.fromarray((ink * 255).astype(np.uint8))
    # Reduce first where the map shrinks by much: bilinear sampling alone would skip pixels.
    factor = max(1, int(1 / scale / 1.5)) if scale > 0 else 1
    if factor > 1:
        image = image.reduce(factor)
    # Pillow maps output to input: invert x' = s(x - k y) + dx, y' = s y + dy.
    inverse = 1.0 / scale
    a, b = inverse, slant * inverse
    c = -inverse * dx - slant * inverse * dy
    matrix = [v / factor for v in (a, b, c, 0.0, inverse, -inverse * dy)]
    return image.transform(
        (CANVAS, CANVAS), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )


def _thickness(image: Image.Image) -> Image.Image:
    """Grow or thin the strokes until there is as much ink as the training pictures have.

    A ring of one pixel around the ink is about as large as its outline is long.
    """
    for _ in range(8):
        mask = np.asarray(image) > 127
        area = int(mask.sum())
        # Edges counted along the axes overstate a slanted outline by 4 / pi on average.
        ring = 0.785 * float((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())
        missing = INK - area
        if abs(missing) <= 0.6 * ring or area == 0:
            break
        size = 3
        grown = image.filter(
            ImageFilter.MaxFilter(size) if missing > 0 else ImageFilter.MinFilter(size)
        )
        if missing < 0 and int((np.asarray(grown) > 127).sum()) < area / 3:
            break  # it would vanish
        image = grown
    return image
