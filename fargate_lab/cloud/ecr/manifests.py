"""Manifests, tags and referrers: OCI distribution specification 1.1."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlencode

from fargate_lab.cloud.ecr import errors, images
from fargate_lab.cloud.ecr.asgi import Request, Response, answer
from fargate_lab.cloud.ecr.fields import SHA256, TAG_PATTERN
from fargate_lab.cloud.ecr.manifest import MANIFEST_LIMIT, Manifest, broken
from fargate_lab.cloud.ecr.refusals import Refusal
from fargate_lab.cloud.ecr.registry import Document, ImageId, Registry
from fargate_lab.image.media import INDEXES, MANIFESTS, OCI_INDEX

PAGE = 1000


def image_id(reference: str) -> ImageId:
    """A reference of a manifest's address as ECR's identifier."""
    if ":" in reference:
        if not SHA256.fullmatch(reference):
            raise Refusal(
                400, "DIGEST_INVALID", f"{reference!r} is not sha256: and 64 hexadecimal digits"
            )
        return {"imageDigest": reference}
    if not re.fullmatch(TAG_PATTERN, reference):
        raise Refusal(400, "TAG_INVALID", f"{reference!r} is not a tag: {TAG_PATTERN}")
    return {"imageTag": reference}


def get(registry: Registry, scope: str, name: str, reference: str, request: Request) -> Response:
    """GET and HEAD."""
    registry.repository(scope, name)
    registry.housekeeping.before_read(scope, name)
    image = registry.resolve(scope, name, image_id(reference))
    if image is None:
        raise Refusal(404, "MANIFEST_UNKNOWN", "Requested image not found")
    image = _acceptable(registry, scope, name, image, request.headers.get("accept", ""))
    if request.method == "GET":
        images.pulled(registry, scope, name, image)
    headers = {
        "Content-Type": image["mediaType"],
        "Docker-Content-Digest": image["digest"],
        "ETag": f'"{image["digest"]}"',
    }
    return Response(200, headers, image["manifest"].encode())


def _acceptable(
    registry: Registry, scope: str, name: str, image: Document, accept: str
) -> Document:
    """What a client gets that understands only some media types."""
    accepted = {part.partition(";")[0].strip() for part in accept.split(",")} - {""}
    loose = {"*/*", "application/*", "application/json"}
    if not accepted or accepted & loose or image["mediaType"] in accepted:
        return image
    if image["mediaType"] in INDEXES and accepted & MANIFESTS:
        # As the reference implementation does for a client that knows no indexes.
        for row in json.loads(image["manifest"])["manifests"]:
            platform = row.get("platform") or {}
            if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
                child = registry.image(scope, name, row["digest"])
                if child is not None and child["mediaType"] in accepted:
                    return child
    raise Refusal(
        404,
        "MANIFEST_UNKNOWN",
        f"Requested image not found: it is {image['mediaType']}, and the Accept header names "
        "only other types",
    )


async def put(
    registry: Registry,
    scope: str,
    name: str,
    reference: str,
    request: Request,
) -> Response:
    """PUT: store an image under a tag or its digest."""
    wanted = image_id(reference)
    body = bytearray()
    async for data in request.chunks():
        body += data
        if len(body) > MANIFEST_LIMIT:
            raise Refusal(413, "SIZE_INVALID", f"a manifest has at most {MANIFEST_LIMIT} bytes")
    content_type = request.headers.get("content-type", "").partition(";")[0].strip() or None
    return await asyncio.to_thread(_put, registry, scope, name, wanted, bytes(body), content_type)


def _put(
    registry: Registry,
    scope: str,
    name: str,
    wanted: ImageId,
    body: bytes,
    content_type: str | None,
) -> Response:
    registry.repository(scope, name)
    try:
        text = body.decode()
    except ValueError:
        raise broken("Invalid JSON syntax") from None
    if content_type not in MANIFESTS | INDEXES:
        content_type = None
    manifest = Manifest.parse(text, content_type)
    digest = wanted.get("imageDigest")
    if digest is not None and digest != manifest.digest:
        raise errors.digest_mismatch(digest, manifest.digest)
    if images.put(registry, scope, name, manifest, wanted.get("imageTag")):
        registry.housekeeping.after_push(scope, name, manifest.digest)
    headers = {
        "Location": f"/v2/{name}/manifests/{manifest.digest}",
        "Docker-Content-Digest": manifest.digest,
    }
    if manifest.subject:
        headers["OCI-Subject"] = manifest.subject
    return answer(201, headers.items())


def delete(registry: Registry, scope: str, name: str, reference: str) -> Response:
    """DELETE: an image by digest, or a tag."""
    registry.repository(scope, name)
    result = images.delete(registry, scope, name, image_id(reference))
    failure = result.get("failure")
    if failure is not None:
        if failure["failureCode"] == "ImageNotFound":
            raise Refusal(404, "MANIFEST_UNKNOWN", failure["failureReason"])
        raise Refusal(400, "DENIED", failure["failureReason"])
    registry.release_layers(scope, name)
    return answer(202)


def tags(registry: Registry, scope: str, name: str, request: Request) -> Response:
    """GET tags/list, in pages of `n` after the tag `last`."""
    registry.repository(scope, name)
    registry.housekeeping.before_read(scope, name)
    given = request.query.get("n", str(PAGE))
    if not given.isdecimal():
        raise Refusal(400, "PAGINATION_NUMBER_INVALID", f"n must be a number, not {given!r}")
    count = min(int(given), PAGE)
    last = request.query.get("last", "")
    rest = [tag for tag in sorted(registry.tags(scope, name)) if tag > last]
    shown = rest[:count]
    headers: dict[str, str] = {}
    if shown and len(rest) > count:
        query = urlencode({"n": count, "last": shown[-1]})
        headers["Link"] = f'</v2/{name}/tags/list?{query}>; rel="next"'
    return answer(200, headers.items(), {"name": name, "tags": shown})


def referrers(registry: Registry, scope: str, name: str, digest: str, request: Request) -> Response:
    """GET referrers: the images whose `subject` is this digest, as an index."""
    registry.repository(scope, name)
    if not SHA256.fullmatch(digest):
        raise Refusal(400, "DIGEST_INVALID", f"{digest!r} is not sha256: and 64 hex digits")
    wanted = request.query.get("artifactType")
    rows = [
        _referrer(image)
        for image in registry.images(scope, name)
        if image["subject"] == digest and wanted in (None, image["artifactMediaType"])
    ]
    headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows}
    return answer(200, headers.items(), document, OCI_INDEX)


def _referrer(image: Document) -> dict[str, Any]:
    row: dict[str, Any] = {
        "mediaType": image["mediaType"],
        "digest": image["digest"],
        "size": len(image["manifest"].encode()),
    }
    if image["artifactMediaType"]:
        row["artifactType"] = image["artifactMediaType"]
    annotations = json.loads(image["manifest"]).get("annotations")
    return {**row, "annotations": annotations} if annotations else row
