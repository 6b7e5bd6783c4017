"""Every action of ECR held against botocore's service model: its answers, and junk sent to it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from fargate_lab.cloud.ecr.registry import registry_of
from fargate_lab.cloud.protocol import AwsError, dumps
from tests.cloud.conftest import ECR, Api
from tests.cloud.ecr import support

MODEL = botocore.session.get_session().get_service_model("ecr")
ANY_IMAGE = support.image(support.layer({"a": b"1"}), support.layer({"b": b"2"}))


Call = Callable[..., dict[str, Any]]
NAME = {"repositoryName": "app"}


def use_repository(call: Call) -> None:
    """Actions on the repository itself."""
    tags = [{"Key": "team", "Value": "ml"}]
    made = call("CreateRepository", **NAME, tags=tags)["repository"]
    arn = {"resourceArn": made["repositoryArn"]}
    call("DescribeRepositories")
    call("GetAuthorizationToken")
    call("TagResource", **arn, tags=[{"Key": "a", "Value": "b"}])
    call("ListTagsForResource", **arn)
    call("UntagResource", **arn, tagKeys=["a"])
    allow = {"Effect": "Allow", "Principal": "*", "Action": "ecr:*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    call("SetRepositoryPolicy", **NAME, policyText=policy)
    call("GetRepositoryPolicy", **NAME)
    call("DeleteRepositoryPolicy", **NAME)
    call("PutImageTagMutability", **NAME, imageTagMutability="IMMUTABLE")
    call("PutImageScanningConfiguration", **NAME, imageScanningConfiguration={"scanOnPush": True})


def use_images(api: Api, call: Call) -> None:
    """Actions on layers and images."""
    digests = list(ANY_IMAGE.blobs)
    for digest, data in ANY_IMAGE.blobs.items():
        upload = {**NAME, "uploadId": call("InitiateLayerUpload", **NAME)["uploadId"]}
        part = {"partFirstByte": 0, "partLastByte": len(data) - 1}
        blob = base64.b64encode(data).decode()
        call("UploadLayerPart", **upload, **part, layerPartBlob=blob)
        call("CompleteLayerUpload", **upload, layerDigests=[digest])
    call("BatchCheckLayerAvailability", **NAME, layerDigests=[*digests, "junk"])
    call("GetDownloadUrlForLayer", **NAME, layerDigest=digests[0])
    call("PutImage", **NAME, imageManifest=ANY_IMAGE.manifest, imageTag="1")
    chosen = {"imageTag": "1"}
    call("BatchGetImage", **NAME, imageIds=[chosen, {"imageTag": "no"}, {}])
    call("ListImages", **NAME)
    call("StartImageScan", **NAME, imageId=chosen)
    api.service(ECR).shutdown()
    call("DescribeImageScanFindings", **NAME, imageId=chosen)
    call("DescribeImages", **NAME)


def use_lifecycle(call: Call) -> None:
    """Actions on lifecycle policies."""
    rule = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9}
    rules = [{"rulePriority": 1, "selection": rule, "action": {"type": "expire"}}]
    text = json.dumps({"rules": rules})
    call("PutLifecyclePolicy", **NAME, lifecyclePolicyText=text)
    call("GetLifecyclePolicy", **NAME)
    call("StartLifecyclePolicyPreview", **NAME, lifecyclePolicyText=text.replace("9", "1"))
    call("GetLifecyclePolicyPreview", **NAME)
    call("DeleteLifecyclePolicy", **NAME)


def conforming_calls(api: Api) -> dict[str, list[dict[str, Any]]]:
    """One answer or more of every action, on one repository."""
    answers: dict[str, list[dict[str, Any]]] = {}

    def call(action: str, **payload: Any) -> dict[str, Any]:
        answer = api.ecr(action, **payload)
        answers.setdefault(action, []).append(json.loads(dumps(answer)))
        return answer

    use_repository(call)
    use_images(api, call)
    use_lifecycle(call)
    chosen = {"imageTag": "1"}
    call("BatchDeleteImage", **NAME, imageIds=[chosen, chosen])
    call("DeleteRepository", **NAME, force=True)
    return answers


def unknown_members(value: Any, shape: Any, path: str) -> list[str]:
    """Members of an answer that the model does not have."""
    if shape.type_name == "structure":
        found = [f"{path}.{k}" for k in value if k not in shape.members]
        for key, member in shape.members.items():
            if key in value:
                found += unknown_members(value[key], member, f"{path}.{key}")
        return found
    if shape.type_name == "list":
        return [m for row in value for m in unknown_members(row, shape.member, path)]
    return []


def test_every_answer_has_the_shape_of_the_model(api: Api) -> None:
    answers = conforming_calls(api)
    assert answers.keys() == api.service(ECR).actions.keys()
    for action, rows in answers.items():
        shape = MODEL.operation_model(action).output_shape
        for row in rows:
            assert unknown_members(row, shape, action) == []
            report = ParamValidator().validate(row, shape)
            assert not report.has_errors(), f"{action}: {report.generate_report()}"


def test_every_refused_action_is_one_of_ecr(api: Api) -> None:
    service = api.service(ECR)
    rest = set(MODEL.operation_names) - service.actions.keys()
    assert set(service.actions) < set(MODEL.operation_names)
    assert "not part of this lab" in service.refusal(sorted(rest)[0]).message


ARN = {"resourceArn": "arn:aws:ecr:us-east-1:123456789012:repository/app"}
GOOD: dict[str, dict[str, Any]] = {
    "BatchCheckLayerAvailability": {"layerDigests": ["sha256:" + "0" * 64]},
    "BatchGetImage": {"imageIds": [{"imageTag": "1"}]},
    "BatchDeleteImage": {"imageIds": [{"imageTag": "none"}]},
    "DescribeImageScanFindings": {"imageId": {"imageTag": "1"}},
    "GetDownloadUrlForLayer": {"layerDigest": next(iter(ANY_IMAGE.blobs))},
    "PutImage": {"imageManifest": ANY_IMAGE.manifest},
    "PutImageTagMutability": {"imageTagMutability": "MUTABLE"},
    "StartImageScan": {"imageId": {"imageTag": "1"}},
    "TagResource": {**ARN, "tags": []},
    "UntagResource": {**ARN, "tagKeys": []},
    "ListTagsForResource": ARN,
}
"""Requests with every required member right, where `repositoryName` alone does not do."""

JUNK: list[Any] = [None, 7, -1, [], {}, "x" * 5000, [{}], {"a": 1}, [[]], [None], "\ud800", True]


@pytest.mark.parametrize("action", sorted({*GOOD, *MODEL.operation_names}))
def test_junk_in_any_member_is_refused_and_never_a_failure(api: Api, action: str) -> None:
    service = api.service(ECR)
    if action not in service.actions:
        assert service.refusal(action).status == 400
        return
    api.ecr("CreateRepository", repositoryName="app")
    support.push(api, "app", ANY_IMAGE, "1")
    members = MODEL.operation_model(action).input_shape.members
    good = {"repositoryName": "app"} if "repositoryName" in members else {}
    good |= GOOD.get(action, {})
    statuses = []
    for member in members:
        for junk in JUNK:
            try:
                api.ecr(action, **{**good, member: junk})
            except AwsError as error:
                statuses.append(error.status)
            if action == "DeleteRepository":
                registry_of(api.context).delete_repository("123456789012/us-east-1", "app")
                api.ecr("CreateRepository", repositoryName="app")
    assert set(statuses) == {400}
