"""Chapter 5's checks, on tasks that really run: right answers and likely wrong ones."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from fargate_lab.lesson import names, prepare
from fargate_lab.lesson.session import Lab

ALLOCATE = "block = bytearray(700 * 2**20)"
QUICK = {"Delay": 1, "MaxAttempts": 90}


@pytest.fixture
def ready(lab: Lab) -> Lab:
    """An account as chapter 5 finds it, with the cluster and the one-off definition."""
    prepare.earlier(Lab(6, lab.backend))
    once = prepare.definition(lab) | {"family": "inkdigits-once"}
    container = once["containerDefinitions"][0] | {"name": "once", "entryPoint": ["python3", "-c"]}
    once["containerDefinitions"] = [
        {k: v for k, v in container.items() if k not in ("healthCheck", "portMappings")}
    ]
    boto3.client("ecs").register_task_definition(**once)
    return lab


def network() -> dict[str, Any]:
    subnets = boto3.client("ec2").describe_subnets()["Subnets"]
    return {
        "awsvpcConfiguration": {"subnets": [subnets[0]["SubnetId"]], "assignPublicIp": "ENABLED"}
    }


def run(family: str, waiter: str, **more: Any) -> list[str]:
    """Run tasks and wait; their ARNs."""
    ecs = boto3.client("ecs")
    tasks = ecs.run_task(
        cluster=names.CLUSTER,
        launchType="FARGATE",
        taskDefinition=family,
        networkConfiguration=network(),
        **more,
    )["tasks"]
    arns = [t["taskArn"] for t in tasks]
    ecs.get_waiter(waiter).wait(cluster=names.CLUSTER, tasks=arns, WaiterConfig=QUICK)
    return arns


def once(code: str, family: str = "inkdigits-once", **overrides: Any) -> None:
    run(
        family,
        "tasks_stopped",
        overrides={"containerOverrides": [{"name": "once", "command": [code]}], **overrides},
    )


def missing(lab: Lab, number: str) -> str:
    verdict = lab.check(number)
    assert not verdict.passed
    return f"{verdict.missing} | {verdict.found}"


def test_without_a_cluster(lab: Lab) -> None:
    assert "the cluster fargate-lab" in missing(lab, "5.1")


def test_two_tasks(ready: Lab) -> None:
    assert "the mark tells them from others" in missing(ready, "5.1")
    run("inkdigits", "tasks_running")
    assert "the mark tells them from others" in missing(ready, "5.1")
    arns = run("inkdigits", "tasks_running", startedBy="exercise-5-1")
    assert "a second task: count=2" in missing(ready, "5.1")
    arns += run("inkdigits", "tasks_running", startedBy="exercise-5-1")
    assert ready.check("5.1").passed
    ecs = boto3.client("ecs")
    for arn in arns:
        ecs.stop_task(cluster=names.CLUSTER, task=arn)
    ecs.get_waiter("tasks_stopped").wait(cluster=names.CLUSTER, tasks=arns, WaiterConfig=QUICK)
    assert "two tasks that still run" in missing(ready, "5.1")


def test_two_tasks_of_another_family(ready: Lab) -> None:
    waiting = {"containerOverrides": [{"name": "once", "command": ["import time; time.sleep(60)"]}]}
    run("inkdigits-once", "tasks_running", startedBy="exercise-5-1", overrides=waiting, count=2)
    assert "tasks of the family inkdigits | tasks of inkdigits-once" in missing(ready, "5.1")


def test_memory_by_override(ready: Lab) -> None:
    assert "a stopped task of inkdigits-once" in missing(ready, "5.2")
    once("print('something else')", memory="1024")
    assert "a stopped task of inkdigits-once" in missing(ready, "5.2")
    once(ALLOCATE)
    assert "an override of the task's memory" in missing(ready, "5.2")
    assert "137" in missing(ready, "5.2")
    once(ALLOCATE, cpu="256", memory="1024")
    assert ready.check("5.2").passed


def test_memory_by_a_new_revision(ready: Lab) -> None:
    ecs = boto3.client("ecs")
    old = ecs.describe_task_definition(taskDefinition="inkdigits-once")["taskDefinition"]
    keep = ("family", "requiresCompatibilities", "networkMode", "cpu", "executionRoleArn",
            "containerDefinitions", "runtimePlatform")  # fmt: skip
    ecs.register_task_definition(**{k: old[k] for k in keep}, memory="1024")
    once(ALLOCATE)
    assert "the task definition was to stay as it is" in missing(ready, "5.2")


def test_exit_code(ready: Lab) -> None:
    assert "run_once waits until it has stopped" in missing(ready, "5.3")
    once("print(3)")
    assert "the last one ended with 0" in missing(ready, "5.3")
    once("sys.exit(3)")
    assert "was sys imported?" in missing(ready, "5.3")
    once("import sys; sys.exit(3)")
    assert ready.check("5.3").passed
