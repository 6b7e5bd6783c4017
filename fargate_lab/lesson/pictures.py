"""Pictures of images and registries: what layers weigh, what a rebuild sends, what ECR stores."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fargate_lab.lesson.errors import LabError
from fargate_lab.lesson.style import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION, axes

if TYPE_CHECKING:
    from fargate_lab.image import Image

COLOURS = (INK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION)
"""By layer, lowest first; the base keeps the axes' grey, as it is nobody's own."""


def megabytes(count: float) -> str:
    """Bytes for a label, in decimal units."""
    for limit, unit in ((1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.{0 if count >= 10 * limit else 1}f} {unit}"
    return f"{count:.0f} bytes"


def layer_sizes(image: Image, title: str = "What each layer weighs") -> None:
    """One bar for each layer, the lowest layer at the bottom."""
    names = [f"{n + 1} {layer.name}" for n, layer in enumerate(image.layers)]
    sizes = [layer.size for layer in image.layers]
    _, pair = axes(8.0, 0.45 * len(names) + 1.0, title=title)
    bars = pair.barh(names, [s / 1e6 for s in sizes], color=_colours(len(sizes)), height=0.65)
    labels = [
        f"{megabytes(layer.size)}, {layer.files} files" if layer.files else megabytes(layer.size)
        for layer in image.layers
    ]
    pair.bar_label(bars, labels, padding=5, color=INK)
    pair.set_xlabel("MB")
    pair.set_xlim(0, max(sizes) / 1e6 * 1.25)


def sent(cases: Mapping[str, Mapping[str, int]], title: str = "What a push sends") -> None:
    """One bar for each case, stacked by layer: name of case → name of layer → bytes."""
    order = list(dict.fromkeys(name for parts in cases.values() for name in parts))
    colours = dict(zip(order, _colours(len(order)), strict=True))
    figure, pair = axes(8.0, 0.5 * len(cases) + 1.5, title=title)
    rows = list(cases)[::-1]
    left = [0.0] * len(rows)
    for name in order:
        widths = [cases[row].get(name, 0) / 1e6 for row in rows]
        pair.barh(rows, widths, left=left, color=colours[name], height=0.6, label=name)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, end in zip(rows, left, strict=True):
        pair.annotate(
            megabytes(end * 1e6),
            (end, row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
    pair.set_xlabel("MB")
    pair.set_xlim(0, max([*left, 1e-3]) * 1.18)
    figure.legend(loc="outside lower center", ncols=len(order), labelcolor=INK, frameon=False)


def storage(manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Two bars for a repository: each image's bytes added up, and each distinct blob once.

    manifests: tag → image manifest, oldest first.
    """
    alone = {tag: sum(_blobs(m).values()) for tag, m in manifests.items()}
    seen: set[str] = set()
    shared: dict[str, int] = {}
    for tag, manifest in manifests.items():
        new = {d: size for d, size in _blobs(manifest).items() if d not in seen}
        shared[tag] = sum(new.values())
        seen |= set(new)
    sent(
        {"each image on its own": alone, "as ECR stores them": shared},
        title="What the repository holds",
    )


def cells(pictures: Mapping[str, Sequence[Sequence[float]]], labels: Sequence[str]) -> None:
    """Rows of 8 × 8 pictures, as the model gets them.

    pictures: name of row → pictures of 64 values from 0 to 16. labels: one for each column.
    """
    import numpy as np

    figure, pair = axes(8.0, 0.95 * len(pictures) + 0.6)
    pair.remove()
    grid = figure.subplots(len(pictures), len(labels), squeeze=False)
    for places, (name, row) in zip(grid, pictures.items(), strict=True):
        for place, values in zip(places, row, strict=True):
            place.imshow(np.reshape(values, (8, 8)), cmap="gray_r", vmin=0, vmax=16)
            place.set(xticks=[], yticks=[])
            # The frame shows where on the paper the digit stands.
            place.spines[:].set(visible=True, color=INK, linewidth=0.6)
        places[0].set_ylabel(name, rotation=0, ha="right", va="center", color=INK)
    for place, label in zip(grid[0], labels, strict=True):
        place.set_title(label, color=INK, fontsize=11)


_PREPARED = """
import json, compare_prep
drawn = compare_prep.drawings(9, seed=4)
rows = {"resized": [compare_prep.naive(d.picture) for d in drawn],
        "inkprep": [compare_prep.inkprep.from_image(d.picture) for d in drawn]}
print(json.dumps({"digits": [d.digit for d in drawn],
                  "rows": {name: [r.tolist() for r in row] for name, row in rows.items()}}))
"""


def prepared(context: Path) -> None:
    """Some drawings as the model would get them: resized only, and prepared by inkprep.

    context: the folder of the image's sources. In a process of its own, so that the custom library
    stays unknown to the notebook.
    """
    run = subprocess.run(
        [sys.executable, "-c", _PREPARED], cwd=context, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise LabError(f"The drawings could not be prepared: {run.stderr.strip()[-300:]}")
    found = json.loads(run.stdout)
    cells(found["rows"], [f"a {digit}" for digit in found["digits"]])


def _blobs(manifest: Mapping[str, Any]) -> dict[str, int]:
    parts = [manifest["config"], *manifest["layers"]]
    return {part["digest"]: int(part["size"]) for part in parts}


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]
