"""What is left of tasks when the cloud goes: nothing that runs, and honest descriptions."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil
import pytest

from fargate_lab.cloud import process
from fargate_lab.runtime.choose import owner_of
from tests.cloud.conftest import LabCloud
from tests.cloud.ecs.taskrunner import Runner

BOTH = pytest.mark.parametrize(
    "runtime", ["process", pytest.param("docker", marks=pytest.mark.docker)]
)


def strays(state: Path, runtime: str) -> list[str]:
    """Processes, containers and networks that belong to a state folder's tasks."""
    found = [
        f"process {running.pid}"
        for running in psutil.process_iter(["cmdline"])
        if any(str(state / "tasks") in part for part in running.info["cmdline"] or ())
    ]
    if runtime == "docker":
        owner = f"label=fargate-lab.owner={owner_of(state)}"
        for command in (["ps", "-aq"], ["network", "ls", "-q"]):
            listed = subprocess.run(
                ["docker", *command, "--filter", owner], capture_output=True, text=True, check=True
            )
            found += listed.stdout.split()
    return found


@BOTH
def test_a_killed_cloud_leaves_nothing_after_the_next_start(tmp_path: Path, runtime: str) -> None:
    """kill -9 with tasks running: the next start ends them and says that it did."""
    state = tmp_path / "state"
    info = process.start(state, port=0, runtime=runtime)
    try:
        runner = Runner.prepare(LabCloud(info), tmp_path / "image")
        arns = [runner.start("deaf", "deaf"), runner.start("serve", "serve")]
        for arn in arns:
            runner.running(arn)
        assert strays(state, runtime)
        psutil.Process(info.pid).kill()
        deadline = time.monotonic() + 10
        while psutil.pid_exists(info.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        again = process.start(state, port=0, runtime=runtime)
        runner = Runner(LabCloud(again), runner.repository, runner.subnet)
        for arn in arns:
            task = runner.describe(arn)
            assert (task["lastStatus"], task["desiredStatus"]) == ("STOPPED", "STOPPED")
            assert "cloud was ended" in task["stoppedReason"]
            assert task["containers"][0]["exitCode"] == 137
        assert strays(state, runtime) == []
        assert not (state / "tasks").exists() or not list((state / "tasks").iterdir())
    finally:
        process.stop(state)


@BOTH
def test_a_stopped_cloud_leaves_nothing(tmp_path: Path, runtime: str) -> None:
    """A clean stop ends every task within a bounded time, deaf ones too."""
    state = tmp_path / "state"
    info = process.start(state, port=0, runtime=runtime)
    try:
        runner = Runner.prepare(LabCloud(info), tmp_path / "image")
        chain = runner.register(
            "chain",
            *(
                runner.container(
                    f"deaf-{n}",
                    "deaf",
                    stopTimeout=60,
                    dependsOn=[{"containerName": f"deaf-{n - 1}", "condition": "START"}]
                    if n
                    else [],
                )
                for n in range(3)
            ),
        )
        # The containers of the last one stop one after the other.
        arns = [runner.start("deaf", "deaf"), runner.start("serve", "serve"), *runner.run(chain)]
        for arn in arns:
            runner.running(arn)
    finally:
        began = time.monotonic()
        assert process.stop(state)
    assert time.monotonic() - began < process.STOP_SECONDS
    assert strays(state, runtime) == []
    again = process.start(state, port=0, runtime=runtime)
    try:
        for arn in LabCloud(again).client("ecs").list_tasks(desiredStatus="STOPPED")["taskArns"]:
            task = Runner(LabCloud(again), "", "").describe(arn)
            assert task["stoppedReason"] == "The lab cloud was stopped."
            assert task["containers"][0]["exitCode"] in (7, 137)
    finally:
        process.stop(state)
