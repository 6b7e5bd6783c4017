"""ECR's API actions, gathered from the modules that implement them."""

from __future__ import annotations

from typing import ClassVar

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecr.image_actions import Images
from fargate_lab.cloud.ecr.layer_actions import Layers
from fargate_lab.cloud.ecr.lifecycle_actions import Lifecycles
from fargate_lab.cloud.ecr.registry import registry_of
from fargate_lab.cloud.ecr.repositories import Repositories
from fargate_lab.cloud.ecr.scan_actions import Scans
from fargate_lab.cloud.services import Service


class EcrService(Service):
    """Elastic Container Registry: repositories, images, layers."""

    name: ClassVar[str] = "ecr"

    def __init__(self, context: CloudContext) -> None:
        super().__init__(context)
        registry = registry_of(context)
        self.housekeeping = registry.housekeeping
        for part in (
            Repositories(registry),
            Layers(registry),
            Images(registry),
            Lifecycles(registry, self.housekeeping),
            Scans(registry, self.housekeeping.scanner),
        ):
            self.actions |= part.actions()

    def startup(self) -> None:
        """Take up scans that an earlier run did not finish."""
        self.housekeeping.scanner.resume()

    def shutdown(self) -> None:
        """End the scan at work."""
        self.housekeeping.scanner.close()
