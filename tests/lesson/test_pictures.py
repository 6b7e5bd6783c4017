"""Pictures say what the images and manifests they are given say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib_inline.backend_inline import _fetch_figure_metadata

from fargate_lab.image import build
from fargate_lab.lesson import pictures

RECIPE = """\
name = "small"
[[layers]]
name = "dependencies"
kind = "files"
source = "site"
target = "/opt/site"
[[layers]]
name = "app"
kind = "files"
source = "app"
target = "/app"
"""


@pytest.fixture(autouse=True)
def no_pictures_left() -> Iterator[None]:
    yield
    plt.close("all")


def drawn() -> Axes:
    """The one pair of axes that was drawn; no box behind it in a notebook of either theme."""
    (number,) = plt.get_fignums()
    figure = plt.figure(number)
    assert _fetch_figure_metadata(figure) is None
    return figure.axes[0]


def labels(pair: Axes) -> list[str]:
    return [text.get_text() for text in pair.texts]


def manifest(*layers: tuple[str, int]) -> dict[str, Any]:
    return {
        "config": {"digest": f"config of {layers}", "size": 1000},
        "layers": [{"digest": digest, "size": size} for digest, size in layers],
    }


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (28_700, "29 kB"), (2.5e6, "2.5 MB"),
     (263.6e6, "264 MB")],
)  # fmt: skip
def test_sizes_for_people(count: float, text: str) -> None:
    assert pictures.megabytes(count) == text


def test_layer_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "cache"))
    for name, text in {"image.toml": RECIPE, "site/a.py": "#" * 90_000, "app/b.py": "1"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    image = build(tmp_path, name="small", base="scratch")
    pictures.layer_sizes(image)
    pair = drawn()
    assert [t.get_text() for t in pair.get_yticklabels()] == ["1 dependencies", "2 app"]
    widths = [bar.get_width() * 1e6 for bar in pair.patches]  # type: ignore[attr-defined]
    assert widths == pytest.approx([layer.size for layer in image.layers])
    assert [text.split(", ")[1] for text in labels(pair)] == ["1 files", "1 files"]


def test_what_a_push_sends_adds_up() -> None:
    pictures.sent({"first": {"base": 60_000_000, "app": 50_000}, "again": {}})
    pair = drawn()
    assert sorted(labels(pair)) == ["0 bytes", "60 MB"]


def test_storage_counts_each_blob_once() -> None:
    big = ("big", 10_000_000)
    pictures.storage({"1.0": manifest(big, ("a", 1_000_000)), "1.1": manifest(big, ("b", 500_000))})
    pair = drawn()
    # 10 + 1 and 10 + 0.5 MB, and two configurations of 1 kB; the big layer is shared.
    assert sorted(labels(pair)) == ["12 MB", "22 MB"]


def test_cells_are_labelled() -> None:
    row = [[float(i % 17) for i in range(64)]] * 3
    pictures.cells({"resized": row, "inkprep": row}, ["a 0", "a 1", "a 2"])
    (number,) = plt.get_fignums()
    figure = plt.figure(number)
    assert len(figure.axes) == 6
    assert [pair.get_title() for pair in figure.axes[:3]] == ["a 0", "a 1", "a 2"]
    assert figure.axes[3].get_ylabel() == "inkprep"
