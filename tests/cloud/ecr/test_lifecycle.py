"""Lifecycle policies: what is refused, what expires."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fargate_lab.cloud.ecr.lifecycle import DAY, Candidate, expiring, parse
from fargate_lab.cloud.ecr.registry import registry_of
from fargate_lab.cloud.protocol import AwsError
from tests.cloud.conftest import Api
from tests.cloud.ecr import support

BEFORE = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '"


def rule(priority: int = 1, **selection: Any) -> dict[str, Any]:
    chosen = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1, **selection}
    chosen = {k: v for k, v in chosen.items() if v is not None}
    return {"rulePriority": priority, "selection": chosen, "action": {"type": "expire"}}


def policy(*rules: Any) -> str:
    return json.dumps({"rules": list(rules)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Lifecycle policy parsing failure: Could not map policyString into LifecyclePolicy"),
        ("[]", "Could not map policyString into LifecyclePolicy"),
        ("{}", 'object has missing required properties (["rules"])'),
        ('{"rules":[]}', "array is too short"),
        (policy(*[rule(n) for n in range(1, 52)]), "array is too long"),
        (policy({}), 'missing required properties (["action","rulePriority","selection"])'),
        (policy({**rule(), "extra": 1}), 'not allowed by the schema: (["extra"])'),
        (policy(rule(0)), "numeric instance is lower than the required minimum (minimum: 1"),
        (policy(rule(countNumber=0)), "lower than the required minimum"),
        (policy(rule(countNumber="1")), "instance type (string) does not match"),
        (policy(rule(tagStatus="some")), "not found in enum"),
        (policy(rule(countType="age")), "not found in enum"),
        (policy({**rule(), "action": {"type": "keep"}}), "not found in enum"),
        (policy(rule(countType="sinceImagePushed")), '(["countUnit"])'),
        (policy(rule(tagStatus="tagged")), "Must specify tagPrefixList or tagPatternList"),
        (policy(rule(tagPrefixList=["a"])), "must not be specified"),
        (policy(rule(1, tagStatus="untagged"), rule(1)), "Duplicate priority in multiple rules"),
        (
            policy(rule(1), rule(2, tagStatus="untagged")),
            "Rule for tagStatus=ANY must have the highest rulePriority",
        ),
        (policy(rule(1), rule(2)), "Only one rule can be specified with tagStatus=ANY"),
        (policy(3), 'allowed: ["object"]'),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(AwsError) as caught:
        parse(text)
    assert caught.value.code == "InvalidParameterException"
    assert caught.value.message.startswith(BEFORE)
    assert said in caught.value.message


def test_an_archive_there_is_not() -> None:
    text = policy({**rule(), "action": {"type": "transition", "targetStorageClass": "archive"}})
    with pytest.raises(AwsError, match="no archive storage class"):
        parse(text)


def doomed(text: str, images: list[tuple[str, float]], now: float = 100 * DAY) -> set[str]:
    """images: (tags with commas, age in days); the indexes of those that go."""
    rows = [
        Candidate(str(i), tuple(t for t in tags.split(",") if t), now - age * DAY)
        for i, (tags, age) in enumerate(images)
    ]
    return {candidate.digest for candidate, _ in expiring(parse(text), rows, now)}


def test_the_oldest_beyond_a_count_go() -> None:
    images = [("a", 1.0), ("b", 3.0), ("c", 2.0)]
    assert doomed(policy(rule(countNumber=1)), images) == {"1", "2"}
    assert doomed(policy(rule(countNumber=2)), images) == {"1"}


def test_days_since_the_push() -> None:
    aged = rule(countType="sinceImagePushed", countUnit="days", countNumber=14)
    assert doomed(policy(aged), [("a", 13.0), ("b", 15.0)]) == {"1"}


def test_untagged_only() -> None:
    images = [("", 1.0), ("", 2.0), ("a", 3.0)]
    assert doomed(policy(rule(tagStatus="untagged")), images) == {"1"}


def test_an_image_needs_a_tag_for_every_prefix() -> None:
    both = rule(tagStatus="tagged", tagPrefixList=["dev", "old"])
    images = [("dev1,old1", 1.0), ("dev2", 2.0), ("dev3,old3", 3.0)]
    assert doomed(policy(both), images) == {"2"}


def test_patterns() -> None:
    patterns = rule(tagStatus="tagged", tagPatternList=["*-rc*"])
    assert doomed(policy(patterns), [("1-rc1", 1.0), ("1-rc2", 2.0), ("1", 3.0)]) == {"1"}


def test_what_an_earlier_rule_selects_a_later_one_cannot_expire() -> None:
    keep_prod = rule(1, tagStatus="tagged", tagPrefixList=["prod"], countNumber=5)
    rest = rule(2, countNumber=1)
    images = [("dev1", 1.0), ("prod1", 2.0), ("dev2", 3.0)]
    assert doomed(policy(keep_prod, rest), images) == {"2"}


def images_left(api: Api) -> set[str]:
    rows = api.ecr("ListImages", repositoryName="app")["imageIds"]
    return {row.get("imageTag", "-") for row in rows}


def push(api: Api, tag: str) -> None:
    support.push(api, "app", support.image(support.layer({tag: tag.encode()})), tag)


def test_a_policy_works_at_once_and_after_each_push(api: Api) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    for tag in ("1", "2", "3"):
        push(api, tag)
    text = policy(rule(countNumber=2))
    preview = api.ecr("StartLifecyclePolicyPreview", repositoryName="app", lifecyclePolicyText=text)
    assert preview["status"] == "IN_PROGRESS"
    found = api.ecr("GetLifecyclePolicyPreview", repositoryName="app")
    assert found["summary"] == {"expiringImageTotalCount": 1}
    assert found["previewResults"][0]["imageTags"] == ["1"]
    assert images_left(api) == {"1", "2", "3"}
    api.ecr("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=text)
    assert images_left(api) == {"2", "3"}
    blobs = len(list(api.context.blobs.iterdir()))
    push(api, "4")
    assert images_left(api) == {"3", "4"}
    assert len(list(api.context.blobs.iterdir())) == blobs


def test_days_pass_by_the_registry_s_clock(api: Api) -> None:
    registry = registry_of(api.context)
    now = [1_000_000.0]
    registry.clock = lambda: now[0]
    api.ecr("CreateRepository", repositoryName="app")
    push(api, "old")
    aged = rule(countType="sinceImagePushed", countUnit="days", countNumber=1)
    api.ecr("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=policy(aged))
    assert images_left(api) == {"old"}
    now[0] += 1.5 * DAY
    assert images_left(api) == set()


def test_an_index_keeps_its_images(api: Api) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    part = support.image(support.layer({"a": b"1"}))
    support.push(api, "app", part)
    api.ecr("PutImage", repositoryName="app", imageManifest=support.index(part), imageTag="1")
    text = policy(rule(tagStatus="untagged", countType="sinceImagePushed", countUnit="days"))
    registry_of(api.context).clock = lambda: 10**10
    api.ecr("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=text)
    assert images_left(api) == {"1", "-"}
    api.ecr(
        "PutLifecyclePolicy",
        repositoryName="app",
        lifecyclePolicyText=policy(rule(countType="sinceImagePushed", countUnit="days")),
    )
    assert images_left(api) == set()


def test_no_policy(api: Api) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    for action in ("GetLifecyclePolicy", "DeleteLifecyclePolicy", "StartLifecyclePolicyPreview"):
        with pytest.raises(AwsError, match="Lifecycle policy does not exist") as caught:
            api.ecr(action, repositoryName="app")
        assert caught.value.code == "LifecyclePolicyNotFoundException"
