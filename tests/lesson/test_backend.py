"""Where calls go: never to AWS without consent, never with a learner's own credentials."""

from __future__ import annotations

import os
import socket
from typing import Any

import boto3
import pytest

from fargate_lab.cloud.process import CloudError, CloudInfo
from fargate_lab.lesson import backend, start
from fargate_lab.lesson.errors import LabError
from fargate_lab.lesson.session import Lab


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every attempt to connect anywhere, none of which succeeds."""
    tried: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: tried.append(a) or [])
    return tried


@pytest.mark.parametrize("consent", [None, "", "no", "Yes", "1", "true"])
def test_aws_is_refused_without_consent(
    consent: str | None, monkeypatch: pytest.MonkeyPatch, no_network: list[Any]
) -> None:
    monkeypatch.setenv("LAB_BACKEND", "aws")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("LAB_AWS_CONSENT", raising=False)
    if consent is not None:
        monkeypatch.setenv("LAB_AWS_CONSENT", consent)
    monkeypatch.setattr(boto3, "Session", _forbidden)
    monkeypatch.setattr(boto3, "client", _forbidden)
    with pytest.raises(LabError, match="set LAB_AWS_CONSENT=yes") as refusal:
        start(chapter=0)
    assert "Nothing was sent to AWS." in str(refusal.value)
    assert no_network == []


def _forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("a client was made without consent")


def test_with_consent_the_clouds_endpoint_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        region_name = "eu-west-1"

        def client(self, service: str) -> Any:
            assert service == "sts"
            assert "AWS_ENDPOINT_URL" not in os.environ
            return self

        def get_caller_identity(self) -> dict[str, str]:
            return {"Account": "111122223333"}

    monkeypatch.setenv("LAB_BACKEND", "aws")
    monkeypatch.setenv("LAB_AWS_CONSENT", "yes")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4577")
    monkeypatch.setattr(boto3, "Session", Session)
    chosen = backend.choose()
    assert (chosen.name, chosen.account, chosen.url) == ("aws", "111122223333", None)
    assert chosen.registry == "111122223333.dkr.ecr.eu-west-1.amazonaws.com"


def test_with_consent_a_region_is_needed(
    monkeypatch: pytest.MonkeyPatch, no_network: list[Any]
) -> None:
    monkeypatch.setenv("LAB_BACKEND", "aws")
    monkeypatch.setenv("LAB_AWS_CONSENT", "yes")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LabError, match="Set AWS_REGION"):
        backend.choose()
    assert no_network == []


def test_an_unknown_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_BACKEND", "gcp")
    with pytest.raises(LabError, match="LAB_BACKEND is 'gcp'; it must be 'local' or 'aws'"):
        backend.choose()


def test_the_fence_takes_every_aws_variable_away() -> None:
    environment = {
        "AWS_PROFILE": "work",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SESSION_TOKEN": "t",
        "AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.2/",
        "PATH": "/bin",
        "NO_PROXY": "internal,127.0.0.1",
    }
    backend.fence(environment)
    left = {name for name in environment if name.startswith("AWS_")}
    assert left == {
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_EC2_METADATA_DISABLED",
    }
    assert environment["AWS_CONFIG_FILE"] == os.devnull
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert environment["PATH"] == "/bin"
    assert environment["NO_PROXY"] == "internal,127.0.0.1,localhost"
    assert environment["no_proxy"] == "127.0.0.1,localhost"


def test_the_fence_twice_is_the_fence_once() -> None:
    environment = {"AWS_PROFILE": "work", "NO_PROXY": "internal"}
    backend.fence(environment)
    once = dict(environment)
    backend.fence(environment)
    assert environment == once


def test_a_cloud_that_does_not_start_is_told_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise CloudError("The state folder cannot be written.")

    monkeypatch.setattr(backend, "start", fail)
    with pytest.raises(LabError, match="The state folder cannot be written"):
        backend.choose()


def test_a_chapter_opens_on_this_machine_whatever_was_set(
    lesson_cloud: CloudInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = dict(os.environ)
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("LAB_STATE_DIR", lesson_cloud.state_dir)
    try:
        lab = start(chapter=0)
        assert boto3.client("ecs").meta.endpoint_url == lesson_cloud.url == lab.backend.url
        assert "AWS_PROFILE" not in os.environ
        assert os.environ["AWS_ACCESS_KEY_ID"] == "lab"
        assert "nothing is sent to AWS" in capsys.readouterr().out
        assert start(chapter=0) == lab
    finally:
        os.environ.clear()
        os.environ.update(own)
        boto3.DEFAULT_SESSION = None


@pytest.mark.parametrize("number", [-1, 14])
def test_there_are_fourteen_chapters(number: int) -> None:
    with pytest.raises(LabError, match=f"There is no chapter {number}; they run from 0 to 13"):
        start(chapter=number)


def test_the_cloud_is_asked_without_a_proxy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:9")
    assert (backend.ask(lab.backend.url, "/_lab/health") or {})["status"] == "ok"
    assert backend.ask(lab.backend.url, "/_lab/nothing-here") is None


def test_a_cloud_that_is_gone_is_told_plainly() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(LabError, match="Run the chapter's first cell again"):
            backend.ask(closed, "/_lab/health")


@pytest.mark.parametrize("number", ["0", 2.5, None, True])
def test_a_chapter_that_is_no_number_is_a_sentence(number: Any) -> None:
    with pytest.raises(LabError, match="There is no chapter"):
        start(chapter=number)
