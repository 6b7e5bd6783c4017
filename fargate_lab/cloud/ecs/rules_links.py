"""Rules about what a task's parts say of each other: dependencies, mounts, volumes."""

from __future__ import annotations

from fargate_lab.cloud.ecs.rules import Container, Definition, Finding, RuleList

RULES = RuleList("messages.register")


@RULES.container("depends_unknown")
def dependency_exists(task: Definition, container: Container) -> Finding:
    """A container waits for containers of its own task."""
    for dependency in container.get("dependsOn", ()):
        if task.named(dependency["containerName"]) is None:
            return {"container": dependency["containerName"]}
    return None


@RULES.container("depends_healthy")
def healthy_wants_a_health_check(task: Definition, container: Container) -> Finding:
    """Only a container with a health check becomes HEALTHY."""
    return any(
        d["condition"] == "HEALTHY" and "healthCheck" not in (task.named(d["containerName"]) or {})
        for d in container.get("dependsOn", ())
    )


@RULES.container("depends_essential")
def completion_is_not_essential(task: Definition, container: Container) -> Finding:
    """The end of an essential container ends the task: nothing can wait for it."""
    return any(
        d["condition"] in ("COMPLETE", "SUCCESS")
        and (task.named(d["containerName"]) or {}).get("essential", True)
        for d in container.get("dependsOn", ())
    )


@RULES.task("depends_cycle")
def dependencies_end(task: Definition) -> Finding:
    """No container waits for itself, not even through others."""
    waits = {
        c["name"]: {d["containerName"] for d in c.get("dependsOn", ())} for c in task.containers
    }
    while waits:
        free = {name for name, others in waits.items() if not others & waits.keys()}
        if not free:
            return True
        waits = {name: others for name, others in waits.items() if name not in free}
    return False


@RULES.container("volumes_from_unknown")
def volumes_come_from_a_container(task: Definition, container: Container) -> Finding:
    """`volumesFrom` names a container of the task."""
    for source in container.get("volumesFrom", ()):
        if task.named(source.get("sourceContainer")) is None:
            return {"container": source.get("sourceContainer") or ""}
    return None


@RULES.container("volume_unknown")
def mounted_volumes_exist(task: Definition, container: Container) -> Finding:
    """A mount names a volume of the task."""
    names = {volume.get("name") for volume in task.volumes}
    for mount in container.get("mountPoints", ()):
        if mount.get("sourceVolume") not in names:
            return {"volume": mount.get("sourceVolume") or ""}
    return None


@RULES.task("volume_names")
def volume_names_differ(task: Definition) -> Finding:
    """No two volumes share a name."""
    names = [volume.get("name") for volume in task.volumes]
    return len(set(names)) < len(names)
