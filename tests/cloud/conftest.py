"""Clouds for tests: a real one in a process of its own, and its services without HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from fargate_lab.cloud import process
from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.process import CloudInfo
from fargate_lab.cloud.protocol import DEFAULT_ACCOUNT, DEFAULT_REGION, Call, Caller
from fargate_lab.cloud.services import Service, make_service
from fargate_lab.cloud.store import Store
from fargate_lab.paths import cache_dir

ECR = "AmazonEC2ContainerRegistry_V20150921"
ECS = "AmazonEC2ContainerServiceV20141113"


@dataclass(frozen=True)
class LabCloud:
    """A running cloud and clients for it."""

    info: CloudInfo

    @property
    def url(self) -> str:
        """Its endpoint."""
        return self.info.url

    @property
    def registry(self) -> str:
        """Its registry's `host:port`."""
        return self.info.registry

    @property
    def state_dir(self) -> Path:
        """Its folder."""
        return Path(self.info.state_dir)

    def client(
        self, service: str, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION
    ) -> Any:
        """An unmodified boto3 client of one account and Region of this cloud."""
        session = boto3.session.Session(
            aws_access_key_id=account, aws_secret_access_key="lab", region_name=region
        )
        return session.client(
            service,
            endpoint_url=self.url,
            config=Config(retries={"max_attempts": 0}, max_pool_connections=32),
        )

    def environment(self) -> dict[str, str]:
        """The environment of a child process that shall use this cloud."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return {**own, **self.info.environment()}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCloud]:
    """A real cloud on a folder and a port of its own, shared by the tests of one module."""
    folder = tmp_path_factory.mktemp("cloud")
    info = process.start(folder, port=0, runtime="process")
    try:
        yield LabCloud(info)
    finally:
        process.stop(folder)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[CloudContext]:
    """A cloud's context on an empty folder; nothing listens."""
    store = Store(tmp_path / "state" / "cloud.sqlite")
    yield CloudContext(
        state_dir=tmp_path / "state",
        cache_dir=cache_dir(),
        store=store,
        port=4577,
        runtime="process",
        token="test",
    )
    store.close()


@dataclass
class Api:
    """The services of one context, called without HTTP as the server would call them."""

    context: CloudContext
    services: dict[str, Service] = field(default_factory=dict)

    def service(self, target: str) -> Service:
        """The service behind a target prefix, started once."""
        if target not in self.services:
            self.services[target] = make_service(target, self.context)
            self.services[target].startup()
        return self.services[target]

    def call(
        self,
        target: str,
        action: str,
        payload: dict[str, Any] | None = None,
        *,
        account: str = DEFAULT_ACCOUNT,
        region: str = DEFAULT_REGION,
    ) -> dict[str, Any]:
        """One answer; a refusal is raised as `AwsError`."""
        caller = Caller("lab", account, region)
        call = Call(action, payload or {}, caller, self.context.registry)
        return dict(self.service(target).actions[action](call))

    def ecr(self, action: str, **payload: Any) -> dict[str, Any]:
        """One answer of ECR to the default account."""
        return self.call(ECR, action, payload)

    def ecs(self, action: str, **payload: Any) -> dict[str, Any]:
        """One answer of ECS to the default account."""
        return self.call(ECS, action, payload)


@pytest.fixture
def api(context: CloudContext) -> Iterator[Api]:
    """The lab's services without HTTP."""
    made = Api(context)
    yield made
    for service in made.services.values():
        service.shutdown()
