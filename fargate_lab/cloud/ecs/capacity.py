"""Capacity providers and the strategies that name them. The lab has Fargate's two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fargate_lab.cloud.ecs.arns import ecs_arn, last_part
from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.protocol import Call

FARGATE_PROVIDERS = ("FARGATE", "FARGATE_SPOT")
MAX_WEIGHT, MAX_BASE = 1000, 100_000

Strategy = list[dict[str, Any]]


def describe_capacity_providers(call: Call) -> Mapping[str, Any]:
    """FARGATE and FARGATE_SPOT, which every account has."""
    asked = [last_part(name) for name in call.payload.get("capacityProviders") or ()]
    providers = [
        {
            "capacityProviderArn": ecs_arn(call, f"capacity-provider/{name}"),
            "name": name,
            "status": "ACTIVE",
            "tags": [],
        }
        for name in FARGATE_PROVIDERS
        if not asked or name in asked
    ]
    failures = [
        {"arn": ecs_arn(call, f"capacity-provider/{name}"), "reason": "MISSING"}
        for name in asked
        if name not in FARGATE_PROVIDERS
    ]
    return {"capacityProviders": providers, "failures": failures}


def checked_providers(names: Iterable[str]) -> list[str]:
    """The providers a cluster may be given, without repeats."""
    found = list(dict.fromkeys(last_part(name) for name in names))
    for name in found:
        if name not in FARGATE_PROVIDERS:
            raise refuse("messages.clusters.unknown_provider")
    return found


def checked_strategy(strategy: Iterable[Mapping[str, Any]], on_cluster: Sequence[str]) -> Strategy:
    """A strategy with its defaults filled in (weight 0, base 0), its rules held."""
    items: Strategy = [
        {
            "capacityProvider": last_part(item.get("capacityProvider") or ""),
            "weight": item.get("weight") or 0,
            "base": item.get("base") or 0,
        }
        for item in strategy
    ]
    names = [item["capacityProvider"] for item in items]
    for item in items:
        if item["capacityProvider"] not in on_cluster:
            raise refuse("messages.clusters.provider_not_on_cluster")
        if not (0 <= item["weight"] <= MAX_WEIGHT and 0 <= item["base"] <= MAX_BASE):
            raise refuse("messages.clusters.strategy_range")
    if len(set(names)) != len(names):
        raise refuse("messages.clusters.strategy_repeats")
    if sum(item["base"] > 0 for item in items) > 1:
        raise refuse("messages.clusters.strategy_base")
    # One provider alone gets weight 1 where none is given: AWS's console and CLI both rely on it.
    if len(items) == 1 and items[0]["weight"] == 0:
        items[0]["weight"] = 1
    if items and not any(item["weight"] for item in items):
        raise refuse("messages.clusters.strategy_weight")
    return items


def spread(strategy: Strategy, count: int) -> tuple[str, ...]:
    """The provider of each of `count` tasks: first the base, then by weight.

    The next task goes to the provider that is furthest behind its share, so that a strategy of
    1:4 gives one FARGATE task for every four FARGATE_SPOT ones.
    """
    placed: list[str] = []
    for item in strategy:
        placed += [item["capacityProvider"]] * min(item["base"], count - len(placed))
    given = {item["capacityProvider"]: 0 for item in strategy}
    weighed = [item for item in strategy if item["weight"]]
    while len(placed) < count:
        item = min(weighed, key=lambda i: given[i["capacityProvider"]] / i["weight"])
        given[item["capacityProvider"]] += 1
        placed.append(item["capacityProvider"])
    return tuple(placed)
