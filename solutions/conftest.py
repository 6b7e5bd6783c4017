"""Each notebook that nbval runs gets a cloud of its own, stopped when the notebook is done."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fargate_lab.cloud import process  # noqa: E402
from fargate_lab.paths import cache_dir  # noqa: E402

_states: dict[str, Path] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before a notebook's kernel starts, point it at a fresh state folder."""
    notebook = str(item.path)
    if notebook not in _states:
        os.environ["LAB_CACHE_DIR"] = str(cache_dir())
        os.environ["PYTHONPATH"] = str(ROOT)
        _states[notebook] = Path(tempfile.mkdtemp(prefix="fargate-lab-nbval-"))
        os.environ["LAB_STATE_DIR"] = str(_states[notebook])


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After a notebook's last cell, stop its cloud."""
    if nextitem is None or nextitem.path != item.path:
        _discard(str(item.path))


def pytest_sessionfinish() -> None:
    """Also when the run is interrupted."""
    for notebook in list(_states):
        _discard(notebook)


def _discard(notebook: str) -> None:
    state = _states.pop(notebook, None)
    if state is not None:
        process.stop(state)
        shutil.rmtree(state, ignore_errors=True)
