"""ECR's API actions."""

from __future__ import annotations

from typing import ClassVar

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.services import Service


class EcrService(Service):
    """Elastic Container Registry: repositories, images, layers."""

    name: ClassVar[str] = "ecr"

    def __init__(self, context: CloudContext) -> None:
        super().__init__(context)
