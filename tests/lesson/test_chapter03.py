"""Chapter 3's checks, on small images in a registry of their own account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from fargate_lab.image import Image, build, push_layers
from fargate_lab.lesson import checks
from fargate_lab.lesson.session import Lab

RECIPE = """\
name = "inkdigits"
[config]
cmd = ["{command}"]
[[layers]]
name = "dependencies"
kind = "files"
source = "site"
target = "/opt/site"
[[layers]]
name = "app"
kind = "files"
source = "app"
target = "/app/app"
"""
EXPIRE = {"type": "expire"}
UNTAGGED = {
    "tagStatus": "untagged",
    "countType": "sinceImagePushed",
    "countUnit": "days",
    "countNumber": 7,
}
TRIES = {
    "tagStatus": "tagged",
    "tagPrefixList": ["dev-"],
    "countType": "imageCountMoreThan",
    "countNumber": 1,
}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Builds an image whose application says something, on libraries that weigh more."""
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "cache"))

    def make(says: str, *, site: str = "library", command: str = "serve") -> Image:
        folder = tmp_path / "context"
        for name, text in {
            "image.toml": RECIPE.format(command=command),
            "site/library.py": f"# {site}\n" * 5000,
            "app/main.py": f"print({says!r})\n",
        }.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return build(folder, name="any", base="scratch")

    return make


@pytest.fixture
def ecr(lab: Lab, images: Any) -> Any:
    """A client; the repository inkdigits holds 1.0."""
    client = boto3.client("ecr")
    client.create_repository(repositoryName="inkdigits", imageTagMutability="IMMUTABLE")
    push_layers(images("one"), client, "inkdigits", "1.0")
    return client


def missing(lab: Lab, number: str) -> str:
    """What a check that fails says is missing, with what it found."""
    verdict = checks.run(lab, number)
    assert not verdict.passed
    return f"{verdict.missing} | {verdict.found}"


def test_second_release_passes(lab: Lab, ecr: Any, images: Any) -> None:
    push_layers(images("two"), ecr, "inkdigits", "1.1")
    verdict = checks.run(lab, "3.1")
    assert verdict.passed, verdict
    assert verdict.found == "two releases; 1 layers of 2 in common"


def test_second_release_blank(lab: Lab, ecr: Any) -> None:
    assert missing(lab, "3.1").endswith("no image with the tag 1.1. | tags 1.0")


def test_second_release_before_there_is_a_repository(lab: Lab) -> None:
    assert "There is no repository inkdigits" in missing(lab, "3.1")


def test_second_release_under_another_tag(lab: Lab, ecr: Any, images: Any) -> None:
    push_layers(images("two"), ecr, "inkdigits", "v1.1")
    assert "tags 1.0, v1.1" in missing(lab, "3.1")


def test_second_release_that_is_the_first(lab: Lab, ecr: Any, images: Any) -> None:
    push_layers(images("one"), ecr, "inkdigits", "1.1")
    assert "second name of the image 1.0" in missing(lab, "3.1")


def test_second_release_with_other_settings_only(lab: Lab, ecr: Any, images: Any) -> None:
    push_layers(images("one", command="batch"), ecr, "inkdigits", "1.1")
    assert "only settings differ" in missing(lab, "3.1")


def test_second_release_that_shares_nothing(lab: Lab, ecr: Any, images: Any) -> None:
    push_layers(images("two", site="other"), ecr, "inkdigits", "1.1")
    assert "shares hardly anything" in missing(lab, "3.1")


def create(ecr: Any, mode: str, scan: bool, **more: Any) -> None:
    ecr.create_repository(
        repositoryName="inkdigits-prod",
        imageTagMutability=mode,
        imageScanningConfiguration={"scanOnPush": scan},
        **more,
    )


def test_production_passes(lab: Lab, ecr: Any) -> None:
    create(ecr, "IMMUTABLE", True)
    assert checks.run(lab, "3.2").passed


def test_production_blank(lab: Lab, ecr: Any) -> None:
    said = "There is no repository inkdigits-prod. | repositories inkdigits"
    assert missing(lab, "3.2") == said


def test_production_whose_tags_move(lab: Lab, ecr: Any) -> None:
    create(ecr, "MUTABLE", True)
    assert "Its tags can be overwritten" in missing(lab, "3.2")


def test_production_that_is_not_scanned(lab: Lab, ecr: Any) -> None:
    create(ecr, "IMMUTABLE", False)
    assert "A push is not scanned" in missing(lab, "3.2")


def test_production_with_exceptions(lab: Lab, ecr: Any) -> None:
    exceptions = [{"filterType": "WILDCARD", "filter": "latest"}]
    create(ecr, "IMMUTABLE_WITH_EXCLUSION", True, imageTagMutabilityExclusionFilters=exceptions)
    assert "there can be no exceptions" in missing(lab, "3.2")


