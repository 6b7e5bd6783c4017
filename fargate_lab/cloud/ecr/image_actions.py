"""Actions on images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fargate_lab.cloud.ecr import errors, images
from fargate_lab.cloud.ecr.fields import (
    check_choice,
    check_list,
    check_map,
    check_name,
    check_tag,
    check_text,
    image_id,
    page,
    registry_checked,
    with_token,
)
from fargate_lab.cloud.ecr.manifest import Manifest
from fargate_lab.cloud.ecr.registry import SCAN, Document, ImageId, Registry
from fargate_lab.cloud.protocol import Call, Handler

TAG_STATUS = ("TAGGED", "UNTAGGED", "ANY")
IMAGE_STATUS = ("ACTIVE", "ARCHIVED", "ACTIVATING", "ANY")


class Images:
    """The handlers; one object for each cloud."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def actions(self) -> dict[str, Handler]:
        """AWS's name of each action → its handler."""
        return {
            "PutImage": self.put,
            "BatchGetImage": self.get,
            "BatchDeleteImage": self.delete,
            "ListImages": self.list_ids,
            "DescribeImages": self.describe,
        }

    def put(self, call: Call) -> dict[str, Any]:
        """PutImage."""
        account, name = registry_checked(call), self._name(call)
        text = check_text(call.payload.get("imageManifest"), "imageManifest", minimum=1)
        media_type = call.payload.get("imageManifestMediaType")
        given = call.payload.get("imageTag")
        tag = None if given is None else check_tag(given)
        manifest = Manifest.parse(
            text,
            None if media_type is None else check_text(media_type, "imageManifestMediaType"),
        )
        digest = call.payload.get("imageDigest")
        if digest is not None and digest != manifest.digest:
            raise errors.digest_mismatch(str(digest), manifest.digest)
        if not images.put(self.registry, call.scope, name, manifest, tag):
            raise errors.image_exists(account, name, manifest.digest, tag)
        self.registry.housekeeping.after_push(call.scope, name, manifest.digest)
        chosen = {"imageDigest": manifest.digest, **({"imageTag": tag} if tag else {})}
        return {"image": _image(call, name, chosen, manifest.text, manifest.media_type)}

    def get(self, call: Call) -> dict[str, Any]:
        """BatchGetImage."""
        registry_checked(call)
        name = self._name(call)
        accepted = check_list(call.payload.get("acceptedMediaTypes") or [], "acceptedMediaTypes", 0)
        found: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        for row in check_list(call.payload.get("imageIds"), "imageIds"):
            wanted = image_id(row, "imageIds")
            image = self._usable(call.scope, name, wanted, failures)
            if image is None:
                continue
            if accepted and image["mediaType"] not in accepted:
                failures.append(_missing(wanted))
                continue
            tag = wanted.get("imageTag")
            chosen = {"imageDigest": image["digest"], **({"imageTag": tag} if tag else {})}
            found.append(_image(call, name, chosen, image["manifest"], image["mediaType"]))
            images.pulled(self.registry, call.scope, name, image)
        return {"images": found, "failures": failures}

    def delete(self, call: Call) -> dict[str, Any]:
        """BatchDeleteImage."""
        registry_checked(call)
        name = self._name(call)
        deleted: list[ImageId] = []
        failures: list[dict[str, Any]] = []
        for row in check_list(call.payload.get("imageIds"), "imageIds"):
            answer = images.delete(self.registry, call.scope, name, image_id(row, "imageIds"))
            deleted += [i for i in answer.get("imageIds", []) if i not in deleted]
            if "failure" in answer:
                failures.append(answer["failure"])
        self.registry.release_layers(call.scope, name)
        return {"imageIds": deleted, "failures": failures}

    def list_ids(self, call: Call) -> dict[str, Any]:
        """ListImages."""
        registry_checked(call)
        name = self._name(call)
        tags = self.registry.tags_by_digest(call.scope, name)
        ids: list[ImageId] = []
        for image in self._filtered(call, name, tags):
            digest = image["digest"]
            own = tags.get(digest, [])
            ids += [{"imageDigest": digest, "imageTag": tag} for tag in own]
            if not own:
                ids.append({"imageDigest": digest})
        rows, token = page(call, ids)
        return with_token({"imageIds": list(rows)}, token)

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeImages."""
        registry_checked(call)
        name = self._name(call)
        tags = self.registry.tags_by_digest(call.scope, name)
        given = call.payload.get("imageIds")
        if given is None:
            rows, token = page(call, self._filtered(call, name, tags))
        else:
            wanted = [image_id(r, "imageIds") for r in check_list(given, "imageIds")]
            unique = {
                i["digest"]: i
                for i in (self.registry.wanted_image(call.scope, name, w) for w in wanted)
            }
            rows, token = list(unique.values()), None
        details = [self._detail(call, name, image, tags) for image in rows]
        return with_token({"imageDetails": details}, token)

    def _name(self, call: Call) -> str:
        name = check_name(call.payload.get("repositoryName"))
        self.registry.repository(call.scope, name)
        self.registry.housekeeping.before_read(call.scope, name)
        return name

    def _filtered(self, call: Call, name: str, tags: Mapping[str, list[str]]) -> list[Document]:
        chosen = check_map(call.payload.get("filter") or {}, "filter")
        status = check_choice(chosen.get("tagStatus", "ANY"), "filter.tagStatus", TAG_STATUS)
        kept = check_choice(chosen.get("imageStatus", "ACTIVE"), "filter.imageStatus", IMAGE_STATUS)
        if kept not in ("ACTIVE", "ANY"):
            return []
        rows = self.registry.images(call.scope, name)
        if status == "ANY":
            return rows
        return [r for r in rows if bool(tags.get(r["digest"])) == (status == "TAGGED")]

    def _usable(
        self, scope: str, name: str, wanted: ImageId, failures: list[dict[str, Any]]
    ) -> Document | None:
        if not wanted:
            failures.append(
                {
                    "imageId": {},
                    "failureCode": "MissingDigestAndTag",
                    "failureReason": "Invalid request parameters: both tag and digest cannot be "
                    "null",
                }
            )
            return None
        image = self.registry.resolve(scope, name, wanted)
        if image is None:
            failures.append(_missing(wanted))
        return image

    def _detail(
        self, call: Call, name: str, image: Document, tags: Mapping[str, list[str]]
    ) -> dict[str, Any]:
        digest = image["digest"]
        row: dict[str, Any] = {
            "registryId": call.account,
            "repositoryName": name,
            "imageDigest": digest,
            "imageSizeInBytes": image["size"],
            "imagePushedAt": round(image["pushedAt"], 3),
            "imageManifestMediaType": image["mediaType"],
            "imageStatus": "ACTIVE",
        }
        optional = {
            "imageTags": tags.get(digest),
            "artifactMediaType": image.get("artifactMediaType"),
            "lastRecordedPullTime": image.get("pulledAt"),
            "subjectManifestDigest": image.get("subject"),
        }
        row |= {key: value for key, value in optional.items() if value}
        scan = self.registry.store.get(SCAN, call.scope, f"{name}@{digest}")
        if scan is not None:
            row["imageScanStatus"] = {k: scan[k] for k in ("status", "description") if k in scan}
            if "summary" in scan:
                row["imageScanFindingsSummary"] = scan["summary"]
        return row


def _image(call: Call, name: str, chosen: ImageId, text: str, media_type: str) -> dict[str, Any]:
    return {
        "registryId": call.account,
        "repositoryName": name,
        "imageId": chosen,
        "imageManifest": text,
        "imageManifestMediaType": media_type,
    }


def _missing(wanted: ImageId) -> dict[str, Any]:
    return {
        "imageId": wanted,
        "failureCode": "ImageNotFound",
        "failureReason": "Requested image not found",
    }
