"""The `process` driver: an image's layers unpacked, its entry point run as a subprocess."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from pathlib import Path

from fargate_lab.image.errors import ImageError
from fargate_lab.runtime.driver import (
    ContainerSpec,
    HostSpec,
    Image,
    PortAddress,
    Prepared,
    StartError,
)
from fargate_lab.runtime.process import tree
from fargate_lab.runtime.process.addresses import Addresses
from fargate_lab.runtime.process.container import ProcessContainer
from fargate_lab.runtime.process.guard import MemoryGuard

NOTES = [
    "Containers are plain processes of your user: files, network and other processes of this "
    "machine are within their reach. Run only images you trust.",
    "Paths of the image are translated in arguments, in variables and for Python's own open() and "
    "os functions; compiled libraries that open a fixed path see this machine's files.",
    "The task definition's user, readonlyRootFilesystem, ulimits and CPU units are not enforced; "
    "memory limits are (checked ten times a second).",
    "python and python3 are this machine's own Python with the image's libraries; other programs "
    "run from the image where they were built for this machine.",
    "The task's own address holds for Python programs; other programs bind where they say.",
]
ONE_ADDRESS_NOTE = (
    "This system has one loopback address, so each port of a task is mapped to a free port of "
    "127.0.0.1: ask /_lab/tasks/<task id>/ports."
)


class ProcessDriver:
    """Runs containers as processes of this machine."""

    name = "process"

    def __init__(self, state_dir: Path, cache_dir: Path, *, mapped: bool | None = None) -> None:
        """mapped: one loopback address with mapped ports; None: where the system needs it."""
        self.state_dir, self.cache_dir = state_dir, cache_dir
        mapped = sys.platform != "linux" if mapped is None else mapped
        self.addresses = Addresses(state_dir, mapped=mapped)
        self.guard = MemoryGuard()
        self.said: dict[str, None] = {}
        """Notes about images that run here with the lab's own libraries."""
        self._prepare_lock = threading.Lock()

    def notes(self) -> list[str]:
        """What is not isolated, for people."""
        own = [ONE_ADDRESS_NOTE] if self.addresses.mapped else []
        return [*NOTES, *own, *self.said]

    def prepare(self, image: Image) -> Prepared:
        """Unpack the image's layers, once per digest."""
        from fargate_lab.image.rootfs import unpack_cached

        layers = [(layer.path, layer.media_type, layer.digest) for layer in image.layers]
        try:
            with self._prepare_lock:
                root = unpack_cached(layers, self.cache_dir)
        except (ImageError, OSError) as error:
            raise StartError(str(error), "CannotPullContainerError") from error
        return Prepared(image, str(root))

    def open_host(self, spec: HostSpec) -> ProcessHost:
        """An address and a folder for a task."""
        return ProcessHost(self, spec)

    def reap(self) -> list[str]:
        """Kill what an earlier cloud left, and remove its tasks' folders."""
        tasks = self.state_dir / "tasks"
        killed = tree.reap(tasks)
        shutil.rmtree(tasks, ignore_errors=True)
        return killed

    def close(self) -> None:
        """End what nobody had the time to stop."""
        if any(self.state_dir.glob("tasks/*")):
            self.reap()


class ProcessHost:
    """One task's address and folder."""

    def __init__(self, driver: ProcessDriver, spec: HostSpec) -> None:
        self.driver, self.spec = driver, spec
        self.outer, self.inner = driver.addresses.take(spec.task_id)
        self.net = spec.folder / "net"
        self.net.mkdir(parents=True, exist_ok=True)
        self.containers: list[ProcessContainer] = []

    @property
    def address(self) -> str:
        """The address this machine reaches the task at."""
        return self.outer

    @property
    def cloud_url(self) -> str:
        """The cloud's own address: the shim leaves the way to it open."""
        return f"http://127.0.0.1:{self.spec.cloud_port}"

    def reach(self, port: int) -> PortAddress | None:
        """The task's address and port; on mapped systems once something listens."""
        if not self.driver.addresses.mapped:
            return PortAddress(self.outer, port)
        with contextlib.suppress(OSError, ValueError, IndexError):
            said = (self.net / f"outer-{port}").read_text(encoding="utf-8")
            return PortAddress(self.outer, int(said.split()[0]))
        return None

    def create(self, spec: ContainerSpec) -> ProcessContainer:
        """A container of this task."""
        container = ProcessContainer(self, spec)
        self.containers.append(container)
        return container

    def close(self) -> None:
        """Kill what is left, remove the folder, give the address back."""
        for container in self.containers:
            container.remove()
        self.driver.addresses.give_back(self.spec.task_id)
        remove_folder(self.spec.folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder; Windows needs a moment until killed processes let go of their files."""
    for attempt in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05 * (attempt + 1) if os.name == "nt" else 0.05)
