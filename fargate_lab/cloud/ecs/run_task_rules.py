"""RunTask: from the request to a plan that may run, or to the refusal of the first broken rule.

The order is the form of the request, the cluster, the task definition, where it is to run, the
network, the overrides. Only when all of that holds does a lack of container instances show.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecs.capacity import FARGATE_PROVIDERS, checked_strategy, spread
from fargate_lab.cloud.ecs.clusters import Clusters, TaskCounts
from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.ecs.run_task_absent import check_runnable
from fargate_lab.cloud.ecs.run_task_network import network_of
from fargate_lab.cloud.ecs.run_task_overrides import Effective, effective
from fargate_lab.cloud.ecs.run_task_plan import RunTaskPlan
from fargate_lab.cloud.ecs.tags import Tag, Tags, checked
from fargate_lab.cloud.ecs.task_definitions import TaskDefinitions
from fargate_lab.cloud.protocol import Call
from fargate_lab.facts import fact

Document = dict[str, Any]

LINUX_LATEST, WINDOWS_LATEST = "1.4.0", "1.0.0"
LARGE_CPU = 8192
"""From this size on, a task needs Linux platform 1.4.0."""

_STARTED_BY = re.compile(r"[A-Za-z0-9_/-]{1,128}")
_CLIENT_TOKEN = re.compile(r"[\x21-\x7e]{1,64}")
_GROUP_LENGTH = 255


def validate_run_task(context: CloudContext, call: Call) -> RunTaskPlan:
    """What a RunTask call asks for, once every rule is kept. Raises `AwsError` for a broken one.

    The call's document must conform to the API model already, as `EcsService` sees to.
    """
    tags = Tags(context.store, {})
    payload = call.payload
    count = _checked_form(payload)
    clusters = Clusters(context.store, tags, lambda _scope, _name: TaskCounts())
    cluster = clusters.require(call, payload.get("cluster"))
    definition = _definition(TaskDefinitions(context.store, tags), call, payload)
    launch_type, providers = _placement(payload, cluster, count)
    _check_compatibility(payload, definition, launch_type, providers)
    effects = effective(definition, payload.get("overrides") or {}, call.region, launch_type)
    version = _platform_version(payload.get("platformVersion"), definition, effects, launch_type)
    network = network_of(call, payload.get("networkConfiguration"), definition, launch_type)
    wanted_tags = _tags(tags, call, payload, definition, cluster)
    if launch_type != "FARGATE":
        raise refuse("messages.run_task.no_container_instances")
    check_runnable(definition)
    return RunTaskPlan(
        cluster_name=cluster["clusterName"],
        cluster_arn=cluster["clusterArn"],
        task_definition=definition,
        count=count,
        network_mode=definition.get("networkMode") or "bridge",
        launch_type=launch_type,
        capacity_providers=providers,
        platform_version=version,
        platform_family=_platform_family(definition),
        **dataclasses.asdict(network),
        cpu=effects.cpu,
        memory=effects.memory,
        ephemeral_gib=effects.ephemeral_gib,
        task_role=effects.task_role,
        execution_role=effects.execution_role,
        overrides=effects.overrides,
        **_said(payload, definition),
        tags=tuple(wanted_tags),
    )


def _said(payload: Document, definition: Document) -> dict[str, Any]:
    """What the request says and no rule changes."""
    return {
        "group": payload.get("group") or f"family:{definition['family']}",
        "started_by": payload.get("startedBy"),
        "reference_id": payload.get("referenceId"),
        "client_token": payload.get("clientToken"),
        "enable_execute_command": payload.get("enableExecuteCommand", False),
    }


def vcpu_shortage(in_use: float, asked: float, quota: float | None = None) -> str | None:
    """Why a launch fails for want of vCPUs, or None when there are enough.

    in_use and asked are vCPUs of the account in the Region. AWS answers RunTask with status 200 and
    this text as the reason of a failure.
    """
    limit = fact("quotas.fargate_vcpu").value if quota is None else quota
    return fact("messages.run_task.vcpu_limit").fill() if in_use + asked > limit else None


def _checked_form(payload: Mapping[str, Any]) -> int:
    """What needs no look-up; the number of tasks."""
    if not payload.get("taskDefinition"):
        raise refuse("messages.run_task.task_definition_blank")
    count: int = payload.get("count", 1)
    most = fact("quotas.run_task_count").value
    if not 1 <= count <= most:
        raise refuse("messages.run_task.count", most=most)
    if "launchType" in payload and payload.get("capacityProviderStrategy"):
        raise refuse("messages.run_task.launch_type_and_strategy")
    if "startedBy" in payload and not _STARTED_BY.fullmatch(payload["startedBy"]):
        raise refuse("messages.run_task.started_by")
    if "clientToken" in payload and not _CLIENT_TOKEN.fullmatch(payload["clientToken"]):
        raise refuse("messages.run_task.client_token")
    if len(payload.get("group", "")) > _GROUP_LENGTH:
        raise refuse("messages.run_task.group")
    if payload.get("propagateTags") == "SERVICE":
        raise refuse("messages.run_task.propagate_service")
    if payload.get("volumeConfigurations"):
        raise refuse("messages.run_task.volumes")
    return count


def _definition(definitions: TaskDefinitions, call: Call, payload: Mapping[str, Any]) -> Document:
    definition = definitions.find(call, payload["taskDefinition"])
    if definition is None:
        raise refuse("messages.run_task.task_definition_missing")
    if definition["status"] != "ACTIVE":
        raise refuse("messages.run_task.task_definition_inactive")
    return definition


def _placement(
    payload: Mapping[str, Any], cluster: Mapping[str, Any], count: int
) -> tuple[str, tuple[str, ...]]:
    """The launch type, and the capacity provider of each task if a strategy chose one."""
    if "launchType" in payload:
        return payload["launchType"], ()
    strategy = payload.get("capacityProviderStrategy")
    if strategy:
        items = checked_strategy(strategy, cluster["capacityProviders"])
    else:
        items = cluster["defaultCapacityProviderStrategy"]
    if not items:
        return "EC2", ()
    return "FARGATE", spread(items, count)


def _check_compatibility(
    payload: Mapping[str, Any], definition: Document, launch_type: str, providers: tuple[str, ...]
) -> None:
    if launch_type not in definition["compatibilities"]:
        raise refuse("messages.run_task.launch_type", launch_type=launch_type)
    if launch_type == "FARGATE" and payload.get("placementConstraints"):
        raise refuse("messages.run_task.placement_constraints")
    if launch_type == "FARGATE" and payload.get("placementStrategy"):
        raise refuse("messages.run_task.placement_strategies")
    if FARGATE_PROVIDERS[1] in providers and _windows(definition):
        raise refuse("messages.run_task.windows_spot")


def _windows(definition: Mapping[str, Any]) -> bool:
    platform = definition.get("runtimePlatform") or {}
    return str(platform.get("operatingSystemFamily", "")).startswith("WINDOWS")


def _platform_family(definition: Mapping[str, Any]) -> str:
    family = (definition.get("runtimePlatform") or {}).get("operatingSystemFamily", "LINUX")
    return "Linux" if family == "LINUX" else str(family)


def _platform_version(
    asked: str | None, definition: Mapping[str, Any], effects: Effective, launch_type: str
) -> str | None:
    if launch_type != "FARGATE":
        if asked is not None:
            raise refuse("messages.run_task.platform_on_ec2")
        return None
    windows = _windows(definition)
    latest = WINDOWS_LATEST if windows else LINUX_LATEST
    if asked in (None, "", "LATEST"):
        return latest
    known = fact("fargate.limits.platform_windows" if windows else "fargate.limits.platform_linux")
    if asked not in known.value:
        raise refuse("messages.run_task.platform_unknown")
    if asked != latest and _needs_latest(definition, effects):
        raise refuse("messages.run_task.platform_incompatible")
    return asked


def _needs_latest(definition: Mapping[str, Any], effects: Effective) -> bool:
    """Whether a task uses what only Linux platform 1.4.0 has."""
    efs = any("efsVolumeConfiguration" in volume for volume in definition["volumes"])
    disk = effects.ephemeral_gib != fact("fargate.limits.ephemeral_default").value
    return efs or disk or "pidMode" in definition or effects.cpu >= LARGE_CPU


def _tags(
    tags: Tags,
    call: Call,
    payload: Mapping[str, Any],
    definition: Mapping[str, Any],
    cluster: Mapping[str, Any],
) -> list[Tag]:
    found: dict[str, Tag] = {}
    if payload.get("propagateTags") == "TASK_DEFINITION":
        inherited = tags.read(call.scope, definition["taskDefinitionArn"])
        found = {tag["key"]: tag for tag in inherited}
    # A tag of the call wins over one of the definition.
    found.update({tag["key"]: tag for tag in checked(payload.get("tags"))})
    if payload.get("enableECSManagedTags"):
        key = "aws:ecs:clusterName"
        found[key] = {"key": key, "value": cluster["clusterName"]}
    return list(found.values())
