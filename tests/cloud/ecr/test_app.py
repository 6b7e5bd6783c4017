"""The registry's application without a server, where a test needs its clock or its failures."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecr.distribution import registry_app
from fargate_lab.cloud.ecr.registry import registry_of


def ask(context: CloudContext, path: str, **options: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(registry_app(context))
        async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
            return await client.get(path, **options)

    return asyncio.run(send())


def test_an_expired_token(context: CloudContext) -> None:
    registry = registry_of(context)
    password, expires = registry.signer.password("123456789012", "us-east-1", 1000.0)
    registry.clock = lambda: expires - 1.0
    assert ask(context, "/v2/", auth=("AWS", password)).status_code == 200
    registry.clock = lambda: float(expires)
    answer = ask(context, "/v2/", auth=("AWS", password))
    assert answer.status_code == 403
    assert answer.json()["errors"] == [
        {
            "code": "DENIED",
            "message": "Your authorization token has expired. Reauthenticate and try again.",
        }
    ]


def test_an_expired_link(context: CloudContext) -> None:
    registry = registry_of(context)
    link = registry.signer.link("sha256:" + "0" * 64, 1000.0)
    registry.clock = lambda: 1000.0
    assert ask(context, link).status_code == 404
    registry.clock = lambda: 1000.0 + 3601
    assert ask(context, link).status_code == 403


def test_a_failure_of_the_lab_is_said_in_the_registry_s_json(
    context: CloudContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registry_of(context)
    password, _ = registry.signer.password("123456789012", "us-east-1")
    monkeypatch.setattr(registry, "tags", None)
    registry.save_repository("123456789012/us-east-1", {"name": "app"})
    answer = ask(context, "/v2/app/tags/list", auth=("AWS", password))
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["code"] == "UNKNOWN"
    assert "Traceback" not in answer.text
