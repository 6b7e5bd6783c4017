"""The model: one ONNX file and what `model.json` says about it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[np.float32]
Prediction = dict[str, Any]


class ModelError(RuntimeError):
    """The model's files are missing, damaged or not those that belong together."""


@dataclass(frozen=True)
class Model:
    """A loaded model; `about` is the part of model.json that every answer carries."""

    session: onnxruntime.InferenceSession
    about: dict[str, Any]
    description: dict[str, Any]

    def predict(self, pictures: Array) -> list[Prediction]:
        """One prediction for each row of `pictures`, shape (n, 64), values 0 to 16."""
        rows = self.session.run(["probabilities"], {"pixels": pictures})[0].tolist()
        return [_prediction(row) for row in rows]


def _prediction(row: list[float]) -> Prediction:
    best = max(row)
    return {
        "digit": row.index(best),
        "confidence": round(best, 6),
        "probabilities": [round(value, 6) for value in row],
    }


def load(folder: Path | None = None) -> Model:
    """Load the model from `folder`, by default $MODEL_DIR or /opt/model. Raises ModelError."""
    folder = folder or Path(os.environ.get("MODEL_DIR", "/opt/model"))
    try:
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        content = (folder / description["file"]).read_bytes()
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"No usable model in {folder} ({error}); set MODEL_DIR.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != description.get("onnx_sha256"):
        raise ModelError(
            f"{folder / description['file']} is not the file that model.json describes: "
            f"its SHA-256 is {digest[:12]}…, expected {description.get('onnx_sha256', '')[:12]}…."
        )
    about = {"name": description["name"], "version": description["version"], "sha256": digest}
    return Model(_session(content), about, description)


def _session(content: bytes) -> onnxruntime.InferenceSession:
    """One thread: the network is so small that handing work over costs more than doing it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"onnxruntime cannot load the model: {error}") from error
