"""Tasks that run, the same on both drivers."""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fargate_lab.cloud import process
from tests.cloud.conftest import LabCloud
from tests.cloud.ecs.taskrunner import Runner


@pytest.fixture(
    scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)]
)
def runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runner]:
    """A cloud with one driver, ready to run tasks."""
    folder = tmp_path_factory.mktemp(f"tasks-{request.param}")
    info = process.start(folder / "state", port=0, runtime=request.param)
    try:
        yield Runner.prepare(LabCloud(info), folder / "image")
    finally:
        process.stop(folder / "state")


def lab(runner: Runner, path: str) -> Any:
    """An answer of the lab's own addresses; None where there is none."""
    try:
        with urllib.request.urlopen(runner.cloud.url + path, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def address(runner: Runner, arn: str, port: int = 8080) -> str:
    """The URL of a task's port once something listens there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = lab(runner, f"/_lab/tasks/{arn.rsplit('/', 1)[-1]}/address?port={port}")
        if found:
            return str(found["url"])
        time.sleep(0.03)
    raise AssertionError(f"nothing listens: {runner.describe(arn)} {runner.lines(arn)}")


def fetch(url: str) -> Any:
    """A JSON document."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_two_tasks_serve_on_the_same_port_and_stop_on_request(runner: Runner) -> None:
    """Each has an address of its own, in its description and in EC2; SIGTERM is honoured."""
    definition = runner.register(
        "serve",
        runner.container(
            "main",
            "serve",
            environment=[{"name": "NAME", "value": "x"}],
            portMappings=[{"containerPort": 8080}],
        ),
    )
    arns = runner.run(definition, count=2, startedBy="me", tags=[{"key": "a", "value": "b"}])
    urls = {address(runner, arn) for arn in arns}
    assert len(urls) == 2
    assert all(fetch(url)["name"] == "x" for url in urls)
    task = runner.running(arns[0])
    details = {d["name"]: d["value"] for d in task["attachments"][0]["details"]}
    found = runner.cloud.client("ec2").describe_network_interfaces(
        NetworkInterfaceIds=[details["networkInterfaceId"]]
    )["NetworkInterfaces"][0]
    assert found["PrivateIpAddress"] == details["privateIPv4Address"]
    assert found["MacAddress"] == details["macAddress"]
    assert task["tags"] == [{"key": "a", "value": "b"}]
    assert task["version"] == 3
    assert task["createdAt"] <= task["pullStartedAt"] <= task["pullStoppedAt"] <= task["startedAt"]
    assert set(runner.ecs.list_tasks(startedBy="me")["taskArns"]) == set(arns)
    for arn in arns:
        runner.ecs.stop_task(task=arn, reason="enough")
    for arn in arns:
        task = runner.stopped(arn)
        assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
        assert task["containers"][0]["exitCode"] == 7
        assert task["version"] == 6
        assert runner.lines(arn) == ["ready", "bye"]
    for url in urls:
        with pytest.raises(urllib.error.URLError):
            fetch(url)


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_programs(runner: Runner, code: int) -> None:
    """A task ends with its essential container."""
    task = runner.stopped(runner.start("exit", "exit", str(code)))
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert task["containers"][0]["exitCode"] == code
    assert "startedAt" in task or code


@pytest.mark.parametrize("module", ["boto3", "docker", "numpy"])
def test_what_the_image_lacks_is_missing(runner: Runner, module: str) -> None:
    """Nothing of the lab's own environment is seen inside, though it has these."""
    arn = runner.start("lacks", "import", module)
    task = runner.stopped(arn)
    assert task["containers"][0]["exitCode"] == 1
    lines = runner.lines(arn)
    assert lines[-1] == f"ModuleNotFoundError: No module named '{module}'"
    assert lines[0] == "Traceback (most recent call last):"
    assert "/app/small.py" in lines[1] or "small.py" in lines[1]


def test_the_environment_is_the_tasks_alone(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the learner's credentials nor other variables of the cloud's process get in."""
    arn = runner.start("env", "serve", portMappings=[{"containerPort": 8080}])
    seen = fetch(address(runner, arn))["environment"]
    runner.ecs.stop_task(task=arn)
    assert "AWS_ACCESS_KEY_ID" not in seen
    assert seen["AWS_REGION"] == "us-east-1"
    strangers = {"LAB_CACHE_DIR", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "LAB_STATE_DIR", "PWD"}
    assert not strangers & set(seen)
    assert os.environ.get("HOME") != seen.get("HOME") or "process" not in str(runner.cloud.info)


def test_too_much_memory_ends_the_container(runner: Runner) -> None:
    """Exit code 137 and the agent's words."""
    definition = runner.register("grow", runner.container("main", "grow", memory=64))
    task = runner.stopped(runner.run(definition)[0])
    container = task["containers"][0]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert task["stoppedReason"] == "Essential container in task exited"


def test_an_image_that_does_not_exist(runner: Runner) -> None:
    """The task stops before it started, and says why."""
    missing = runner.container("main", image=f"{runner.repository}:none")
    task = runner.stopped(runner.run(runner.register("none", missing))[0])
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: pull image manifest has")
    assert task["stoppedReason"].endswith(": not found")
    assert "startedAt" not in task
    assert "exitCode" not in task["containers"][0]


def test_a_missing_log_group(runner: Runner) -> None:
    """AWS's text, before anything is pulled."""
    container = runner.container("main")
    container["logConfiguration"]["options"]["awslogs-group"] = "/no/such"
    task = runner.stopped(runner.run(runner.register("nogroup", container))[0])
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"] == (
        "ResourceInitializationError: failed to validate logger args: create stream has been "
        "retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The "
        "specified log group does not exist. : exit status 1"
    )


def test_a_program_that_does_not_exist(runner: Runner) -> None:
    """The container cannot start."""
    definition = runner.register("noprog", runner.container("main", entryPoint=["no-such-thing"]))
    task = runner.stopped(runner.run(definition)[0])
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotStartContainerError: ")
    assert "no-such-thing" in task["stoppedReason"]
    assert "executable file not found in $PATH" in task["stoppedReason"]


def test_lines_arrive_while_the_task_runs_and_deaf_ones_are_killed(runner: Runner) -> None:
    """Logs do not wait for the end; stopTimeout ends what does not hear SIGTERM."""
    ticking = runner.start("tick", "tick", stopTimeout=2)
    deaf = runner.start("deaf", "deaf", stopTimeout=2)
    runner.line(ticking, "tick 5")
    assert runner.describe(ticking)["lastStatus"] == "RUNNING"
    runner.line(deaf, "ready")
    asked = time.monotonic()
    runner.ecs.stop_task(task=deaf)
    task = runner.stopped(deaf)
    assert 1.9 < time.monotonic() - asked < 20
    assert task["containers"][0]["exitCode"] == 137
    assert "reason" not in task["containers"][0]
    # It has no handler for SIGTERM, and process 1 of a container does not die without one.
    runner.ecs.stop_task(task=ticking)
    assert runner.stopped(ticking)["containers"][0]["exitCode"] == 137


def test_containers_share_localhost_and_wait_for_health(runner: Runner) -> None:
    """A sidecar on 127.0.0.1 is seen by its neighbour, and by nobody else."""
    healthy = {"command": ["CMD", "python3", "/app/small.py", "get", "http://127.0.0.1:8080"]}
    definition = runner.register(
        "pair",
        runner.container("side", "serve-local", essential=False, healthCheck=healthy),
        runner.container(
            "main",
            "get",
            "http://localhost:8080/",
            dependsOn=[{"containerName": "side", "condition": "HEALTHY"}],
        ),
    )
    arn = runner.run(definition)[0]
    task = runner.stopped(arn)
    codes = {c["name"]: c["exitCode"] for c in task["containers"]}
    assert codes == {"side": 7, "main": 0}
    assert runner.lines(arn)[0].startswith("got {")
    alone = runner.start("local", "serve-local", portMappings=[{"containerPort": 8080}])
    runner.line(alone, "ready")
    assert lab(runner, f"/_lab/tasks/{alone.rsplit('/', 1)[-1]}/address?port=8080") is None
    runner.ecs.stop_task(task=alone)


def test_secrets_overrides_and_order(runner: Runner) -> None:
    """Values come from Secrets Manager and SSM; SUCCESS waits for the first container's end."""
    secret = runner.cloud.client("secretsmanager").create_secret(
        Name=f"s{time.time_ns()}", SecretString='{"password": "p1"}'
    )["ARN"]
    name = f"/p/{time.time_ns()}"
    runner.cloud.client("ssm").put_parameter(Name=name, Value="v1", Type="SecureString")
    definition = runner.register(
        "secrets",
        runner.container("first", "write", "x", essential=False, mountPoints=[VOLUME]),
        runner.container(
            "main",
            "print",
            "S",
            "P",
            "O",
            secrets=[
                {"name": "S", "valueFrom": f"{secret}:password::"},
                {"name": "P", "valueFrom": name},
            ],
            dependsOn=[{"containerName": "first", "condition": "SUCCESS"}],
            mountPoints=[VOLUME],
        ),
        volumes=[{"name": "shared"}],
    )
    override = {"name": "main", "environment": [{"name": "O", "value": "o1"}]}
    arn = runner.run(definition, overrides={"containerOverrides": [override]})[0]
    task = runner.stopped(arn)
    assert {c["name"]: c.get("exitCode") for c in task["containers"]} == {"first": 0, "main": 0}
    assert runner.lines(arn) == ["x", "S=p1", "P=v1", "O=o1"]


VOLUME = {"sourceVolume": "shared", "containerPath": "/shared"}


def test_a_secret_without_the_key(runner: Runner) -> None:
    """The task does not start, with AWS's words."""
    secret = runner.cloud.client("secretsmanager").create_secret(
        Name=f"s{time.time_ns()}", SecretString="{}"
    )["ARN"]
    definition = runner.register(
        "nokey",
        runner.container("main", secrets=[{"name": "S", "valueFrom": f"{secret}:creds_key::"}]),
    )
    task = runner.stopped(runner.run(definition)[0])
    assert task["stoppedReason"].startswith(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
        "retrieval failed: unable to retrieve secret from asm: "
    )
    assert task["stoppedReason"].endswith("did not contain json key creds_key")


def test_the_metadata_endpoint_answers_inside(runner: Runner) -> None:
    """A container learns its own name and its task's ARN."""
    arn = runner.start("metadata", "metadata")
    runner.stopped(arn)
    assert runner.lines(arn) == [arn, "main"]


def test_a_client_token_is_used_once(runner: Runner) -> None:
    """The same request again starts nothing; another one with the token is a conflict."""
    definition = runner.register("token", runner.container("main", "exit", "0"))
    first = runner.run(definition, clientToken="once")
    assert runner.run(definition, clientToken="once") == first
    with pytest.raises(ClientError) as caught:
        runner.run(definition, clientToken="once", count=2)
    assert caught.value.response["Error"]["Code"] == "ConflictException"


def test_answers_conform_to_the_api_model(runner: Runner) -> None:
    """Every member of every answer is in botocore's model, with its type."""
    arn = runner.start("conform", "exit", "0")
    runner.stopped(arn)
    network = {"awsvpcConfiguration": {"subnets": [runner.subnet]}}
    requests: dict[str, dict[str, Any]] = {
        "RunTask": {
            "taskDefinition": "conform",
            "launchType": "FARGATE",
            "networkConfiguration": network,
        },
        "DescribeTasks": {"tasks": [arn, "0" * 32], "include": ["TAGS"]},
        "ListTasks": {"desiredStatus": "STOPPED", "maxResults": 1},
        "StopTask": {"task": arn},
    }
    model = runner.ecs.meta.service_model
    for action, payload in requests.items():
        request = urllib.request.Request(
            runner.cloud.url,
            data=json.dumps(payload).encode(),
            headers={
                "x-amz-target": f"AmazonEC2ContainerServiceV20141113.{action}",
                "content-type": "application/x-amz-json-1.1",
                "authorization": "AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/ecs/"
                "aws4_request, SignedHeaders=host, Signature=0",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            document = json.load(answer)
        assert wrong(model.operation_model(action).output_shape, document, action) == []


def wrong(shape: Any, value: Any, where: str) -> list[str]:
    """Where a JSON value departs from a shape of botocore's."""
    kinds = {"string": str, "integer": int, "long": int, "boolean": bool, "timestamp": float}
    if shape.type_name == "structure":
        unknown = [f"{where}.{name} is unknown" for name in value if name not in shape.members]
        known = [name for name in value if name in shape.members]
        inner = [wrong(shape.members[n], value[n], f"{where}.{n}") for n in known]
        return unknown + [line for lines in inner for line in lines]
    if shape.type_name == "list":
        assert isinstance(value, list), where
        return [line for item in value for line in wrong(shape.member, item, where + "[]")]
    if shape.type_name == "map":
        return [] if isinstance(value, dict) else [f"{where} is no map"]
    kind = kinds[shape.type_name]
    fine = isinstance(value, (int, float) if kind is float else kind)
    enum = getattr(shape, "enum", None)
    return [] if fine and (not enum or value in enum) else [f"{where}: {value!r}"]


def test_unknown_tasks_are_missing(runner: Runner) -> None:
    """DescribeTasks names them; StopTask refuses."""
    answer = runner.ecs.describe_tasks(tasks=["0" * 32])
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]
    with pytest.raises(ClientError, match="The referenced task was not found"):
        runner.ecs.stop_task(task="0" * 32)


def test_twenty_tasks_at_once(runner: Runner) -> None:
    """All run, the waiters see it, and all stop."""
    definition = runner.register(
        "many", runner.container("main", "deaf", stopTimeout=2), cpu="256", memory="512"
    )
    arns = runner.run(definition, count=10) + runner.run(definition, count=10)
    for name in ("tasks_running", "tasks_stopped"):
        waiter = runner.ecs.get_waiter(name)
        waiter.config.delay, waiter.config.max_attempts = 0.2, 900
        waiter.wait(tasks=arns)
        if name == "tasks_running":
            for arn in arns:
                with contextlib.suppress(ClientError):
                    runner.ecs.stop_task(task=arn)
