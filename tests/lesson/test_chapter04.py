"""Chapter 4's checks, on right answers and on likely wrong ones."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from fargate_lab.lesson import prepare
from fargate_lab.lesson.session import Lab


def register(lab: Lab, family: str, container: dict[str, Any] | None = None, **task: Any) -> None:
    """Register the chapter's blueprint with changes; None leaves a key out."""
    whole = prepare.definition(lab) | {"family": family} | task
    web = whole["containerDefinitions"][0] | (container or {})
    whole["containerDefinitions"] = [{k: v for k, v in web.items() if v is not None}]
    boto3.client("ecs").register_task_definition(
        **{k: v for k, v in whole.items() if v is not None}
    )


def missing(lab: Lab, number: str) -> str:
    """What a failing check says is missing and found."""
    verdict = lab.check(number)
    assert not verdict.passed
    return f"{verdict.missing} | {verdict.found}"


def test_big_is_right(lab: Lab) -> None:
    register(lab, "inkdigits-big", cpu="2048", memory="4096")
    assert lab.check("4.1").passed


def test_big_in_other_words(lab: Lab) -> None:
    register(lab, "inkdigits-big", cpu="2 vCPU", memory="4GB")
    assert lab.check("4.1").passed


def test_big_is_blank(lab: Lab) -> None:
    assert "an active revision of the family inkdigits-big" in missing(lab, "4.1")


def test_big_with_another_name(lab: Lab) -> None:
    register(lab, "inkdigits-bigger", cpu="2048", memory="4096")
    assert "families inkdigits-bigger" in missing(lab, "4.1")


def test_big_with_too_little_cpu(lab: Lab) -> None:
    register(lab, "inkdigits-big", cpu="1024", memory="2048")
    assert "2048 CPU units | 1024 CPU units" in missing(lab, "4.1")


def test_big_with_more_memory_than_needed(lab: Lab) -> None:
    register(lab, "inkdigits-big", cpu="2048", memory="8192")
    assert "smallest memory for 2 vCPU" in missing(lab, "4.1")


def test_big_without_fargate(lab: Lab) -> None:
    register(lab, "inkdigits-big", cpu="2048", memory="4096", requiresCompatibilities=None)
    assert "requiresCompatibilities" in missing(lab, "4.1")


def test_big_deregistered(lab: Lab) -> None:
    register(lab, "inkdigits-big", cpu="2048", memory="4096")
    boto3.client("ecs").deregister_task_definition(taskDefinition="inkdigits-big:1")
    assert "an active revision" in missing(lab, "4.1")


def test_mended_is_right(lab: Lab) -> None:
    register(lab, "inkdigits-mended")
    assert lab.check("4.2").passed


def test_mended_is_blank(lab: Lab) -> None:
    assert "inkdigits-mended" in missing(lab, "4.2")


@pytest.mark.parametrize(
    ("given_up", "said"),
    [
        ({"portMappings": None}, "do not drop the mapping"),
        ({"portMappings": [{"containerPort": 80}]}, "container ports [80]"),
        ({"healthCheck": None}, "the health check"),
        ({"logConfiguration": None}, "the awslogs configuration"),
    ],
)
def test_mended_by_giving_up_too_much(lab: Lab, given_up: dict[str, Any], said: str) -> None:
    register(lab, "inkdigits-mended", given_up)
    assert said in missing(lab, "4.2")


def test_batch_is_right(lab: Lab) -> None:
    register(lab, "inkdigits-batch", {"stopTimeout": 90}, ephemeralStorage={"sizeInGiB": 60})
    assert lab.check("4.3").passed


def test_batch_is_blank(lab: Lab) -> None:
    assert "inkdigits-batch" in missing(lab, "4.3")


def test_batch_without_disk(lab: Lab) -> None:
    register(lab, "inkdigits-batch", {"stopTimeout": 90})
    assert "the default of 20 GiB" in missing(lab, "4.3")


def test_batch_with_other_disk(lab: Lab) -> None:
    register(lab, "inkdigits-batch", {"stopTimeout": 90}, ephemeralStorage={"sizeInGiB": 40})
    assert "40 GiB" in missing(lab, "4.3")


def test_batch_without_patience(lab: Lab) -> None:
    register(lab, "inkdigits-batch", ephemeralStorage={"sizeInGiB": 60})
    assert "the default of 30 seconds" in missing(lab, "4.3")


def test_batch_with_the_start_timeout(lab: Lab) -> None:
    register(lab, "inkdigits-batch", {"startTimeout": 90}, ephemeralStorage={"sizeInGiB": 60})
    assert "stopTimeout=90" in missing(lab, "4.3")
