"""The docker driver when somebody tidies the engine up under it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from fargate_lab.runtime.choose import owner_of
from fargate_lab.runtime.driver import HostSpec
from fargate_lab.runtime.engine.driver import DockerDriver

pytestmark = pytest.mark.docker


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[DockerDriver]:
    """A driver with a name of its own."""
    made = DockerDriver.connect(owner_of(tmp_path), tmp_path)
    yield made
    made.close()


def spec(folder: Path, name: str) -> HostSpec:
    """A task without ports."""
    task = hashlib.sha256(name.encode()).hexdigest()[:32]
    return HostSpec(task, folder / "tasks" / task, 1, 256, 512)


def test_a_pruned_network_and_image_are_made_anew(driver: DockerDriver, tmp_path: Path) -> None:
    """`docker system prune -a` between two tasks takes both, for nothing uses them then."""
    driver.open_host(spec(tmp_path, "first")).close()
    api = docker.APIClient(version="auto")
    network, image = driver.network(1)
    api.remove_network(network)
    api.remove_image(image, force=True)
    host = driver.open_host(spec(tmp_path, "second"))
    assert host.address
    assert host.cloud_url == driver.cloud_url(1)
    host.close()


def test_a_network_that_a_lost_cloud_left_is_used(driver: DockerDriver, tmp_path: Path) -> None:
    """The state folder was deleted after a kill: nothing told this cloud to tidy up."""
    driver.open_host(spec(tmp_path, "first")).close()
    again = DockerDriver.connect(owner_of(tmp_path), tmp_path)
    host = again.open_host(spec(tmp_path, "second"))
    assert host.address
    host.close()
    again.close()
