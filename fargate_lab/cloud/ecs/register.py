"""RegisterTaskDefinition: from the request to the document that is kept."""

from __future__ import annotations

from typing import Any

from fargate_lab.cloud.ecs import normalise
from fargate_lab.cloud.ecs.rules import Definition, check, first_breach
from fargate_lab.cloud.ecs.rules_register import FARGATE_RULES, RULES
from fargate_lab.cloud.protocol import Call

Document = dict[str, Any]

_ECHOED = (
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "runtimePlatform",
    "requiresCompatibilities",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "ephemeralStorage",
    "enableFaultInjection",
    "trustedExecutionConfiguration",
)


def registered(call: Call) -> Document:
    """The task definition of a request, without what only its family knows (ARN, revision).

    Raises `AwsError` for the first rule the request breaks.
    """
    definition = Definition.of(call)
    check(RULES, definition)
    if definition.fargate:
        check(FARGATE_RULES, definition)
    payload = definition.payload
    mode = payload.get("networkMode") or "bridge"
    document: Document = {
        "family": payload["family"],
        "containerDefinitions": [normalise.container(c, mode) for c in definition.containers],
        "volumes": [{"host": {}, **v} if set(v) == {"name"} else v for v in definition.volumes],
        "placementConstraints": payload.get("placementConstraints") or [],
        **{name: payload[name] for name in _ECHOED if name in payload},
    }
    if definition.cpu is not None:
        document["cpu"] = str(definition.cpu)
    if definition.memory is not None:
        document["memory"] = str(definition.memory)
    document["requiresAttributes"] = normalise.attributes(document, call.registry)
    document["compatibilities"] = compatibilities(definition)
    return document


def compatibilities(definition: Definition) -> list[str]:
    """Where a definition may run, whatever it was registered for.

    FARGATE is among them when Fargate's own rules hold too, asked for or not.
    """
    if not definition.awsvpc:
        return ["EXTERNAL", "EC2"]
    found = ["EC2"]
    if not definition.windows:
        found.append("MANAGED_INSTANCES")
    if first_breach(FARGATE_RULES, definition) is None:
        found.append("FARGATE")
    return found
