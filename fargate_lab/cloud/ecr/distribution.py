"""The registry under `/v2/`: the OCI distribution protocol as ECR speaks it."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass

from fargate_lab.cloud.bridge import AsgiApp, Receive, Scope, Send
from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecr import blobs, manifests, uploads
from fargate_lab.cloud.ecr.asgi import ClientGone, Request, Response, answer
from fargate_lab.cloud.ecr.auth import Grant, TokenError, TokenExpired
from fargate_lab.cloud.ecr.fields import check_name
from fargate_lab.cloud.ecr.refusals import Refusal, from_aws
from fargate_lab.cloud.ecr.registry import Registry, registry_of
from fargate_lab.cloud.protocol import AwsError
from fargate_lab.cloud.store import StoreError

log = logging.getLogger(__name__)

_PATH = re.compile(
    r"/v2/(?P<name>.+)/(?:(?P<uploads>blobs/uploads)(?:/(?P<upload>[^/]*))?|"
    r"(?P<kind>blobs|manifests|referrers|tags)/(?P<rest>[^/]+))"
)


def registry_app(context: CloudContext) -> AsgiApp:
    """The ASGI application of a cloud's registry."""
    return Distribution(context, registry_of(context))


@dataclass
class Distribution:
    """Routes a request under `/v2/` to its handler."""

    context: CloudContext
    registry: Registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientGone:
            return
        await response.send(send, head=request.method == "HEAD")

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._route(request)
        except Refusal as refusal:
            return refusal.response()
        except AwsError as error:
            return from_aws(error).response()
        except (StoreError, OSError) as error:
            log.error("%s %s: %s", request.method, request.path, error)
            return Refusal(500, "UNKNOWN", str(error)).response()
        except ClientGone:
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            message = "The lab failed at this request; its log (cloud.log) has the details."
            return Refusal(500, "UNKNOWN", message).response()

    async def _route(self, request: Request) -> Response:
        if request.path.startswith("/v2/_layer/") and request.method in ("GET", "HEAD"):
            digest = request.path.removeprefix("/v2/_layer/")
            return await blobs.by_link(self.registry, digest, request)
        scope = self._grant(request).scope
        if request.path in ("/v2", "/v2/"):
            return answer(200, (), {})
        if request.path == "/v2/_catalog":
            raise Refusal(
                405, "UNSUPPORTED", "The operation is unsupported. Use ECR's DescribeRepositories."
            )
        match = _PATH.fullmatch(request.path)
        if match is None:
            raise Refusal(404, "NAME_UNKNOWN", f"{request.path} is not an address of a registry")
        name = check_name(match["name"])
        if match["uploads"]:
            return await self._upload(request, scope, name, match["upload"] or "")
        return await self._content(request, scope, name, match["kind"], match["rest"])

    async def _upload(self, request: Request, scope: str, name: str, upload: str) -> Response:
        registry = self.registry
        await asyncio.to_thread(registry.repository, scope, name)
        if not upload:
            if request.method == "POST":
                return await uploads.begin(registry, scope, name, request)
        elif request.method == "PATCH":
            return await uploads.patch(registry, scope, name, upload, request)
        elif request.method == "PUT":
            return await uploads.put(registry, scope, name, upload, request)
        elif request.method == "GET":
            return await uploads.status(registry, scope, name, upload)
        elif request.method == "DELETE":
            return await uploads.cancel(registry, scope, name, upload)
        raise _not_allowed(request)

    async def _content(
        self, request: Request, scope: str, name: str, kind: str, rest: str
    ) -> Response:
        registry = self.registry
        match (kind, request.method):
            case ("blobs", "GET" | "HEAD"):
                return await blobs.get(registry, scope, name, rest, request)
            case ("blobs", "DELETE"):
                return await blobs.delete(registry, scope, name, rest)
            case ("manifests", "GET" | "HEAD"):
                return await asyncio.to_thread(manifests.get, registry, scope, name, rest, request)
            case ("manifests", "PUT"):
                return await manifests.put(registry, scope, name, rest, request)
            case ("manifests", "DELETE"):
                return await asyncio.to_thread(manifests.delete, registry, scope, name, rest)
            case ("tags", "GET") if rest == "list":
                return await asyncio.to_thread(manifests.tags, registry, scope, name, request)
            case ("referrers", "GET"):
                return await asyncio.to_thread(
                    manifests.referrers, registry, scope, name, rest, request
                )
        raise _not_allowed(request)

    def _grant(self, request: Request) -> Grant:
        challenge = {
            "WWW-Authenticate": f'Basic realm="{self.context.url}/",service="ecr.amazonaws.com"'
        }
        try:
            header = request.headers.get("authorization", "")
            return self.registry.signer.grant(header, self.registry.clock())
        except TokenExpired as error:
            raise Refusal(403, "DENIED", str(error)) from None
        except TokenError as error:
            raise Refusal(401, "UNAUTHORIZED", str(error), challenge) from None


def _not_allowed(request: Request) -> Refusal:
    return Refusal(405, "UNSUPPORTED", f"The operation is unsupported: {request.method}")
