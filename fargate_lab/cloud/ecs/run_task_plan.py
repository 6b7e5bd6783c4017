"""What RunTask has agreed to run: the request after every rule has passed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DEFAULT_EPHEMERAL_GIB = 20


@dataclass(frozen=True, slots=True)
class RunTaskPlan:
    """One accepted RunTask call. Everything is resolved: names to ARNs, forms to numbers."""

    cluster_name: str
    cluster_arn: str
    task_definition: dict[str, Any]
    """As DescribeTaskDefinition answers it."""
    count: int
    network_mode: str
    """`awsvpc`, `bridge`, `host` or `none`."""
    launch_type: str
    """`FARGATE` (also for the capacity providers FARGATE and FARGATE_SPOT), `EC2` or `EXTERNAL`."""
    capacity_providers: tuple[str, ...] = ()
    """One name for each of the `count` tasks; empty when a launch type was used instead."""
    platform_version: str | None = None
    """`1.4.0` on Linux, `1.0.0` on Windows; `LATEST` is resolved. None on EC2."""
    platform_family: str | None = None
    """`Linux`, or as AWS names Windows families. None on EC2."""
    vpc: str | None = None
    subnets: tuple[str, ...] = ()
    availability_zones: tuple[str, ...] = ()
    """The zone of each of `subnets`, in the same order."""
    security_groups: tuple[str, ...] = ()
    """As asked for, or the VPC's default group when none were named."""
    assign_public_ip: bool = False
    cpu: int = 0
    """The task's CPU units after overrides; 0 when neither the definition nor an override says."""
    memory: int = 0
    """The task's MiB after overrides; 0 when neither the definition nor an override says."""
    ephemeral_gib: int = DEFAULT_EPHEMERAL_GIB
    task_role: str | None = None
    """The role's ARN after overrides."""
    execution_role: str | None = None
    """The role's ARN after overrides."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """In AWS's shape, `containerOverrides` always present."""
    group: str = ""
    started_by: str | None = None
    reference_id: str | None = None
    client_token: str | None = None
    enable_execute_command: bool = False
    tags: tuple[dict[str, str], ...] = ()
    """Those of the call, then those propagated from the definition, then ECS's own if asked for."""

    @property
    def vcpus(self) -> float:
        """vCPUs that all tasks of this plan take together: the unit of Fargate's quota."""
        return self.count * self.cpu / 1024
