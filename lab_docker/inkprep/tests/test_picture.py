"""Pictures to the model's input."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import inkprep
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw


def seven(
    size: int = 200,
    ink: str = "black",
    paper: str | None = "white",
    at: tuple[int, int] = (0, 0),
    thick: float = 0.1,
) -> Image.Image:
    """A seven on a square canvas; without paper it is drawn on glass."""
    image = Image.new("RGBA", (size, size), paper or (0, 0, 0, 0))
    points = [(0.25, 0.2), (0.7, 0.2), (0.45, 0.8)]
    placed = [(x * size + at[0], y * size + at[1]) for x, y in points]
    ImageDraw.Draw(image).line(placed, fill=ink, width=max(1, int(thick * size)), joint="curve")
    return image


def saved(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


REFERENCE = inkprep.from_image(seven())


def far(image: Image.Image | bytes) -> float:
    """Mean difference from the reference, in the model's units (0 to 16)."""
    return float(np.abs(inkprep.from_image(image) - REFERENCE).mean())


@pytest.mark.parametrize("size", [24, 64, 333, 1500])
def test_size_does_not_matter(size: int) -> None:
    assert far(seven(size)) < 1.2


@pytest.mark.parametrize("at", [(-40, -30), (50, 20), (0, 35)])
def test_place_does_not_matter(at: tuple[int, int]) -> None:
    assert far(seven(at=at)) < 0.3


@pytest.mark.parametrize(
    ("ink", "paper"),
    [("white", "black"), ("#224488", "#ffeecc"), ("yellow", "navy"), ("#777", "#bbb"),
     ("black", None), ("white", None), ("red", None)],
)  # fmt: skip
def test_colours_do_not_matter(ink: str, paper: str | None) -> None:
    assert far(seven(ink=ink, paper=paper)) < 0.6


@pytest.mark.parametrize("thick", [0.04, 0.07, 0.16])
def test_the_pen_matters_little(thick: float) -> None:
    assert far(seven(thick=thick)) < 2.0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"])
def test_every_mode(mode: str) -> None:
    image = seven().convert("L") if mode in ("I;16", "CMYK") else seven()
    if mode == "CMYK":
        image = image.convert("RGB")
    assert far(image.convert(mode)) < 0.8


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_every_format(kind: str, tmp_path: Path) -> None:
    image = seven().convert("RGB")
    assert far(saved(image, kind)) < 0.8
    path = tmp_path / "seven.bin"
    path.write_bytes(saved(image, kind))
    assert np.array_equal(inkprep.from_image(path), inkprep.from_image(saved(image, kind)))


def test_noise_and_uneven_light_do_not_hide_the_digit() -> None:
    grey = np.asarray(seven().convert("L"), dtype=float)
    noise = np.random.default_rng(1).normal(0, 8, grey.shape)
    shade = np.linspace(0, -25, grey.shape[1])
    dim = np.clip(grey * 0.6 + 60 + noise + shade, 0, 255).astype(np.uint8)
    assert far(Image.fromarray(dim)) < 1.5


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims to be huge."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [b"IHDR" + head, b"IDAT" + zlib.compress(b"")]
    framed = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (b"", "unreadable"),
        (b"no picture", "unreadable"),
        (saved(seven())[:200], "unreadable"),
        (b"%PDF-1.7 something", "unreadable"),
        (saved(Image.new("L", (50, 50), 255)), "empty"),
        (saved(Image.new("RGBA", (50, 50))), "empty"),
        (saved(Image.new("L", (1, 1))), "empty"),
        (png_header(60_000, 60_000), "too-large"),
        (png_header(5_000, 5_000), "too-large"),
        (png_header(2_000_000, 2_000_000), "too-large"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_reason(picture: bytes, reason: str) -> None:
    with pytest.raises(inkprep.InkError) as refused:
        inkprep.from_image(picture)
    assert refused.value.reason == reason


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = saved(Image.new("1", (9_000, 9_000)))
    assert len(bomb) < 20_000
    assert inkprep.pixels_in(bomb) == 81_000_000
    with pytest.raises(inkprep.InkError, match="9000 × 9000"):
        inkprep.from_image(bomb)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP"]),
    st.integers(0, 400),
)
def test_damage_gives_an_array_or_inkerror(junk: bytes, kind: str, at: int) -> None:
    whole = saved(seven(40).convert("RGB"), kind)
    damaged = whole[:at] + junk + whole[at + len(junk) :]
    try:
        made = inkprep.from_image(damaged)
    except inkprep.InkError:
        return
    assert made.shape == (64,)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert 0 <= made.min() <= made.max() <= 16


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_any_pixels_give_an_array_or_inkerror(width: int, height: int, chance: object) -> None:
    values = bytes(chance.choices(range(256), k=width * height))  # type: ignore[attr-defined]
    image = Image.frombytes("L", (width, height), values)
    try:
        made = inkprep.from_image(image)
    except inkprep.InkError:
        return
    assert made.shape == (64,)
    assert np.isfinite(made).all()
