"""ECS's API actions, gathered from the modules that implement them."""

from __future__ import annotations

from typing import ClassVar

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.services import Service


class EcsService(Service):
    """Elastic Container Service: clusters, task definitions, tasks."""

    name: ClassVar[str] = "ecs"

    def __init__(self, context: CloudContext) -> None:
        super().__init__(context)
