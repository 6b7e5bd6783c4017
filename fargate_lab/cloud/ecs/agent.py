"""One task from PROVISIONING to STOPPED: what the ECS agent does on Fargate's hosts.

A `TaskAgent` is a thread. What happens elsewhere (a container's end, a health report, StopTask)
wakes it through one condition; it alone moves the task from state to state.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecr.resolve import PullError
from fargate_lab.cloud.ecs import containerspec, network, pull, secrets
from fargate_lab.cloud.ecs.logs import LogSetupError, LogShipper, open_stream
from fargate_lab.cloud.ecs.secrets import SecretError
from fargate_lab.cloud.ecs.taskcontainer import TaskContainer
from fargate_lab.cloud.ecs.taskrecords import TaskRecord
from fargate_lab.runtime.driver import Driver, Host, HostSpec, StartError

log = logging.getLogger(__name__)

DEFAULT_START_SECONDS = 180
"""How long a dependency may take when its definition has no startTimeout."""
CLOUD_STOP_SECONDS = 10
"""The longest stop time-out when the whole cloud stops."""


@dataclass(frozen=True)
class Ending:
    """Why a task ends."""

    code: str
    reason: str


class TaskStopped(Exception):
    """The task is to end now; carried out of whatever the agent was doing."""

    def __init__(self, code: str, reason: str) -> None:
        self.ending = Ending(code, reason)
        super().__init__(reason)


def failed(reason: str) -> TaskStopped:
    """A task that could not start."""
    return TaskStopped("TaskFailedToStart", reason)


class TaskAgent:
    """Runs one task."""

    def __init__(
        self,
        context: CloudContext,
        driver: Callable[[], Driver],
        shipper: LogShipper,
        record: TaskRecord,
        definition: dict[str, Any],
        network_plan: NetworkPlan,
    ) -> None:
        self.context, self.shipper, self.record = context, shipper, record
        self.definition, self.network = definition, network_plan
        self._driver = driver
        self._wake = threading.Condition()
        self._asked: Ending | None = None
        self._stop_by: float | None = None
        self._host: Host | None = None
        self.on_end: Callable[[TaskAgent], None] = lambda agent: None
        overrides = (record.get("overrides") or {}).get("containerOverrides") or ()
        self.containers = [
            TaskContainer(record, containerspec.overridden(d, overrides), self._changed)
            for d in definition["containerDefinitions"]
        ]
        self.thread = threading.Thread(target=self._run, name=f"task-{record.id[:8]}", daemon=True)

    @property
    def account(self) -> str:
        """The account the task runs in."""
        return self.record.scope.split("/")[0]

    @property
    def region(self) -> str:
        """The Region the task runs in."""
        return self.record.scope.split("/")[1]

    @property
    def role(self) -> str | None:
        """The task role's ARN, if the task has one."""
        overrides = self.record.get("overrides") or {}
        return overrides.get("taskRoleArn") or self.definition.get("taskRoleArn")

    @property
    def folder(self) -> Path:
        """The task's working files."""
        return self.context.state_dir / "tasks" / self.record.id

    @property
    def host(self) -> Host | None:
        """The task's host while it has one."""
        return self._host

    def stop(self, code: str, reason: str, limit: float | None = None) -> None:
        """Ask the task to end; limit caps the stop time-outs of all its containers, in seconds."""
        with self._wake:
            if self._asked is None:
                self._asked = Ending(code, reason)
                self._desire_stop(self._asked)
            if limit is not None:
                self._stop_by = time.monotonic() + limit
            self._wake.notify_all()

    def _desire_stop(self, ending: Ending) -> None:
        # StopTask and a container's end may come together: the first of them is the reason.
        with self.record.lock:
            if self.record["desiredStatus"] != "STOPPED":
                self.record.change(
                    step=True,
                    desiredStatus="STOPPED",
                    stopCode=ending.code,
                    stoppedReason=ending.reason,
                    stoppingAt=time.time(),
                )

    def _changed(self) -> None:
        with self._wake:
            self._wake.notify_all()

    def _run(self) -> None:
        try:
            try:
                self._provision()
                self._pull()
                self._start_all()
                self._await_end()
            except TaskStopped as stopped:
                ending = stopped.ending
            except Exception as error:
                log.exception("task %s", self.record.id)
                ending = Ending(
                    "TaskFailedToStart",
                    f"ResourceInitializationError: the lab failed to run the task ({error}); "
                    f"{self.context.state_dir / 'cloud.log'} has the details",
                )
            self._desire_stop(ending)
            self._stop_all()
        finally:
            try:
                self._deprovision()
            finally:
                self.on_end(self)

    def _check(self) -> None:
        if self._asked is not None:
            raise TaskStopped(self._asked.code, self._asked.reason)

    def _provision(self) -> None:
        spec = HostSpec(
            self.record.id,
            self.folder,
            self.context.port,
            int(self.record.get("cpu") or 0),
            int(self.record.get("memory") or 0),
            tuple(
                mapping["containerPort"]
                for container in self.containers
                for mapping in container.definition.get("portMappings") or ()
            ),
        )
        try:
            self._host = self._driver().open_host(spec)
        except StartError as error:
            raise failed(f"ResourceInitializationError: {error.text}") from error
        self._check()
        if self.record.get("attachments"):
            attachment = network.attach(
                self.account,
                self.region,
                task_arn=self.record["taskArn"],
                attachment=self.record["attachments"][0],
                address=self._host.address,
                groups=self.network.security_groups,
                public=self.network.assign_public_ip,
            )
            with self.record.lock:
                for container in self.record["containers"]:
                    container["networkInterfaces"] = [
                        {
                            "attachmentId": attachment["id"],
                            "privateIpv4Address": self._host.address,
                        }
                    ]
                self.record.change(attachments=[attachment])
        self.record.change(
            step=True, lastStatus="PENDING", connectivity="CONNECTED", connectivityAt=time.time()
        )

    def _pull(self) -> None:
        self._check()
        # What the agent itself must reach comes first: secrets, then log streams.
        for container in self.containers:
            wanted = container.definition.get("secrets") or []
            try:
                container.secrets = secrets.resolve(self.account, self.region, wanted)
                self._open_stream(container)
            except (SecretError, LogSetupError) as error:
                raise failed(f"ResourceInitializationError: {error}") from error
        self.record.change(pullStartedAt=time.time())
        platform = pull.platform_of(self.definition)
        for container in self.containers:
            self._check()
            try:
                image = pull.pull(
                    self.context,
                    self._driver(),
                    self.record.scope,
                    container.definition["image"],
                    platform,
                )
                container.image = image
                container.show(imageDigest=image.image.digest)
            except PullError as error:
                container.fail(str(error))
                if container.essential:
                    raise failed(str(error)) from error
        self.record.change(pullStoppedAt=time.time())

    def _open_stream(self, container: TaskContainer) -> None:
        settings = container.definition.get("logConfiguration") or {}
        if settings.get("logDriver") == "awslogs":
            container.stream = open_stream(
                self.account,
                self.region,
                settings.get("options") or {},
                container.name,
                self.record.id,
            )

    def _start_all(self) -> None:
        waiting = [c for c in self.containers if not c.done]
        began = time.monotonic()
        while waiting:
            self._check()
            self._check_essential()
            ready = [c for c in waiting if self._may_start(c, began)]
            for container in ready:
                self._start(container)
            waiting = [c for c in waiting if c not in ready and not c.done]
            if waiting and not ready:
                with self._wake:
                    self._wake.wait(0.2)
        self.record.change(lastStatus="ACTIVATING")
        self._check()
        self.record.change(step=True, lastStatus="RUNNING", startedAt=time.time())

    def _may_start(self, container: TaskContainer, began: float) -> bool:
        for dependency in container.definition.get("dependsOn") or ():
            other = self._named(dependency["containerName"])
            if other.satisfies(dependency["condition"]):
                continue
            limit = other.definition.get("startTimeout") or DEFAULT_START_SECONDS
            late = time.monotonic() - began > limit
            if late or other.never_satisfies(dependency["condition"]):
                raise failed(
                    "TaskDependencyError: dependency graph: container ordering dependency "
                    f"[{other.name}] for target [{container.name}] "
                    + ("timed out" if late else "failed its condition " + dependency["condition"])
                )
            return False
        return True

    def _named(self, name: str) -> TaskContainer:
        return next(c for c in self.containers if c.name == name)

    def _start(self, container: TaskContainer) -> None:
        assert self._host is not None
        try:
            made = self._host.create(containerspec.spec_of(self, container))
            container.start(made, self.shipper)
        except StartError as error:
            container.fail(error)
            if container.essential:
                raise failed(str(error)) from error

    def _check_essential(self) -> None:
        for container in self.containers:
            if container.essential and container.exit is not None:
                raise TaskStopped("EssentialContainerExited", "Essential container in task exited")

    def _await_end(self) -> None:
        while True:
            with self._wake:
                self._check()
                self._check_essential()
                if all(c.done for c in self.containers):
                    raise TaskStopped(
                        "EssentialContainerExited", "Essential container in task exited"
                    )
                self._wake.wait()

    def _stop_all(self) -> None:
        if self.record["lastStatus"] == "RUNNING":
            self.record.change(lastStatus="DEACTIVATING")
        self.record.change(lastStatus="STOPPING")
        waiting = [c for c in self.containers if c.started and not c.done]
        for container in self.containers:
            if not container.started and not container.done:
                container.skip()
        # Who depends on another stops before it (Developer Guide, "Container dependency").
        while waiting:
            needed = {
                d["containerName"] for c in waiting for d in c.definition.get("dependsOn") or ()
            }
            first = [c for c in waiting if c.name not in needed] or waiting
            self._stop_containers(first)
            waiting = [c for c in waiting if c not in first]
        self.record.change(executionStoppedAt=time.time())

    def _stop_containers(self, containers: list[TaskContainer]) -> None:
        stoppers = [
            threading.Thread(target=self._stop_one, args=(container,), daemon=True)
            for container in containers
        ]
        for stopper in stoppers:
            stopper.start()
        with self._wake:
            # A container's own thread writes down how it ended: wait for that.
            self._wake.wait_for(lambda: all(c.done for c in containers), timeout=150)

    def _stop_one(self, container: TaskContainer) -> None:
        by = self._stop_by
        # Containers that stop one after the other share the limit.
        container.stop(None if by is None else max(0.0, by - time.monotonic()))

    def _deprovision(self) -> None:
        with contextlib.suppress(Exception):
            self.record.change(step=True, lastStatus="DEPROVISIONING")
        for container in self.containers:
            container.end_quietly()
            if container.stream is not None:
                self.shipper.remove(container.stream)
        with contextlib.suppress(Exception):
            if self._host is not None:
                self._host.close()
        attachments = [
            network.detach(self.account, self.region, a)
            for a in self.record.get("attachments") or ()
        ]
        self.record.change(
            step=True, attachments=attachments, lastStatus="STOPPED", stoppedAt=time.time()
        )


@dataclass(frozen=True)
class NetworkPlan:
    """The network side of RunTask."""

    security_groups: tuple[str, ...] = ()
    assign_public_ip: bool = False
