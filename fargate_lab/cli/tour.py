"""`lab.py tour`: chapters 02 to 05 in the terminal, on a cloud of its own, ending with a digit."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from fargate_lab import paths
from fargate_lab.cli.cloud import need_engine
from fargate_lab.cli.console import CommandError, answer, say
from fargate_lab.cli.fetching import prefetch
from fargate_lab.cli.trace import Trace
from fargate_lab.cloud import process
from fargate_lab.image import ImageError, build, push
from fargate_lab.lesson import backend, names, prepare
from fargate_lab.lesson.errors import LabError
from fargate_lab.lesson.pad import samples
from fargate_lab.lesson.session import Lab

DIGITS = ("7", "2", "4")
ONCE_A_MOMENT = {"Delay": 0.2, "MaxAttempts": 300}
"""The waiters look five times a second, for a minute: the lab runs at machine speed."""


def tour(options: argparse.Namespace) -> int:
    """Run the story; the exit code is 0 only when every digit was read rightly."""
    runtime = options.runtime or os.environ.get("LAB_RUNTIME") or "auto"
    need_engine(runtime)
    prefetch()
    begun = time.monotonic()
    try:
        with own_cloud(runtime) as lab:
            trace = Trace()
            trace.listen(boto3.DEFAULT_SESSION)
            wrong = _story(lab, trace)
    except (ImageError, LabError, ClientError, BotoCoreError, process.CloudError) as error:
        raise CommandError(f"The tour ended early: {error}") from error
    answer(f"\n{trace.calls} AWS calls, {time.monotonic() - begun:.1f} s in all; nothing is left.")
    if wrong:
        say(f"These drawings were read as another digit: {', '.join(wrong)}.")
        return 1
    answer("Now with your own hands: python3 lab.py")
    return 0


@contextlib.contextmanager
def own_cloud(runtime: str) -> Iterator[Lab]:
    """A cloud in a temporary folder, so that the learner's own is not disturbed; gone after."""
    cache = str(paths.cache_dir())
    folder = Path(tempfile.mkdtemp(prefix="lab-tour-"))
    os.environ.pop("LAB_BACKEND", None)
    os.environ |= {"LAB_STATE_DIR": str(folder), "LAB_CACHE_DIR": cache}
    try:
        chosen = backend.choose(runtime)
        answer(f"A lab cloud of its own: {chosen.url} (runtime {chosen.runtime})")
        boto3.setup_default_session()
        yield Lab(5, chosen)
    finally:
        process.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _story(lab: Lab, trace: Trace) -> list[str]:
    """The six steps; the digits that were not read rightly."""
    with _step("Build the image (chapter 02)", trace):
        image = build(paths.repo_root() / "lab_docker", name=names.IMAGE)
        for layer in image.layers:
            answer(f"      {layer.name:<40}{layer.size / 1e6:6.1f} MB")
    with _step("Push it to ECR (chapter 03)", trace):
        _push(lab, image, trace)
    with _step("Describe the task (chapter 04)", trace):
        prepare.roles(lab)
        prepare.log_group(lab)
        boto3.client("ecs").register_task_definition(**prepare.definition(lab))
    with _step("Run it on Fargate (chapter 05)", trace):
        task = _run(lab)
    with _step("Have digits read", trace):
        wrong = [digit for digit in DIGITS if not _reads(lab.url(task), digit)]
        _show_log(task)
    with _step("Stop it", trace):
        _stop(task)
    return wrong


@contextlib.contextmanager
def _step(title: str, trace: Trace) -> Iterator[None]:
    answer(f"\n{title}")
    begun = time.monotonic()
    yield
    trace.flush()
    answer(f"      {'':<40}{time.monotonic() - begun:6.2f} s")


def _push(lab: Lab, image: Any, trace: Trace) -> None:
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName=names.REPOSITORY, imageTagMutability="IMMUTABLE")
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    trace.flush()
    user, _, password = base64.b64decode(token).decode().partition(":")
    reference = f"{lab.registry}/{names.REPOSITORY}:{names.TAG}"
    report = push(image, reference, username=user, password=password)
    answer(f"      {len(report.layers)} layers pushed to {reference}")
    answer(f"      as {report.digest[:19]}…, {report.sent_bytes / 1e6:.1f} MB sent")


