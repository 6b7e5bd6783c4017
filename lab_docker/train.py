#!/usr/bin/env python3
"""Train the digit reader on scikit-learn's bundled digits and write it as ONNX.

    python3 lab_docker/train.py --output lab_docker/model

Seeded, on one thread: the same versions of the libraries give the same bytes. The held-out fifth
is set aside before anything else, so no copy of a held-out digit is ever trained on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

NAME, VERSION = "inkdigits", "1.0.0"
COPIES = 24
HIDDEN = (128, 64)
ROUNDS = 12
FINE = 32
"""Pixels a side of the grid that a picture is disturbed on."""

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def augment(pictures: Array, chance: np.random.Generator) -> Array:
    """One disturbed version of each 8 × 8 picture (values 0 to 16); shape (n, 64) in and out.

    Each is turned, slanted, stretched, bent a little, shifted, and written with a finer or
    broader pen.
    """
    enlarge = _enlarging(8)
    fine = enlarge @ pictures.reshape(-1, 8, 8) @ enlarge.T
    moved = _sample(fine, *_places(len(pictures), chance))
    level = chance.uniform(3.5, 9.5, (len(pictures), 1, 1)).astype(np.float32)
    gain = chance.uniform(1.2, 2.5, (len(pictures), 1, 1)).astype(np.float32)
    inked = np.clip((moved - level) * gain + 8, 0, 16)
    counted: Array = inked.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(-1, 64)
    return counted


def _enlarging(size: int) -> Array:
    """The matrix that enlarges `size` values to FINE, linearly, the rim held."""
    place = np.clip((np.arange(FINE) + 0.5) * size / FINE - 0.5, 0, size - 1)
    lower = np.minimum(place.astype(np.int64), size - 2)
    share = place - lower
    matrix = np.zeros((FINE, size), dtype=np.float32)
    matrix[np.arange(FINE), lower] = 1 - share
    matrix[np.arange(FINE), lower + 1] = share
    return matrix


def _places(count: int, chance: np.random.Generator) -> tuple[Array, Array]:
    """Where each pixel of each disturbed picture comes from: rows and columns, (count, 32, 32)."""

    def draw(values: npt.NDArray[np.float64]) -> Array:
        return values.astype(np.float32)[:, None, None]

    turn = chance.normal(0, 0.15, count)
    slant = chance.normal(0, 0.25, count)
    wide, tall = chance.uniform(0.7, 1.4, count), chance.uniform(0.9, 1.08, count)
    cos, sin = np.cos(turn), np.sin(turn)
    middle = (FINE - 1) / 2
    across = np.arange(FINE, dtype=np.float32) - middle
    down = across[:, None]
    rows = draw(cos / tall) * down - draw(sin) * across
    columns = draw(sin + slant) * down + draw(cos / wide) * across
    bend = _enlarging(4)
    pull = chance.normal(0, 2.0, (2, count, 4, 4)).astype(np.float32)
    rows = rows + bend @ pull[0] @ bend.T + draw(chance.normal(0, 0.8, count)) + middle
    columns = columns + bend @ pull[1] @ bend.T + draw(chance.normal(0, 1.2, count)) + middle
    return rows, columns


def _sample(pictures: Array, rows: Array, columns: Array) -> Array:
    """Read pictures between their pixels; beyond the rim is bare paper."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    most = np.float32(FINE + 0.999)
    rows, columns = np.clip(rows + 1, 0, most), np.clip(columns + 1, 0, most)
    top, left = rows.astype(np.int32), columns.astype(np.int32)
    low, right = rows - top, columns - left
    which = np.arange(len(pictures))[:, None, None]
    upper = padded[which, top, left] * (1 - right) + padded[which, top, left + 1] * right
    lower = padded[which, top + 1, left] * (1 - right) + padded[which, top + 1, left + 1] * right
    between: Array = upper * (1 - low) + lower * low
    return between


