"""Rules of RegisterTaskDefinition: what a rule is, and the request as rules see it.

A rule is one small function that names the fact which holds AWS's text. It answers False (or
None) when the request keeps it, True when it is broken, or the values of the text's places.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.ecs.sizes import parse_cpu, parse_memory
from fargate_lab.cloud.protocol import AwsError, Call

Container = dict[str, Any]
Finding = bool | Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Definition:
    """A task definition that is to be registered."""

    payload: Mapping[str, Any]
    account: str
    region: str
    registry: str
    size: int
    """Bytes of the request's document."""
    cpu: int | None
    """Units; None when absent or unreadable."""
    memory: int | None
    """MiB; None when absent or unreadable."""

    @classmethod
    def of(cls, call: Call) -> Definition:
        """The view of a request that conforms to the API model."""
        payload = call.payload
        return cls(
            payload=payload,
            account=call.account,
            region=call.region,
            registry=call.registry,
            size=len(json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()),
            cpu=parse_cpu(payload.get("cpu", "")),
            memory=parse_memory(payload.get("memory", "")),
        )

    @property
    def containers(self) -> Sequence[Container]:
        """The container definitions."""
        return self.payload.get("containerDefinitions") or ()

    @property
    def volumes(self) -> Sequence[Mapping[str, Any]]:
        """The volumes."""
        return self.payload.get("volumes") or ()

    @property
    def fargate(self) -> bool:
        """Whether the request asks for compatibility with Fargate."""
        return "FARGATE" in (self.payload.get("requiresCompatibilities") or ())

    @property
    def awsvpc(self) -> bool:
        """Whether each task gets a network interface of its own."""
        return self.payload.get("networkMode") == "awsvpc"

    @property
    def windows(self) -> bool:
        """Whether the operating system is a Windows."""
        platform = self.payload.get("runtimePlatform") or {}
        return str(platform.get("operatingSystemFamily", "")).startswith("WINDOWS")

    @property
    def execution_role(self) -> bool:
        """Whether an execution role is named."""
        return bool(self.payload.get("executionRoleArn"))

    def named(self, name: str | None) -> Container | None:
        """The container of a name."""
        return next((c for c in self.containers if c.get("name") == name), None)


TaskCheck = Callable[[Definition], Finding]
ContainerCheck = Callable[[Definition, Container], Finding]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: the fact with its text, and how to tell that it is broken."""

    fact: str
    check: TaskCheck

    def breach(self, definition: Definition) -> AwsError | None:
        """The refusal when the definition breaks this rule."""
        found = self.check(definition)
        if found is None or found is False:
            return None
        return refuse(self.fact, **({} if found is True else found))


class RuleList(list[Rule]):
    """Rules in the order in which they are checked, which is the order they are written in."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix

    def task(self, name: str) -> Callable[[TaskCheck], TaskCheck]:
        """Add a rule about the task as a whole."""

        def add(check: TaskCheck) -> TaskCheck:
            self.append(Rule(f"{self.prefix}.{name}", check))
            return check

        return add

    def container(self, name: str) -> Callable[[ContainerCheck], ContainerCheck]:
        """Add a rule about each container."""

        def add(check: ContainerCheck) -> ContainerCheck:
            fact = f"{self.prefix}.{name}"
            self.append(Rule(fact, lambda definition: _each(definition, check)))
            return check

        return add


def _each(definition: Definition, check: ContainerCheck) -> Finding:
    for container in definition.containers:
        found = check(definition, container)
        if found is not None and found is not False:
            return found
    return None


def first_breach(rules: Iterable[Rule], definition: Definition) -> AwsError | None:
    """The refusal of the first broken rule, or None."""
    for rule in rules:
        error = rule.breach(definition)
        if error is not None:
            return error
    return None


def check(rules: Iterable[Rule], definition: Definition) -> None:
    """Raise the refusal of the first broken rule."""
    error = first_breach(rules, definition)
    if error is not None:
        raise error
