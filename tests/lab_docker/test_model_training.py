"""train.py and compare_prep.py: reproducible, good enough, and inkprep is worth its place."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .conftest import INKPREP, LAB_DOCKER


def test_the_model_is_good_and_says_what_it_is(model_dir: Path) -> None:
    about = json.loads((model_dir / "model.json").read_text())
    content = (model_dir / "inkdigits.onnx").read_bytes()
    assert about["held_out"]["accuracy"] >= 0.97
    assert about["held_out"]["count"] == 360
    assert about["onnx_sha256"] == hashlib.sha256(content).hexdigest()
    assert about["classes"] == list(range(10))
    assert len(about["data_sha256"]) == 64
    assert {"numpy", "scikit-learn", "skl2onnx", "onnx"} <= set(about["libraries"])
    assert len(content) < 300_000


def test_the_accuracy_it_names_is_the_models_own(model_dir: Path) -> None:
    """Measured here anew, on a split made here anew."""
    import onnxruntime
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    about = json.loads((model_dir / "model.json").read_text())
    digits = load_digits()
    _, held, _, labels = train_test_split(
        digits.data.astype(np.float32),
        digits.target,
        test_size=0.2,
        random_state=about["seed"],
        stratify=digits.target,
    )
    session = onnxruntime.InferenceSession(str(model_dir / about["file"]))
    probabilities = session.run(["probabilities"], {about["input"]["name"]: held})[0]
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    assert round(accuracy, 4) == about["held_out"]["accuracy"]


def test_training_again_gives_the_same_bytes(model_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(LAB_DOCKER / "train.py"), "--output", str(tmp_path / "again")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    assert "held-out accuracy 0.9" in done.stdout
    for name in ("inkdigits.onnx", "model.json"):
        assert (tmp_path / "again" / name).read_bytes() == (model_dir / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == [
        "inkdigits.onnx",
        "model.json",
    ]


def test_augmentation_follows_its_seed_and_stays_in_range() -> None:
    import train

    pictures = np.random.default_rng(1).uniform(0, 16, (20, 64)).astype(np.float32)
    first = train.augment(pictures, np.random.default_rng(3))
    same = train.augment(pictures, np.random.default_rng(3))
    other = train.augment(pictures, np.random.default_rng(4))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    assert first.shape == (20, 64)
    assert 0 <= first.min() <= first.max() <= 16


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    import train

    with pytest.raises(OSError, match="taken"):
        train._write(tmp_path / "taken", b"", {})


def test_inkprep_is_worth_its_place(model_dir: Path) -> None:
    import compare_prep
    from app.model import load
    from drawn import drawings

    result = compare_prep.compare(load(model_dir), drawings(600, seed=5))
    assert result.picture > 0.88
    assert result.strokes > 0.9
    assert result.picture > result.naive + 0.4
    assert result.picture > result.cropped + 0.15
    assert f"{result.picture:.1%}" in result.table()


def test_drawings_are_the_same_for_the_same_seed() -> None:
    from drawn import drawings

    first, same, other = drawings(30, 1), drawings(30, 1), drawings(30, 2)
    assert [d.strokes for d in first] == [d.strokes for d in same]
    assert all(a.picture.tobytes() == b.picture.tobytes() for a, b in zip(first, same, strict=True))
    assert [d.strokes for d in first] != [d.strokes for d in other]


def test_the_comparison_needs_a_model_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(LAB_DOCKER / "compare_prep.py"), "--model", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "train.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_librarys_own_tests_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        command, cwd=INKPREP.parent, check=False, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout[-3000:]
