"""The `docker` driver: any engine that speaks Docker's API.

A task is a *pause* container that holds the task's network namespace; the task's containers join
it and so share localhost. All pause containers of one cloud are on one bridge network.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, NotFound
from docker.utils import kwargs_from_env

from fargate_lab.image.archive import to_docker_archive
from fargate_lab.image.layers import Layer
from fargate_lab.image.layout import Image as LayoutImage
from fargate_lab.runtime.driver import (
    ContainerSpec,
    DriverUnavailable,
    HostSpec,
    Image,
    PortAddress,
    Prepared,
    StartError,
)
from fargate_lab.runtime.engine import pause
from fargate_lab.runtime.engine.container import DockerContainer
from fargate_lab.runtime.engine.relay import Relay

OWNER_LABEL = "fargate-lab.owner"
TASK_LABEL = "fargate-lab.task"
ANSWER_SECONDS = 1
CALL_SECONDS = 120
REAP_SECONDS = 15
HOST_NAME = "host.docker.internal"
NOTES = [
    "CPU and memory limits hold for each container; the limits of a task with several containers "
    "are not added up.",
    "A container without a user of its own runs as the image says, root included.",
]
PUBLISHED_NOTE = (
    "The engine runs in a virtual machine, so the ports of a task are published on 127.0.0.1: ask "
    "/_lab/tasks/<task id>/ports."
)


class DockerDriver:
    """Runs containers in a Docker engine."""

    name = "docker"

    def __init__(self, api: docker.APIClient, owner: str, state_dir: Path) -> None:
        self.api, self.owner, self.state_dir = api, owner, state_dir
        self.labels = {OWNER_LABEL: owner}
        self.published = sys.platform != "linux"
        self._lock = threading.Lock()
        self._images: dict[str, str] = {}
        self._network: str | None = None
        self._gateway = ""
        self._pause: str | None = None
        self._relay: Relay | None = None

    @classmethod
    def connect(cls, owner: str, state_dir: Path) -> DockerDriver:
        """The driver for the engine of this machine; raises DriverUnavailable without one."""
        try:
            # Raises for DOCKER_TLS_VERIFY without certificates.
            options = kwargs_from_env()
            quick = docker.APIClient(timeout=ANSWER_SECONDS, version="auto", **options)
            quick.ping()
            quick.close()
            api = docker.APIClient(
                timeout=CALL_SECONDS, version="auto", max_pool_size=128, **options
            )
        except (DockerException, OSError) as error:
            raise DriverUnavailable(
                f"No Docker engine answers ({error}). Start it, or use --runtime process."
            ) from error
        return cls(api, owner, state_dir)

    def notes(self) -> list[str]:
        """What is not as on Fargate, for people."""
        return [*NOTES, PUBLISHED_NOTE] if self.published else list(NOTES)

    def prepare(self, image: Image) -> Prepared:
        """Load the image into the engine, once per digest."""
        key = str(image.manifest["config"]["digest"])
        with self._lock:
            # Whoever tidies the engine up may have removed what was loaded before.
            if key not in self._images or not self._has_image(self._images[key]):
                self._images[key] = self._load(image)
            return Prepared(image, self._images[key])

    def _has_image(self, name: str) -> bool:
        try:
            self.api.inspect_image(name)  # type: ignore[no-untyped-call]
        except (DockerException, OSError):
            return False
        return True

    def _load(self, image: Image) -> str:
        diff_ids = (image.config.get("rootfs") or {}).get("diff_ids") or []
        layers = [
            _layer(layer.digest, layer.media_type, layer.path, diff_id)
            for layer, diff_id in zip(image.layers, diff_ids, strict=True)
        ]
        # The registry's blobs lie as in an OCI layout.
        source = LayoutImage(
            layout=self.state_dir,
            digest=image.digest,
            manifest=dict(image.manifest),
            config=dict(image.config),
            layers=layers,
        )
        tag = f"{self._repository}:{str(image.manifest['config']['digest'])[7:19]}"
        try:
            with tempfile.TemporaryFile() as archive:
                to_docker_archive(source, archive, tag=tag)
                archive.seek(0)
                for message in self.api.load_image(archive) or ():  # type: ignore[no-untyped-call]
                    if "error" in message:
                        raise StartError(str(message["error"]), "CannotPullContainerError")
            return str(self.api.inspect_image(tag)["Id"])  # type: ignore[no-untyped-call]
        except (DockerException, OSError) as error:
            raise StartError(
                f"Error response from daemon: {error}", "CannotPullContainerError"
            ) from error

    @property
    def _repository(self) -> str:
        return f"fargate-lab-{self.owner}"

    def network(self, cloud_port: int) -> tuple[str, str]:
        """(network, pause image), made when first needed and again when they were removed."""
        with self._lock:
            if self._pause is None or not self._has_image(self._pause):
                architecture = _architecture(self.api.version()["Arch"])
                self.api.import_image_from_data(
                    pause.archive(architecture), repository=self._repository, tag="pause"
                )
                self._pause = f"{self._repository}:pause"
            if self._network is None or not self._has_network(self._network):
                self._network = self._open_network(cloud_port)
            return self._network, self._pause

    def _has_network(self, network: str) -> bool:
        try:
            self.api.inspect_network(network)
        except NotFound:
            return False
        return True

    def _open_network(self, cloud_port: int) -> str:
        if not self._has_network(self._repository):
            self.api.create_network(
                self._repository, driver="bridge", labels=self.labels, check_duplicate=True
            )
        # Or the one of a lost cloud of this state folder: nobody else gives this name.
        found = self.api.inspect_network(self._repository)
        config = found["IPAM"]["Config"]
        self._gateway = str(config[0].get("Gateway") or "") if config else ""
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        if not self.published and self._gateway:
            # An engine in a virtual machine has a way of its own under this name.
            with contextlib.suppress(OSError):
                self._relay = Relay(self._gateway, cloud_port)
        return str(found["Id"])

    @property
    def gateway(self) -> str:
        """What containers reach this machine at; empty where the engine knows it by name."""
        return self._gateway if self._relay is not None else ""

    def cloud_url(self, cloud_port: int) -> str:
        """The cloud as containers reach it."""
        port = self._relay.port if self._relay is not None else cloud_port
        return f"http://{HOST_NAME}:{port}"

    def open_host(self, spec: HostSpec) -> DockerHost:
        """A pause container with an address of its own."""
        try:
            return DockerHost(self, spec)
        except (DockerException, OSError) as error:
            text = getattr(error, "explanation", None) or error
            raise StartError(f"failed to create the task's network: {text}") from error

    def reap(self) -> list[str]:
        """Remove containers, networks and images that carry this cloud's name."""
        names = []
        where = {"label": f"{OWNER_LABEL}={self.owner}"}
        deadline = time.monotonic() + REAP_SECONDS
        # The engine refuses what it is removing already; it is gone once it is no more listed.
        while left := self.api.containers(all=True, filters=where):
            for found in left:
                with contextlib.suppress(DockerException):
                    self.api.remove_container(found["Id"], force=True, v=True)
                    names.append(f"container {found['Id'][:12]}")
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        for found in self.api.networks(filters=where):
            with contextlib.suppress(DockerException):
                self.api.remove_network(found["Id"])
                names.append(f"network {found['Name']}")
        for found in self.api.images(name=self._repository):
            for tag in found.get("RepoTags") or ():
                with contextlib.suppress(DockerException):
                    self.api.remove_image(tag, force=True)
                    names.append(f"image {tag}")
        shutil.rmtree(self.state_dir / "tasks", ignore_errors=True)
        return names

    def close(self) -> None:
        """Remove the network, the relay and the loaded images."""
        if self._relay is not None:
            self._relay.close()
        with contextlib.suppress(DockerException, OSError):
            self.reap()
        self.api.close()


