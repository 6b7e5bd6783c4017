"""Chapter 5's checks: tasks that ran, and how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from fargate_lab.lesson import names
from fargate_lab.lesson.checks import Missing, exercise

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab

BLOCK = "bytearray(700"
"""What exercise 5.2's program allocates, as it stands in the command."""


def _tasks(desired: str) -> list[dict[str, Any]]:
    ecs = boto3.client("ecs")
    try:
        arns = ecs.list_tasks(cluster=names.CLUSTER, desiredStatus=desired)["taskArns"]
    except ClientError:
        raise Missing(
            f"the cluster {names.CLUSTER}: run the cell with create_cluster first",
            found="no such cluster",
        ) from None
    found: list[dict[str, Any]] = []
    for first in range(0, len(arns), 100):  # DescribeTasks takes at most 100
        some = arns[first : first + 100]
        found += ecs.describe_tasks(cluster=names.CLUSTER, tasks=some)["tasks"]
    return found


def _family(task: dict[str, Any]) -> str:
    return str(task["taskDefinitionArn"].split("/")[-1].split(":")[0])


def _once_commands() -> list[tuple[dict[str, Any], str]]:
    """Stopped tasks of inkdigits-once, newest first, with the code that each was given."""
    stopped = [t for t in _tasks("STOPPED") if _family(t) == "inkdigits-once"]
    stopped.sort(key=lambda t: t["createdAt"], reverse=True)
    return [
        (t, " ".join(c for o in t["overrides"]["containerOverrides"] for c in o.get("command", [])))
        for t in stopped
    ]


@exercise(
    "5.1",
    "two tasks at once",
    read="chapter 5, Run it",
    hints=(
        "RunTask can start several equal tasks in one call. Which parameter says how many?",
        "Take the chapter's run_task call, add count and startedBy, and wait for both ARNs.",
        'ecs.run_task(cluster="fargate-lab", launchType="FARGATE", taskDefinition="inkdigits", '
        'networkConfiguration=network, startedBy="exercise-5-1", count=2), then the waiter '
        "tasks_running with the ARNs of all returned tasks.",
    ),
)
def two_at_once(lab: Lab) -> str:
    """Two running tasks of inkdigits carry startedBy exercise-5-1."""
    active = _tasks("RUNNING")
    marked = [t for t in active if t.get("startedBy") == "exercise-5-1"]
    if not marked:
        ended = [t for t in _tasks("STOPPED") if t.get("startedBy") == "exercise-5-1"]
        if ended:
            raise Missing(
                "two tasks that still run; start them again and check before stopping them",
                found=f"{len(ended)} stopped: {ended[0].get('stoppedReason', 'no reason')}",
            )
        raise Missing(
            'tasks with startedBy="exercise-5-1"; the mark tells them from others',
            found=f"{len(active)} running without it",
        )
    others = sorted({_family(t) for t in marked} - {names.FAMILY})
    if others:
        raise Missing(f"tasks of the family {names.FAMILY}", found=f"tasks of {', '.join(others)}")
    running = [t for t in marked if t["lastStatus"] == "RUNNING"]
    if len(running) < 2:
        states = ", ".join(sorted(t["lastStatus"] for t in marked))
        if len(marked) >= 2:
            raise Missing("both RUNNING: wait for them with tasks_running", found=states)
        raise Missing("a second task: count=2", found=f"one task, {states}")
    return f"{len(running)} tasks run on port 8080, each behind a network interface of its own"


@exercise(
    "5.2",
    "memory by override",
    read="chapter 5, One-off tasks and exit codes",
    hints=(
        "RunTask's overrides can replace more than the command. What else would help here?",
        "overrides takes cpu and memory of the whole task, as strings; the pair must be valid.",
        'run_once("block = bytearray(700 * 2**20)", cpu="256", memory="1024")',
    ),
)
def memory_by_override(lab: Lab) -> str:
    """The program that allocates 700 MiB ended with 0, thanks to an override of the memory."""
    tries = [(t, c) for t, c in _once_commands() if BLOCK in c]
    overridden = [t for t, _ in tries if t["overrides"].get("memory")]
    ended_well = [t for t, _ in tries if t["containers"][0].get("exitCode") == 0]
    for task in overridden:
        if task["containers"][0].get("exitCode") == 0:
            return (
                f"exit code 0 with {task['memory']} MiB by override; the revision stayed as it was"
            )
    if not tries:
        others = len(_once_commands())
        raise Missing(
            f"a stopped task of inkdigits-once whose command has {BLOCK} * 2**20)",
            found=f"{others} stopped of inkdigits-once, none with it",
        )
    if ended_well:
        raise Missing(
            "the memory as an override of RunTask; the task definition was to stay as it is",
            found="the program ended with 0, on a revision with more memory",
        )
    if overridden:
        last = overridden[0]
        raise Missing(
            "enough memory for 700 MiB and the interpreter",
            found=f"override memory={last['memory']}, {_ending(last)}",
        )
    raise Missing("an override of the task's memory", found=_ending(tries[0][0]))


@exercise(
    "5.3",
    "an exit code of your own",
    read="chapter 5, One-off tasks and exit codes",
    hints=(
        "How does a Python program choose its exit code?",
        "sys.exit(n) ends the program with exit code n; sys must be imported in the command.",
        'run_once("import sys; sys.exit(3)")',
    ),
)
def own_exit_code(lab: Lab) -> str:
    """Some task of inkdigits-once ended with exit code 3."""
    endings = [t["containers"][0].get("exitCode") for t, _ in _once_commands()]
    if 3 in endings:
        return "EssentialContainerExited with exit code 3"
    if not endings:
        raise Missing(
            "a stopped task of inkdigits-once; run_once waits until it has stopped",
            found="none stopped",
        )
    if endings[0] == 1:
        raise Missing(
            "exit code 3; 1 is what Python gives when an exception ends it (was sys imported?)",
            found="the last one ended with 1",
        )
    raise Missing("exit code 3", found=f"the last one ended with {endings[0]}")


def _ending(task: dict[str, Any]) -> str:
    container = task["containers"][0]
    return f"exit code {container.get('exitCode')}, {container.get('reason', 'no reason given')}"
