"""The task metadata endpoint, version 4: what a container can ask about itself and its task."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fargate_lab.cloud.ecs.network import detail
from fargate_lab.cloud.ecs.taskrecords import Document
from fargate_lab.runtime.driver import Stats


def container_document(task: Document, name: str, definition: Document) -> Document:
    """`${ECS_CONTAINER_METADATA_URI_V4}`."""
    found = next(c for c in task["containers"] if c["name"] == name)
    address, labels = _address(task), _labels(task, name)
    document = {
        "DockerId": found.get("runtimeId", ""),
        "Name": name,
        "DockerName": name,
        "Image": found["image"],
        "ImageID": found.get("imageDigest", ""),
        "Labels": {**labels, **(definition.get("dockerLabels") or {})},
        "DesiredStatus": task["desiredStatus"],
        "KnownStatus": found["lastStatus"],
        "Limits": {"CPU": int(float(found.get("cpu") or 0))},
        "CreatedAt": _time(task.get("pullStoppedAt")),
        "StartedAt": _time(task.get("startedAt")),
        "Type": "NORMAL",
        "ContainerARN": found["containerArn"],
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [address]}],
        "Snapshotter": "overlayfs",
    }
    if found.get("memory"):
        document["Limits"]["Memory"] = int(found["memory"])
    options = definition.get("logConfiguration")
    if options:
        document["LogDriver"] = options["logDriver"]
        document["LogOptions"] = options.get("options") or {}
    return document


def task_document(task: Document, definitions: dict[str, Document]) -> Document:
    """`${ECS_CONTAINER_METADATA_URI_V4}/task`."""
    document: Document = {
        "Cluster": task["clusterArn"],
        "TaskARN": task["taskArn"],
        "Family": task["taskDefinitionArn"].split("/")[-1].split(":")[0],
        "Revision": task["taskDefinitionArn"].rsplit(":", 1)[-1],
        "DesiredStatus": task["desiredStatus"],
        "KnownStatus": task["lastStatus"],
        "PullStartedAt": _time(task.get("pullStartedAt")),
        "PullStoppedAt": _time(task.get("pullStoppedAt")),
        "AvailabilityZone": task.get("availabilityZone", ""),
        "LaunchType": task.get("launchType", "FARGATE"),
        "Containers": [container_document(task, n, d) for n, d in definitions.items()],
    }
    if task.get("cpu") and task.get("memory"):
        document["Limits"] = {"CPU": int(task["cpu"]) / 1024, "Memory": int(task["memory"])}
    return document


def stats_document(stats: Stats | None, now: float, limit: int) -> Document:
    """`${ECS_CONTAINER_METADATA_URI_V4}/stats`, in the shape of Docker's stats."""
    if stats is None:
        return {}
    return {
        "read": _time(now),
        "num_procs": 0,
        "pids_stats": {"current": stats.processes},
        "cpu_stats": {
            "cpu_usage": {"total_usage": int(stats.cpu_seconds * 1e9)},
            "system_cpu_usage": int(now * 1e9),
        },
        "memory_stats": {"usage": stats.memory, "limit": limit},
    }


def _address(task: Document) -> str:
    for attachment in task.get("attachments") or ():
        return detail(attachment, "privateIPv4Address") or ""
    return ""


def _labels(task: Document, name: str) -> dict[str, str]:
    family, _, revision = task["taskDefinitionArn"].split("/")[-1].partition(":")
    return {
        "com.amazonaws.ecs.cluster": task["clusterArn"],
        "com.amazonaws.ecs.container-name": name,
        "com.amazonaws.ecs.task-arn": task["taskArn"],
        "com.amazonaws.ecs.task-definition-family": family,
        "com.amazonaws.ecs.task-definition-version": revision,
    }


def _time(at: Any) -> str:
    if not at:
        return ""
    moment = dt.datetime.fromtimestamp(float(at), dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
