"""A container's health check, as its definition asks for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fargate_lab.runtime.driver import Container

FIRST_PROBE = 0.05
"""Seconds until the first probe. Fargate waits one interval; here nobody learns by waiting: a
container is probed at once and then at growing distances until it first answers."""


@dataclass(frozen=True)
class HealthCheck:
    """A health check with ECS's defaults filled in; times in seconds."""

    command: list[str]
    interval: float = 30
    timeout: float = 5
    retries: int = 3
    start_period: float = 0

    @classmethod
    def of(cls, definition: dict[str, Any]) -> HealthCheck | None:
        """The check of a container definition; None without one (the image's is not used)."""
        asked = definition.get("healthCheck")
        if not asked or not asked.get("command"):
            return None
        first, *rest = asked["command"]
        if first == "CMD-SHELL":
            command = ["/bin/sh", "-c", *rest]
        else:
            command = rest if first == "CMD" else [first, *rest]
        return cls(
            command,
            asked.get("interval") or 30,
            asked.get("timeout") or 5,
            asked.get("retries") or 3,
            asked.get("startPeriod") or 0,
        )


def watch(
    check: HealthCheck,
    container: Container,
    stopped: threading.Event,
    report: Callable[[str], None],
) -> None:
    """Probe until `stopped`; report HEALTHY and UNHEALTHY when it changes.

    Failures count once per interval, after the start period; probes in between can only succeed.
    """
    begin = time.monotonic()
    status, failures, pause, counted = "UNKNOWN", 0, FIRST_PROBE, begin
    while not stopped.wait(pause):
        asked = time.monotonic()
        code, _ = container.execute(check.command, check.timeout)
        now = time.monotonic()
        if stopped.is_set():
            return
        if code == 0:
            failures, pause, counted = 0, check.interval, now
            found = "HEALTHY"
        else:
            if now - counted >= check.interval:
                counted = now
                failures += now - begin >= check.start_period
            found = "UNHEALTHY" if failures >= check.retries else status
            # Until it first answered: soon again, but never so often that probing is the load.
            soon = max(pause * 1.5, 4 * (now - asked))
            pause = check.interval if status == "HEALTHY" else min(check.interval, soon)
        if found != status:
            status = found
            report(status)
