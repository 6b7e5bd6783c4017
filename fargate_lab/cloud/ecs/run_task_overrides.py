"""RunTask's overrides: what they may change, and what the task is after them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.ecs.run_task_plan import DEFAULT_EPHEMERAL_GIB
from fargate_lab.cloud.ecs.sizes import is_fargate_size, parse_cpu, parse_memory
from fargate_lab.facts import fact

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Effective:
    """A task's settings after the overrides."""

    cpu: int
    memory: int
    ephemeral_gib: int
    task_role: str | None
    execution_role: str | None
    overrides: Document


def effective(
    definition: Mapping[str, Any], overrides: Mapping[str, Any], region: str, launch_type: str
) -> Effective:
    """A definition with overrides applied. Raises `AwsError` for the first rule they break."""
    per_container = [dict(item) for item in overrides.get("containerOverrides") or ()]
    _check_form(definition, per_container)
    cpu = _size(overrides, "cpu") or int(definition.get("cpu", 0))
    memory = _size(overrides, "memory") or int(definition.get("memory", 0))
    changed = "cpu" in overrides or "memory" in overrides
    windows = "WINDOWS" in (definition.get("runtimePlatform") or {}).get(
        "operatingSystemFamily", ""
    )
    fits = is_fargate_size(cpu, memory, region, windows)
    if changed and launch_type == "FARGATE" and not fits:
        raise refuse("messages.run_task.override_size", cpu=cpu, memory=memory)
    _check_containers(definition, per_container, cpu, memory)
    shown = {**overrides, "containerOverrides": per_container}
    shown.setdefault("inferenceAcceleratorOverrides", [])
    return Effective(
        cpu=cpu,
        memory=memory,
        ephemeral_gib=_disk(definition, overrides),
        task_role=overrides.get("taskRoleArn") or definition.get("taskRoleArn"),
        execution_role=overrides.get("executionRoleArn") or definition.get("executionRoleArn"),
        overrides=shown,
    )


def _check_form(definition: Mapping[str, Any], items: list[Document]) -> None:
    names = {container["name"] for container in definition["containerDefinitions"]}
    for item in items:
        # An empty override is allowed, one that changes something must say of what: API model.
        if not item.get("name"):
            if item:
                raise refuse("messages.run_task.override_without_name")
        elif item["name"] not in names:
            raise refuse("messages.run_task.override_unknown", container=item["name"])
    most = fact("run_task.overrides_length").value
    if items and len(json.dumps(items, separators=(",", ":"), ensure_ascii=False)) > most:
        raise refuse("messages.run_task.override_length", most=most)


def _size(overrides: Mapping[str, Any], name: str) -> int | None:
    if name not in overrides:
        return None
    read = {"cpu": parse_cpu, "memory": parse_memory}[name](overrides[name])
    if read is None:
        raise refuse("messages.run_task.override_unreadable", setting=name)
    return read


def _check_containers(
    definition: Mapping[str, Any], items: list[Document], cpu: int, memory: int
) -> None:
    """The containers must fit in the task after the overrides as they did before."""
    changes = {item["name"]: item for item in items if item.get("name")}
    merged = [{**c, **changes.get(c["name"], {})} for c in definition["containerDefinitions"]]
    for container in merged:
        hard, soft = container.get("memory"), container.get("memoryReservation")
        if memory and hard is not None and hard > memory:
            raise refuse("messages.run_task.override_memory", container=container["name"])
        if hard is not None and soft is not None and hard < soft:
            raise refuse("messages.run_task.override_reservation", container=container["name"])
    if cpu and sum(container.get("cpu", 0) for container in merged) > cpu:
        raise refuse("messages.run_task.override_cpu")


def _disk(definition: Mapping[str, Any], overrides: Mapping[str, Any]) -> int:
    asked = overrides.get("ephemeralStorage")
    if asked is None:
        own = definition.get("ephemeralStorage") or {}
        return int(own.get("sizeInGiB", DEFAULT_EPHEMERAL_GIB))
    least, most = fact("fargate.limits.ephemeral_storage").value
    size = int(asked["sizeInGiB"])
    if size < least:
        raise refuse("messages.run_task.override_disk_low", limit=least)
    if size > most:
        raise refuse("messages.run_task.override_disk_high", limit=most)
    return size
