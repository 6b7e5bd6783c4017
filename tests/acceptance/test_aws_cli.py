"""The story of the lessons with unmodified command-line tools: aws and docker."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fargate_lab import image
from fargate_lab.cloud import process
from tests.cloud.conftest import LabCloud
from tests.cloud.ecs.taskrunner import small_image

GROUP = "/ecs/story"


def aws(cloud: LabCloud, *arguments: str) -> Any:
    """What the AWS CLI answers, as JSON where it is."""
    program = Path(sys.executable).parent / "aws"
    found = shutil.which("aws") if not program.exists() else str(program)
    assert found, "the AWS CLI is part of the development environment"
    done = subprocess.run(
        [sys.executable, found, *arguments],
        env={**cloud.environment(), "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LabCloud]:
    """A cloud of its own with each driver."""
    info = process.start(tmp_path / "state", port=0, runtime=request.param)
    yield LabCloud(info)
    process.stop(tmp_path / "state")


def push(cloud: LabCloud, built: image.Image, reference: str) -> None:
    """`docker login` and `docker push` with the docker driver, the lab's own push without."""
    password = aws(cloud, "ecr", "get-login-password").strip()
    if cloud.info.runtime != "docker":
        image.push(built, reference, username="AWS", password=password)
        return
    config = built.layout.parent / "docker-config"
    docker = ["docker", "--config", str(config)]
    login = [*docker, "login", "--username", "AWS", "--password-stdin", cloud.registry]
    subprocess.run(login, input=password, text=True, capture_output=True, check=True)
    archive = built.layout.parent / "image.tar"
    with archive.open("wb") as out:
        image.to_docker_archive(built, out, tag=reference)
    subprocess.run(["docker", "load", "-i", str(archive)], capture_output=True, check=True)
    try:
        subprocess.run([*docker, "push", reference], capture_output=True, check=True)
    finally:
        subprocess.run(["docker", "rmi", reference], capture_output=True, check=False)


def definition(reference: str) -> dict[str, Any]:
    """A task definition as a learner writes it into a file."""
    options = {"awslogs-group": GROUP, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "s"}
    return {
        "family": "story",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "512",
        "memory": "1024",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "containerDefinitions": [
            {
                "name": "web",
                "image": reference,
                "portMappings": [{"containerPort": 8080}],
                "environment": [{"name": "NAME", "value": "story"}],
                "logConfiguration": {"logDriver": "awslogs", "options": options},
            }
        ],
    }


def wait_until_found(url: str) -> None:
    """Until an address of the lab has something."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except urllib.error.HTTPError:
            assert time.monotonic() < deadline, url
            time.sleep(0.05)


def test_the_story(cloud: LabCloud, tmp_path: Path) -> None:
    """Repository, login, push, register, run, wait, call, read its log, stop, wait."""
    created = aws(cloud, "ecr", "create-repository", "--repository-name", "story")
    reference = created["repository"]["repositoryUri"] + ":v1"
    push(cloud, small_image(tmp_path / "image"), reference)
    aws(cloud, "logs", "create-log-group", "--log-group-name", GROUP)
    aws(cloud, "ecs", "create-cluster", "--cluster-name", "story")
    (tmp_path / "task.json").write_text(json.dumps(definition(reference)))
    aws(
        cloud, "ecs", "register-task-definition", "--cli-input-json", f"file://{tmp_path}/task.json"
    )
    subnet = aws(cloud, "ec2", "describe-subnets")["Subnets"][0]["SubnetId"]
    started = aws(
        cloud,
        *("ecs", "run-task", "--cluster", "story", "--task-definition", "story"),
        *("--launch-type", "FARGATE", "--network-configuration"),
        f"awsvpcConfiguration={{subnets=[{subnet}],assignPublicIp=ENABLED}}",
    )
    arn = started["tasks"][0]["taskArn"]
    assert started["tasks"][0]["lastStatus"] == "PROVISIONING"
    named = ("--cluster", "story", "--tasks", arn)
    aws(cloud, "ecs", "wait", "tasks-running", *named)
    address = f"/_lab/tasks/{arn.rsplit('/', 1)[-1]}/address?port=8080"
    wait_until_found(cloud.url + address)
    task = aws(cloud, "ecs", "describe-tasks", *named)["tasks"][0]
    details = {d["name"]: d["value"] for d in task["attachments"][0]["details"]}
    interface = aws(
        cloud,
        *("ec2", "describe-network-interfaces", "--network-interface-ids"),
        details["networkInterfaceId"],
    )["NetworkInterfaces"][0]
    # What `aws logs tail` of the CLI's version 2 asks for; version 1 has no such command.
    events = aws(cloud, "logs", "filter-log-events", "--log-group-name", GROUP)["events"]
    assert [event["message"] for event in events] == ["ready"]
    with urllib.request.urlopen(
        f"http://{interface['Association']['PublicIp']}:8080", timeout=10
    ) as answer:
        assert json.load(answer)["name"] == "story"
    aws(cloud, "ecs", "stop-task", "--cluster", "story", "--task", arn, "--reason", "done")
    aws(cloud, "ecs", "wait", "tasks-stopped", *named)
    task = aws(cloud, "ecs", "describe-tasks", *named)["tasks"][0]
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "done")
    assert task["containers"][0]["exitCode"] == 7
