"""Chapter 00's checks: right, blank and wrong answers, each with feedback of its own."""

from __future__ import annotations

import boto3
import pytest

from fargate_lab.lesson.session import Lab


def cluster(name: str = "hello-fargate", **tags: str) -> str:
    made = boto3.client("ecs").create_cluster(
        clusterName=name, tags=[{"key": k, "value": v} for k, v in tags.items()]
    )
    return str(made["cluster"]["clusterArn"])


def test_a_cluster(lab: Lab) -> None:
    cluster()
    verdict = lab.check("0.1")
    assert verdict.passed
    assert verdict.found == "cluster hello-fargate, ACTIVE"


def test_no_cluster_yet(lab: Lab) -> None:
    verdict = lab.check("0.1")
    assert not verdict.passed
    assert verdict.missing == "There is no cluster hello-fargate."
    assert verdict.found == "no cluster at all in us-east-1"


@pytest.mark.parametrize("name", ["Hello-Fargate", "hello_fargate"])
def test_a_name_that_is_nearly_right(lab: Lab, name: str) -> None:
    cluster(name)
    verdict = lab.check("0.1")
    assert verdict.missing == (
        "The name must be hello-fargate, to the letter: small letters and a hyphen."
    )
    assert name in verdict.found


def test_another_cluster(lab: Lab) -> None:
    cluster("first-call")
    verdict = lab.check("0.1")
    assert not verdict.passed
    assert verdict.found == "clusters: first-call"


def test_a_cluster_that_was_deleted(lab: Lab) -> None:
    cluster()
    boto3.client("ecs").delete_cluster(cluster="hello-fargate")
    verdict = lab.check("0.1")
    assert verdict.missing.startswith("The cluster hello-fargate was deleted.")
    assert verdict.found == "hello-fargate, INACTIVE"


def test_a_tag(lab: Lab) -> None:
    arn = cluster()
    tags = [{"key": "purpose", "value": "learning"}, {"key": "owner", "value": "me"}]
    boto3.client("ecs").tag_resource(resourceArn=arn, tags=tags)
    assert lab.check("0.2").passed


def test_no_tag_yet(lab: Lab) -> None:
    cluster()
    verdict = lab.check("0.2")
    assert verdict.missing == "The cluster hello-fargate has no tag purpose."
    assert verdict.found == "hello-fargate, without tags"


def test_no_cluster_to_tag(lab: Lab) -> None:
    assert lab.check("0.2").missing == "There is no cluster hello-fargate."


def test_the_tag_in_capitals(lab: Lab) -> None:
    cluster(Purpose="learning")
    verdict = lab.check("0.2")
    assert verdict.missing == (
        "The tag's key is 'Purpose'; expected 'purpose'. Tag keys are case sensitive."
    )


def test_another_value(lab: Lab) -> None:
    cluster(purpose="Learning")
    verdict = lab.check("0.2")
    assert verdict.missing == (
        "The tag purpose has the value 'Learning'; expected 'learning', to the letter."
    )
    assert verdict.found == "purpose=Learning"


def test_key_and_value_the_wrong_way_round(lab: Lab) -> None:
    cluster(learning="purpose")
    verdict = lab.check("0.2")
    assert verdict.missing == "Key and value are the wrong way round: the key is 'purpose'."


def test_the_tag_on_another_cluster(lab: Lab) -> None:
    cluster()
    cluster("first-call", purpose="learning")
    verdict = lab.check("0.2")
    assert verdict.missing.startswith("The tag is on the cluster first-call;")
