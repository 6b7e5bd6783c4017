"""Requests of callers without a client that checks types: AWS's refusals over plain HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.cloud.conftest import ECS, Api, LabCloud
from tests.cloud.ecs.requests import definition, with_container

SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=lab/20261101/us-east-1/ecs/aws4_request, SignedHeaders=host, "
    "Signature=0"
)


def post(cloud: LabCloud, action: str, document: Any) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        cloud.url,
        data=document if isinstance(document, bytes) else json.dumps(document).encode(),
        headers={"x-amz-target": f"{ECS}.{action}", "authorization": SIGNATURE},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    ("action", "document", "code", "text"),
    [
        ("RegisterTaskDefinition", definition(cpu=256), "SerializationException",
         "NUMBER_VALUE can not be converted to a String"),
        ("RegisterTaskDefinition", with_container(cpu="1"), "SerializationException",
         "STRING_VALUE can not be converted to an Integer"),
        ("RegisterTaskDefinition", with_container(essential="yes"), "SerializationException",
         "STRING_VALUE can not be converted to a Boolean"),
        ("RegisterTaskDefinition", with_container(memory=True), "SerializationException",
         "TRUE_VALUE can not be converted to an Integer"),
        ("RegisterTaskDefinition", with_container(memory=1.5), "SerializationException",
         "DECIMAL_VALUE can not be converted to an Integer"),
        ("RegisterTaskDefinition", definition(containerDefinitions={}), "SerializationException",
         "Expected list or null"),
        ("RegisterTaskDefinition", definition(family=["web"]), "SerializationException",
         "Start of list found where not expected"),
        ("RegisterTaskDefinition", definition(family={}), "SerializationException",
         "Start of structure or map found where not expected."),
        ("RegisterTaskDefinition", definition(networkMode="vpc"), "InvalidParameterException",
         "1 validation error detected: Value 'vpc' at 'networkMode' failed to satisfy constraint: "
         "Member must satisfy enum value set: [bridge, host, awsvpc, none]"),
        ("RegisterTaskDefinition", with_container(healthCheck={"interval": 5}),
         "InvalidParameterException",
         "1 validation error detected: Value null at 'containerDefinitions.1.member.healthCheck."
         "command' failed to satisfy constraint: Member must not be null"),
        ("DescribeClusters", {"clusters": "demo"}, "SerializationException",
         "Expected list or null"),
        ("ListClusters", {"maxResults": "many"}, "SerializationException",
         "STRING_VALUE can not be converted to an Integer"),
        ("RunTask", {}, "InvalidParameterException", "TaskDefinition can not be blank."),
        ("RegisterTaskDefinition", {}, "ClientException", "Family should not be null or empty."),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_model_is_refused(
    cloud: LabCloud, action: str, document: Any, code: str, text: str
) -> None:
    status, body = post(cloud, action, document)
    assert (status, body["__type"], body["message"]) == (400, code, text)


def test_null_is_absence(api: Api) -> None:
    answer = api.ecs("RegisterTaskDefinition", **with_container(memory=None, links=None))
    assert "memory" not in answer["taskDefinition"]["containerDefinitions"][0]


def test_the_first_list_reads_no_model(api: Api) -> None:
    from fargate_lab.cloud.ecs import model_validation

    model_validation._model.cache_clear()
    api.ecs("ListClusters")
    assert model_validation._model.cache_info().currsize == 0
