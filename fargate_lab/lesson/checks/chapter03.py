"""Checks of chapter 3: the account's repositories."""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from fargate_lab.lesson import names
from fargate_lab.lesson.checks import Missing, exercise

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab

PRODUCTION = "inkdigits-prod"
PARAMETER = "/inkdigits/image"
RELEASES = ("1.0", "1.1")


@exercise(
    "3.1",
    "a second release beside the first",
    read="chapter 3, Four refusals (3) and What ECR stores",
    hints=(
        "What does a second image need so that it is another image, and what so that little is "
        "sent?",
        "variant(name, line) builds the application with one more line; push it under a tag of "
        "its own.",
        "push(variant('inkdigits-next', '# 1.1'), f'{uri}:1.1', username=user, password=password)",
    ),
)
def second_release(lab: Lab) -> str:
    """`inkdigits:1.1`: another application, the same heavy layers as 1.0."""
    tags = _tags(names.REPOSITORY)
    for tag in RELEASES:
        if tag not in tags:
            raise Missing(
                f"The repository {names.REPOSITORY} has no image with the tag {tag}.",
                found="tags " + (", ".join(sorted(tags)) or "none"),
            )
    if tags["1.0"] == tags["1.1"]:
        raise Missing(
            "1.1 is a second name of the image 1.0. Change the application, build, and push that.",
            found="both tags name the same digest",
        )
    first, second = (_layers(tags[tag]) for tag in RELEASES)
    if first == second:
        raise Missing(
            "Both images have the same layers: only settings differ. Change the application.",
            found=f"{len(second)} layers of {len(second)} in common",
        )
    common = sum(size for digest, size in second.items() if digest in first)
    if common * 2 < sum(second.values()):
        raise Missing(
            "1.1 shares hardly anything with 1.0. Build it from the same context, so that base "
            "and dependencies stay the same blobs.",
            found=f"{len(set(first) & set(second))} layers of {len(second)} in common",
        )
    return f"two releases; {len(set(first) & set(second))} layers of {len(second)} in common"


@exercise(
    "3.2",
    "a repository for production",
    read="chapter 3, A repository",
    hints=(
        "Which two settings did the chapter's first call give its repository?",
        "create_repository takes imageTagMutability and imageScanningConfiguration. For one that "
        "exists: put_image_tag_mutability and put_image_scanning_configuration.",
        "ecr.create_repository(repositoryName='inkdigits-prod', imageTagMutability='IMMUTABLE', "
        "imageScanningConfiguration={'scanOnPush': True})",
    ),
)
def production(lab: Lab) -> str:
    """`inkdigits-prod`: immutable tags, scan on push."""
    ecr = boto3.client("ecr")
    known = {r["repositoryName"]: r for r in ecr.describe_repositories()["repositories"]}
    if PRODUCTION not in known:
        raise Missing(
            f"There is no repository {PRODUCTION}.",
            found="repositories " + (", ".join(sorted(known)) or "none"),
        )
    mode = known[PRODUCTION]["imageTagMutability"]
    if mode == "IMMUTABLE_WITH_EXCLUSION":
        raise Missing("No tag may be overwritten, so there can be no exceptions: IMMUTABLE.",
                      found=mode)  # fmt: skip
    if mode != "IMMUTABLE":
        raise Missing(
            "Its tags can be overwritten. Call put_image_tag_mutability, or delete the repository "
            "and create it again.",
            found=f"imageTagMutability {mode}",
        )
    if not known[PRODUCTION]["imageScanningConfiguration"]["scanOnPush"]:
        raise Missing(
            "A push is not scanned. Call put_image_scanning_configuration.",
            found="scanOnPush False",
        )
    return f"{PRODUCTION}: immutable, scanned on push"


@exercise(
    "3.3",
    "old images expire, releases stay",
    read="chapter 3, Old images expire",
    hints=(
        "Two kinds of images may go. By what does a rule recognise each of them?",
        "tagStatus tagged with tagPrefixList ['dev-'] and imageCountMoreThan; tagStatus untagged "
        "with sinceImagePushed, countUnit days. Each rule has a priority of its own.",
        "{'rules': [{'rulePriority': 1, 'selection': {'tagStatus': 'tagged', 'tagPrefixList': "
        "['dev-'], 'countType': 'imageCountMoreThan', 'countNumber': 1}, 'action': {'type': "
        "'expire'}}, {'rulePriority': 2, 'selection': {'tagStatus': 'untagged', 'countType': "
        "'sinceImagePushed', 'countUnit': 'days', 'countNumber': 7}, 'action': …}]}",
    ),
)
def tidy(lab: Lab) -> str:
    """`inkdigits`: one dev- image stays, untagged ones go after 7 days, releases never."""
    rules = _policy()
    for rule in rules:
        reached = [tag for tag in RELEASES if _reaches(rule["selection"], tag)]
        if reached:
            raise Missing(
                "Releases could expire. Name what may go: tags that begin with dev-, and untagged "
                "images.",
                found=f"rule {rule['rulePriority']} also selects {' and '.join(reached)}",
            )
    tries = [r["selection"] for r in rules if _reaches(r["selection"], "dev-1")]
    if not tries:
        raise Missing("No rule selects images whose tag begins with dev-.", found=_described(rules))
    if (tries[0]["countType"], tries[0]["countNumber"]) != ("imageCountMoreThan", 1):
        raise Missing(
            "Of the dev- images only the newest one stays: imageCountMoreThan 1.",
            found=f"{tries[0]['countType']} {tries[0]['countNumber']}",
        )
    bare = [r["selection"] for r in rules if r["selection"]["tagStatus"] == "untagged"]
    if not bare:
        raise Missing("No rule selects untagged images.", found=_described(rules))
    if (bare[0]["countType"], bare[0]["countNumber"]) != ("sinceImagePushed", 7):
        raise Missing(
            "Untagged images expire 7 days after they were pushed: sinceImagePushed 7 days.",
            found=f"{bare[0]['countType']} {bare[0]['countNumber']}",
        )
    return "one dev- image stays, untagged ones go after 7 days, releases stay"