def put(ecr: Any, *selections: dict[str, Any]) -> None:
    rules = [
        {"rulePriority": n, "selection": s, "action": EXPIRE} for n, s in enumerate(selections, 1)
    ]
    text = json.dumps({"rules": rules})
    ecr.put_lifecycle_policy(repositoryName="inkdigits", lifecyclePolicyText=text)


@pytest.mark.parametrize(
    "tries",
    [
        TRIES,
        {k: v for k, v in TRIES.items() if k != "tagPrefixList"} | {"tagPatternList": ["dev-*"]},
    ],
)
def test_tidy_passes(lab: Lab, ecr: Any, tries: dict[str, Any]) -> None:
    put(ecr, tries, UNTAGGED)
    assert checks.run(lab, "3.3").passed


def test_tidy_blank(lab: Lab, ecr: Any) -> None:
    assert missing(lab, "3.3") == "The repository inkdigits has no lifecycle policy. | no policy"


def test_tidy_that_would_expire_releases(lab: Lab, ecr: Any) -> None:
    put(ecr, UNTAGGED, {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10})
    said = missing(lab, "3.3")
    assert "Releases could expire" in said
    assert said.endswith("rule 2 also selects 1.0 and 1.1")


def test_tidy_by_a_pattern_that_is_too_wide(lab: Lab, ecr: Any) -> None:
    wide = {"tagStatus": "tagged", "tagPatternList": ["*"], "countType": "imageCountMoreThan",
            "countNumber": 10}  # fmt: skip
    put(ecr, wide, UNTAGGED)
    assert "rule 1 also selects 1.0" in missing(lab, "3.3")


def test_tidy_without_the_untagged(lab: Lab, ecr: Any) -> None:
    put(ecr, TRIES)
    assert missing(lab, "3.3").startswith("No rule selects untagged images.")


def test_tidy_of_the_untagged_alone(lab: Lab, ecr: Any) -> None:
    put(ecr, UNTAGGED)
    assert missing(lab, "3.3").startswith("No rule selects images whose tag begins with dev-.")


def test_tidy_with_the_chapters_own_number(lab: Lab, ecr: Any) -> None:
    put(ecr, TRIES | {"countNumber": 2}, UNTAGGED)
    assert missing(lab, "3.3").endswith("imageCountMoreThan 2")


def test_tidy_too_late(lab: Lab, ecr: Any) -> None:
    put(ecr, TRIES, UNTAGGED | {"countNumber": 30})
    assert missing(lab, "3.3").endswith("sinceImagePushed 30")


def reference(ecr: Any) -> tuple[str, str]:
    """The URI of the repository, the digest of 1.0."""
    repository = ecr.describe_repositories()["repositories"][0]
    image = ecr.describe_images(repositoryName="inkdigits", imageIds=[{"imageTag": "1.0"}])
    return repository["repositoryUri"], image["imageDetails"][0]["imageDigest"]


def write(value: str) -> None:
    boto3.client("ssm").put_parameter(
        Name="/inkdigits/image", Type="String", Value=value, Overwrite=True
    )


def test_pinned_passes(lab: Lab, ecr: Any) -> None:
    write("@".join(reference(ecr)))
    assert checks.run(lab, "3.4").passed


def test_pinned_blank(lab: Lab, ecr: Any) -> None:
    assert missing(lab, "3.4").startswith("There is no parameter /inkdigits/image.")


def test_pinned_by_tag(lab: Lab, ecr: Any) -> None:
    write(f"{reference(ecr)[0]}:1.0")
    assert "names the image by tag" in missing(lab, "3.4")


def test_pinned_with_a_tag_too(lab: Lab, ecr: Any) -> None:
    uri, digest = reference(ecr)
    write(f"{uri}:1.0@{digest}")
    assert "without a tag" in missing(lab, "3.4")


def test_pinned_to_something_else(lab: Lab, ecr: Any, images: Any) -> None:
    uri, _ = reference(ecr)
    image = images("one")
    push_layers(images("two"), ecr, "inkdigits", "dev-1")
    other = ecr.describe_images(repositoryName="inkdigits", imageIds=[{"imageTag": "dev-1"}])
    for digest, said in {
        image.layers[0].digest: "the digest of one layer of the image",
        image.manifest["config"]["digest"]: "the digest of the image's configuration",
        other["imageDetails"][0]["imageDigest"]: "the digest of dev-1",
        "sha256:" + "0" * 64: "names nothing in this repository",
    }.items():
        write(f"{uri}@{digest}")
        assert said in missing(lab, "3.4")
