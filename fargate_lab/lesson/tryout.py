"""Starting an image on this machine, as `docker run` would, to see how it does."""

from __future__ import annotations

import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_lab.lesson.errors import LabError
from fargate_lab.paths import cache_dir
from fargate_lab.runtime import driver
from fargate_lab.runtime.process.driver import ProcessDriver

if TYPE_CHECKING:
    from fargate_lab.image import Image

SECONDS = 30.0
"""How long a container may take to say what is waited for, or to end."""


@dataclass(frozen=True)
class Ended:
    """How a container ended: its exit code, and the lines it wrote."""

    code: int
    lines: tuple[str, ...]


def try_out(image: Image, *command: str, until: str | None = None) -> Ended:
    """Start an image's entry point, with `command` in place of its own arguments if given.

    until: stop it (SIGTERM) once it has written a line that holds this text. Raises LabError when
    it neither says that nor ends in time.
    """
    with tempfile.TemporaryDirectory(prefix="fargate-lab-try-") as folder:
        state = Path(folder)
        runner = ProcessDriver(state, cache_dir())
        host = runner.open_host(
            driver.HostSpec(uuid.uuid4().hex, state / "task", cloud_port=0, cpu=1024, memory=2048)
        )
        try:
            prepared = runner.prepare(_for_driver(image))
            arguments = tuple(command) or None
            return _run(
                host.create(driver.ContainerSpec("app", prepared, command=arguments)), until
            )
        except driver.StartError as error:
            raise LabError(str(error)) from None
        finally:
            host.close()


def _run(container: driver.Container, until: str | None) -> Ended:
    lines: list[str] = []
    container.start(lambda line, at: lines.append(line.decode(errors="replace")))
    deadline = time.monotonic() + SECONDS
    while (ended := container.wait(0.05)) is None and time.monotonic() < deadline:
        if until is not None and any(until in line for line in lines):
            container.stop(10)
    if ended is None:
        raise LabError(
            f"The container still runs after {SECONDS:.0f} seconds, and never said {until!r}. "
            f"Its last lines: {lines[-3:]}"
        )
    return Ended(ended.code, tuple(lines))


def _for_driver(image: Image) -> driver.Image:
    layers = tuple(
        driver.Layer(image.blob(layer.digest), layer.media_type, layer.digest)
        for layer in image.layers
    )
    return driver.Image(image.digest, image.digest, image.manifest, image.config, layers)
