"""The layer API: what the AWS SDKs use to upload and download single layers."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from fargate_lab.cloud.ecr import errors
from fargate_lab.cloud.ecr.fields import (
    SHA256,
    UPLOAD_PATTERN,
    check_digest,
    check_list,
    check_name,
    check_number,
    check_text,
    registry_checked,
)
from fargate_lab.cloud.ecr.registry import Registry
from fargate_lab.cloud.ecr.sessions import Upload
from fargate_lab.cloud.protocol import AwsError, Call, Handler

PART_MINIMUM = 5 * 2**20
PART_MAXIMUM = 10 * 2**20
PARTS = 4200
"""Facts §8, ECR service quotas: 5–10 MiB in a part, 4,200 parts in a layer."""


class Layers:
    """The handlers; one object for each cloud."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def actions(self) -> dict[str, Handler]:
        """AWS's name of each action → its handler."""
        return {
            "BatchCheckLayerAvailability": self.check,
            "InitiateLayerUpload": self.begin,
            "UploadLayerPart": self.upload,
            "CompleteLayerUpload": self.complete,
            "GetDownloadUrlForLayer": self.link,
        }

    def check(self, call: Call) -> dict[str, Any]:
        """BatchCheckLayerAvailability."""
        name = self._name(call)
        layers: list[dict[str, Any]] = []
        failures: list[dict[str, str]] = []
        for digest in check_list(call.payload.get("layerDigests"), "layerDigests"):
            text = check_text(digest, "layerDigests")
            if not SHA256.fullmatch(text):
                code = "InvalidLayerDigest" if text else "MissingLayerDigest"
                reason = f"Invalid layer digest '{text}'"
                failures.append({"layerDigest": text, "failureCode": code, "failureReason": reason})
                continue
            size = self.registry.blobs.promise(call.scope, name, text)
            row: dict[str, Any] = {"layerDigest": text, "layerAvailability": "UNAVAILABLE"}
            if size is not None:
                row |= {"layerAvailability": "AVAILABLE", "layerSize": size}
                row["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
            layers.append(row)
        return {"layers": layers, "failures": failures}

    def begin(self, call: Call) -> dict[str, Any]:
        """InitiateLayerUpload."""
        upload = self.registry.uploads.begin(call.scope, self._name(call))
        return {"uploadId": upload.id, "partSize": PART_MAXIMUM}

    def upload(self, call: Call) -> dict[str, Any]:
        """UploadLayerPart."""
        name = self._name(call)
        upload = self._upload(call, name)
        first = check_number(call.payload.get("partFirstByte"), "partFirstByte", 0)
        last = check_number(call.payload.get("partLastByte"), "partLastByte", 0)
        try:
            data = base64.b64decode(
                check_text(call.payload.get("layerPartBlob"), "layerPartBlob"), validate=True
            )
        except (ValueError, binascii.Error):
            raise errors.invalid("layerPartBlob", "must be base64") from None
        with upload.lock:
            fits = first == upload.received and len(data) == last - first + 1
            if not fits or not data or len(data) > PART_MAXIMUM:
                raise errors.part_invalid(call.account, name, upload.id, upload.received)
            if len(upload.parts) == PARTS:
                raise AwsError(
                    "LimitExceededException",
                    f"A layer must not have more than {PARTS} parts.",
                )
            received = self.registry.uploads.append(upload, data)
            upload.parts.append(len(data))
        return {
            "registryId": call.account,
            "repositoryName": name,
            "uploadId": upload.id,
            "lastByteReceived": received - 1,
        }

    def complete(self, call: Call) -> dict[str, Any]:
        """CompleteLayerUpload."""
        name = self._name(call)
        upload = self._upload(call, name)
        digests = check_list(call.payload.get("layerDigests"), "layerDigests")
        digest = check_digest(digests[0], "layerDigests").lower()
        with upload.lock:
            if not upload.parts:
                raise AwsError(
                    "EmptyUploadException",
                    "The specified layer upload does not contain any layer parts.",
                )
            if any(size < PART_MINIMUM for size in upload.parts[:-1]):
                raise AwsError(
                    "LayerPartTooSmallException", "Layer parts must be at least 5 MiB in size."
                )
            if not self.registry.uploads.finish(upload, digest):
                raise errors.layer_exists(call.account, name, digest)
        return {
            "registryId": call.account,
            "repositoryName": name,
            "uploadId": upload.id,
            "layerDigest": digest,
        }

    def link(self, call: Call) -> dict[str, Any]:
        """GetDownloadUrlForLayer."""
        name = self._name(call)
        digest = check_digest(call.payload.get("layerDigest"), "layerDigest")
        if self.registry.blobs.size(call.scope, name, digest) is None:
            raise errors.layer_missing(call.account, name, digest)
        path = self.registry.signer.link(digest, self.registry.clock())
        return {"downloadUrl": f"http://{call.registry}{path}", "layerDigest": digest}

    def _name(self, call: Call) -> str:
        registry_checked(call)
        name = check_name(call.payload.get("repositoryName"))
        self.registry.repository(call.scope, name)
        return name

    def _upload(self, call: Call, name: str) -> Upload:
        upload_id = check_text(call.payload.get("uploadId"), "uploadId")
        if not re.fullmatch(UPLOAD_PATTERN, upload_id):
            raise errors.invalid("uploadId", f"must satisfy regular expression '{UPLOAD_PATTERN}'")
        return self.registry.uploads.find(call.scope, name, upload_id)
