"""Chapter 01: the quick walk along the whole road."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from fargate_lab.lesson import names
from fargate_lab.lesson.checks import Missing, exercise

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab

SIZE = ("512", "1024")
STARTED_BY = "exercise-1-2"
SECOND_TAG = "stable"


@exercise(
    "1.1",
    "a larger revision",
    read="chapter 1, Stage 3: the task definition",
    hints=(
        "Can a revision be changed, or is there another way to change a task definition?",
        "ecs.register_task_definition(**definition | {…}) with two keys replaced.",
        'ecs.register_task_definition(**definition | {"cpu": "512", "memory": "1024"})',
    ),
)
def larger_revision(lab: Lab) -> str:
    """An ACTIVE revision of inkdigits with 512 CPU units, 1024 MiB and the pushed image."""
    found = _larger()
    image = found["containerDefinitions"][0]["image"]
    wanted = f"{lab.registry}/{names.REPOSITORY}"
    if not (image == wanted or image.startswith((f"{wanted}:", f"{wanted}@"))):
        raise Missing(f"Its image must come from {wanted}.", found=f"{_name(found)} runs {image}")
    tag = image.removeprefix(wanted).lstrip(":@")
    if tag != names.TAG and not tag.startswith("sha256:"):
        raise Missing(
            f"Its image must be {names.REPOSITORY}:{names.TAG}, as in `definition`; "
            f"nobody pushed {tag or 'latest'}.",
            found=f"{_name(found)} runs {image}",
        )
    return f"{_name(found)}: {found['cpu']} CPU units, {found['memory']} MiB"


@exercise(
    "1.2",
    "a task of the larger revision",
    read="chapter 1, Stage 5: the task",
    hints=(
        "Which call starts a task, and what does a name without a revision number mean?",
        "ecs.run_task(**where, taskDefinition=…, startedBy=…)",
        'ecs.run_task(**where, taskDefinition="inkdigits", startedBy="exercise-1-2")',
    ),
)
def larger_task(lab: Lab) -> str:
    """A task of that revision, started by the name asked for, that runs or is about to."""
    larger = _name(_larger())
    tasks = _tasks("RUNNING")
    mine = [t for t in tasks if t.get("startedBy") == STARTED_BY]
    if not mine:
        _say_why_none(tasks, larger)
    right = [t for t in mine if (t.get("cpu"), t.get("memory")) == SIZE]
    if not right:
        raise Missing(
            f"It must run a revision with 512 CPU units and 1024 MiB, such as {larger}. "
            "Give that name, with its number, as taskDefinition.",
            found=f"a task of {_of(mine[0])} with {mine[0]['cpu']} CPU units",
        )
    return f"a task of {_of(right[0])} in {names.CLUSTER}, started by {STARTED_BY}"


@exercise(
    "1.3",
    "a second tag",
    read="chapter 1, Stage 2: the registry; chapter 3, Tags and digests",
    hints=(
        "A tag is a label on a digest. What, then, has to be sent to add one?",
        f"push(image, …) once more with another tag: layers that ECR has already are not sent "
        f"again. The tag stands after the colon of the reference: …:{SECOND_TAG}",
        f'push(image, f"{{uri}}:{SECOND_TAG}", username=user, password=password)',
    ),
)
def second_tag(lab: Lab) -> str:
    """Both tags on one digest."""
    details = _images()
    by_tag = {tag: d["imageDigest"] for d in details for tag in d.get("imageTags", [])}
    listed = "tags: " + (", ".join(sorted(by_tag)) or "none")
    if names.TAG not in by_tag:
        raise Missing(
            f"The tag {names.TAG} is not there. Run Stage 2 again, then add {SECOND_TAG}.",
            found=listed,
        )
    if SECOND_TAG not in by_tag:
        near = [t for t in by_tag if t.lower() == SECOND_TAG]
        told = f" Tags are case sensitive: {near[0]} is another one." if near else ""
        raise Missing(f"No image has the tag {SECOND_TAG}.{told}", found=listed)
    if by_tag[SECOND_TAG] != by_tag[names.TAG]:
        raise Missing(
            f"{SECOND_TAG} is on another image than {names.TAG}. Tag the same image: push the one "
            "that Stage 1 built. The repository is IMMUTABLE, so first delete the wrong tag with "
            "ecr.batch_delete_image.",
            found=f"{names.TAG} and {SECOND_TAG} on different digests",
        )
    return f"{names.TAG} and {SECOND_TAG} on one digest"


def _larger() -> dict[str, Any]:
    """The newest ACTIVE revision of the size asked for; Missing says what is there instead."""
    revisions = _revisions(names.FAMILY)
    for revision in revisions:
        if (revision.get("cpu"), revision.get("memory")) == SIZE:
            return revision
    if not revisions:
        raise Missing(f"There is no ACTIVE revision of {names.FAMILY}. Run Stage 3 first.")
    newest = revisions[0]
    found = f"{_name(newest)}: {newest.get('cpu')} CPU units, {newest.get('memory')} MiB"
    cpu, memory = SIZE
    if newest.get("cpu") == memory and newest.get("memory") == memory:
        raise Missing("Both are 1024; 1024 CPU units would be a whole vCPU.", found=found)
    if newest.get("cpu") == cpu:
        raise Missing(f"The CPU is right; the memory must be {memory} MiB.", found=found)
    if newest.get("memory") == memory:
        raise Missing(f"The memory is right; the CPU must be {cpu} units.", found=found)
    other = _elsewhere()
    if other:
        raise Missing(
            f"The size is right, but the family is {other}. A revision of {names.FAMILY} keeps "
            "`family` as it is.",
            found=f"{other} with 512 CPU units and 1024 MiB",
        )
    raise Missing(f"No ACTIVE revision has {cpu} CPU units and {memory} MiB.", found=found)


def _revisions(family: str) -> list[dict[str, Any]]:
    ecs = boto3.client("ecs")
    arns = ecs.list_task_definitions(familyPrefix=family, status="ACTIVE", sort="DESC")
    return [
        ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        for arn in arns["taskDefinitionArns"][:10]
    ]


def _elsewhere() -> str:
    families = boto3.client("ecs").list_task_definition_families(status="ACTIVE")["families"]
    for family in families:
        if family == names.FAMILY:
            continue
        for revision in _revisions(family):
            if (revision.get("cpu"), revision.get("memory")) == SIZE:
                return str(family)
    return ""


def _tasks(desired: str, cluster: str = names.CLUSTER) -> list[dict[str, Any]]:
    ecs = boto3.client("ecs")
    try:
        arns = ecs.list_tasks(cluster=cluster, desiredStatus=desired)["taskArns"]
    except ClientError:
        return []
    tasks: list[dict[str, Any]] = (
        ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    )
    return tasks


def _say_why_none(tasks: list[dict[str, Any]], larger: str) -> None:
    ended = [t for t in _tasks("STOPPED") if t.get("startedBy") == STARTED_BY]
    if ended:
        why = ended[0].get("stoppedReason") or ended[0].get("stopCode", "")
        raise Missing(
            "Your task has stopped; it is to be left running. Its stoppedReason says why.",
            found=f"a task of {_of(ended[0])}, STOPPED: {why}",
        )
    if [t for t in _tasks("RUNNING", "default") if t.get("startedBy") == STARTED_BY]:
        raise Missing(
            f"Your task runs in the cluster default; it belongs in {names.CLUSTER}. "
            "`where` holds the cluster.",
            found="a task in the cluster default",
        )
    unnamed = [t for t in tasks if _of(t) == larger]
    if unnamed:
        said = unnamed[0].get("startedBy")
        raise Missing(
            f'The task runs; startedBy must be "{STARTED_BY}". Run another one with it.',
            found=f"a task of {larger}, " + (f"started by {said}" if said else "without startedBy"),
        )
    raise Missing(
        f'No task with startedBy="{STARTED_BY}" runs in {names.CLUSTER}.',
        found=f"{len(tasks)} running: " + (", ".join(_of(t) for t in tasks) or "none"),
    )


def _images() -> list[dict[str, Any]]:
    try:
        found = boto3.client("ecr").describe_images(repositoryName=names.REPOSITORY)
    except ClientError as error:
        if error.response["Error"]["Code"] != "RepositoryNotFoundException":
            raise
        raise Missing(f"There is no repository {names.REPOSITORY}. Run Stage 2 first.") from None
    details: list[dict[str, Any]] = found["imageDetails"]
    return details


def _name(definition: dict[str, Any]) -> str:
    return str(definition["taskDefinitionArn"]).rsplit("/", 1)[-1]


def _of(task: dict[str, Any]) -> str:
    return str(task["taskDefinitionArn"]).rsplit("/", 1)[-1]
