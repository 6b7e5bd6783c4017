"""The cloud's front door, asked over HTTP."""

from __future__ import annotations

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.cloud.conftest import LabCloud


def test_moto_answers_what_the_lab_does_not(cloud: LabCloud) -> None:
    assert cloud.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_health_names_the_version(cloud: LabCloud) -> None:
    answer = httpx.get(f"{cloud.url}/_lab/health")
    assert answer.json()["status"] == "ok"


def test_an_unknown_lab_address_is_404(cloud: LabCloud) -> None:
    assert httpx.get(f"{cloud.url}/_lab/nowhere").status_code == 404


def test_an_action_the_lab_does_not_have_is_refused_in_plain_words(cloud: LabCloud) -> None:
    with pytest.raises(ClientError, match="is not part of this lab") as caught:
        cloud.client("ecr").describe_pull_through_cache_rules()
    assert caught.value.response["Error"]["Code"] == "UnsupportedFeatureException"


def test_a_page_of_elsewhere_is_refused(cloud: LabCloud) -> None:
    answer = httpx.get(f"{cloud.url}/_lab/health", headers={"origin": "https://example.org"})
    assert answer.status_code == 403
    assert "example.org" in answer.json()["message"]


def test_a_call_without_credentials_is_refused(cloud: LabCloud) -> None:
    target = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"
    answer = httpx.post(cloud.url, headers={"x-amz-target": target}, content=b"{}")
    assert answer.status_code == 400
    assert answer.json()["__type"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff", b'"x"'])
def test_a_body_that_is_no_document_is_refused(cloud: LabCloud, body: bytes) -> None:
    credential = "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/ecr/aws4_request"
    answer = httpx.post(
        cloud.url,
        headers={
            "x-amz-target": "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
            "authorization": credential,
        },
        content=body,
    )
    assert (answer.status_code, answer.json()["__type"]) == (400, "SerializationException")


def test_stop_needs_the_owner_s_token(cloud: LabCloud) -> None:
    answer = httpx.post(f"{cloud.url}/_lab/stop", headers={"x-lab-token": "guess"})
    assert answer.status_code == 403
    assert httpx.get(f"{cloud.url}/_lab/health").status_code == 200
