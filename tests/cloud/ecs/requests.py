"""Valid requests, to be broken one place at a time."""

from __future__ import annotations

import copy
from typing import Any

ROLE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
LOGS = {"awslogs-group": "/ecs/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "ecs"}

DEFINITION: dict[str, Any] = {
    "family": "web",
    "requiresCompatibilities": ["FARGATE"],
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
    "executionRoleArn": ROLE,
    "containerDefinitions": [
        {
            "name": "app",
            "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1",
            "portMappings": [{"containerPort": 8080}],
            "logConfiguration": {"logDriver": "awslogs", "options": LOGS},
        }
    ],
}


def definition(*without: str, **changes: Any) -> dict[str, Any]:
    """A valid Fargate definition without some members and with others changed."""
    found = {**copy.deepcopy(DEFINITION), **changes}
    return {name: value for name, value in found.items() if name not in without}


def with_container(*without: str, **changes: Any) -> dict[str, Any]:
    """A valid Fargate definition whose container is changed."""
    found = copy.deepcopy(DEFINITION)
    container = {**found["containerDefinitions"][0], **changes}
    found["containerDefinitions"] = [{k: v for k, v in container.items() if k not in without}]
    return found


def on_ec2(**container: Any) -> dict[str, Any]:
    """A valid EC2 definition, without a word of Fargate."""
    first = {"name": "app", "image": "nginx:1", "memory": 128, **container}
    return {"family": "web", "containerDefinitions": [first]}


def sidecar(**changes: Any) -> dict[str, Any]:
    """A second container."""
    return {"name": "side", "image": "nginx:1", "essential": False, **changes}


def with_sidecar(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """A valid definition of two containers, the first one changed."""
    found = with_container(**first)
    found["containerDefinitions"].append(sidecar(**second))
    return found
