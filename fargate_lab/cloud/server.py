"""The cloud's front door: which request goes where.

`SERVICES` is the table to read: an action listed by a lab service is the lab's; a service named
there whose action is not listed goes to moto only where moto tells the truth (`to_moto`), and is
otherwise refused in plain words; every other request goes to moto untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fargate_lab import __version__
from fargate_lab.cloud import bridge, protocol
from fargate_lab.cloud.bridge import AsgiApp, Receive, Scope, Send
from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.protocol import AwsError, Call, Caller
from fargate_lab.cloud.services import SERVICES, Service, make_service, to_resume
from fargate_lab.cloud.store import StoreError

log = logging.getLogger(__name__)

BODY_LIMIT = 16 * 2**20
"""Largest body of a lab action: ECR's UploadLayerPart carries 10 MiB as base64."""

LOCAL_NAMES = {"localhost", "127.0.0.1", "::1", "host.docker.internal"}

LabEndpoint = Callable[[CloudContext, dict[str, str]], Awaitable[dict[str, Any]]]


@dataclass
class Cloud:
    """The ASGI application of the lab cloud."""

    context: CloudContext
    on_stop: Callable[[], None] = lambda: None
    _services: dict[str, Service] = field(default_factory=dict)
    _registry: AsgiApp | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            raise RuntimeError(f"unexpected connection type {scope['type']}")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        refusal = foreign_page(headers)
        if refusal is not None:
            await respond(send, 403, json.dumps({"message": refusal}).encode())
            return
        path: str = scope["path"]
        target, _, action = headers.get("x-amz-target", "").partition(".")
        if path == "/v2" or path.startswith("/v2/"):
            if not headers.get("authorization", "").startswith("AWS4-"):
                await self._registry_app()(scope, receive, send)
                return
        elif path.startswith("/_lab/"):
            await self._lab(path, scope, headers, send)
            return
        if target in SERVICES:
            await self._action(target, action, headers, scope, receive, send)
        else:
            await self._moto(scope, headers, receive, send)

    async def _moto(
        self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        app = await asyncio.to_thread(bridge.asgi_app)
        caller = Caller.from_authorization(headers.get("authorization", ""))
        if caller is not None and caller.account != protocol.DEFAULT_ACCOUNT:
            # moto knows accounts by this header; clients know them by their access key.
            account = (b"x-moto-account-id", caller.account.encode())
            scope = {**scope, "headers": [*scope["headers"], account]}
        await app(scope, receive, send)

    def _registry_app(self) -> AsgiApp:
        if self._registry is None:
            from fargate_lab.cloud.ecr.distribution import registry_app

            self._registry = registry_app(self.context)
        return self._registry

    def service(self, target: str) -> Service:
        """The lab's service behind an `X-Amz-Target` prefix, made when first asked for."""
        with self._lock:
            if target not in self._services:
                service = make_service(target, self.context)
                service.startup()
                self._services[target] = service
            return self._services[target]

    async def _action(
        self,
        target: str,
        action: str,
        headers: dict[str, str],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        service = self._services.get(target)
        if service is None:
            service = await asyncio.to_thread(self.service, target)
        handler = service.actions.get(action)
        if handler is None and action in service.to_moto:
            await self._moto(scope, headers, receive, send)
            return
        try:
            caller = Caller.from_authorization(headers.get("authorization", ""))
            if caller is None:
                raise AwsError(
                    "MissingAuthenticationTokenException", "Missing Authentication Token"
                )
            if handler is None:
                raise service.refusal(action)
            payload = protocol.parse(await read_body(receive, BODY_LIMIT))
            call = Call(action, payload, caller, self.context.registry)
            answer = await asyncio.to_thread(handler, call)
            await respond(send, 200, protocol.dumps(answer))
        except AwsError as error:
            await respond(send, error.status, protocol.dumps(error.body()), error.code)
        except StoreError as error:
            log.error("%s: %s", action, error)
            await respond_fault(send, str(error))
        except Exception:
            log.exception("%s.%s failed", target, action)
            await respond_fault(
                send,
                f"The lab failed at {action}. This is the lab's fault, not yours: "
                f"{self.context.state_dir / 'cloud.log'} has the details.",
            )

    async def _lab(self, path: str, scope: Scope, headers: dict[str, str], send: Send) -> None:
        query = dict(parse_qsl(scope["query_string"].decode()))
        if path == "/_lab/health":
            answer: dict[str, Any] = {"status": "ok", "version": __version__}
        elif path == "/_lab/stop":
            if scope["method"] != "POST" or headers.get("x-lab-token") != self.context.token:
                await respond(send, 403, b'{"message":"Stop the cloud with: python3 lab.py stop"}')
                return
            await respond(send, 200, b'{"status":"stopping"}')
            self.on_stop()
            return
        else:
            from fargate_lab.cloud.lab_endpoints import answer_lab

            found = await asyncio.to_thread(answer_lab, self, path, query)
            if found is None:
                await respond(send, 404, b'{"message":"The lab has nothing at this address."}')
                return
            answer = found
        await respond(send, 200, protocol.dumps(answer), content_type="application/json")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                # Only a service with something to take up again is made at start.
                for target in to_resume(self.context):
                    await asyncio.to_thread(self.service, target)
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                for service in self._services.values():
                    with contextlib.suppress(Exception):
                        await asyncio.to_thread(service.shutdown)
                self.context.store.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def foreign_page(headers: dict[str, str]) -> str | None:
    """Why a request must be refused because a web page of elsewhere sent it; None when it is fine.

    The cloud listens on this machine only, but a browser on it would carry requests of any page.
    """
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    local = host in LOCAL_NAMES or host.startswith("127.") or host.endswith(".localhost")
    if not local and "authorization" not in headers:
        return f"This cloud answers on 127.0.0.1 only, not as {host!r}."
    origin = headers.get("origin", "")
    if origin and origin != "null":
        name = urlsplit(origin).hostname or ""
        if name not in LOCAL_NAMES and not name.startswith("127."):
            return f"A page of {origin} may not call this cloud."
    return None


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole request body; `AwsError` 413 above the limit."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise AwsError("RequestTimeout", "The connection closed before the body was complete.")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise AwsError("RequestEntityTooLargeException", f"Body above {limit} bytes.", 413)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    error: str | None = None,
    content_type: str = protocol.CONTENT_TYPE,
    extra: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole answer with AWS's usual headers."""
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-requestid", protocol.request_id().encode()),
        *extra,
    ]
    if error:
        headers.append((b"x-amzn-errortype", error.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond_fault(send: Send, message: str) -> None:
    """Send AWS's answer to a failure that is not the caller's."""
    body = {"__type": "ServerException", "message": message}
    await respond(send, 500, protocol.dumps(body), "ServerException")
