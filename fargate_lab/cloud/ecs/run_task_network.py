"""RunTask's network configuration: its form, and that what it names exists and fits together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fargate_lab.cloud import bridge
from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.protocol import Call
from fargate_lab.facts import fact


@dataclass(frozen=True, slots=True)
class Network:
    """Where a task's network interface goes; empty for other modes than awsvpc."""

    vpc: str | None = None
    subnets: tuple[str, ...] = ()
    availability_zones: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    assign_public_ip: bool = False


def network_of(
    call: Call,
    asked: Mapping[str, Any] | None,
    definition: Mapping[str, Any],
    launch_type: str,
) -> Network:
    """The network a task gets. Raises InvalidParameterException when it is not well described."""
    config = (asked or {}).get("awsvpcConfiguration")
    if definition.get("networkMode") != "awsvpc":
        if config is not None:
            raise refuse("messages.run_task.network_not_awsvpc")
        return Network()
    if config is None:
        raise refuse("messages.run_task.network_missing")
    subnets = tuple(config.get("subnets") or ())
    groups = tuple(config.get("securityGroups") or ())
    _check_numbers(subnets, groups)
    public = config.get("assignPublicIp") == "ENABLED"
    if public and launch_type != "FARGATE":
        raise refuse("messages.run_task.public_ip_on_ec2")
    # What is asked of moto here is what DescribeSubnets and DescribeSecurityGroups would answer.
    ec2 = bridge.backend("ec2", call.account, call.region)
    vpc, zones = _place(ec2, subnets)
    return Network(vpc, subnets, zones, _groups(ec2, groups, vpc), public)


def _check_numbers(subnets: Sequence[str], groups: Sequence[str]) -> None:
    if not subnets:
        raise refuse("messages.run_task.subnets_empty")
    most = fact("quotas.subnets").value
    if len(subnets) > most:
        raise refuse("messages.run_task.too_many", what="subnets", most=most)
    most = fact("quotas.security_groups").value
    if len(groups) > most:
        raise refuse("messages.run_task.too_many", what="securityGroups", most=most)


def _place(ec2: Any, subnets: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    known = {subnet.id: subnet for subnet in ec2.describe_subnets()}
    for name in subnets:
        if name not in known:
            asked = _listed(subnets)
            raise refuse("messages.run_task.subnet_missing", asked=asked, subnet=name)
    if len({known[name].vpc_id for name in subnets}) > 1:
        raise refuse("messages.run_task.subnets_of_two_vpcs")
    zones = tuple(str(known[name].availability_zone) for name in subnets)
    return str(known[subnets[0]].vpc_id), zones


def _groups(ec2: Any, groups: Sequence[str], vpc: str) -> tuple[str, ...]:
    known = {group.id: group for group in ec2.describe_security_groups()}
    for name in groups:
        if name not in known:
            asked = _listed(groups)
            raise refuse("messages.run_task.group_missing", asked=asked, group=name)
    for name in groups:
        if known[name].vpc_id != vpc:
            raise refuse("messages.run_task.group_of_other_vpc", group=name)
    if groups:
        return tuple(groups)
    # Without groups a task gets its VPC's default one: API model, AwsVpcConfiguration.
    default = (g.id for g in known.values() if g.vpc_id == vpc and g.name == "default")
    return tuple(str(name) for name in default)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
