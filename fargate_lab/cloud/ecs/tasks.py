"""RunTask, DescribeTasks, ListTasks and StopTask."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecs import network
from fargate_lab.cloud.ecs.agent import CLOUD_STOP_SECONDS, NetworkPlan, TaskAgent
from fargate_lab.cloud.ecs.arns import ecs_arn, is_foreign, last_part
from fargate_lab.cloud.ecs.clusters import Clusters, TaskCounts
from fargate_lab.cloud.ecs.logs import LogShipper
from fargate_lab.cloud.ecs.pages import page
from fargate_lab.cloud.ecs.run_task_plan import RunTaskPlan
from fargate_lab.cloud.ecs.run_task_rules import validate_run_task, vcpu_shortage
from fargate_lab.cloud.ecs.tags import Tags
from fargate_lab.cloud.ecs.taskrecords import Document, TaskRecord, TaskRecords
from fargate_lab.cloud.protocol import AwsError, Call, Handler
from fargate_lab.runtime.choose import choose
from fargate_lab.runtime.driver import Driver, DriverUnavailable

TOKEN_KIND = "run_task_token"
LOST_REASON = "The lab cloud was ended while this task ran; the task was ended with it."
STOP_REASON = "The lab cloud was stopped."
DESCRIBE_LIMIT = 100


class Tasks:
    """The tasks of every account, and the agents that run them."""

    def __init__(self, context: CloudContext, tags: Tags, clusters: Clusters) -> None:
        self.context, self.tags, self.clusters = context, tags, clusters
        self.records = TaskRecords(context.store)
        self.agents: dict[str, TaskAgent] = {}
        self.shipper = LogShipper()
        self._lock = threading.Lock()
        self._run_lock = threading.Lock()
        """One RunTask at a time: quotas and client tokens count tasks that others just start.

        Taken before any other lock. A record's own lock comes before the store's, for agents
        write records down; so a record is never read inside a transaction.
        """
        self._made: Driver | None = None
        self.actions: dict[str, Handler] = {
            "RunTask": self.run_task,
            "DescribeTasks": self.describe_tasks,
            "ListTasks": self.list_tasks,
            "StopTask": self.stop_task,
        }

    def driver(self) -> Driver:
        """The driver at work, chosen when first needed; raises DriverUnavailable."""
        with self._lock:
            if self._made is None:
                self._made = choose(
                    self.context.runtime, self.context.state_dir, self.context.cache_dir
                )
            return self._made

    def startup(self) -> None:
        """Find what an earlier cloud left: nothing of it runs on, and its tasks say so."""
        found = self.records.load()
        if not found:
            return
        with contextlib.suppress(DriverUnavailable):
            self.driver().reap()
        for record in found:
            if record["lastStatus"] != "STOPPED":
                _mark_lost(record)

    def shutdown(self) -> None:
        """Stop every task within a bounded time, and leave nothing of the driver."""
        agents = list(self.agents.values())
        for agent in agents:
            agent.stop("UserInitiated", STOP_REASON, limit=CLOUD_STOP_SECONDS)
        deadline = time.monotonic() + CLOUD_STOP_SECONDS + 10
        for agent in agents:
            agent.thread.join(max(0.0, deadline - time.monotonic()))
        self.shipper.close()
        if self._made is not None:
            self._made.close()

    def exists(self, call: Call, arn: str) -> bool:
        """Whether a task of the caller's has this ARN."""
        record = self.records.find(last_part(arn))
        return record is not None and record.scope == call.scope and record["taskArn"] == arn

    def count(self, scope: str, cluster: str) -> TaskCounts:
        """The tasks of a cluster that have not stopped."""
        states = [r["lastStatus"] for r in self.records.of(scope, cluster)]
        running = states.count("RUNNING")
        pending = sum(s in ("PROVISIONING", "PENDING", "ACTIVATING") for s in states)
        return TaskCounts(running, pending)

    def _vcpus(self, scope: str) -> float:
        live = (r for r in self.records.of(scope) if r["lastStatus"] != "STOPPED")
        return sum(int(r["cpu"]) for r in live) / 1024

    def run_task(self, call: Call) -> Mapping[str, Any]:
        """Start tasks; they are PROVISIONING when this returns."""
        plan = validate_run_task(self.context, call)
        with self._run_lock:
            return self._run_planned(call, plan)

    def _run_planned(self, call: Call, plan: RunTaskPlan) -> Mapping[str, Any]:
        token = plan.client_token
        digest = hashlib.sha256(json.dumps(call.payload, sort_keys=True).encode()).hexdigest()
        if token is not None:
            earlier = self._earlier(call, token, digest)
            if earlier is not None:
                return earlier
        shortage = vcpu_shortage(self._vcpus(call.scope), plan.vcpus)
        if shortage is not None:
            return {"tasks": [], "failures": [{"reason": shortage}]}
        with self.context.store.transaction():
            records = [self._create(call, plan, index) for index in range(plan.count)]
            if token is not None:
                document = {"request": digest, "tasks": [r.id for r in records]}
                self.context.store.put(TOKEN_KIND, call.scope, token, document)
        answer = [self._answer(record, with_tags=True) for record in records]
        for record in records:
            # The agent comes first: whoever finds a task can stop it.
            self._start_agent(record, plan)
            self.records.add(record)
        return {"tasks": answer, "failures": []}

    def _earlier(self, call: Call, token: str, digest: str) -> Mapping[str, Any] | None:
        document = self.context.store.get(TOKEN_KIND, call.scope, token)
        if document is None:
            return None
        records = [r for r in map(self.records.find, document["tasks"]) if r is not None]
        if document["request"] != digest:
            raise AwsError(
                "ConflictException",
                "The clientToken was used before with other parameters. Use a new one for a new "
                "request.",
                members={"resourceIds": [r["taskArn"] for r in records]},
            )
        return {"tasks": [self._answer(r, with_tags=True) for r in records], "failures": []}

    def _create(self, call: Call, plan: RunTaskPlan, index: int) -> TaskRecord:
        task = new_task(call, plan, index)
        record = TaskRecord(self.context.store, call.scope, task)
        self.tags.write(call.scope, task["taskArn"], plan.tags)
        record.save()
        return record

    def _start_agent(self, record: TaskRecord, plan: RunTaskPlan) -> None:
        plan_of_network = NetworkPlan(plan.security_groups, plan.assign_public_ip)
        agent = TaskAgent(
            self.context, self.driver, self.shipper, record, plan.task_definition, plan_of_network
        )
        self.agents[record.id] = agent
        agent.on_end = self._forget
        agent.thread.start()

    def _forget(self, agent: TaskAgent) -> None:
        self.agents.pop(agent.record.id, None)

    def describe_tasks(self, call: Call) -> Mapping[str, Any]:
        """The named tasks, and MISSING for those there are not."""
        cluster = self.clusters.require(call, call.payload.get("cluster"))["clusterName"]
        identifiers = call.payload.get("tasks") or []
        if not identifiers:
            raise AwsError("InvalidParameterException", "Tasks cannot be empty.")
        if len(identifiers) > DESCRIBE_LIMIT:
            raise AwsError("InvalidParameterException", "Number of tasks cannot exceed 100.")
        with_tags = "TAGS" in (call.payload.get("include") or ())
        tasks, failures = [], []
        for identifier in identifiers:
            record = self._find(call, cluster, identifier)
            if record is not None:
                tasks.append(self._answer(record, with_tags=with_tags))
            else:
                arn = identifier
                if not identifier.startswith("arn:"):
                    arn = ecs_arn(call, f"task/{cluster}/{identifier}")
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"tasks": tasks, "failures": failures}

    def list_tasks(self, call: Call) -> Mapping[str, Any]:
        """The ARNs of a cluster's tasks; RUNNING ones unless asked otherwise."""
        payload = call.payload
        cluster = self.clusters.require(call, payload.get("cluster"))["clusterName"]
        desired = payload.get("desiredStatus") or "RUNNING"
        if desired not in ("RUNNING", "PENDING", "STOPPED"):
            raise AwsError("InvalidParameterException", f"Unrecognized desired status: {desired}")
        wanted = {"startedBy": payload.get("startedBy"), "launchType": payload.get("launchType")}
        if payload.get("serviceName"):
            wanted["group"] = f"service:{last_part(payload['serviceName'])}"
        records = self.records.of(call.scope, cluster)
        found = [
            record["taskArn"]
            for record in records
            if record["desiredStatus"] == desired
            and all(v is None or record.get(k) == v for k, v in wanted.items())
            and _of_family(record, payload.get("family"))
        ]
        # Tasks of Fargate have no container instance: a filter by one finds nothing.
        found = [] if payload.get("containerInstance") else found
        return page(found, payload, "taskArns", among=[record["taskArn"] for record in records])

    def stop_task(self, call: Call) -> Mapping[str, Any]:
        """Ask a task to stop; it is STOPPED a little later."""
        cluster = self.clusters.require(call, call.payload.get("cluster"))["clusterName"]
        identifier = call.payload.get("task") or ""
        record = self._find(call, cluster, identifier)
        if record is None:
            raise AwsError("InvalidParameterException", "The referenced task was not found.")
        agent = self.agents.get(record.id)
        if agent is not None:
            agent.stop("UserInitiated", call.payload.get("reason") or "Task stopped by user")
        return {"task": self._answer(record, with_tags=False)}

    def _find(self, call: Call, cluster: str, identifier: str) -> TaskRecord | None:
        if is_foreign(call, identifier):
            return None
        record = self.records.get(call.scope, cluster, last_part(identifier))
        if record is not None and identifier.startswith("arn:") and record["taskArn"] != identifier:
            return None
        return record

    def _answer(self, record: TaskRecord, *, with_tags: bool) -> Document:
        task = record.describe()
        task["tags"] = self.tags.read(record.scope, task["taskArn"]) if with_tags else []
        return task


