"""The live diagram: how far the account has come from image to running task."""

from __future__ import annotations

import base64
import contextlib
import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

from fargate_lab.lesson import names
from fargate_lab.lesson.errors import LabError
from fargate_lab.lesson.style import BLUE, INK
from fargate_lab.paths import state_dir

WIDTH, HEIGHT, GAP = 148, 92, 34


@dataclass(frozen=True)
class Stage:
    """One station on the way: its name, what it is for, what stands there now ('' if nothing)."""

    name: str
    role: str
    found: str


@dataclass(frozen=True)
class Diagram:
    """The stages, drawn as SVG in a notebook and as one line in a terminal."""

    stages: tuple[Stage, ...]

    def __repr__(self) -> str:
        return " → ".join(f"{s.name}: {s.found or 'not yet'}" for s in self.stages)

    def _repr_html_(self) -> str:
        # As an image, because a notebook that somebody else executed is not trusted, and JupyterLab
        # shows no SVG of such a notebook.
        drawn = base64.b64encode(self._repr_svg_().encode()).decode()
        return (
            f'<img src="data:image/svg+xml;base64,{drawn}" style="max-width:100%" '
            f'alt="{html.escape(repr(self))}">'
        )

    def _repr_svg_(self) -> str:
        step = WIDTH + GAP
        width = step * len(self.stages) - GAP + 8
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + 8}" '
            f'width="{width}" height="{HEIGHT + 8}" font-family="system-ui, sans-serif" role="img">'
            f"<title>{html.escape(repr(self))}</title>"
        ]
        for i, stage in enumerate(self.stages):
            x = 4 + i * step
            parts.append(_box(stage, i + 1, x))
            if i:
                parts.append(_arrow(x - GAP, x))
        return "".join(parts) + "</svg>"


def draw(flow: str = "deployment") -> Diagram:
    """Look at the account and draw what is there, along one of `FLOWS`."""
    if flow not in FLOWS:
        raise LabError(f"There is no flow {flow!r}; choose one of {', '.join(FLOWS)}.")
    return Diagram(tuple(stage() for stage in FLOWS[flow]))


def _box(stage: Stage, number: int, x: int) -> str:
    # Reached: filled, solid border, a check mark. Not yet: empty, dashed, the word "not yet".
    fill, ink, dash = (BLUE, "#ffffff", "") if stage.found else ("none", INK, "5 4")
    state = f"✓ {stage.found}" if stage.found else "not yet"
    middle = x + WIDTH / 2
    return (
        f'<rect x="{x}" y="4" width="{WIDTH}" height="{HEIGHT}" rx="9" fill="{fill}" '
        f'stroke="{BLUE if stage.found else INK}" stroke-width="1.6" stroke-dasharray="{dash}"/>'
        f'<g text-anchor="middle" fill="{ink}">'
        f'<text x="{middle}" y="30" font-size="14" font-weight="600">{number} '
        f"{html.escape(stage.name)}</text>"
        f'<text x="{middle}" y="51" font-size="11">{html.escape(stage.role)}</text>'
        f'<text x="{middle}" y="77" font-size="12">{html.escape(state[:22])}</text></g>'
    )


def _arrow(left: int, right: int) -> str:
    y = 4 + HEIGHT / 2
    return (
        f'<path d="M{left + 4} {y} H{right - 9}" stroke="{INK}" stroke-width="2"/>'
        f'<path d="M{right - 11} {y - 5} l8 5 l-8 5 z" fill="{INK}"/>'
    )


def _image() -> Stage:
    built = (state_dir() / "images" / names.IMAGE / "index.json").exists()
    return Stage("image", "app + custom library", names.IMAGE if built else "")


def _repository() -> Stage:
    found = ""
    try:
        images = boto3.client("ecr").describe_images(repositoryName=names.REPOSITORY)
        count = len(images["imageDetails"])
        found = f"{names.REPOSITORY}, {count} image{'s' * (count != 1)}" if count else ""
    except ClientError:
        pass  # no repository yet
    return Stage("ECR", "where images are kept", found)


def _definition() -> Stage:
    arns = boto3.client("ecs").list_task_definitions(familyPrefix=names.FAMILY, sort="DESC")
    newest = arns["taskDefinitionArns"][:1]
    return Stage("task definition", "the blueprint", newest[0].rsplit("/")[-1] if newest else "")


def _cluster() -> Stage:
    found = boto3.client("ecs").describe_clusters(clusters=[names.CLUSTER])["clusters"]
    active = [c["clusterName"] for c in found if c["status"] == "ACTIVE"]
    return Stage("cluster", "where tasks belong", active[0] if active else "")


def _tasks() -> Stage:
    running: list[Any] = []
    with contextlib.suppress(ClientError):  # no cluster yet
        running = boto3.client("ecs").list_tasks(cluster=names.CLUSTER)["taskArns"]
    word = f"{len(running)} running" if running else ""
    return Stage("task", "the container at work", word)


def _dependencies() -> Stage:
    layout, count = state_dir() / "images" / names.IMAGE, 0
    with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
        index = json.loads((layout / "index.json").read_bytes())
        algorithm, _, hexadecimal = index["manifests"][0]["digest"].partition(":")
        manifest = json.loads((layout / "blobs" / algorithm / hexadecimal).read_bytes())
        count = len(manifest["layers"])
    return Stage("dependencies", "layers of the image", f"{count} layers" if count else "")


def _storage() -> Stage:
    return Stage("storage", "ECR keeps the layers", _repository().found)


def _resources() -> Stage:
    found = ""
    with contextlib.suppress(ClientError):  # no task definition yet
        newest = boto3.client("ecs").describe_task_definition(taskDefinition=names.FAMILY)
        size = newest["taskDefinition"]
        if "cpu" in size and "memory" in size:
            found = f"{int(size['cpu']) / 1024:g} vCPU, {size['memory']} MiB"
    return Stage("resources", "CPU and memory", found)


def _scaling() -> Stage:
    targets = boto3.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="ecs"
    )["ScalableTargets"]
    mine = [t for t in targets if t["ResourceId"].startswith(f"service/{names.CLUSTER}/")]
    found = f"{mine[0]['MinCapacity']} to {mine[0]['MaxCapacity']} tasks" if mine else ""
    return Stage("auto scaling", "how many tasks", found)


FLOWS: dict[str, tuple[Callable[[], Stage], ...]] = {
    "deployment": (_image, _repository, _definition, _cluster, _tasks),
    "resources": (_dependencies, _storage, _resources, _scaling),
}
"""The two roads: from the image to what runs, and from what it needs to how much of it runs."""
