"""Amazon Resource Names of ECS, and the names inside them."""

from __future__ import annotations

from fargate_lab.cloud.protocol import Call


def partition(region: str) -> str:
    """The partition a Region belongs to."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def ecs_arn(call: Call, resource: str) -> str:
    """The ARN of a resource of the caller's, such as `cluster/demo`."""
    return f"arn:{partition(call.region)}:ecs:{call.region}:{call.account}:{resource}"


def last_part(identifier: str) -> str:
    """The name in an ARN (`…:cluster/demo` → `demo`); a bare name is returned as it is."""
    return identifier.rsplit("/", 1)[-1] if identifier.startswith("arn:") else identifier


def is_foreign(call: Call, identifier: str) -> bool:
    """Whether an identifier is an ARN of another account or Region."""
    if not identifier.startswith("arn:"):
        return False
    parts = identifier.split(":")
    return parts[3:5] != [call.region, call.account]
