"""Where the lab keeps things: the repository, the state folder and the cache."""

from __future__ import annotations

import os
from pathlib import Path


def repo_root() -> Path:
    """The folder that holds `lab.py`, `lab_docker/` and the notebooks."""
    return Path(__file__).resolve().parent.parent


def state_dir() -> Path:
    """The cloud's files: `LAB_STATE_DIR`, or `.lab/` in the repository. Not created here."""
    return Path(os.environ.get("LAB_STATE_DIR") or repo_root() / ".lab").absolute()


def cache_dir() -> Path:
    """Wheels, built and unpacked layers: `LAB_CACHE_DIR`, or `.lab/cache`. Safe to delete."""
    return Path(os.environ.get("LAB_CACHE_DIR") or repo_root() / ".lab" / "cache").absolute()
