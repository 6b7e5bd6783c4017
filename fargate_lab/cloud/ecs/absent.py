"""What ECS has and the lab has none of: said truthfully, never pretended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fargate_lab.cloud.ecs.arns import ecs_arn, last_part
from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.protocol import AwsError, Call, Handler

SERVICE_WORDS = ("Service", "TaskSet", "Daemon", "Gateway")
INSTANCE_WORDS = ("ContainerInstance", "StartTask", "ContainerAgent", "Attributes")


def _missing(call: Call, names: list[str], resource: str) -> list[dict[str, str]]:
    cluster = last_part(call.payload.get("cluster") or "default")
    return [
        {"arn": ecs_arn(call, f"{resource}/{cluster}/{last_part(name)}"), "reason": "MISSING"}
        for name in names
    ]


def list_services(call: Call) -> Mapping[str, Any]:
    """None: the lab does not run services yet."""
    return {"serviceArns": []}


def describe_services(call: Call) -> Mapping[str, Any]:
    """MISSING for each."""
    return {
        "services": [],
        "failures": _missing(call, call.payload.get("services") or [], "service"),
    }


def list_container_instances(call: Call) -> Mapping[str, Any]:
    """None: the lab's tasks run on Fargate."""
    return {"containerInstanceArns": []}


def describe_container_instances(call: Call) -> Mapping[str, Any]:
    """MISSING for each."""
    names = call.payload.get("containerInstances") or []
    return {"containerInstances": [], "failures": _missing(call, names, "container-instance")}


ACTIONS: dict[str, Handler] = {
    "DescribeContainerInstances": describe_container_instances,
    "DescribeServices": describe_services,
    "ListContainerInstances": list_container_instances,
    "ListServices": list_services,
}


def refusal(action: str) -> AwsError | None:
    """Why an action on services or container instances is refused; None for any other action."""
    if any(word in action for word in INSTANCE_WORDS):
        return refuse("messages.common.no_instances", action=action)
    if any(word in action for word in SERVICE_WORDS):
        return refuse("messages.common.no_services", action=action)
    return None