@exercise(
    "3.4",
    "pinned by digest",
    read="chapter 3, Tags and digests",
    hints=(
        "Which of the digests you have seen names the image as a whole?",
        "describe_images with imageIds=[{'imageTag': '1.0'}] has imageDigest; the reference is "
        "repositoryUri, @, digest.",
        "ssm.put_parameter(Name='/inkdigits/image', Type='String', Overwrite=True, "
        "Value=f\"{uri}@{details['imageDigest']}\")",
    ),
)
def pinned(lab: Lab) -> str:
    """The parameter /inkdigits/image holds the reference of 1.0 by digest."""
    try:
        value = boto3.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        raise Missing(f"There is no parameter {PARAMETER}.", found="no such parameter") from None
    ecr = boto3.client("ecr")
    repository = ecr.describe_repositories(repositoryNames=[names.REPOSITORY])["repositories"][0]
    where, at, digest = value.partition("@")
    if not at:
        raise Missing(
            "This names the image by tag. A tag can be moved; write @ and the digest.", found=value
        )
    if where != repository["repositoryUri"]:
        raise Missing(
            f"Before the @ stands the repository's URI, {repository['repositoryUri']}, without a "
            "tag.",
            found=where or "nothing",
        )
    tags = _tags(names.REPOSITORY)
    if digest != tags.get("1.0"):
        raise Missing("This is not the digest of the image 1.0.", found=_what(digest, tags))
    return "the reference of 1.0, by digest"


def _tags(repository: str) -> dict[str, str]:
    """Tag → digest of a repository; none when it does not exist."""
    pages = boto3.client("ecr").get_paginator("list_images").paginate(repositoryName=repository)
    try:
        return {
            i["imageTag"]: i["imageDigest"] for p in pages for i in p["imageIds"] if "imageTag" in i
        }
    except ClientError as error:
        if error.response["Error"]["Code"] != "RepositoryNotFoundException":
            raise
        raise Missing(f"There is no repository {repository}; the chapter's first cells make it.",
                      found="no such repository") from None  # fmt: skip


def _manifest(digest: str) -> dict[str, Any]:
    answer = boto3.client("ecr").batch_get_image(
        repositoryName=names.REPOSITORY, imageIds=[{"imageDigest": digest}]
    )
    manifest: dict[str, Any] = json.loads(answer["images"][0]["imageManifest"])
    return manifest


def _layers(digest: str) -> dict[str, int]:
    """Digest → bytes of an image's layers."""
    return {layer["digest"]: layer["size"] for layer in _manifest(digest)["layers"]}


def _policy() -> list[dict[str, Any]]:
    try:
        answer = boto3.client("ecr").get_lifecycle_policy(repositoryName=names.REPOSITORY)
    except ClientError as error:
        if error.response["Error"]["Code"] != "LifecyclePolicyNotFoundException":
            raise
        raise Missing(f"The repository {names.REPOSITORY} has no lifecycle policy.",
                      found="no policy") from None  # fmt: skip
    rules: list[dict[str, Any]] = json.loads(answer["lifecyclePolicyText"])["rules"]
    return rules


def _reaches(selection: dict[str, Any], tag: str) -> bool:
    """Whether a rule selects an image with this one tag."""
    if selection["tagStatus"] != "tagged":
        return bool(selection["tagStatus"] == "any")
    return all(tag.startswith(p) for p in selection.get("tagPrefixList", [])) and all(
        fnmatch.fnmatchcase(tag, p) for p in selection.get("tagPatternList", [])
    )


def _described(rules: list[dict[str, Any]]) -> str:
    return "; ".join(
        f"rule {r['rulePriority']} selects {r['selection']['tagStatus']} images"
        + "".join(f" {w}" for w in r["selection"].get("tagPrefixList", []))
        for r in rules
    )


def _what(digest: str, tags: dict[str, str]) -> str:
    """What a digest really is: another image, or a part of 1.0."""
    for tag, known in tags.items():
        if known == digest:
            return f"the digest of {tag}"
    manifest = _manifest(tags["1.0"]) if "1.0" in tags else {"layers": [], "config": {}}
    if digest == manifest["config"].get("digest"):
        return "the digest of the image's configuration"
    if digest in {layer["digest"] for layer in manifest["layers"]}:
        return "the digest of one layer of the image"
    return f"{digest[:19]}…, which names nothing in this repository"
