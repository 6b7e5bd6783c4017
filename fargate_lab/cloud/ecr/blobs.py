"""Pulling blobs: OCI distribution specification 1.1, "Pulling blobs"."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

from fargate_lab.cloud.ecr.asgi import Request, Response, answer
from fargate_lab.cloud.ecr.fields import SHA256
from fargate_lab.cloud.ecr.refusals import Refusal
from fargate_lab.cloud.ecr.registry import Registry

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def get(registry: Registry, scope: str, name: str, digest: str, request: Request) -> Response:
    """GET and HEAD."""
    size = await asyncio.to_thread(_held, registry, scope, name, digest)
    return send_file(registry.blobs.path(digest), digest, size, request)


async def delete(registry: Registry, scope: str, name: str, digest: str) -> Response:
    """DELETE: ECR removes blobs itself, when no image needs them."""
    await asyncio.to_thread(_held, registry, scope, name, digest)
    raise Refusal(
        405,
        "UNSUPPORTED",
        "The operation is unsupported. A layer goes when the last image that has it is deleted.",
    )


async def by_link(registry: Registry, digest: str, request: Request) -> Response:
    """GET by a link that GetDownloadUrlForLayer signed: no credentials, for an hour."""
    if not SHA256.fullmatch(digest) or not registry.signer.link_opens(
        digest, request.query, registry.clock()
    ):
        raise Refusal(403, "DENIED", "This link is not valid or has expired. Ask for a new one.")
    path = registry.blobs.path(digest)
    try:
        size = (await asyncio.to_thread(path.stat)).st_size
    except OSError:
        raise Refusal(404, "BLOB_UNKNOWN", "blob unknown to registry") from None
    return send_file(path, digest, size, request)


def send_file(path: Path, digest: str, size: int, request: Request) -> Response:
    """A blob or the part of it that `Range` asks for."""
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return answer(304, headers.items())
    wanted = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if wanted is None or not (wanted[1] or wanted[2]):
        return Response(200, headers, file=path, length=size)
    if wanted[1]:
        first, last = int(wanted[1]), min(int(wanted[2] or size), size - 1)
    else:
        first, last = max(size - int(wanted[2]), 0), size - 1
    if first > last:
        raise Refusal(
            416, "SIZE_INVALID", f"the blob has {size} bytes", {"Content-Range": f"bytes */{size}"}
        )
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Response(206, headers, file=path, start=first, length=last - first + 1)


def _held(registry: Registry, scope: str, name: str, digest: str) -> int:
    registry.repository(scope, name)
    size = None
    if SHA256.fullmatch(digest):
        size = registry.blobs.promise(scope, name, digest)
    if size is None:
        raise Refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
    with contextlib.suppress(OSError):
        if registry.blobs.path(digest).stat().st_size == size:
            return size
    # The state folder was changed from outside: say so, and let a push bring the blob back.
    registry.blobs.forget(digest)
    raise Refusal(404, "BLOB_UNKNOWN", "blob unknown to registry: its file is gone or cut")
