"""The lab's own addresses under `/_lab/`: where a task is reached, what the agent knows.

- `/_lab/runtime`: the driver at work, and what it does not isolate
- `/_lab/tasks/<id>/address?port=8080`: where this machine reaches a port of a task
- `/_lab/tasks/<id>/ports`: the same for every port of its task definition
- `/_lab/metadata/v4/<id>/<container>[/task|/stats|/taskStats]`: the task metadata endpoint
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, cast

from fargate_lab.cloud.ecs import metadata
from fargate_lab.cloud.ecs.agent import TaskAgent
from fargate_lab.cloud.ecs.taskcontainer import TaskContainer
from fargate_lab.cloud.ecs.tasks import Tasks

if TYPE_CHECKING:
    from fargate_lab.cloud.ecs.service import EcsService
    from fargate_lab.cloud.server import Cloud

TARGET = "AmazonEC2ContainerServiceV20141113"
PROBE_SECONDS = 0.5


def answer_lab(cloud: Cloud, path: str, query: dict[str, str]) -> dict[str, Any] | None:
    """The answer at a path, or None where there is nothing."""
    tasks = cast("EcsService", cloud.service(TARGET)).tasks
    parts = path.strip("/").split("/")[1:]
    if parts == ["runtime"]:
        return {"runtime": tasks.driver().name, "notes": tasks.driver().notes()}
    if len(parts) == 3 and parts[0] == "tasks":
        agent = tasks.agents.get(parts[1])
        if agent is not None and parts[2] == "address":
            return address(tasks, agent, query)
        if agent is not None and parts[2] == "ports":
            return {"ports": ports(tasks, agent)}
    if len(parts) >= 4 and parts[:2] == ["metadata", "v4"]:
        agent = tasks.agents.get(parts[2])
        return _metadata(agent, parts[3], parts[4:]) if agent is not None else None
    return None


def address(tasks: Tasks, agent: TaskAgent, query: dict[str, str]) -> dict[str, Any] | None:
    """Where a port answers; None while nothing listens there.

    `container` picks the port of a container when `port` is left out.
    """
    port = query.get("port") or str(next(iter(_ports(agent, query.get("container"))), ""))
    if not port.isdigit() or not 0 < int(port) < 65536 or agent.host is None:
        return None
    found = agent.host.reach(int(port))
    if found is None or not listens(found.host, found.port):
        return None
    return {
        "url": f"http://{found.host}:{found.port}",
        "host": found.host,
        "port": found.port,
        "note": f"Reached through the {tasks.driver().name} runtime.",
    }


def ports(tasks: Tasks, agent: TaskAgent) -> list[dict[str, Any]]:
    """Every port of the task definition and where this machine reaches it."""
    rows = []
    for port in _ports(agent, None):
        found = agent.host.reach(port) if agent.host is not None else None
        rows.append(
            {
                "containerPort": port,
                "host": found.host if found else None,
                "port": found.port if found else None,
                "note": "" if found else "Nothing listens there yet.",
            }
        )
    return rows


def listens(host: str, port: int) -> bool:
    """Whether something accepts connections at an address."""
    try:
        with socket.create_connection((host, port), timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False


def _ports(agent: TaskAgent, container: str | None) -> list[int]:
    return [
        int(mapping["containerPort"])
        for c in agent.containers
        if container in (None, c.name)
        for mapping in c.definition.get("portMappings") or ()
    ]


def _metadata(agent: TaskAgent, name: str, rest: list[str]) -> dict[str, Any] | None:
    containers = {c.name: c for c in agent.containers}
    if name not in containers:
        return None
    task = agent.record.describe()
    if not rest:
        return metadata.container_document(task, name, containers[name].definition)
    if rest == ["task"]:
        return metadata.task_document(task, {n: c.definition for n, c in containers.items()})
    if rest == ["stats"]:
        return _stats(agent, containers[name])
    if rest == ["task", "stats"]:
        return {c.name: _stats(agent, c) for c in containers.values()}
    return None


def _stats(agent: TaskAgent, container: TaskContainer) -> dict[str, Any]:
    stats = container.running.stats() if container.running is not None else None
    limit = int(container.definition.get("memory") or agent.record.get("memory") or 0) * 2**20
    return metadata.stats_document(stats, time.time(), limit)
