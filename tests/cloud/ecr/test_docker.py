"""The Docker engine and the AWS CLI, unmodified, against the registry."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.cloud.conftest import LabCloud

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine answers: {error}")
    yield client
    client.close()


def run(cloud: LabCloud, *command: str, given: str = "", config: Path | None = None) -> str:
    environment = cloud.environment()
    if config is not None:
        environment["DOCKER_CONFIG"] = str(config)
    done = subprocess.run(
        command, input=given, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def scratch_image(engine: docker.DockerClient, name: str, text: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in (("Dockerfile", b'FROM scratch\nCOPY a /a\nCMD ["/a"]\n'), ("a", text)):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    buffer.seek(0)
    engine.images.build(fileobj=buffer, custom_context=True, tag=name, rm=True)


def test_login_push_pull(cloud: LabCloud, engine: docker.DockerClient, tmp_path: Path) -> None:
    cloud.client("ecr").create_repository(repositoryName="inkdigits")
    aws = [sys.executable, "-m", "awscli"]
    password = run(cloud, *aws, "ecr", "get-login-password").strip()
    said = run(
        cloud,
        "docker",
        "login",
        "--username",
        "AWS",
        "--password-stdin",
        cloud.registry,
        given=password,
        config=tmp_path,
    )
    assert "Login Succeeded" in said
    name = f"{cloud.registry}/inkdigits:1"
    scratch_image(engine, name, b"one")
    try:
        pushed = run(cloud, "docker", "push", name, config=tmp_path)
        (detail,) = cloud.client("ecr").describe_images(repositoryName="inkdigits")["imageDetails"]
        assert detail["imageTags"] == ["1"]
        assert detail["imageDigest"] in pushed
        engine.images.remove(name)
        pulled = run(cloud, "docker", "pull", name, config=tmp_path)
        assert detail["imageDigest"] in pulled
        assert engine.images.get(name).attrs["Config"]["Cmd"] == ["/a"]
    finally:
        engine.images.remove(name, force=True)


def test_push_into_no_repository_fails_as_on_aws(
    cloud: LabCloud, engine: docker.DockerClient
) -> None:
    token = cloud.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    name = f"{cloud.registry}/nowhere:1"
    scratch_image(engine, name, b"two")
    try:
        lines = list(
            engine.images.push(
                name,
                stream=True,
                decode=True,
                auth_config={"username": user, "password": password},
            )
        )
    finally:
        engine.images.remove(name, force=True)
    said = " ".join(str(line.get("error", "")) for line in lines)
    assert (
        "The repository with name 'nowhere' does not exist in the registry with id '123456789012'"
        in said
    )
