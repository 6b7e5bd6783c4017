"""Chapter 00: a first cluster and its tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

from fargate_lab.lesson.checks import Missing, exercise

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab

NAME = "hello-fargate"
TAG = ("purpose", "learning")


@exercise(
    "0.1",
    "a first cluster",
    read="chapter 0, Create something, look at it, remove it",
    hints=(
        "Which call made the cluster first-call, further up?",
        "ecs.create_cluster takes the name as clusterName; upper and lower case differ.",
        'ecs.create_cluster(clusterName="hello-fargate")',
    ),
)
def a_cluster(lab: Lab) -> str:
    """An ACTIVE cluster of the name asked for."""
    return f"cluster {NAME}, {_hello()['status']}"


@exercise(
    "0.2",
    "a tag on it",
    read="chapter 0, Exercises; AWS's page on TagResource of ECS",
    hints=(
        "Which two things does a tagging call need: what to tag, and with what?",
        "ecs.tag_resource(resourceArn=…, tags=[…]); describe_clusters gives the clusterArn.",
        'ecs.tag_resource(resourceArn=arn, tags=[{"key": "purpose", "value": "learning"}])',
    ),
)
def a_tag(lab: Lab) -> str:
    """The tag purpose=learning on that cluster."""
    tags = {t["key"]: t.get("value", "") for t in _hello().get("tags", [])}
    key, value = TAG
    if tags.get(key) == value:
        return f"cluster {NAME} with the tag {key}={value}"
    found = ", ".join(f"{k}={v}" for k, v in sorted(tags.items()))
    if key in tags:
        raise Missing(
            f"The tag {key} has the value {tags[key]!r}; expected {value!r}, to the letter.",
            found=found,
        )
    near = [k for k in tags if k.strip().lower() == key]
    if near:
        raise Missing(
            f"The tag's key is {near[0]!r}; expected {key!r}. Tag keys are case sensitive.",
            found=found,
        )
    if value in {k.lower() for k in tags}:
        raise Missing(f"Key and value are the wrong way round: the key is {key!r}.", found=found)
    elsewhere = [c["clusterName"] for c in _clusters() if {"key": key, "value": value} in c["tags"]]
    if elsewhere:
        raise Missing(
            f"The tag is on the cluster {elsewhere[0]}; it belongs on {NAME}. "
            "resourceArn says which cluster is meant.",
            found=f"{elsewhere[0]} with the tag {key}={value}",
        )
    raise Missing(f"The cluster {NAME} has no tag {key}.", found=found or f"{NAME}, without tags")


def _hello() -> dict[str, Any]:
    ecs = boto3.client("ecs")
    found = ecs.describe_clusters(clusters=[NAME], include=["TAGS"])["clusters"]
    if found and found[0]["status"] == "ACTIVE":
        cluster: dict[str, Any] = found[0]
        return cluster
    others = [c["clusterName"] for c in _clusters()]
    if found:
        raise Missing(
            f"The cluster {NAME} was deleted. Create it again; the name may be used anew.",
            found=f"{NAME}, {found[0]['status']}",
        )
    near = [n for n in others if n.lower().replace("_", "-").replace(" ", "-") == NAME]
    if near:
        raise Missing(
            f"The name must be {NAME}, to the letter: small letters and a hyphen.",
            found=f"a cluster {near[0]}",
        )
    if others:
        raise Missing(f"There is no cluster {NAME}.", found="clusters: " + ", ".join(others))
    raise Missing(f"There is no cluster {NAME}.", found=f"no cluster at all in {_region()}")


def _clusters() -> list[dict[str, Any]]:
    ecs = boto3.client("ecs")
    arns = ecs.list_clusters()["clusterArns"]
    if not arns:
        return []
    described: list[dict[str, Any]] = ecs.describe_clusters(clusters=arns, include=["TAGS"])[
        "clusters"
    ]
    return described


def _region() -> str:
    return str(boto3.client("ecs").meta.region_name)
