"""The ASGI application: three paths, and JSON for everything that goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import log
from app.inputs import Refused, read_body
from app.metrics import CONTENT_TYPE, Metrics
from app.model import Model

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

MAX_BODY = 4 * 1024 * 1024
"""Largest request body, in bytes ($MAX_BODY_BYTES changes it)."""

BODY_SECONDS = 30.0
"""How long a body may take to arrive ($BODY_SECONDS changes it)."""

_DRAIN_SECONDS = 2.0
_ASIDE = 16 * 1024
_JSON: Header = (b"content-type", b"application/json")
_CLOSE: Header = (b"connection", b"close")


class Gone(Exception):
    """The caller hung up before its request was whole."""


def application(model: Model) -> App:
    """The application around a loaded model."""
    predict = Predict(model, Metrics(model.about))
    rest = _rest(model, predict.metrics)

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        # The one path under load goes past the router and its middleware.
        if scope["type"] == "http" and scope["path"] == "/predict":
            await predict(scope, receive, send)
        else:
            await rest(scope, receive, send)

    return entry


def _rest(model: Model, metrics: Metrics) -> App:
    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok", "model": model.about})

    async def show_metrics(request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "not-found", 405: "method"}.get(error.status_code, "http")
        text = {
            404: f"There is no {request.url.path}; there are /healthz, /predict and /metrics.",
            405: f"{request.method} does not work on {request.url.path}; GET does.",
        }.get(error.status_code, error.detail)
        body = Refused(error.status_code, code, text).body()
        return JSONResponse(body, error.status_code, headers=error.headers)

    routes = [Route("/healthz", healthz), Route("/metrics", show_metrics)]
    return Starlette(routes=routes, exception_handlers={HTTPException: refused})


class Predict:
    """POST /predict."""

    def __init__(self, model: Model, metrics: Metrics) -> None:
        self.metrics = metrics
        self._model = model
        self._max_body = int(os.environ.get("MAX_BODY_BYTES", MAX_BODY))
        self._body_seconds = float(os.environ.get("BODY_SECONDS", BODY_SECONDS))
        self._log_requests = os.environ.get("ACCESS_LOG", "") not in ("", "0")
        self._about = json.dumps(model.about).encode()
        # One thread for what takes long: the loop stays free to answer /healthz, and memory
        # holds one large picture at a time.
        self._aside = ThreadPoolExecutor(1, "pictures")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        predictions: list[dict[str, Any]] = []
        headers: list[Header] = [_JSON]
        try:
            kind, body = await self._body(scope, receive)
            if len(body) > _ASIDE or b'"image"' in body or not kind.startswith("app"):
                loop = asyncio.get_running_loop()
                predictions = await loop.run_in_executor(self._aside, self._read, kind, body)
            else:
                predictions = self._read(kind, body)
            status = 200
            told = json.dumps(predictions).encode()
            answer = b'{"predictions":%b,"model":%b}' % (told, self._about)
        except Refused as error:
            status, answer = error.status, json.dumps(error.body()).encode()
            if status == 405:
                headers.append((b"allow", b"POST"))
            if error.code in _BODY_UNREAD:
                headers.append(_CLOSE)
        except Gone:
            return
        headers.append((b"content-length", b"%d" % len(answer)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        self._note(status, time.perf_counter() - started, predictions)

    def _read(self, kind: str, body: bytes) -> list[dict[str, Any]]:
        return self._model.predict(read_body(kind, body))

    def _note(self, status: int, seconds: float, predictions: list[dict[str, Any]]) -> None:
        self.metrics.observe(status, seconds, predictions)
        if self._log_requests:
            log.event(
                "request",
                path="/predict",
                status=status,
                milliseconds=round(seconds * 1000, 3),
                digits=[prediction["digit"] for prediction in predictions],
            )

    async def _body(self, scope: Scope, receive: Receive) -> tuple[str, bytes]:
        """The media type and the whole body. Raises Refused and Gone."""
        kind, length, expects = "", 0, False
        for name, value in scope["headers"]:
            if name == b"content-type":
                kind = value.decode("latin-1")
            elif name == b"content-length":
                length = int(value)
            elif name == b"expect":
                expects = True
        if scope["method"] != "POST":
            raise Refused(405, "method", f"{scope['method']} does not work on /predict; POST does.")
        if length > self._max_body:
            # A caller that waits for "100 Continue" has sent nothing yet; any other one is
            # sending, and would see a broken pipe in place of the answer.
            if not expects:
                await self._discard(receive)
            raise self._too_large()
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            return kind, self._checked(message["body"])
        try:
            async with asyncio.timeout(self._body_seconds):
                return kind, await self._collect(message, receive)
        except TimeoutError as error:
            text = f"The body did not arrive within {self._body_seconds:g} s."
            raise Refused(408, "timeout", text) from error

    async def _collect(self, message: Message, receive: Receive) -> bytes:
        """A body that comes in pieces; its size is known only as it comes."""
        parts: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body:
                parts.clear()
                await self._discard(receive)
                raise self._too_large()
            if not message.get("more_body"):
                return b"".join(parts)
            message = await receive()

    async def _discard(self, receive: Receive) -> None:
        """Let a caller finish sending, for a while."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        except TimeoutError:
            pass

    def _checked(self, body: bytes) -> bytes:
        if len(body) > self._max_body:
            raise self._too_large()
        return body

    def _too_large(self) -> Refused:
        return Refused(413, "body-too-large", f"The body is over {self._max_body} bytes.")


_BODY_UNREAD = ("body-too-large", "timeout", "method")