def train(
    output: Path, seed: int = 7, progress: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Train, measure on the held-out fifth, write `inkdigits.onnx` and `model.json` to `output`.

    Returns what `model.json` says. `progress` is told each step.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from threadpoolctl import threadpool_limits

    say = progress or (lambda _: None)
    digits = load_digits()
    pictures, labels = digits.data.astype(np.float32), digits.target.astype(np.int64)
    kept, held, kept_labels, held_labels = train_test_split(
        pictures, labels, test_size=0.2, random_state=seed, stratify=labels
    )
    say(f"{len(kept)} digits to learn from, {len(held)} held out")
    # One thread: the same sums in another order are other sums.
    with threadpool_limits(limits=1):
        chance = np.random.default_rng(seed)
        many = np.concatenate([kept, *(augment(kept, chance) for _ in range(COPIES))])
        say(f"{len(many)} after augmentation; fitting")
        model = _export(_fit(many, np.tile(kept_labels, COPIES + 1), seed))
    accuracy = _accuracy(model, held, held_labels)
    say(f"held-out accuracy {accuracy:.4f}")
    about = _about(model, pictures, labels, seed) | {
        "held_out": {"count": len(held), "accuracy": round(accuracy, 4)},
        "trained_on": {"count": len(kept), "copies": COPIES},
    }
    _write(output, model, about)
    return about


def _fit(pictures: Array, labels: Labels, seed: int) -> Any:
    """A small network: 64 cells in, two hidden layers, 10 digits out."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(
        HIDDEN,
        alpha=1e-3,
        batch_size=256,
        learning_rate_init=4e-3,
        max_iter=ROUNDS,
        n_iter_no_change=ROUNDS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a set number of rounds is meant
        network.fit(pictures / 16, labels)
    # The model takes 0 to 16; the division goes into the first layer's weights.
    network.coefs_[0] /= 16
    return network


def _export(network: Any) -> bytes:
    """The network as ONNX: `pixels` (n, 64) in, `label` and `probabilities` out."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model = to_onnx(
        network,
        initial_types=[("pixels", FloatTensorType([None, 64]))],
        options={"zipmap": False},
        target_opset=17,
        name=NAME,
    )
    return bytes(model.SerializeToString(deterministic=True))


def _accuracy(model: bytes, pictures: Array, labels: Labels) -> float:
    """Share read right by the exported model itself, as the image will run it."""
    # Before it is loaded: from 1.32 on it reports its use to its maker unless told not to.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    probabilities = session.run(["probabilities"], {"pixels": pictures})[0]
    return float((np.argmax(probabilities, axis=1) == labels).mean())


def _about(model: bytes, pictures: Array, labels: Labels, seed: int) -> dict[str, Any]:
    """Where the model comes from, and how to know it again."""
    packages = ("numpy", "onnx", "scikit-learn", "skl2onnx")
    data = pictures.astype("<f4").tobytes() + labels.astype("<i8").tobytes()
    return {
        "name": NAME,
        "version": VERSION,
        "file": f"{NAME}.onnx",
        "onnx_sha256": hashlib.sha256(model).hexdigest(),
        "input": {"name": "pixels", "shape": ["n", 64], "type": "float32", "range": [0, 16]},
        "output": {"name": "probabilities", "shape": ["n", 10], "type": "float32"},
        "classes": list(range(10)),
        "data": "Optical Recognition of Handwritten Digits (UCI), as bundled with scikit-learn",
        "data_sha256": hashlib.sha256(data).hexdigest(),
        "seed": seed,
        "libraries": {name: metadata.version(name) for name in packages},
    }


def _write(output: Path, model: bytes, about: dict[str, Any]) -> None:
    """Both files, each whole or not at all; the description last, so that it never lies."""
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(about, indent=2) + "\n"
    for name, content in ((f"{NAME}.onnx", model), ("model.json", text.encode())):
        fresh = output / f".{name}.{os.getpid()}"
        fresh.write_bytes(content)
        fresh.replace(output / name)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when the model is written and good enough to serve."""
    parser = argparse.ArgumentParser(description="Train the digit reader and write it as ONNX.")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "model",
        help="folder for inkdigits.onnx and model.json (default: model/ beside this file)",
    )
    parser.add_argument("--seed", type=int, default=7, help="another seed, another model")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        about = train(options.output, options.seed, lambda line: print(line, flush=True))
    except OSError as error:
        print(f"The model could not be written: {error}. Choose another --output.", file=sys.stderr)
        return 1
    took = time.perf_counter() - started
    print(f"{options.output / about['file']}  sha256:{about['onnx_sha256'][:12]}  {took:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
