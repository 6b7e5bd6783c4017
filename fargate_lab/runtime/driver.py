"""What a driver must do: the seam between the ECS agent and what runs containers.

A *host* is one task: an address of its own, shared by the task's containers. A driver never
knows ECS; the agent never knows processes or engines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class StartError(Exception):
    """A container could not be created or started.

    kind is the ECS agent's error name (`CannotStartContainerError`, …), text what follows it.
    """

    def __init__(self, text: str, kind: str = "CannotStartContainerError") -> None:
        self.kind, self.text = kind, text
        super().__init__(f"{kind}: {text}")


class DriverUnavailable(Exception):
    """The asked-for driver cannot work on this machine; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image on this machine's disk."""

    path: Path
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image as the registry holds it, chosen by digest."""

    reference: str
    digest: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The configuration's `config` object: entry point, environment, user, …"""
        return self.config.get("config") or {}

    @property
    def platform(self) -> str:
        """`os/architecture`, such as `linux/amd64`."""
        return f"{self.config.get('os', 'linux')}/{self.config.get('architecture', 'amd64')}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image made ready to run: what `prepare` returns and `create` takes."""

    image: Image
    handle: str
    """The driver's own: a folder, or an engine's image id."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the task, seen inside a container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One task's host."""

    task_id: str
    folder: Path
    """The task's working folder; the driver may write below it."""
    cloud_port: int
    cpu: int
    """CPU units of the task; 1024 is one vCPU."""
    memory: int
    """MiB of the task."""
    ports: tuple[int, ...] = ()
    """The container ports of its definition."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container of a task, with overrides and secrets already applied."""

    name: str
    image: Prepared
    entry_point: tuple[str, ...] | None = None
    """None: the image's."""
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str | None = None
    user: str | None = None
    cpu: int = 0
    memory: int | None = None
    """Hard limit in MiB; None: the task's."""
    read_only_root: bool = False
    ports: tuple[int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    ulimits: tuple[tuple[str, int, int], ...] = ()
    """(name, soft, hard)."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """The command line. As in Docker, an entry point of one's own drops the image's CMD."""
        settings = self.image.image.settings
        if self.entry_point is not None:
            return [*self.entry_point, *(self.command or ())]
        command = settings.get("Cmd") if self.command is None else self.command
        return [*(settings.get("Entrypoint") or ()), *(command or ())]

    def variables(self) -> dict[str, str]:
        """The image's environment, with the task's on top."""
        result = dict(
            e.split("=", 1) for e in self.image.image.settings.get("Env") or () if "=" in e
        )
        result.update(self.environment)
        return result

    def folder(self) -> str:
        """The working directory inside the container."""
        return self.working_directory or self.image.image.settings.get("WorkingDir") or "/"


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended."""

    code: int
    at: float
    """Epoch seconds."""
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Stats:
    """What a container uses now."""

    memory: int
    """Bytes resident."""
    cpu_seconds: float
    processes: int


@dataclass(frozen=True, slots=True)
class PortAddress:
    """Where this machine reaches a port of a task."""

    host: str
    port: int


OnOutput = Callable[[bytes, float], None]
"""Gets each line a container writes, without its line feed, and when (epoch seconds)."""


class Container(Protocol):
    """One container."""

    @property
    def runtime_id(self) -> str:
        """The driver's id of it."""
        ...

    def start(self, on_output: OnOutput) -> None:
        """Start it; raises StartError."""
        ...

    def wait(self, timeout: float | None = None) -> Exit | None:
        """How it ended, once all its output was delivered; None when it still runs."""
        ...

    def stop(self, timeout: float) -> None:
        """Ask it to end (SIGTERM) and kill it after `timeout` seconds; returns once it ended."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def execute(self, command: list[str], timeout: float) -> tuple[int, str]:
        """Run a command inside; its exit code (124: it took too long) and output."""
        ...

    def stats(self) -> Stats | None:
        """What it uses; None when it does not run."""
        ...

    def remove(self) -> None:
        """Leave nothing of it."""
        ...


class Host(Protocol):
    """One task's host, open."""

    @property
    def address(self) -> str:
        """The task's own IPv4 address."""
        ...

    @property
    def cloud_url(self) -> str:
        """The lab cloud's endpoint as the task's containers reach it."""
        ...

    def reach(self, port: int) -> PortAddress | None:
        """Where this machine reaches a port of the task; None while nothing listens there yet."""
        ...

    def create(self, spec: ContainerSpec) -> Container:
        """A container on this host, not yet started; raises StartError."""
        ...

    def close(self) -> None:
        """Remove the host and everything left on it."""
        ...


class Driver(Protocol):
    """Runs containers."""

    @property
    def name(self) -> str:
        """`docker` or `process`."""
        ...

    def notes(self) -> list[str]:
        """What this driver does not do as Fargate does, in sentences for people."""
        ...

    def prepare(self, image: Image) -> Prepared:
        """Make an image ready to run, once per digest; raises StartError."""
        ...

    def open_host(self, spec: HostSpec) -> Host:
        """A host for a task; raises StartError."""
        ...

    def reap(self) -> list[str]:
        """Remove everything an earlier, killed cloud of this state folder left; what it was."""
        ...

    def close(self) -> None:
        """Remove what the driver itself holds (networks, relays, loaded images)."""
        ...
