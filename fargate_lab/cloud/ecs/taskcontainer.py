"""One container of a task while the agent runs it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fargate_lab.cloud.ecs import health
from fargate_lab.cloud.ecs.logs import LogShipper, LogStream
from fargate_lab.cloud.ecs.taskrecords import TaskRecord
from fargate_lab.runtime.driver import Container, Exit, Prepared, StartError

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
DEFAULT_STOP_SECONDS = 30


@dataclass
class TaskContainer:
    """A container definition, with overrides applied, and what became of it."""

    record: TaskRecord
    definition: dict[str, Any]
    changed: Callable[[], None]
    """Called after every change of state, from any thread."""
    image: Prepared | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    stream: LogStream | None = None
    running: Container | None = None
    exit: Exit | None = None
    failure: str | None = None
    """Why it never ran: the container's `reason`."""
    health: str = "UNKNOWN"
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """Its name in the task definition."""
        return str(self.definition["name"])

    @property
    def essential(self) -> bool:
        """Whether the task ends with it."""
        return self.definition.get("essential", True) is not False

    @property
    def started(self) -> bool:
        """Whether it ran, be it that it ended since."""
        return self.running is not None

    @property
    def done(self) -> bool:
        """Whether it has ended, or failed to start."""
        return self.exit is not None or self.failure is not None

    def start(self, container: Container, shipper: LogShipper) -> None:
        """Start it and watch its end and its health; raises StartError."""
        stream = self.stream
        if stream is not None:
            shipper.add(stream)
        container.start(stream.add if stream is not None else lambda line, at: None)
        self.running = container
        self.show(lastStatus="RUNNING", runtimeId=container.runtime_id)
        threading.Thread(target=self._await_end, args=(shipper,), daemon=True).start()
        check = health.HealthCheck.of(self.definition)
        if check is not None:
            threading.Thread(
                target=health.watch,
                args=(check, container, self._ended, self._report_health),
                daemon=True,
            ).start()

    def _await_end(self, shipper: LogShipper) -> None:
        assert self.running is not None
        found = self.running.wait()
        assert found is not None
        self._ended.set()
        if self.stream is not None:
            shipper.remove(self.stream)
        members: dict[str, Any] = {"lastStatus": "STOPPED", "exitCode": found.code}
        if found.out_of_memory:
            members["reason"] = OUT_OF_MEMORY
        self.show(**members)
        self.exit = found
        self.changed()

    def _report_health(self, status: str) -> None:
        self.health = status
        with self.record.lock:
            self.record.container(self.name)["healthStatus"] = status
            self.record.change(healthStatus=_task_health(self.record["containers"]))
        self.changed()

    def fail(self, error: StartError | str) -> None:
        """Note that it never ran, and why."""
        self.failure = str(error)
        self._ended.set()
        self.show(lastStatus="STOPPED", reason=self.failure)

    def skip(self) -> None:
        """Note that it never ran because its task ended first."""
        self._ended.set()
        self.show(lastStatus="STOPPED")

    def show(self, **members: Any) -> None:
        """Change its part of the task's description."""
        with self.record.lock:
            self.record.container(self.name).update(members)
            self.record.save()

    def stop(self, limit: float | None = None) -> None:
        """SIGTERM, then SIGKILL after the definition's stopTimeout, or after limit seconds."""
        if self.running is not None and self.exit is None:
            asked = self.definition.get("stopTimeout") or DEFAULT_STOP_SECONDS
            self.running.stop(asked if limit is None else min(asked, limit))

    def satisfies(self, condition: str) -> bool:
        """Whether a container that depends on this one may start (`dependsOn`)."""
        if condition == "START":
            return self.started
        if condition == "COMPLETE":
            return self.exit is not None
        if condition == "SUCCESS":
            return self.exit is not None and self.exit.code == 0
        return self.health == "HEALTHY"

    def never_satisfies(self, condition: str) -> bool:
        """Whether it is too late for a condition."""
        if condition in ("START", "COMPLETE"):
            return self.failure is not None
        if condition == "SUCCESS":
            return self.failure is not None or (self.exit is not None and self.exit.code != 0)
        return self.done or self.health == "UNHEALTHY"

    def end_quietly(self) -> None:
        """Leave nothing running, whatever went wrong before."""
        self._ended.set()
        with contextlib.suppress(Exception):
            if self.running is not None:
                self.running.remove()


def _task_health(containers: list[dict[str, Any]]) -> str:
    # "Container health checks", API Reference: of the essential ones that have a check.
    checked = [c["healthStatus"] for c in containers if c.get("healthStatus")]
    if "UNHEALTHY" in checked:
        return "UNHEALTHY"
    return "HEALTHY" if "HEALTHY" in checked else "UNKNOWN"
