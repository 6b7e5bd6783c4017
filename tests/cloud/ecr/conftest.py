"""Clients of the registry's own protocol."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.cloud.conftest import LabCloud
from tests.cloud.ecr.support import Image, digest


def credentials(cloud: LabCloud, account: str = "123456789012") -> tuple[str, str]:
    """User and password of the registry, as `docker login` would send them."""
    token = cloud.client("ecr", account).get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    return user, password


@dataclass
class V2:
    """The registry's protocol, one address below `/v2/`."""

    http: httpx.Client

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.http.request(method, f"/v2/{path}", **options)

    def blob(self, repository: str, data: bytes) -> str:
        """Push a blob in one request."""
        path = f"{repository}/blobs/uploads/?digest={digest(data)}"
        done = self("POST", path, content=data)
        assert done.status_code == 201, done.text
        return digest(data)

    def push(self, repository: str, image: Image, reference: str) -> httpx.Response:
        """Push an image with its blobs."""
        for data in image.blobs.values():
            self.blob(repository, data)
        return self("PUT", f"{repository}/manifests/{reference}", content=image.manifest)


@pytest.fixture(scope="module")
def v2(cloud: LabCloud) -> Iterator[V2]:
    """The default account's registry."""
    with httpx.Client(base_url=cloud.url, auth=credentials(cloud), timeout=30) as http:
        yield V2(http)
