"""From a container definition to what a driver is asked to run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fargate_lab.runtime.driver import ContainerSpec, Mount

if TYPE_CHECKING:
    from fargate_lab.cloud.ecs.agent import TaskAgent
    from fargate_lab.cloud.ecs.taskcontainer import TaskContainer


def overridden(
    definition: dict[str, Any], overrides: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """A container definition with RunTask's containerOverrides applied."""
    result = dict(definition)
    for override in overrides:
        if override.get("name") != definition["name"]:
            continue
        for member in ("command", "cpu", "memory", "memoryReservation"):
            if override.get(member) is not None:
                result[member] = override[member]
        if override.get("environment"):
            variables = {e["name"]: e["value"] for e in result.get("environment") or ()}
            variables |= {e["name"]: e.get("value", "") for e in override["environment"]}
            result["environment"] = [{"name": n, "value": v} for n, v in variables.items()]
    return result


def spec_of(agent: TaskAgent, container: TaskContainer) -> ContainerSpec:
    """What the driver is to run for a container of an agent's task."""
    definition = container.definition
    assert container.image is not None
    return ContainerSpec(
        name=container.name,
        image=container.image,
        entry_point=_words(definition.get("entryPoint")),
        command=_words(definition.get("command")),
        environment=_environment(agent, container),
        working_directory=definition.get("workingDirectory"),
        user=definition.get("user"),
        cpu=int(definition.get("cpu") or 0),
        memory=definition.get("memory"),
        read_only_root=bool(definition.get("readonlyRootFilesystem")),
        ports=tuple(p["containerPort"] for p in definition.get("portMappings") or ()),
        mounts=tuple(_mounts(agent, definition)),
        ulimits=tuple(
            (u["name"], u["softLimit"], u["hardLimit"]) for u in definition.get("ulimits") or ()
        ),
        labels=definition.get("dockerLabels") or {},
    )


def _words(value: list[str] | None) -> tuple[str, ...] | None:
    # An empty list means the image's own, as in the API's default.
    return tuple(value) if value else None


def _environment(agent: TaskAgent, container: TaskContainer) -> dict[str, str]:
    assert agent.host is not None
    cloud = agent.host.cloud_url
    metadata = f"{cloud}/_lab/metadata/v4/{agent.record.id}/{container.name}"
    result = {
        "AWS_ENDPOINT_URL": cloud,
        "AWS_REGION": agent.region,
        "AWS_DEFAULT_REGION": agent.region,
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "ECS_CONTAINER_METADATA_URI_V4": metadata,
    }
    if agent.role is not None:
        # As on AWS, only a task with a task role has credentials.
        result |= {"AWS_ACCESS_KEY_ID": agent.account, "AWS_SECRET_ACCESS_KEY": "lab"}
    result |= {e["name"]: e.get("value", "") for e in container.definition.get("environment") or ()}
    return result | container.secrets


def _mounts(agent: TaskAgent, definition: dict[str, Any]) -> Iterable[Mount]:
    for point in definition.get("mountPoints") or ():
        yield _mount(agent.folder, point)
    for source in definition.get("volumesFrom") or ():
        other = next(c.definition for c in agent.containers if c.name == source["sourceContainer"])
        for point in other.get("mountPoints") or ():
            yield _mount(agent.folder, {**point, "readOnly": source.get("readOnly", False)})


def _mount(folder: Path, point: Mapping[str, Any]) -> Mount:
    # A volume's name is any text, ".." included: never part of a path.
    name = hashlib.sha256(point["sourceVolume"].encode()).hexdigest()[:32]
    source = folder / "volumes" / name
    source.mkdir(parents=True, exist_ok=True)
    return Mount(source, point["containerPath"], bool(point.get("readOnly")))
