"""The `lab` object of a notebook: sets up, checks, hints, draws, cleans; AWS calls stay boto3's."""

from __future__ import annotations

import textwrap
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    ParamValidationError,
    WaiterError,
)

from fargate_lab.image.errors import RegistryError
from fargate_lab.lesson import backend, checks, prepare
from fargate_lab.lesson.backend import ask
from fargate_lab.lesson.errors import LabError, plain

if TYPE_CHECKING:
    from fargate_lab.lesson.diagram import Diagram
    from fargate_lab.lesson.machine import Machine
    from fargate_lab.lesson.pad import DrawingPad

_REFUSALS = (ClientError, ParamValidationError, WaiterError, RegistryError)

LISTEN_SECONDS = 15.0
"""How long `Lab.url` waits for a port of a running task."""


@dataclass(frozen=True)
class Lab:
    """One chapter's session. Everything it does beyond AWS calls is named by its methods."""

    chapter: int
    backend: backend.Backend

    @property
    def account(self) -> str:
        """The twelve-digit account id."""
        return self.backend.account

    @property
    def region(self) -> str:
        """The Region the chapter's calls go to."""
        return self.backend.region

    @property
    def registry(self) -> str:
        """Host (and port) of the account's ECR registry."""
        assert self.backend.registry is not None
        return self.backend.registry

    def check(self, exercise: str) -> checks.Verdict:
        """Look at the cloud and say whether an exercise (`"3.2"`) is done, and what is missing."""
        return checks.run(self, exercise)

    def hint(self, exercise: str) -> None:
        """Show the next hint of an exercise; three steps, the last one nearly the answer."""
        checks.hint(exercise)

    def diagram(self, flow: str = "deployment") -> Diagram:
        """A road, filled in as far as the account has come.

        flow: `deployment` (image to running task) or `resources` (dependencies to auto scaling).
        """
        from fargate_lab.lesson.diagram import draw

        with _reached():
            return draw(flow)

    def machine(self) -> Machine:
        """What carries the lessons here, and what of Fargate it does not do."""
        from fargate_lab.lesson.machine import describe

        return describe(self)

    def pad(self, sample: str = "7") -> DrawingPad:
        """A field to draw a digit in; holds stored strokes of the sample digit until you draw."""
        from fargate_lab.lesson.pad import make_pad

        return make_pad(sample)

    def url(self, task: dict[str, Any], port: int = 8080) -> str:
        """The address at which a running task's port answers, from DescribeTasks' description.

        In the lab that is an address of this machine; on AWS the public address of the task's
        network interface. RUNNING means that the container was started, so this waits until
        something listens at the port. Raises LabError when the task does not run, or when nothing
        listens within `LISTEN_SECONDS`.
        """
        if not isinstance(task, dict) or not {"lastStatus", "taskArn"} <= set(task):
            raise LabError(
                "lab.url takes a task as DescribeTasks describes it: "
                'ecs.describe_tasks(cluster=…, tasks=[arn])["tasks"][0].'
            )
        if task["lastStatus"] != "RUNNING":
            raise LabError(f"The task is {task['lastStatus']}; it has an address while RUNNING.")
        if self.backend.name == "aws":
            return f"http://{_public_address(task)}:{port}"
        task_id = task["taskArn"].rsplit("/", 1)[-1]
        query = urllib.parse.urlencode({"port": port})
        deadline = time.monotonic() + LISTEN_SECONDS
        while True:
            found = ask(self.backend.url, f"/_lab/tasks/{task_id}/address?{query}")
            if found is not None:
                return str(found["url"])
            if time.monotonic() > deadline:
                raise LabError(
                    f"Nothing listens at port {port} of this task, or it has stopped. Its logs and "
                    "DescribeTasks say more."
                )
            time.sleep(0.05)

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Expect AWS, its registry, boto3 or the lab to refuse the block; print the refusal.

        >>> with lab.refused():                                   # doctest: +SKIP
        ...     ecs.run_task(cluster="no-such-cluster", taskDefinition="inkdigits")
        ClusterNotFoundException: Cluster not found.
        """
        try:
            yield
        except _REFUSALS as error:
            print(plain(error))
        except LabError as error:
            print(textwrap.fill(str(error), 100))
        else:
            raise LabError("This was expected to be refused, and was accepted. Read it again.")

    def teardown(self) -> None:
        """Stop and delete what the chapters made in this account; say what was removed."""
        from fargate_lab.lesson.teardown import remove_all

        with _reached():
            remove_all(self)


@contextmanager
def _reached() -> Iterator[None]:
    """A cloud that does not answer is said in a sentence."""
    try:
        yield
    except EndpointConnectionError as error:
        raise LabError(
            f"The lab's cloud does not answer ({error}). Run the chapter's first cell again."
        ) from None


def open_chapter(chapter: int, *, runtime: str | None = None) -> Lab:
    """The session of a chapter; prints one line on where it runs and what was made for it."""
    if type(chapter) is not int or not 0 <= chapter <= 13:
        raise LabError(
            f"There is no chapter {chapter!r}; they run from 0 to 13, as in start(chapter=5)."
        )
    lab = Lab(chapter, backend.choose(runtime))
    where = "this machine; nothing is sent to AWS" if lab.backend.name == "local" else "AWS"
    print(f"Chapter {chapter} runs on {where}. Account {lab.account}, {lab.region}.")
    if lab.backend.news:
        print(lab.backend.news)
    made = prepare.earlier(lab)
    if made:
        print("Made what earlier chapters would have left: " + "; ".join(made) + ".")
    return lab


def _public_address(task: dict[str, Any]) -> str:
    import boto3

    details = {d["name"]: d["value"] for a in task["attachments"] for d in a["details"]}
    interface = boto3.client("ec2").describe_network_interfaces(
        NetworkInterfaceIds=[details["networkInterfaceId"]]
    )["NetworkInterfaces"][0]
    try:
        return str(interface["Association"]["PublicIp"])
    except KeyError:
        raise LabError(
            "The task has no public address. Run it with assignPublicIp='ENABLED' in a subnet that "
            "has a route to an internet gateway."
        ) from None
