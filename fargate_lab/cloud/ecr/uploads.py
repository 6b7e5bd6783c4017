"""Pushing blobs: OCI distribution specification 1.1, "Pushing blobs" and "Mounting a blob"."""

from __future__ import annotations

import asyncio
import re

from fargate_lab.cloud.ecr.asgi import ClientGone, Request, Response, answer
from fargate_lab.cloud.ecr.fields import NAME_PATTERN, SHA256
from fargate_lab.cloud.ecr.refusals import Refusal
from fargate_lab.cloud.ecr.registry import Registry
from fargate_lab.cloud.ecr.sessions import Upload

_RANGE = re.compile(r"(?:bytes[ =])?(\d+)-(\d+)(?:/(?:\d+|\*))?")


async def begin(registry: Registry, scope: str, name: str, request: Request) -> Response:
    """POST: a new upload, a whole blob at once (`digest`), or a mount from a sister repository."""
    await asyncio.to_thread(registry.repository, scope, name)
    mount, source = request.query.get("mount"), request.query.get("from")
    if mount and source and SHA256.fullmatch(mount) and re.fullmatch(NAME_PATTERN, source):
        await request.drain()
        if await asyncio.to_thread(registry.blobs.mount, scope, source, name, mount):
            return created(name, mount)
    digest = request.query.get("digest")
    if digest is not None:
        checked(digest)
    upload = await asyncio.to_thread(registry.uploads.begin, scope, name)
    if digest is None:
        await request.drain()
        return progress(202, name, upload)
    return await complete(registry, name, upload, digest, request)


async def patch(
    registry: Registry, scope: str, name: str, upload_id: str, request: Request
) -> Response:
    """PATCH: more bytes, in order."""
    upload = registry.uploads.find(scope, name, upload_id)
    in_order(upload, request)
    await receive(registry, upload, request)
    return progress(202, name, upload)


async def put(
    registry: Registry, scope: str, name: str, upload_id: str, request: Request
) -> Response:
    """PUT: the last bytes, if any, and the digest of all."""
    upload = registry.uploads.find(scope, name, upload_id)
    digest = checked(request.query.get("digest", ""))
    in_order(upload, request)
    return await complete(registry, name, upload, digest, request)


async def status(registry: Registry, scope: str, name: str, upload_id: str) -> Response:
    """GET: how far an upload is, to take it up again."""
    return progress(204, name, registry.uploads.find(scope, name, upload_id))


async def cancel(registry: Registry, scope: str, name: str, upload_id: str) -> Response:
    """DELETE: forget an upload."""
    upload = registry.uploads.find(scope, name, upload_id)
    await asyncio.to_thread(registry.uploads.abort, upload)
    return answer(204)


async def complete(
    registry: Registry, name: str, upload: Upload, digest: str, request: Request
) -> Response:
    """Receive what is left and make a blob of it."""
    await receive(registry, upload, request)
    await asyncio.to_thread(registry.uploads.finish, upload, digest)
    return created(name, digest)


async def receive(registry: Registry, upload: Upload, request: Request) -> None:
    """Append the body. What came before a broken connection stays, for the client to go on."""
    before = upload.received
    if not upload.writing.acquire(blocking=False):
        raise Refusal(416, "BLOB_UPLOAD_INVALID", "another request is writing to this upload")
    try:
        async for data in request.chunks():
            await asyncio.to_thread(registry.uploads.append, upload, data)
    finally:
        upload.writing.release()
    told = request.headers.get("content-length")
    if told is not None and told.isdecimal() and upload.received - before != int(told):
        raise ClientGone


def in_order(upload: Upload, request: Request) -> None:
    """Refuse a chunk that does not begin where the last one ended."""
    given = request.headers.get("content-range")
    if given is None:
        return
    match = _RANGE.fullmatch(given.strip())
    length = request.headers.get("content-length", "")
    if match is None:
        raise Refusal(400, "BLOB_UPLOAD_INVALID", f"Content-Range {given!r} is not start-end")
    first, last = int(match[1]), int(match[2])
    if first != upload.received or last < first:
        raise Refusal(
            416,
            "BLOB_UPLOAD_INVALID",
            f"the upload holds {upload.received} bytes; the next chunk must begin there, "
            f"not at {first}",
            progress(416, upload.repository, upload).headers,
        )
    if length.isdecimal() and int(length) != last - first + 1:
        raise Refusal(
            400, "SIZE_INVALID", f"Content-Range {given!r} does not match Content-Length {length}"
        )


def checked(digest: str) -> str:
    """A digest this registry can verify."""
    if not SHA256.fullmatch(digest):
        raise Refusal(400, "DIGEST_INVALID", f"{digest!r} is not sha256: and 64 hexadecimal digits")
    return digest


def progress(status: int, name: str, upload: Upload) -> Response:
    """Where an upload is and how many bytes it has."""
    return answer(
        status,
        {
            "Location": f"/v2/{name}/blobs/uploads/{upload.id}",
            "Range": f"0-{max(upload.received - 1, 0)}",
            "Docker-Upload-UUID": upload.id,
        }.items(),
    )


def created(name: str, digest: str) -> Response:
    """The blob is there."""
    return answer(
        201,
        {
            "Location": f"/v2/{name}/blobs/{digest}",
            "Docker-Content-Digest": digest,
        }.items(),
    )
