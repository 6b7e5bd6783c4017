"""What a registered task definition looks like: AWS's defaults filled in, attributes worked out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

HEALTH_DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3}
RESTART_PERIOD = 300

_ECR = re.compile(r"\d{12}\.dkr[.-]ecr[.\w-]*\.[\w.-]+/.+")
_LAB_REGISTRY = re.compile(r"(127(\.\d+){3}|localhost|host\.docker\.internal|\[::1\]):\d+/.+")

_CAPABILITY = "com.amazonaws.ecs.capability."


def is_ecr_image(image: str, registry: str = "") -> bool:
    """Whether an image comes from ECR: by AWS's name or by the lab registry's own."""
    return bool(
        _ECR.fullmatch(image)
        or _LAB_REGISTRY.fullmatch(image)
        or (registry and image.startswith(f"{registry}/"))
    )


def container(definition: Document, network_mode: str) -> Document:
    """A container definition as DescribeTaskDefinition answers it."""
    found: Document = {
        "cpu": 0,
        "portMappings": [],
        "essential": True,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
        **definition,
    }
    found["portMappings"] = [_port(port, network_mode) for port in found["portMappings"]]
    if "healthCheck" in found:
        found["healthCheck"] = {**HEALTH_DEFAULTS, **found["healthCheck"]}
    if "logConfiguration" in found:
        found["logConfiguration"] = {
            "options": {},
            "secretOptions": [],
            **found["logConfiguration"],
        }
    if found.get("restartPolicy", {}).get("enabled"):
        defaults = {"ignoredExitCodes": [], "restartAttemptPeriod": RESTART_PERIOD}
        found["restartPolicy"] = {**defaults, **found["restartPolicy"]}
    if "dependsOn" in found and not found["dependsOn"]:
        del found["dependsOn"]
    return found


def _port(port: Document, network_mode: str) -> Document:
    found = {"protocol": "tcp", **port}
    if "containerPort" in found and "hostPort" not in found:
        same = network_mode in ("awsvpc", "host")
        found["hostPort"] = found["containerPort"] if same else 0
    return found


def attributes(document: Document, registry: str) -> list[dict[str, str]]:
    """The capabilities a host needs, in AWS's names, each once."""
    return [{"name": name} for name in dict.fromkeys(_attributes(document, registry))]


def _attributes(document: Document, registry: str) -> Iterator[str]:
    role = bool(document.get("executionRoleArn"))
    for item in document["containerDefinitions"]:
        yield from _container_attributes(item, role, registry)
    if document.get("taskRoleArn"):
        yield _CAPABILITY + "task-iam-role"
        yield _CAPABILITY + "docker-remote-api.1.17"
    if any("efsVolumeConfiguration" in volume for volume in document["volumes"]):
        yield "ecs.capability.efs"
    if document.get("pidMode") or document.get("ipcMode"):
        yield "ecs.capability.pid-ipc-namespace-sharing"
    if document.get("networkMode") == "awsvpc":
        yield _CAPABILITY + "docker-remote-api.1.18"
        yield "ecs.capability.task-eni"


def _container_attributes(item: Document, role: bool, registry: str) -> Iterator[str]:
    log = item.get("logConfiguration")
    if log:
        yield f"{_CAPABILITY}logging-driver.{log['logDriver']}"
        yield _CAPABILITY + "docker-remote-api.1.19"
        if role and log["logDriver"] == "awslogs":
            yield "ecs.capability.execution-role-awslogs"
    if is_ecr_image(item["image"], registry):
        yield _CAPABILITY + "ecr-auth"
        yield _CAPABILITY + "docker-remote-api.1.19"
        if role:
            yield "ecs.capability.execution-role-ecr-pull"
    for secret in item.get("secrets", ()):
        store = "asm" if ":secretsmanager:" in secret["valueFrom"] else "ssm"
        yield f"ecs.capability.secrets.{store}.environment-variables"
    if item.get("environmentFiles"):
        yield "ecs.capability.env-files.s3"
    if "healthCheck" in item:
        yield _CAPABILITY + "docker-remote-api.1.24"
        yield "ecs.capability.container-health-check"
    if "memoryReservation" in item:
        yield _CAPABILITY + "docker-remote-api.1.21"
    if item.get("privileged"):
        yield _CAPABILITY + "privileged-container"
    if item.get("dependsOn") or "startTimeout" in item or "stopTimeout" in item:
        yield "ecs.capability.container-ordering"
    if "firelensConfiguration" in item:
        yield f"ecs.capability.firelens.{item['firelensConfiguration']['type']}"
