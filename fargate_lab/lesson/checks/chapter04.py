"""Chapter 4's checks: task definitions that were registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

from fargate_lab.lesson.checks import Missing, exercise
from fargate_lab.lesson.sizes import matrix

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab


def _newest(family: str) -> dict[str, Any]:
    ecs = boto3.client("ecs")
    arns = ecs.list_task_definitions(familyPrefix=family, sort="DESC")["taskDefinitionArns"]
    if not arns:
        near = ecs.list_task_definition_families(familyPrefix=family, status="ACTIVE")["families"]
        found = f"families {', '.join(near)}" if near else "no family whose name begins so"
        raise Missing(f"an active revision of the family {family}", found=found)
    definition: dict[str, Any] = ecs.describe_task_definition(taskDefinition=arns[0])[
        "taskDefinition"
    ]
    if "FARGATE" not in definition.get("requiresCompatibilities", []):
        raise Missing(
            'requiresCompatibilities=["FARGATE"]: without it Fargate\'s rules are not applied',
            found=f"{family}:{definition['revision']} without it",
        )
    return definition


@exercise(
    "4.1",
    "2 vCPU and the least memory",
    read="chapter 4, CPU and memory come in pairs",
    hints=(
        "1 vCPU is 1024 units. Where on the picture does the row of 2 vCPU begin?",
        "Change three keys of blueprint: family, cpu and memory; both sizes are strings.",
        'ecs.register_task_definition(**blueprint | {"family": "inkdigits-big", "cpu": "2048", '
        '"memory": …}) with the smallest memory that is not refused',
    ),
)
def two_vcpu(lab: Lab) -> str:
    """inkdigits-big has 2 vCPU and the smallest memory that goes with it."""
    definition = _newest("inkdigits-big")
    cpu, memory = int(definition["cpu"]), int(definition["memory"])
    if cpu != 2048:
        raise Missing("2 vCPU, which is 2048 CPU units", found=f"{cpu} CPU units")
    least = min(matrix()[2048])
    if memory > least:
        raise Missing("the smallest memory for 2 vCPU; this is a larger one", found=f"{memory} MiB")
    return f"2048 CPU units with {memory} MiB"


@exercise(
    "4.2",
    "from a server to Fargate",
    read="chapter 4, Ten refusals",
    hints=(
        "Register it as it is and read the refusal; mend that; register again. How many are there?",
        "networkMode, privileged and hostPort are refused; everything else may stay.",
        'networkMode="awsvpc", privileged=False, and hostPort equal to containerPort (8080)',
    ),
)
def mended(lab: Lab) -> str:
    """inkdigits-mended is registered, and nothing but the refused settings was given up."""
    definition = _newest("inkdigits-mended")
    containers = definition["containerDefinitions"]
    container = containers[0]
    ports = [p["containerPort"] for p in container.get("portMappings", [])]
    if 8080 not in ports:
        raise Missing(
            "the port mapping of container port 8080; change hostPort, do not drop the mapping",
            found=f"container ports {ports or 'none'}",
        )
    if container.get("logConfiguration", {}).get("logDriver") != "awslogs":
        driver = container.get("logConfiguration", {}).get("logDriver")
        raise Missing(
            "the awslogs configuration, which Fargate does not refuse",
            found=f"log driver {driver or 'none'}",
        )
    if not definition.get("executionRoleArn"):
        raise Missing(
            "the execution role, which the colleague's definition had", found="no executionRoleArn"
        )
    if "healthCheck" not in container:
        raise Missing("the health check, which Fargate does not refuse", found="no healthCheck")
    return f"{definition['networkMode']}, not privileged, port 8080, logs and health check kept"


@exercise(
    "4.3",
    "disk and patience",
    read="chapter 4, Ten refusals (5) and Where this stops being true",
    hints=(
        "One setting belongs to the task, the other to the container. Which is which?",
        "ephemeralStorage={'sizeInGiB': …} for the task; stopTimeout (seconds) for the container.",
        'changed({"family": "inkdigits-batch", "ephemeralStorage": {"sizeInGiB": 60}}, '
        "stopTimeout=90)",
    ),
)
def disk_and_patience(lab: Lab) -> str:
    """inkdigits-batch has 60 GiB of ephemeral storage and a stop time-out of 90 seconds."""
    definition = _newest("inkdigits-batch")
    size = definition.get("ephemeralStorage", {}).get("sizeInGiB")
    if size != 60:
        raise Missing(
            "ephemeralStorage of 60 GiB on the task", found=f"{size or 'the default of 20'} GiB"
        )
    patience = definition["containerDefinitions"][0].get("stopTimeout")
    if patience != 90:
        raise Missing(
            "stopTimeout=90 on the container",
            found=f"{patience} seconds" if patience else "the default of 30 seconds",
        )
    return "60 GiB of disk, 90 seconds to stop"
