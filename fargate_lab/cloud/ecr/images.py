"""Putting images into repositories and taking them out, by whichever protocol they came."""

from __future__ import annotations

import fnmatch
from typing import Any

from fargate_lab.cloud.ecr import errors
from fargate_lab.cloud.ecr.manifest import Manifest, broken
from fargate_lab.cloud.ecr.registry import (
    IMAGE,
    SCAN,
    TAG,
    Document,
    ImageId,
    Registry,
    account_of,
)
from fargate_lab.image.media import INDEXES

PULL_SECONDS = 3600
"""lastRecordedPullTime is not written at every pull; ECR refreshes it at least once a day."""

_LOCKED = ("IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION")


def put(registry: Registry, scope: str, name: str, manifest: Manifest, tag: str | None) -> bool:
    """Store an image, and point a tag to it; whether anything changed.

    Everything it names must be in the repository. What is acknowledged is on disk.
    """
    with registry.change():
        repository = registry.repository(scope, name)
        known = registry.image(scope, name, manifest.digest)
        tagged = registry.tag(scope, name, tag) if tag else None
        if tag and tagged and tagged != manifest.digest:
            refuse_move(repository, tag)
        if known is not None and (tag is None or tagged == manifest.digest):
            return False
        if known is None:
            size = _verify(registry, scope, name, manifest)
            document = _document(manifest, size, registry.clock())
            registry.store.put(IMAGE, scope, f"{name}@{manifest.digest}", document)
        if tag:
            registry.store.put(TAG, scope, f"{name}:{tag}", {"digest": manifest.digest})
    registry.blobs.keep_promise(scope, name, [b.digest for b in manifest.blobs])
    return True


def refuse_move(repository: Document, tag: str) -> None:
    """`AwsError` ImageTagAlreadyExistsException where this tag may not move to another image."""
    mode = repository["imageTagMutability"]
    filters = repository.get("imageTagMutabilityExclusionFilters") or []
    excluded = any(fnmatch.fnmatchcase(tag, f["filter"]) for f in filters)
    if (mode in _LOCKED) != excluded:
        what = "repository" if mode == "IMMUTABLE" else "tag"
        raise errors.tag_immutable(repository["name"], tag, what)


def _verify(registry: Registry, scope: str, name: str, manifest: Manifest) -> int:
    """The image's size in bytes; `AwsError` when something it names is not there as named."""
    account = account_of(scope)
    missing: list[str] = []
    sizes: dict[str, int] = {}
    for blob in manifest.blobs:
        held = registry.blobs.size(scope, name, blob.digest)
        if held is None:
            if not blob.elsewhere and blob.digest not in missing:
                missing.append(blob.digest)
        elif held != blob.size:
            raise broken(f"the size of {blob.digest} is {held} bytes, not {blob.size}")
        else:
            sizes[blob.digest] = held
    if missing:
        raise errors.layers_missing(account, name, missing)
    children = [registry.image(scope, name, c.digest) for c in manifest.children]
    absent = [c.digest for c, i in zip(manifest.children, children, strict=True) if i is None]
    if absent:
        raise errors.images_missing(account, name, absent)
    for child, image in zip(manifest.children, children, strict=True):
        if image is not None and len(image["manifest"].encode()) != child.size:
            actual = len(image["manifest"].encode())
            raise broken(f"the size of {child.digest} is {actual} bytes, not {child.size}")
    if manifest.media_type in INDEXES:
        # BOTO144, ImageDetail$imageSizeInBytes: "the max size of all manifests in the list".
        return max((int(i["size"]) for i in children if i), default=0)
    return sum(sizes.values())


def _document(manifest: Manifest, size: int, now: float) -> Document:
    return {
        "digest": manifest.digest,
        "manifest": manifest.text,
        "mediaType": manifest.media_type,
        "artifactMediaType": manifest.artifact_type,
        "size": size,
        "pushedAt": now,
        "blobs": list(dict.fromkeys(b.digest for b in manifest.blobs if not b.elsewhere)),
        "children": [c.digest for c in manifest.children],
        "subject": manifest.subject,
    }


def referenced(registry: Registry, scope: str, name: str) -> dict[str, str]:
    """Digest of a child → digest of an index of the repository that names it."""
    return {
        child: image["digest"]
        for image in registry.images(scope, name)
        for child in image["children"]
    }


def delete(registry: Registry, scope: str, name: str, image_id: ImageId) -> dict[str, Any]:
    """Remove an image, or a tag of it; the answer's `imageIds` or its `failure`.

    The last tag of an image takes the image with it. A manifest that an index names stays.
    """
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    if digest is None and tag is None:
        return _failure(
            image_id,
            "MissingDigestAndTag",
            "Invalid request parameters: both tag and digest cannot be null",
        )
    if digest is not None and not digest.startswith("sha256:"):
        why = "Invalid request parameters: image digest should satisfy the regex "
        return _failure(image_id, "InvalidImageDigest", f"{why}'[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
    with registry.change():
        if tag is not None and digest is not None:
            tagged = registry.tag(scope, name, tag)
            if tagged and tagged != digest:
                return _failure(
                    image_id,
                    "ImageTagDoesNotMatchDigest",
                    "Requested tag does not match the requested digest",
                )
        image = registry.resolve(scope, name, image_id)
        if image is None:
            return _failure(image_id, "ImageNotFound", "Requested image not found")
        return _remove(registry, scope, name, image["digest"], tag)


def _remove(
    registry: Registry, scope: str, name: str, digest: str, tag: str | None
) -> dict[str, Any]:
    tags = registry.tags_by_digest(scope, name).get(digest, [])
    parent = referenced(registry, scope, name).get(digest)
    last = tag is None or tags == [tag]
    if parent and tag is None:
        return _failure(
            {"imageDigest": digest},
            "ImageReferencedByManifestList",
            f"Requested image referenced by manifest list: [{parent}]",
        )
    for gone in tags if tag is None else [tag]:
        registry.store.delete(TAG, scope, f"{name}:{gone}")
    if last and not parent:
        registry.store.delete(IMAGE, scope, f"{name}@{digest}")
        registry.store.delete(SCAN, scope, f"{name}@{digest}")
    if tag is not None:
        return {"imageIds": [{"imageDigest": digest, "imageTag": tag}]}
    return {
        "imageIds": [{"imageDigest": digest, "imageTag": t} for t in tags]
        or [{"imageDigest": digest}]
    }


def _failure(image_id: ImageId, code: str, reason: str) -> dict[str, Any]:
    return {"failure": {"imageId": image_id, "failureCode": code, "failureReason": reason}}


def pulled(registry: Registry, scope: str, name: str, image: Document) -> None:
    """Note that an image was pulled."""
    now = registry.clock()
    if now - float(image.get("pulledAt") or 0) < PULL_SECONDS:
        return
    with registry.change():
        current = registry.image(scope, name, image["digest"])
        if current is not None:
            current["pulledAt"] = now
            registry.store.put(IMAGE, scope, f"{name}@{image['digest']}", current)
