"""Which driver is at work: `auto`, `docker` or `process`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fargate_lab.runtime.driver import Driver, DriverUnavailable


def owner_of(state_dir: Path) -> str:
    """A short name for a state folder: what a driver marks its things with."""
    return hashlib.sha256(str(state_dir.absolute()).encode()).hexdigest()[:12]


def choose(runtime: str, state_dir: Path, cache_dir: Path) -> Driver:
    """The driver for a runtime's name; raises DriverUnavailable.

    `auto` takes Docker where an engine answers within a second, processes elsewhere.
    """
    if runtime in ("auto", "docker"):
        from fargate_lab.runtime.engine.driver import DockerDriver

        try:
            return DockerDriver.connect(owner_of(state_dir), state_dir)
        except DriverUnavailable:
            if runtime == "docker":
                raise
    from fargate_lab.runtime.process.driver import ProcessDriver

    return ProcessDriver(state_dir, cache_dir)