def new_task(call: Call, plan: RunTaskPlan, index: int) -> Document:
    """A task's description at its beginning."""
    task_id = secrets.token_hex(16)
    definition = plan.task_definition
    subnet = plan.subnets[index % len(plan.subnets)] if plan.subnets else None
    architecture = (definition.get("runtimePlatform") or {}).get("cpuArchitecture") or "X86_64"
    task: Document = {
        "attachments": [network.precreated(subnet)] if subnet else [],
        "attributes": [{"name": "ecs.cpu-architecture", "value": architecture.lower()}],
        "clusterArn": plan.cluster_arn,
        "containers": [_new_container(call, plan, d, task_id) for d in _definitions(plan)],
        "cpu": str(plan.cpu or 0),
        "createdAt": round(time.time(), 3),
        "desiredStatus": "RUNNING",
        "enableExecuteCommand": plan.enable_execute_command,
        "ephemeralStorage": {"sizeInGiB": plan.ephemeral_gib},
        "fargateEphemeralStorage": {"sizeInGiB": plan.ephemeral_gib},
        "group": plan.group,
        "healthStatus": "UNKNOWN",
        "lastStatus": "PROVISIONING",
        "launchType": plan.launch_type,
        "memory": str(plan.memory or 0),
        "overrides": plan.overrides,
        "startedBy": plan.started_by,
        "taskArn": ecs_arn(call, f"task/{plan.cluster_name}/{task_id}"),
        "taskDefinitionArn": definition["taskDefinitionArn"],
        "version": 1,
        "platformVersion": plan.platform_version,
        "platformFamily": plan.platform_family,
    }
    if plan.capacity_providers:
        task["capacityProviderName"] = plan.capacity_providers[index]
    if subnet and plan.availability_zones:
        task["availabilityZone"] = plan.availability_zones[index % len(plan.availability_zones)]
    return {name: value for name, value in task.items() if value is not None}


