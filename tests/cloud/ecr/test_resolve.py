"""Image references as the agent resolves them."""

from __future__ import annotations

import pytest

from fargate_lab.cloud.ecr.resolve import PullError, Reference, resolve_image
from tests.cloud.conftest import Api
from tests.cloud.ecr import support

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", ("docker.io", "library/nginx", "latest", None)),
        ("bitnami/x:1", ("docker.io", "bitnami/x", "1", None)),
        ("127.0.0.1:4577/a/b:1", ("127.0.0.1:4577", "a/b", "1", None)),
        ("localhost/a", ("localhost", "a", "latest", None)),
        ("ghcr.io/a/b@sha256:00", ("ghcr.io", "a/b", None, "sha256:00")),
        ("h:1/a:t@sha256:00", ("h:1", "a", "t", "sha256:00")),
    ],
)
def test_references(text: str, expected: tuple[str, str, str | None, str | None]) -> None:
    found = Reference.parse(text)
    assert (found.host, found.name, found.tag, found.digest) == expected


def test_an_image_by_tag_by_digest_and_by_aws_s_name(api: Api) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    image = support.image(support.layer({"a": b"1"}), support.layer({"b": b"2"}))
    digest = support.push(api, "app", image, "1")
    for reference in (
        "127.0.0.1:4577/app:1",
        f"127.0.0.1:4577/app@{digest}",
        f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/app:1",
    ):
        found = resolve_image(api.context, ACCOUNT, REGION, reference)
        assert (found.digest, found.reference) == (digest, reference)
        assert [row.path.read_bytes() for row in found.layers] == list(image.blobs.values())[1:]
        assert found.config["architecture"] == "amd64"


def test_an_index_gives_the_platform_s_image(api: Api) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    intel = support.image(support.layer({"a": b"1"}))
    arm = support.image(support.layer({"a": b"2"}), architecture="arm64")
    for part in (intel, arm):
        support.push(api, "app", part)
    text = support.index(intel, arm)
    api.ecr("PutImage", repositoryName="app", imageManifest=text, imageTag="1")
    found = resolve_image(api.context, ACCOUNT, REGION, "127.0.0.1:4577/app:1", "linux/arm64")
    assert found.digest == support.digest(text.encode())
    assert found.config["architecture"] == "arm64"
    with pytest.raises(PullError, match="descriptor matching platform 'linux/s390x'"):
        resolve_image(api.context, ACCOUNT, REGION, "127.0.0.1:4577/app:1", "linux/s390x")


def test_the_wrong_architecture_is_refused(api: Api) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    support.push(api, "app", support.image(support.layer({"a": b"1"}), architecture="arm64"), "1")
    with pytest.raises(PullError) as caught:
        resolve_image(api.context, ACCOUNT, REGION, "127.0.0.1:4577/app:1")
    assert str(caught.value) == (
        "CannotPullContainerError: image Manifest does not contain descriptor matching platform "
        "'linux/amd64'"
    )


@pytest.mark.parametrize("name", ["127.0.0.1:4577/app:2", "127.0.0.1:4577/none:1"])
def test_what_is_not_there(api: Api, name: str) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    with pytest.raises(PullError) as caught:
        resolve_image(api.context, ACCOUNT, REGION, name)
    assert str(caught.value).startswith("CannotPullContainerError: ")
    assert str(caught.value).endswith(f"failed to resolve ref {name}: {name}: not found")


def test_another_registry_cannot_be_reached(api: Api) -> None:
    with pytest.raises(PullError) as caught:
        resolve_image(api.context, ACCOUNT, REGION, "nginx:1.27")
    assert "docker.io/library/nginx:1.27: failed to do request" in str(caught.value)
    assert str(caught.value).endswith("i/o timeout")
