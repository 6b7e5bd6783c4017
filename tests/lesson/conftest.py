"""A chapter's session for check tests: one cloud for all, an empty account for each test."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from fargate_lab.cloud import process
from fargate_lab.cloud.process import CloudInfo
from fargate_lab.cloud.protocol import DEFAULT_REGION
from fargate_lab.lesson import checks
from fargate_lab.lesson.backend import Backend
from fargate_lab.lesson.session import Lab

_accounts = itertools.count(200_000_000_000 + os.getpid() * 1000)


@pytest.fixture(scope="session")
def lesson_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    """One real cloud for a whole test run (of each worker), with the process driver."""
    folder = tmp_path_factory.mktemp("lesson-cloud")
    info = process.start(folder, port=0, runtime="process")
    try:
        yield info
    finally:
        process.stop(folder)


@pytest.fixture
def lab(
    lesson_cloud: CloudInfo, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Lab]:
    """A session of the chapter that the test file is named after, in an account of its own.

    An account that nobody has used before is a reset that costs nothing: plain `boto3.client(…)`
    calls in the test and in the check reach it. Account ids differ: compare with `lab.account`.
    `fargate_lab.lesson.prepare` makes what earlier chapters leave.
    """
    account = str(next(_accounts))
    for name, value in {**lesson_cloud.environment(), "AWS_ACCESS_KEY_ID": account}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setattr(checks, "_shown", {})
    number = re.search(r"chapter(\d\d)", request.path.name)
    backend = Backend("local", account, DEFAULT_REGION, lesson_cloud.runtime, lesson_cloud.url,
                      lesson_cloud.registry)  # fmt: skip
    yield Lab(int(number[1]) if number else 0, backend)
    _stop_tasks()


def _stop_tasks() -> None:
    # Not waited for: the cloud stops what is left when it goes.
    ecs = boto3.client("ecs")
    try:
        for cluster in ecs.list_clusters()["clusterArns"]:
            for task in ecs.list_tasks(cluster=cluster)["taskArns"]:
                ecs.stop_task(cluster=cluster, task=task)
    except (ClientError, BotoCoreError):
        return
