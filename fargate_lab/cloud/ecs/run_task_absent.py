"""What a task definition may ask for that the lab cannot run truthfully: refused, not ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fargate_lab.cloud.ecs.refusals import refuse

Part = Mapping[str, Any]

CONTAINER: dict[str, Callable[[Part], Any]] = {
    "environment files from S3": lambda c: c.get("environmentFiles"),
    "a restart policy": lambda c: (c.get("restartPolicy") or {}).get("enabled"),
    "the log driver splunk": lambda c: _log_driver(c) == "splunk",
    "the log driver awsfirelens": lambda c: _log_driver(c) == "awsfirelens",
    "FireLens": lambda c: c.get("firelensConfiguration"),
    "credentials for a private registry": lambda c: c.get("repositoryCredentials"),
}
"""Feature of a container → whether a container definition uses it."""

VOLUME: dict[str, Callable[[Part], Any]] = {
    "EFS volumes": lambda v: v.get("efsVolumeConfiguration"),
    "FSx volumes": lambda v: v.get("fsxWindowsFileServerVolumeConfiguration"),
    "S3 Files volumes": lambda v: v.get("s3filesVolumeConfiguration"),
    "volumes configured at launch": lambda v: v.get("configuredAtLaunch"),
}
"""Kind of volume → whether a volume is of it."""


def check_runnable(definition: Part) -> None:
    """Raise `AwsError` naming the first feature that the agent would have to ignore."""
    for table, parts in (
        (CONTAINER, definition["containerDefinitions"]),
        (VOLUME, definition.get("volumes") or []),
    ):
        for feature, uses in table.items():
            if any(uses(part) for part in parts):
                raise refuse("messages.run_task.not_in_lab", feature=feature)
    if definition.get("proxyConfiguration"):
        raise refuse("messages.run_task.not_in_lab", feature="a proxy configuration")


def _log_driver(container: Part) -> Any:
    return (container.get("logConfiguration") or {}).get("logDriver")
