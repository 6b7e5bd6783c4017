"""Actions on image scans."""

from __future__ import annotations

from typing import Any

from fargate_lab.cloud.ecr.fields import (
    check_name,
    image_id,
    page,
    registry_checked,
    with_token,
)
from fargate_lab.cloud.ecr.registry import SCAN, Document, ImageId, Registry
from fargate_lab.cloud.ecr.scan import Scanner
from fargate_lab.cloud.protocol import AwsError, Call, Handler


class Scans:
    """The handlers; one object for each cloud."""

    def __init__(self, registry: Registry, scanner: Scanner) -> None:
        self.registry = registry
        self.scanner = scanner

    def actions(self) -> dict[str, Handler]:
        """AWS's name of each action → its handler."""
        return {
            "StartImageScan": self.start,
            "DescribeImageScanFindings": self.describe,
        }

    def start(self, call: Call) -> dict[str, Any]:
        """StartImageScan."""
        name, chosen, image = self._image(call)
        scan = self.scanner.start(call.scope, name, image["digest"])
        return {
            **_about(call, name, chosen, image),
            "imageScanStatus": {"status": scan["status"]},
        }

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeImageScanFindings."""
        name, chosen, image = self._image(call)
        scan = self.registry.store.get(SCAN, call.scope, f"{name}@{image['digest']}")
        if scan is None:
            tag = chosen.get("imageTag", "null")
            raise AwsError(
                "ScanNotFoundException",
                "Image scan does not exist for the image with "
                f"'{{imageDigest:'{image['digest']}', imageTag:'{tag}'}}' in the repository with "
                f"name '{name}' in the registry with id '{call.account}'",
            )
        answer = {
            **_about(call, name, chosen, image),
            "imageScanStatus": {k: scan[k] for k in ("status", "description") if k in scan},
        }
        if scan["status"] != "COMPLETE":
            return answer
        rows, token = page(call, scan["findings"])
        answer["imageScanFindings"] = {"findings": list(rows), **scan["summary"]}
        return with_token(answer, token)

    def _image(self, call: Call) -> tuple[str, ImageId, Document]:
        registry_checked(call)
        name = check_name(call.payload.get("repositoryName"))
        self.registry.repository(call.scope, name)
        chosen = image_id(call.payload.get("imageId"))
        return name, chosen, self.registry.wanted_image(call.scope, name, chosen)


def _about(call: Call, name: str, chosen: ImageId, image: Document) -> dict[str, Any]:
    return {
        "registryId": call.account,
        "repositoryName": name,
        "imageId": {**chosen, "imageDigest": image["digest"]},
    }
