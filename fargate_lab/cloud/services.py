"""The lab's own services, by the prefix of their `X-Amz-Target` header."""

from __future__ import annotations

import importlib
from typing import ClassVar, cast

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.protocol import AwsError, Handler

SERVICES = {
    "AmazonEC2ContainerRegistry_V20150921": "fargate_lab.cloud.ecr.service:EcrService",
    "AmazonEC2ContainerServiceV20141113": "fargate_lab.cloud.ecs.service:EcsService",
}
"""Where each service's class is; imported when the service is first asked for."""

RESUMED_KINDS = {
    "task": "AmazonEC2ContainerServiceV20141113",
    "repository": "AmazonEC2ContainerRegistry_V20150921",
}
"""Kinds of document that mean a service has work to take up again when the cloud starts."""


class Service:
    """A service the lab answers itself. Subclasses fill `actions` in `__init__`."""

    name: ClassVar[str] = ""
    to_moto: ClassVar[frozenset[str]] = frozenset()
    """Actions that moto answers truthfully on the lab's behalf."""

    def __init__(self, context: CloudContext) -> None:
        self.context = context
        self.actions: dict[str, Handler] = {}

    def startup(self) -> None:
        """Take up what an earlier run of the cloud left; called once, before the first request."""

    def shutdown(self) -> None:
        """Stop what this service started; called once, when the cloud stops cleanly."""

    def refusal(self, action: str) -> AwsError:
        """The answer to an action that nothing here can do truthfully."""
        return AwsError(
            "UnsupportedFeatureException",
            f"{self.name}:{action} is not part of this lab. Nothing was changed.",
        )


def make_service(target: str, context: CloudContext) -> Service:
    """The service behind an `X-Amz-Target` prefix of `SERVICES`."""
    module, _, name = SERVICES[target].partition(":")
    return cast(Service, getattr(importlib.import_module(module), name)(context))


def to_resume(context: CloudContext) -> list[str]:
    """The services that an earlier run of this cloud left work for."""
    return [t for kind, t in RESUMED_KINDS.items() if context.store.scopes(kind)]
