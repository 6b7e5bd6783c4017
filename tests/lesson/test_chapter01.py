"""Chapter 01's checks: right answers, blank ones, and likely wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest

from fargate_lab.image import Image, build, push_layers
from fargate_lab.lesson import names, prepare
from fargate_lab.lesson.session import Lab

QUICK = {"Delay": 1, "MaxAttempts": 90}
RECIPE = """\
name = "inkdigits"
[config]
cmd = ["serve"]
[[layers]]
name = "app"
kind = "files"
source = "app"
target = "/app/app"
"""


def register(lab: Lab, cpu: str = "256", memory: str = "512", **changes: Any) -> str:
    prepare.roles(lab)
    wanted = prepare.definition(lab) | {"cpu": cpu, "memory": memory} | changes
    made = boto3.client("ecs").register_task_definition(**wanted)
    return str(made["taskDefinition"]["taskDefinitionArn"])


def missing(lab: Lab, number: str) -> str:
    verdict = lab.check(number)
    assert not verdict.passed, verdict
    return f"{verdict.missing} | {verdict.found}"


def container(lab: Lab, image: str) -> list[dict[str, Any]]:
    return [prepare.definition(lab)["containerDefinitions"][0] | {"image": image}]


def test_a_larger_revision(lab: Lab) -> None:
    register(lab)
    register(lab, "512", "1024")
    verdict = lab.check("1.1")
    assert verdict.passed
    assert verdict.found == "inkdigits:2: 512 CPU units, 1024 MiB"


def test_no_larger_revision_yet(lab: Lab) -> None:
    assert "There is no ACTIVE revision of inkdigits. Run Stage 3 first." in missing(lab, "1.1")
    register(lab)
    told = missing(lab, "1.1")
    assert told == (
        "No ACTIVE revision has 512 CPU units and 1024 MiB. | inkdigits:1: 256 CPU units, 512 MiB"
    )


@pytest.mark.parametrize(
    ("cpu", "memory", "told"),
    [
        ("512", "2048", "The CPU is right; the memory must be 1024 MiB."),
        ("256", "1024", "The memory is right; the CPU must be 512 units."),
        ("1024", "2048", "No ACTIVE revision has 512 CPU units and 1024 MiB."),
    ],
)
def test_another_size(lab: Lab, cpu: str, memory: str, told: str) -> None:
    register(lab, cpu, memory)
    assert missing(lab, "1.1").startswith(told)


def test_another_family(lab: Lab) -> None:
    register(lab)
    register(lab, "512", "1024", family="inkdigits-large")
    assert "The size is right, but the family is inkdigits-large." in missing(lab, "1.1")


def test_a_revision_that_was_taken_out_of_use(lab: Lab) -> None:
    register(lab)
    arn = register(lab, "512", "1024")
    boto3.client("ecs").deregister_task_definition(taskDefinition=arn)
    assert "No ACTIVE revision has 512 CPU units" in missing(lab, "1.1")


def test_a_larger_revision_of_the_broken_image(lab: Lab) -> None:
    image = f"{lab.registry}/inkdigits:2.0"
    register(lab, "512", "1024", containerDefinitions=container(lab, image))
    assert "nobody pushed 2.0" in missing(lab, "1.1")


def test_a_larger_revision_of_someone_elses_image(lab: Lab) -> None:
    register(lab, "512", "1024", containerDefinitions=container(lab, "nginx"))
    told = missing(lab, "1.1")
    assert f"Its image must come from {lab.registry}/inkdigits." in told
    assert "runs nginx" in told


@pytest.fixture
def ready(lab: Lab) -> Lab:
    """The road walked once: image, two sizes of the blueprint, cluster."""
    prepare.pushed(lab)
    prepare.log_group(lab)
    register(lab)
    register(lab, "512", "1024")
    prepare.cluster(lab)
    return lab


def run(lab: Lab, definition: str = "inkdigits", cluster: str = names.CLUSTER, **more: Any) -> str:
    """Start a task and wait until it runs; its ARN."""
    ecs = boto3.client("ecs")
    task = ecs.run_task(
        cluster=cluster,
        launchType="FARGATE",
        taskDefinition=definition,
        networkConfiguration=prepare.network(lab),
        **more,
    )["tasks"][0]
    ecs.get_waiter("tasks_running").wait(
        cluster=cluster, tasks=[task["taskArn"]], WaiterConfig=QUICK
    )
    return str(task["taskArn"])


def test_a_larger_task(ready: Lab) -> None:
    assert 'No task with startedBy="exercise-1-2" runs in fargate-lab.' in missing(ready, "1.2")
    arn = run(ready, startedBy="exercise-1-2")
    verdict = ready.check("1.2")
    assert verdict.found == "a task of inkdigits:2 in fargate-lab, started by exercise-1-2"
    ecs = boto3.client("ecs")
    ecs.stop_task(cluster=names.CLUSTER, task=arn, reason="enough")
    ecs.get_waiter("tasks_stopped").wait(cluster=names.CLUSTER, tasks=[arn], WaiterConfig=QUICK)
    told = missing(ready, "1.2")
    assert "Your task has stopped; it is to be left running." in told
    assert "enough" in told


def test_a_larger_task_without_its_mark(ready: Lab) -> None:
    run(ready)
    told = missing(ready, "1.2")
    assert 'The task runs; startedBy must be "exercise-1-2".' in told
    assert "without startedBy" in told


def test_a_task_of_the_small_revision(ready: Lab) -> None:
    run(ready, "inkdigits:1", startedBy="exercise-1-2")
    told = missing(ready, "1.2")
    assert "such as inkdigits:2" in told
    assert "a task of inkdigits:1 with 256 CPU units" in told


def test_a_larger_task_in_another_cluster(ready: Lab) -> None:
    boto3.client("ecs").create_cluster(clusterName="default")
    run(ready, cluster="default", startedBy="exercise-1-2")
    assert "Your task runs in the cluster default" in missing(ready, "1.2")


def test_a_larger_task_before_its_revision(lab: Lab) -> None:
    register(lab)
    assert "No ACTIVE revision has 512 CPU units" in missing(lab, "1.2")


def small(tmp_path: Path, says: str) -> Image:
    folder = tmp_path / "context"
    (folder / "app").mkdir(parents=True, exist_ok=True)
    (folder / "image.toml").write_text(RECIPE, encoding="utf-8")
    (folder / "app" / "main.py").write_text(f"print({says!r})\n", encoding="utf-8")
    return build(folder, name="any", base="scratch")


@pytest.fixture
def image(lab: Lab, tmp_path: Path) -> Image:
    """A small image, pushed as inkdigits:1.0."""
    boto3.client("ecr").create_repository(
        repositoryName=names.REPOSITORY, imageTagMutability="IMMUTABLE"
    )
    made = small(tmp_path, "one")
    tag(made, "1.0")
    return made


def tag(image: Image, name: str) -> None:
    push_layers(image, boto3.client("ecr"), names.REPOSITORY, name)


def test_a_second_tag(lab: Lab, image: Image) -> None:
    assert "No image has the tag stable. | tags: 1.0" in missing(lab, "1.3")
    tag(image, "stable")
    assert lab.check("1.3").found == "1.0 and stable on one digest"


def test_a_second_tag_without_a_push(lab: Lab, image: Image) -> None:
    ecr = boto3.client("ecr")
    manifest = ecr.batch_get_image(repositoryName=names.REPOSITORY, imageIds=[{"imageTag": "1.0"}])[
        "images"
    ][0]
    ecr.put_image(
        repositoryName=names.REPOSITORY,
        imageManifest=manifest["imageManifest"],
        imageManifestMediaType=manifest["imageManifestMediaType"],
        imageTag="stable",
    )
    assert lab.check("1.3").passed


def test_a_second_tag_in_capitals(lab: Lab, image: Image) -> None:
    tag(image, "Stable")
    assert "Tags are case sensitive: Stable is another one." in missing(lab, "1.3")


def test_a_second_tag_on_another_image(lab: Lab, image: Image, tmp_path: Path) -> None:
    tag(small(tmp_path, "two"), "stable")
    told = missing(lab, "1.3")
    assert "stable is on another image than 1.0." in told
    assert "ecr.batch_delete_image" in told


def test_a_second_tag_in_place_of_the_first(lab: Lab, image: Image) -> None:
    tag(image, "stable")
    boto3.client("ecr").batch_delete_image(
        repositoryName=names.REPOSITORY, imageIds=[{"imageTag": "1.0"}]
    )
    assert "The tag 1.0 is not there." in missing(lab, "1.3")


def test_no_repository_to_tag_in(lab: Lab) -> None:
    assert "There is no repository inkdigits. Run Stage 2 first." in missing(lab, "1.3")