def _run(lab: Lab) -> dict[str, Any]:
    ecs = boto3.client("ecs")
    ecs.create_cluster(clusterName=names.CLUSTER)
    made = ecs.run_task(
        cluster=names.CLUSTER,
        launchType="FARGATE",
        taskDefinition=names.FAMILY,
        networkConfiguration=prepare.network(lab),
    )
    arn = made["tasks"][0]["taskArn"]
    waiter = ecs.get_waiter("tasks_running")
    try:
        waiter.wait(cluster=names.CLUSTER, tasks=[arn], WaiterConfig=ONCE_A_MOMENT)
    except WaiterError as error:
        task = ecs.describe_tasks(cluster=names.CLUSTER, tasks=[arn])["tasks"][0]
        raise CommandError(_why(task)) from error
    return dict(ecs.describe_tasks(cluster=names.CLUSTER, tasks=[arn])["tasks"][0])


def _why(task: Any) -> str:
    """What ECS says of a task that does not run."""
    said = [task["lastStatus"], task.get("stopCode"), task.get("stoppedReason")]
    reasons = [c.get("reason") for c in task["containers"]]
    text = "; ".join(str(word) for word in [*said, *reasons] if word)
    return f"The task did not come to run: {text}\nWhat to do: python3 lab.py doctor"


def _reads(url: str, digit: str) -> bool:
    """Whether the running container reads a stored drawing of a digit as that digit."""
    strokes = samples()[digit][0]
    for line in picture(strokes):
        answer(f"      {line}")
    body = json.dumps({"strokes": strokes}).encode()
    request = urllib.request.Request(
        f"{url}/predict", data=body, headers={"Content-Type": "application/json"}
    )
    opener = process.local_opener()
    begun = time.monotonic()
    try:
        with opener.open(request, timeout=20) as reply:
            best = json.load(reply)["predictions"][0]
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        raise CommandError(f"The task did not answer at {url}/predict: {error}") from error
    took = (time.monotonic() - begun) * 1000
    answer(f"      Your container reads: {best['digit']} ({best['confidence']:.0%}, {took:.0f} ms)")
    return str(best["digit"]) == digit


def picture(strokes: list[list[list[float]]], width: int = 16, height: int = 8) -> list[str]:
    """A drawing as lines of text, filled along its strokes."""
    points = [point for stroke in strokes for point in stroke]
    left, top = min(x for x, _ in points), min(y for _, y in points)
    size = max(max(x for x, _ in points) - left, max(y for _, y in points) - top) or 1
    rows = [[" "] * width for _ in range(height)]
    for stroke in strokes:
        for (x0, y0), (x1, y1) in zip(stroke, stroke[1:] or stroke, strict=False):
            for i in range(33):
                x, y = x0 + (x1 - x0) * i / 32, y0 + (y1 - y0) * i / 32
                column, row = (x - left) / size * (width - 1), (y - top) / size * (height - 1)
                rows[round(row)][round(column)] = "#"
    return ["".join(row).rstrip() for row in rows]


def _show_log(task: dict[str, Any]) -> None:
    stream = f"web/{names.IMAGE}/{task['taskArn'].rsplit('/', 1)[-1]}"
    events = boto3.client("logs").get_log_events(
        logGroupName=names.LOG_GROUP, logStreamName=stream, startFromHead=True
    )["events"]
    for event in events[-1:]:
        answer(f"      its log: {event['message'][:90]}")


def _stop(task: dict[str, Any]) -> None:
    ecs = boto3.client("ecs")
    arn = task["taskArn"]
    ecs.stop_task(cluster=names.CLUSTER, task=arn, reason="end of the tour")
    ecs.get_waiter("tasks_stopped").wait(
        cluster=names.CLUSTER,
        tasks=[arn],
        WaiterConfig=ONCE_A_MOMENT,
    )
    stopped = ecs.describe_tasks(cluster=names.CLUSTER, tasks=[arn])["tasks"][0]
    code = stopped["containers"][0].get("exitCode")
    answer(f"      {stopped['stoppedReason']} (exit code {code})")
