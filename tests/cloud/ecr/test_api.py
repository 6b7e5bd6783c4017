"""ECR's actions, called without HTTP; every answer is held against botocore's service model."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest

from fargate_lab.cloud.ecr.auth import Signer, TokenError, TokenExpired
from fargate_lab.cloud.ecr.registry import registry_of
from fargate_lab.cloud.protocol import AwsError
from tests.cloud.conftest import ECR, Api
from tests.cloud.ecr import support

MODEL = botocore.session.get_session().get_service_model("ecr")


def refused(code: str, call: Callable[[], object]) -> str:
    with pytest.raises(AwsError) as caught:
        call()
    assert caught.value.code == code
    if code not in ("AccessDeniedException", "UnsupportedFeatureException"):
        assert code in MODEL.shape_names or code == "InvalidParameterException"
    return caught.value.message


@pytest.fixture
def app(api: Api) -> Api:
    api.ecr("CreateRepository", repositoryName="app")
    return api


ANY_IMAGE = support.image(support.layer({"a": b"1"}), support.layer({"b": b"2"}))


@pytest.mark.parametrize("name", ["", "a", "UPPER", "a//b", "-a", "a_", "a" * 257, "a b", 7])
def test_repository_names(api: Api, name: object) -> None:
    said = refused(
        "InvalidParameterException", lambda: api.ecr("CreateRepository", repositoryName=name)
    )
    assert said.startswith("Invalid parameter at 'repositoryName' failed to satisfy constraint: '")


def test_the_repository_s_life(api: Api) -> None:
    made = api.ecr("CreateRepository", repositoryName="ml/digits")["repository"]
    assert made["repositoryUri"] == "127.0.0.1:4577/ml/digits"
    assert made["repositoryArn"] == "arn:aws:ecr:us-east-1:123456789012:repository/ml/digits"
    assert made["imageTagMutability"] == "MUTABLE"
    assert refused(
        "RepositoryAlreadyExistsException",
        lambda: api.ecr("CreateRepository", repositoryName="ml/digits"),
    ) == (
        "The repository with name 'ml/digits' already exists in the registry with id '123456789012'"
    )
    support.push(api, "ml/digits", ANY_IMAGE, "1")
    assert "still contains images" in refused(
        "RepositoryNotEmptyException",
        lambda: api.ecr("DeleteRepository", repositoryName="ml/digits"),
    )
    api.ecr("DeleteRepository", repositoryName="ml/digits", force=True)
    assert list(api.context.blobs.iterdir()) == []
    assert "does not exist in the registry" in refused(
        "RepositoryNotFoundException",
        lambda: api.ecr("DescribeRepositories", repositoryNames=["ml/digits"]),
    )


def test_accounts_and_regions_are_apart(app: Api) -> None:
    assert app.call(ECR, "DescribeRepositories", account="210987654321")["repositories"] == []
    assert app.call(ECR, "DescribeRepositories", region="eu-west-1")["repositories"] == []
    refused(
        "AccessDeniedException",
        lambda: app.ecr("ListImages", repositoryName="app", registryId="210987654321"),
    )


def test_repositories_in_pages(api: Api) -> None:
    for n in range(5):
        api.ecr("CreateRepository", repositoryName=f"r{n}")
    first = api.ecr("DescribeRepositories", maxResults=2)
    rest = api.ecr("DescribeRepositories", maxResults=9, nextToken=first["nextToken"])
    names = [r["repositoryName"] for r in [*first["repositories"], *rest["repositories"]]]
    assert names == [f"r{n}" for n in range(5)]
    assert "nextToken" not in rest
    refused("InvalidParameterException", lambda: api.ecr("DescribeRepositories", nextToken="x"))


def test_aes256_takes_no_key(api: Api) -> None:
    said = refused(
        "InvalidParameterException",
        lambda: api.ecr(
            "CreateRepository",
            repositoryName="x1",
            encryptionConfiguration={"encryptionType": "AES256", "kmsKey": "k"},
        ),
    )
    assert said == (
        "Invalid encryption configuration: Encryption key should not be set for AES256 encryption."
    )


class TestUpload:
    def begin(self, app: Api) -> dict[str, str]:
        upload = app.ecr("InitiateLayerUpload", repositoryName="app")
        return {"repositoryName": "app", "uploadId": upload["uploadId"]}

    def part(self, app: Api, upload: dict[str, str], start: int, data: bytes) -> dict[str, Any]:
        return app.ecr(
            "UploadLayerPart",
            **upload,
            partFirstByte=start,
            partLastByte=start + len(data) - 1,
            layerPartBlob=base64.b64encode(data).decode(),
        )

    def test_parts_make_the_layer(self, app: Api) -> None:
        data = os.urandom(11 * 2**20)
        assert support.upload(app, "app", data) == support.digest(data)
        path = app.context.blobs / support.digest(data)[7:]
        assert path.read_bytes() == data

    def test_a_gap_is_refused(self, app: Api) -> None:
        upload = self.begin(app)
        self.part(app, upload, 0, b"123")
        with pytest.raises(AwsError) as caught:
            self.part(app, upload, 4, b"5")
        assert caught.value.code == "InvalidLayerPartException"
        assert caught.value.members["lastValidByteReceived"] == 2
        assert self.part(app, upload, 3, b"4")["lastByteReceived"] == 3

    def test_a_part_that_is_not_as_long_as_it_says(self, app: Api) -> None:
        upload = self.begin(app)
        refused(
            "InvalidLayerPartException",
            lambda: app.ecr(
                "UploadLayerPart",
                **upload,
                partFirstByte=0,
                partLastByte=5,
                layerPartBlob=base64.b64encode(b"abc").decode(),
            ),
        )

    def test_a_part_above_10_mib(self, app: Api) -> None:
        upload = self.begin(app)
        refused(
            "InvalidLayerPartException",
            lambda: self.part(app, upload, 0, bytes(10 * 2**20 + 1)),
        )

    def test_small_parts_but_the_last(self, app: Api) -> None:
        upload = self.begin(app)
        self.part(app, upload, 0, b"123")
        self.part(app, upload, 3, b"4")
        digest = support.digest(b"1234")
        said = refused(
            "LayerPartTooSmallException",
            lambda: app.ecr("CompleteLayerUpload", **upload, layerDigests=[digest]),
        )
        assert said == "Layer parts must be at least 5 MiB in size."

    def test_nothing_sent(self, app: Api) -> None:
        upload = self.begin(app)
        refused(
            "EmptyUploadException",
            lambda: app.ecr("CompleteLayerUpload", **upload, layerDigests=[support.digest(b"")]),
        )

    def test_a_wrong_digest(self, app: Api) -> None:
        upload = self.begin(app)
        self.part(app, upload, 0, b"123")
        wrong = support.digest(b"other")
        refused(
            "InvalidLayerException",
            lambda: app.ecr("CompleteLayerUpload", **upload, layerDigests=[wrong]),
        )
        assert list(app.context.blobs.iterdir()) == []
        assert list((app.context.state_dir / "uploads").iterdir()) == []

    def test_a_layer_that_is_there(self, app: Api) -> None:
        support.upload(app, "app", b"123")
        refused("LayerAlreadyExistsException", lambda: support.upload(app, "app", b"123"))

    def test_an_upload_that_is_not(self, app: Api) -> None:
        name = "00000000-0000-0000-0000-000000000000"
        said = refused(
            "UploadNotFoundException",
            lambda: self.part(app, {"repositoryName": "app", "uploadId": name}, 0, b"1"),
        )
        assert said == (
            f"Upload with id '{name}' could not be found for the repository with name 'app' in "
            "the registry with id '123456789012'"
        )

    def test_another_repository_s_upload(self, app: Api) -> None:
        app.ecr("CreateRepository", repositoryName="other")
        upload = {**self.begin(app), "repositoryName": "other"}
        refused("UploadNotFoundException", lambda: self.part(app, upload, 0, b"1"))

    def test_a_full_disk_keeps_nothing(self, app: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        upload = self.begin(app)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        self.part(app, upload, 0, b"123")
        monkeypatch.setattr("fargate_lab.cloud.ecr.sessions.os.fsync", full)
        with pytest.raises(AwsError) as caught:
            app.ecr("CompleteLayerUpload", **upload, layerDigests=[support.digest(b"123")])
        assert (caught.value.status, caught.value.code) == (507, "ServerException")
        assert "No space left on device" in caught.value.message
        assert list((app.context.state_dir / "uploads").iterdir()) == []
        monkeypatch.undo()
        assert support.upload(app, "app", b"123") == support.digest(b"123")


class TestPutImage:
    def put(self, app: Api, manifest: str, **more: Any) -> dict[str, Any]:
        return app.ecr("PutImage", repositoryName="app", imageManifest=manifest, **more)

    def test_layers_must_be_there(self, app: Api) -> None:
        said = refused("LayersNotFoundException", lambda: self.put(app, ANY_IMAGE.manifest))
        assert said == (
            f"Layers with digests '[{', '.join(ANY_IMAGE.blobs)}]' required for pushing image "
            "into repository with name 'app' in the registry with id '123456789012' do not exist"
        )
        assert app.ecr("ListImages", repositoryName="app")["imageIds"] == []

    def test_sizes_must_be_true(self, app: Api) -> None:
        support.push(app, "app", ANY_IMAGE)
        document = json.loads(ANY_IMAGE.manifest)
        document["layers"][0]["size"] += 1
        assert "the size of" in refused(
            "InvalidParameterException", lambda: self.put(app, json.dumps(document))
        )

    @pytest.mark.parametrize("text", ["junk", "1", "{}", '{"schemaVersion":2}', "[" * 99999])
    def test_junk(self, app: Api, text: str) -> None:
        refused("InvalidParameterException", lambda: self.put(app, text))

    def test_the_media_type_must_be_known_somehow(self, app: Api) -> None:
        support.push(app, "app", ANY_IMAGE)
        document = json.loads(ANY_IMAGE.manifest)
        del document["mediaType"]
        text = json.dumps(document)
        assert "ImageManifestMediaType" in refused(
            "InvalidParameterException", lambda: self.put(app, text)
        )
        image = self.put(app, text, imageManifestMediaType=support.MANIFEST)["image"]
        assert image["imageId"] == {"imageDigest": support.digest(text.encode())}

    def test_the_digest_must_be_true(self, app: Api) -> None:
        support.push(app, "app", ANY_IMAGE)
        refused(
            "ImageDigestDoesNotMatchException",
            lambda: self.put(app, ANY_IMAGE.manifest, imageDigest=support.digest(b"x")),
        )

    def test_the_same_twice(self, app: Api) -> None:
        digest = support.push(app, "app", ANY_IMAGE, "1")
        said = refused(
            "ImageAlreadyExistsException",
            lambda: self.put(app, ANY_IMAGE.manifest, imageTag="1"),
        )
        assert said == (
            f"Image with digest '{digest}' and tag '1' already exists in the repository with name "
            "'app' in registry with id '123456789012'"
        )
        self.put(app, ANY_IMAGE.manifest, imageTag="2")
        (detail,) = app.ecr("DescribeImages", repositoryName="app")["imageDetails"]
        assert detail["imageTags"] == ["1", "2"]
        assert detail["imageSizeInBytes"] == sum(map(len, ANY_IMAGE.blobs.values()))

    @pytest.mark.parametrize(
        ("mode", "filters", "tag", "moves"),
        [
            ("MUTABLE", [], "1", True),
            ("IMMUTABLE", [], "1", False),
            ("IMMUTABLE_WITH_EXCLUSION", ["latest", "dev-*"], "1", False),
            ("IMMUTABLE_WITH_EXCLUSION", ["latest", "dev-*"], "dev-7", True),
            ("MUTABLE_WITH_EXCLUSION", ["v*"], "v1", False),
            ("MUTABLE_WITH_EXCLUSION", ["v*"], "latest", True),
        ],
    )
    def test_mutability(
        self, app: Api, mode: str, filters: list[str], tag: str, moves: bool
    ) -> None:
        rows = [{"filterType": "WILDCARD", "filter": f} for f in filters]
        more = {"imageTagMutabilityExclusionFilters": rows} if rows else {}
        app.ecr("PutImageTagMutability", repositoryName="app", imageTagMutability=mode, **more)
        support.push(app, "app", ANY_IMAGE, tag)
        second = support.image(support.layer({"c": b"3"}))
        if moves:
            assert support.push(app, "app", second, tag) == second.digest
        else:
            said = refused(
                "ImageTagAlreadyExistsException",
                lambda: support.push(app, "app", second, tag),
            )
            assert said.startswith(f"The image tag '{tag}' already exists in the 'app' repository")

    def test_an_index_needs_its_images(self, app: Api) -> None:
        text = support.index(ANY_IMAGE)
        refused("ReferencedImagesNotFoundException", lambda: self.put(app, text))
        support.push(app, "app", ANY_IMAGE)
        self.put(app, text, imageTag="1")
        failures = app.ecr(
            "BatchDeleteImage", repositoryName="app", imageIds=[{"imageDigest": ANY_IMAGE.digest}]
        )["failures"]
        assert failures[0]["failureCode"] == "ImageReferencedByManifestList"


class TestReading:
    def test_media_types_that_are_not_accepted(self, app: Api) -> None:
        support.push(app, "app", ANY_IMAGE, "1")
        answer = app.ecr(
            "BatchGetImage",
            repositoryName="app",
            imageIds=[{"imageTag": "1"}],
            acceptedMediaTypes=[support.INDEX],
        )
        assert [f["failureCode"] for f in answer["failures"]] == ["ImageNotFound"]

    def test_tag_status_and_pages(self, app: Api) -> None:
        digest = support.push(app, "app", ANY_IMAGE, "1")
        loose = support.push(app, "app", support.image(support.layer({"z": b""})))

        def listed(**filters: str) -> list[dict[str, str]]:
            rows: list[dict[str, str]] = app.ecr(
                "ListImages", repositoryName="app", filter=filters
            )["imageIds"]
            return rows

        assert listed(tagStatus="TAGGED") == [{"imageDigest": digest, "imageTag": "1"}]
        assert listed(tagStatus="UNTAGGED") == [{"imageDigest": loose}]
        assert len(listed()) == 2
        assert listed(imageStatus="ARCHIVED") == []
        first = app.ecr("DescribeImages", repositoryName="app", maxResults=1)
        second = app.ecr("DescribeImages", repositoryName="app", nextToken=first["nextToken"])
        found = {d["imageDigest"] for a in (first, second) for d in a["imageDetails"]}
        assert found == {digest, loose}

    def test_an_image_that_is_not_there(self, app: Api) -> None:
        said = refused(
            "ImageNotFoundException",
            lambda: app.ecr("DescribeImages", repositoryName="app", imageIds=[{"imageTag": "x"}]),
        )
        assert said == (
            "The image with imageId {imageDigest:'null', imageTag:'x'} does not exist within the "
            "repository with name 'app' in the registry with id '123456789012'"
        )

    def test_deleting_tags_and_the_last_of_them(self, app: Api) -> None:
        digest = support.push(app, "app", ANY_IMAGE, "1")
        app.ecr("PutImage", repositoryName="app", imageManifest=ANY_IMAGE.manifest, imageTag="2")
        for tag, left in (("1", 1), ("2", 0)):
            answer = app.ecr("BatchDeleteImage", repositoryName="app", imageIds=[{"imageTag": tag}])
            assert answer["imageIds"] == [{"imageDigest": digest, "imageTag": tag}]
            assert len(app.ecr("ListImages", repositoryName="app")["imageIds"]) == left
        assert list(app.context.blobs.iterdir()) == []

    def test_a_tag_and_another_digest(self, app: Api) -> None:
        support.push(app, "app", ANY_IMAGE, "1")
        wrong = {"imageTag": "1", "imageDigest": support.digest(b"")}
        failures = app.ecr("BatchDeleteImage", repositoryName="app", imageIds=[wrong])["failures"]
        assert failures[0]["failureCode"] == "ImageTagDoesNotMatchDigest"


class TestTokens:
    def test_a_token_for_twelve_hours(self, api: Api) -> None:
        registry = registry_of(api.context)
        registry.clock = lambda: 1000.0
        data = api.ecr("GetAuthorizationToken")["authorizationData"][0]
        assert data["expiresAt"] == 1000 + 12 * 3600
        assert data["proxyEndpoint"] == "http://127.0.0.1:4577"
        header = f"Basic {data['authorizationToken']}"
        assert registry.signer.grant(header, 1000.0).scope == "123456789012/us-east-1"
        with pytest.raises(TokenExpired, match="has expired"):
            registry.signer.grant(header, 1000 + 12 * 3600)

    def test_a_token_outlives_a_restart(self, api: Api) -> None:
        token = api.ecr("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
        assert Signer(api.context.store).grant(f"Basic {token}").account == "123456789012"

    def test_another_cloud_s_token(self, api: Api, tmp_path: Any) -> None:
        from fargate_lab.cloud.store import Store

        password, _ = Signer(Store(tmp_path / "other.sqlite")).password("1" * 12, "us-east-1")
        header = base64.b64encode(f"AWS:{password}".encode()).decode()
        with pytest.raises(TokenError, match="invalid"):
            registry_of(api.context).signer.grant(f"Basic {header}")


def test_a_policy_that_is_none(app: Api) -> None:
    for text in ("", "{}", '{"Statement":[{"Effect":"Maybe","Principal":"*"}]}'):
        payload = {"repositoryName": "app", "policyText": text}
        refused("InvalidParameterException", lambda p=payload: app.ecr("SetRepositoryPolicy", **p))
    refused(
        "RepositoryPolicyNotFoundException",
        lambda: app.ecr("GetRepositoryPolicy", repositoryName="app"),
    )


def test_resource_tags(app: Api) -> None:
    arn = "arn:aws:ecr:us-east-1:123456789012:repository/app"
    many = [{"Key": f"k{n}", "Value": ""} for n in range(51)]
    refused("TooManyTagsException", lambda: app.ecr("TagResource", resourceArn=arn, tags=many))
    assert app.ecr("ListTagsForResource", resourceArn=arn)["tags"] == []
    refused(
        "InvalidParameterException",
        lambda: app.ecr("ListTagsForResource", resourceArn="arn:aws:s3:::x"),
    )
