"""Fetch what the image needs while there is a network, so that every chapter works without one."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fargate_lab import paths
from fargate_lab.cli.console import say

STAMP = "prefetched"


def setup(_: argparse.Namespace) -> int:
    """Fetch the image's wheels; that this failed is told but is no error of the set-up."""
    prefetch(force=True)
    return 0


def prefetch(*, force: bool = False) -> bool:
    """Whether the image's wheels are in the cache, after fetching them where they are not.

    A stamp in the cache remembers the lock file they were fetched for: a second run asks nobody.
    """
    work = _implementation()
    if work is None:
        return True
    stamp = paths.cache_dir() / STAMP
    wanted = _digest(paths.repo_root() / "lab_docker" / "requirements.lock")
    if not force and _read(stamp) == wanted:
        return True
    say("Fetching what the image needs (once) …")
    try:
        work(paths.repo_root() / "lab_docker")
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(wanted, encoding="utf-8")
    except Exception as error:  # no failure here may keep the lab from opening
        say(f"The image's packages could not be fetched: {error}")
        say("The lab opens all the same; chapter 02 will need a network when it builds the image.")
        return False
    return True


def _implementation() -> Callable[[Path], Any] | None:
    image = importlib.import_module("fargate_lab.image")
    if not hasattr(image, "prefetch"):
        return None
    progress = image.Bars() if sys.stderr.isatty() else image.Silent()
    return lambda context: image.prefetch(context, progress=progress)


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else ""


def _read(stamp: Path) -> str | None:
    return stamp.read_text(encoding="utf-8") if stamp.exists() else None
