"""The little of HTTP that the registry needs, on plain ASGI: bodies stream both ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from fargate_lab.cloud import protocol
from fargate_lab.cloud.bridge import Receive, Scope, Send

CHUNK = 2**20
"""Bytes moved to and from the disk at a time: bounds a transfer's memory."""


class ClientGone(Exception):
    """The connection closed before the request's body was complete."""


@dataclass
class Request:
    """One request."""

    scope: Scope
    receive: Receive

    def __post_init__(self) -> None:
        self.method: str = self.scope["method"]
        self.path: str = self.scope["path"]
        raw = self.scope["headers"]
        self.headers: dict[str, str] = {}
        for key, value in raw:
            name, text = key.decode("latin-1"), value.decode("latin-1")
            # Several Accept headers mean the same as one with commas.
            known = self.headers.get(name)
            self.headers[name] = f"{known}, {text}" if known is not None else text
        query = self.scope["query_string"].decode("latin-1")
        self.query = dict(parse_qsl(query, keep_blank_values=True))
        self._complete = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces of about `CHUNK` bytes; ClientGone when it ends too early."""
        buffer = bytearray()
        # A server asked for more than there is waits for the connection to close.
        while not self._complete:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            buffer += message.get("body", b"")
            self._complete = not message.get("more_body", False)
            if len(buffer) >= CHUNK or (buffer and self._complete):
                yield bytes(buffer)
                buffer.clear()

    async def drain(self) -> None:
        """Read the body to its end, so that the connection can be used again."""
        async for _ in self.chunks():
            pass


@dataclass
class Response:
    """One answer: a body in memory, or a part of a file."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    file: Path | None = None
    start: int = 0
    length: int = 0
    """Of the file, from start on, in bytes."""

    async def send(self, send: Send, *, head: bool) -> None:
        """Write it; head: leave the body out, though its length is told."""
        size = self.length if self.file is not None else len(self.body)
        headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in self.headers.items()]
        if self.status != 204:
            headers.append((b"content-length", str(size).encode()))
        headers.append((b"docker-distribution-api-version", b"registry/2.0"))
        headers.append((b"x-amzn-requestid", protocol.request_id().encode()))
        start = {"type": "http.response.start", "status": self.status, "headers": headers}
        if self.file is None or head:
            await send(start)
            await send({"type": "http.response.body", "body": b"" if head else self.body})
            return
        file = await asyncio.to_thread(self.file.open, "rb")
        try:
            await send(start)
            await self._stream(send, file)
        finally:
            file.close()

    async def _stream(self, send: Send, file: BinaryIO) -> None:
        left = self.length
        file.seek(self.start)
        while left:
            data = await asyncio.to_thread(file.read, min(CHUNK, left))
            if not data:
                raise OSError(f"{self.file} is shorter than it was")
            left -= len(data)
            await send({"type": "http.response.body", "body": data, "more_body": bool(left)})
        if not self.length:
            await send({"type": "http.response.body", "body": b""})


def answer(
    status: int,
    headers: Iterable[tuple[str, str]] = (),
    document: Mapping[str, Any] | None = None,
    content_type: str = "application/json",
) -> Response:
    """An answer with a JSON document, or with headers only."""
    if document is None:
        return Response(status, dict(headers))
    body = json.dumps(document, separators=(",", ":")).encode()
    return Response(status, {"Content-Type": content_type, **dict(headers)}, body)
