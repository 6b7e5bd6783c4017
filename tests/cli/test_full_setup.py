"""The promise of the README on a fresh clone: one command sets everything up, the next is quick."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fargate_lab import paths

pytestmark = [pytest.mark.long, pytest.mark.network]


def lab(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """lab.py of a clone, with the Python below this environment."""
    # A learner's terminal knows nothing of the environment that these tests run in.
    inherited = {"PYTHONPATH", "VIRTUAL_ENV", "LAB_CACHE_DIR"}
    env = {k: v for k, v in os.environ.items() if k not in inherited}
    python: str = sys._base_executable  # type: ignore[attr-defined]
    return subprocess.run(
        [python, str(root / "lab.py"), *words],
        env=env,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.timeout(1800)
def test_a_fresh_clone_is_ready_after_one_command(tmp_path: Path) -> None:
    root = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(paths.repo_root()), str(root)], check=True)
    first = lab(root, "setup")
    assert first.returncode == 0, first.stderr
    assert "could not be fetched" not in first.stderr
    begun = time.monotonic()
    second = lab(root, "status")
    assert second.returncode == 3, second.stderr
    assert second.stderr == ""
    assert time.monotonic() - begun < 5
    up = lab(root, "up", "--runtime", "process")
    assert up.returncode == 0, up.stderr
    assert lab(root, "stop").returncode == 0