def _definitions(plan: RunTaskPlan) -> list[Document]:
    return list(plan.task_definition["containerDefinitions"])


def _new_container(call: Call, plan: RunTaskPlan, definition: Document, task_id: str) -> Document:
    container_id = "-".join(secrets.token_hex(n) for n in (4, 2, 2, 2, 6))
    container: Document = {
        "containerArn": ecs_arn(call, f"container/{plan.cluster_name}/{task_id}/{container_id}"),
        "taskArn": ecs_arn(call, f"task/{plan.cluster_name}/{task_id}"),
        "name": definition["name"],
        "image": definition["image"],
        "lastStatus": "PENDING",
        "networkInterfaces": [],
        "cpu": str(definition.get("cpu") or 0),
    }
    if definition.get("healthCheck"):
        container["healthStatus"] = "UNKNOWN"
    for member in ("memory", "memoryReservation"):
        if definition.get(member):
            container[member] = str(definition[member])
    return container


def _of_family(record: TaskRecord, family: str | None) -> bool:
    name = record["taskDefinitionArn"].split("/")[-1].rsplit(":", 1)[0]
    return family is None or family == name


def _mark_lost(record: TaskRecord) -> None:
    now = round(time.time(), 3)
    with record.lock:
        for container in record["containers"]:
            if container["lastStatus"] != "STOPPED":
                container["lastStatus"] = "STOPPED"
                if "runtimeId" in container:
                    container["exitCode"] = 137
                    container["reason"] = LOST_REASON
        if record["desiredStatus"] != "STOPPED":
            code = "TerminationNotice" if record.get("startedAt") else "TaskFailedToStart"
            record.change(stopCode=code, stoppedReason=LOST_REASON, stoppingAt=now)
        attachments = [{**a, "status": "DELETED"} for a in record.get("attachments") or ()]
        record.change(
            step=True,
            attachments=attachments,
            desiredStatus="STOPPED",
            lastStatus="STOPPED",
            stoppedAt=now,
        )