class DockerHost:
    """One task's network namespace."""

    def __init__(self, driver: DockerDriver, spec: HostSpec) -> None:
        self.driver, self.spec = driver, spec
        self.labels = {**driver.labels, TASK_LABEL: spec.task_id}
        self.containers: list[DockerContainer] = []
        spec.folder.mkdir(parents=True, exist_ok=True)
        network, image = driver.network(spec.cloud_port)
        api = driver.api
        config = api.create_host_config(
            network_mode=network,
            extra_hosts={HOST_NAME: driver.gateway} if driver.gateway else None,
            port_bindings=dict.fromkeys(spec.ports, ("127.0.0.1", None))
            if driver.published
            else None,
        )
        made = api.create_container(
            image,
            entrypoint=["/pause"],
            hostname=f"ip-{spec.task_id[:12]}",
            labels=self.labels,
            ports=list(spec.ports) if driver.published else None,
            host_config=config,
        )
        self.pause = str(made["Id"])
        try:
            api.start(self.pause)
            self._inspected: dict[str, Any] = api.inspect_container(self.pause)
        except (DockerException, OSError):
            with contextlib.suppress(DockerException, OSError):
                api.remove_container(self.pause, force=True)
            raise

    @property
    def address(self) -> str:
        """The namespace's address on the bridge."""
        networks = self._inspected["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    @property
    def cloud_url(self) -> str:
        """The cloud through the relay, or the engine's own way to this machine."""
        return self.driver.cloud_url(self.spec.cloud_port)

    def reach(self, port: int) -> PortAddress | None:
        """The task's own address; the published port where the engine is in a virtual machine."""
        if not self.driver.published:
            return PortAddress(self.address, port)
        published = self._inspected["NetworkSettings"]["Ports"].get(f"{port}/tcp")
        return PortAddress("127.0.0.1", int(published[0]["HostPort"])) if published else None

    def create(self, spec: ContainerSpec) -> DockerContainer:
        """A container in this namespace."""
        container = DockerContainer(self, spec)
        self.containers.append(container)
        return container

    def close(self) -> None:
        """Remove the containers, the namespace and the task's folder."""
        # An engine that is gone refuses the connection: the folder goes all the same.
        for container in self.containers:
            with contextlib.suppress(OSError):
                container.remove()
        with contextlib.suppress(DockerException, OSError):
            self.driver.api.remove_container(self.pause, force=True, v=True)
        shutil.rmtree(self.spec.folder, ignore_errors=True)


def _architecture(said: str) -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(said, said)


def _layer(digest: str, media_type: str, path: Path, diff_id: str) -> Layer:
    return Layer(
        name="",
        digest=digest,
        diff_id=diff_id,
        size=path.stat().st_size,
        uncompressed_size=0,
        media_type=media_type,
        files=0,
    )
