"""ECR's API actions, gathered from the modules that implement them."""

from __future__ import annotations

from typing import ClassVar

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecr.image_actions import Images
from fargate_lab.cloud.ecr.layer_actions import Layers
from fargate_lab.cloud.ecr.registry import registry_of
from fargate_lab.cloud.ecr.repositories import Repositories
from fargate_lab.cloud.services import Service


class EcrService(Service):
    """Elastic Container Registry: repositories, images, layers."""

    name: ClassVar[str] = "ecr"

    def __init__(self, context: CloudContext) -> None:
        super().__init__(context)
        registry = registry_of(context)
        parts = (Repositories(registry), Layers(registry), Images(registry))
        for part in parts:
            self.actions |= part.actions()
