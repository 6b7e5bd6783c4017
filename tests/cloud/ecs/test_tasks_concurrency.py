"""Threads that meet: requests, agents and the log shipper."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fargate_lab.cloud import bridge
from fargate_lab.cloud.ecs import containerspec
from fargate_lab.cloud.ecs.logs import LogStream
from fargate_lab.cloud.ecs.service import EcsService
from fargate_lab.cloud.ecs.tasks import Tasks
from tests.cloud.conftest import ECS, Api
from tests.cloud.ecs.requests import definition

TOKEN = "again"


@pytest.fixture
def tasks(api: Api, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    """The tasks of a cloud whose agents do nothing."""
    monkeypatch.setattr(Tasks, "_start_agent", lambda self, record, plan: None)
    api.ecs("CreateCluster", clusterName="default")
    api.ecs("RegisterTaskDefinition", **definition())
    service = api.service(ECS)
    assert isinstance(service, EcsService)
    return service.tasks


def run(api: Api, **members: Any) -> dict[str, Any]:
    """RunTask on Fargate."""
    subnet = next(iter(bridge.backend("ec2", "123456789012", "us-east-1").describe_subnets())).id
    return api.ecs(
        "RunTask",
        taskDefinition="web",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
        **members,
    )


def test_a_repeated_run_task_does_not_block_the_agent(api: Api, tasks: Tasks) -> None:
    """The same clientToken again while the task changes: both get on."""
    arn = run(api, clientToken=TOKEN)["tasks"][0]["taskArn"]
    record = tasks.records.find(arn.rsplit("/", 1)[-1])
    assert record is not None
    answers: list[dict[str, Any]] = []
    changed = threading.Event()

    def agent() -> None:
        with record.lock:
            request.start()
            # Until the request waits for this record, or has long been through.
            request.join(0.5)
            record.change(lastStatus="PENDING")
        changed.set()

    request = threading.Thread(
        target=lambda: answers.append(run(api, clientToken=TOKEN)), daemon=True
    )
    threading.Thread(target=agent, daemon=True).start()
    assert changed.wait(10), "the agent waits for the request and the request for the agent"
    request.join(10)
    assert [t["taskArn"] for t in answers[0]["tasks"]] == [arn]


def test_run_task_at_once_with_one_token_is_one_task(
    api: Api, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repetition that arrives before the first answer names the same task."""
    add = tasks.records.add
    begun = threading.Event()

    def slow(record: Any) -> None:
        if not begun.is_set():
            begun.set()
            second.start()
            # Until the repetition waits for this one, or has been answered.
            second.join(0.5)
        add(record)

    answers: list[Any] = []
    second = threading.Thread(
        target=lambda: answers.append(run(api, clientToken=TOKEN)), daemon=True
    )
    monkeypatch.setattr(tasks.records, "add", slow)
    first = threading.Thread(
        target=lambda: answers.append(run(api, clientToken=TOKEN)), daemon=True
    )
    first.start()
    assert begun.wait(10)
    first.join(10)
    second.join(10)
    arns = [[t["taskArn"] for t in answer["tasks"]] for answer in answers]
    assert len(arns) == 2
    assert arns[0] == arns[1]
    assert len(arns[0]) == 1


def test_a_task_that_is_found_can_be_stopped(
    api: Api, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no moment at which a task is known and nobody would hear StopTask."""
    order: list[str] = []
    add = tasks.records.add
    monkeypatch.setattr(tasks, "_start_agent", lambda record, plan: order.append(record.id))
    monkeypatch.setattr(
        tasks.records, "add", lambda record: (add(record), order.append(f"known {record.id}"))
    )
    ids = [t["taskArn"].rsplit("/", 1)[-1] for t in run(api, count=2)["tasks"]]
    assert order == [name for i in ids for name in (i, f"known {i}")]


def test_a_page_may_end_with_a_task_that_stops(api: Api, tasks: Tasks) -> None:
    """The next page of ListTasks goes on after it."""
    arns = [t["taskArn"] for t in run(api, count=3)["tasks"]]
    first = api.ecs("ListTasks", maxResults=1)
    assert first["taskArns"] == arns[:1]
    record = tasks.records.find(arns[0].rsplit("/", 1)[-1])
    assert record is not None
    record.change(desiredStatus="STOPPED")
    rest = api.ecs("ListTasks", nextToken=first["nextToken"])
    assert rest["taskArns"] == arns[1:]


def test_the_last_flush_waits_for_lines_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who flushes finds all lines sent, also those that another thread took to send."""
    sent: list[str] = []
    sending, go_on = threading.Event(), threading.Event()

    class Logs:
        """The logs service, with a connection that hangs."""

        def put_log_events(self, group: str, name: str, events: list[dict[str, Any]]) -> None:
            sent.extend(event["message"] for event in events)

    def backend(*_: str) -> Logs:
        if not sending.is_set():
            sending.set()
            go_on.wait(10)
        return Logs()

    monkeypatch.setattr(bridge, "backend", backend)
    stream = LogStream("1", "r", "g", "s")
    stream.add(b"one", time.time())
    shipper = threading.Thread(target=stream.flush, daemon=True)
    shipper.start()
    assert sending.wait(10)
    last = threading.Thread(target=stream.flush, daemon=True)
    last.start()
    last.join(0.2)
    assert last.is_alive(), "flush returned while a line was still on its way"
    go_on.set()
    shipper.join(10)
    last.join(10)
    assert sent == ["one"]


def test_a_volumes_name_is_no_path(tmp_path: Path) -> None:
    """Whatever a volume is called, its folder lies in the task's own, and apart from others."""
    task = tmp_path / "task"
    made = [
        containerspec._mount(task, {"sourceVolume": name, "containerPath": "/v"}).source
        for name in ("../../../out", "/etc", "..", "a")
    ]
    assert all(folder.is_dir() for folder in made)
    assert {folder.resolve().parent for folder in made} == {(task / "volumes").resolve()}
    assert len(set(made)) == len(made)
