"""Rules about the form of a task definition: names, images, numbers of things."""

from __future__ import annotations

import re

from fargate_lab.cloud.ecs.rules import Container, Definition, Finding, RuleList
from fargate_lab.facts import fact

RULES = RuleList("messages.register")

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
# API model, ContainerDefinition.image: letters, digits and - _ : . / #; a digest adds @sha256.
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:./#-]*(@sha256:[0-9a-fA-F]{64})?")
IMAGE_LENGTH = 255


@RULES.task("cpu_invalid")
def cpu_is_a_number(task: Definition) -> Finding:
    """`cpu` reads as units or as vCPU."""
    return "cpu" in task.payload and task.cpu is None


@RULES.task("memory_invalid")
def memory_is_a_number(task: Definition) -> Finding:
    """`memory` reads as MiB or as GB."""
    return "memory" in task.payload and task.memory is None


@RULES.task("family_missing")
def has_a_family(task: Definition) -> Finding:
    """A family is named."""
    return not task.payload.get("family")


@RULES.task("family_invalid")
def family_is_a_name(task: Definition) -> Finding:
    """The family has up to 255 letters, digits, hyphens and underscores."""
    return NAME.fullmatch(task.payload["family"]) is None


@RULES.task("inference_accelerators")
def no_inference_accelerators(task: Definition) -> Finding:
    """Elastic Inference has ended."""
    return bool(task.payload.get("inferenceAccelerators"))


@RULES.task("containers_empty")
def has_containers(task: Definition) -> Finding:
    """There is a container."""
    return not task.containers


@RULES.task("containers_too_many")
def not_too_many_containers(task: Definition) -> Finding:
    """There are at most ten."""
    limit = fact("quotas.containers_per_task_definition").value
    return len(task.containers) > limit and {"limit": limit}


@RULES.container("name_missing")
def container_has_a_name(_: Definition, container: Container) -> Finding:
    """Every container has a name."""
    return not container.get("name")


@RULES.container("name_invalid")
def container_name_is_a_name(_: Definition, container: Container) -> Finding:
    """It has up to 255 letters, digits, hyphens and underscores."""
    return NAME.fullmatch(container["name"]) is None


@RULES.container("image_missing")
def container_has_an_image(_: Definition, container: Container) -> Finding:
    """Every container has an image."""
    return not container.get("image")


@RULES.container("image_invalid")
def image_is_a_reference(_: Definition, container: Container) -> Finding:
    """The image reads as a reference, of at most 255 characters without its digest."""
    image: str = container["image"]
    return IMAGE.fullmatch(image) is None or len(image.partition("@")[0]) > IMAGE_LENGTH


@RULES.task("names_not_unique")
def container_names_differ(task: Definition) -> Finding:
    """No two containers share a name."""
    names = [container["name"] for container in task.containers]
    return len(set(names)) < len(names)


@RULES.task("no_essential")
def one_container_is_essential(task: Definition) -> Finding:
    """One container's end ends the task; a container is essential unless it says otherwise."""
    return not any(container.get("essential", True) for container in task.containers)


@RULES.task("too_large")
def not_too_large(task: Definition) -> Finding:
    """The whole document is at most 64 KiB."""
    limit = fact("quotas.task_definition_bytes").value
    return task.size > limit and {"length": task.size, "limit": limit}


@RULES.task("ephemeral_on_ec2")
def ephemeral_storage_is_fargates(task: Definition) -> Finding:
    """Only Fargate sizes a task's own disk."""
    wanted = task.payload.get("requiresCompatibilities") or ["EC2"]
    return "ephemeralStorage" in task.payload and "EC2" in wanted


@RULES.task("fargate_network_mode")
def fargate_wants_awsvpc(task: Definition) -> Finding:
    """A task on Fargate has a network interface of its own."""
    return task.fargate and not task.awsvpc
