"""Unmodified clients against the registry: boto3, skopeo, oras, and the lab's own image client."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import oras.client
import pytest

from fargate_lab.image import download, ecr, layout, upload
from tests.cloud.conftest import LabCloud
from tests.cloud.ecr import support
from tests.cloud.ecr.conftest import credentials


@pytest.fixture
def name(cloud: LabCloud) -> str:
    made = f"c-{uuid.uuid4().hex[:8]}"
    cloud.client("ecr").create_repository(repositoryName=made)
    return made


@pytest.fixture
def image() -> support.Image:
    return support.image(support.layer({"a": os.urandom(9000)}), support.layer({"b": b"2"}))


@pytest.fixture
def folder(tmp_path: Path, image: support.Image) -> Path:
    """The image as an OCI layout."""
    blobs = tmp_path / "oci" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (*image.blobs.values(), image.manifest.encode()):
        (blobs / support.digest(data)[7:]).write_bytes(data)
    row = {
        **support.descriptor(image.manifest.encode(), support.MANIFEST),
        "annotations": {"org.opencontainers.image.ref.name": "1"},
    }
    (tmp_path / "oci" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (tmp_path / "oci" / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [row]})
    )
    return tmp_path / "oci"


def test_boto3_layer_api_of_a_layer_in_several_parts(cloud: LabCloud, name: str) -> None:
    client = cloud.client("ecr")
    data = os.urandom(23 * 2**20)
    begun = client.initiate_layer_upload(repositoryName=name)
    size = begun["partSize"]
    for start in range(0, len(data), size):
        part = data[start : start + size]
        answer = client.upload_layer_part(
            repositoryName=name,
            uploadId=begun["uploadId"],
            partFirstByte=start,
            partLastByte=start + len(part) - 1,
            layerPartBlob=part,
        )
        assert answer["lastByteReceived"] == start + len(part) - 1
    client.complete_layer_upload(
        repositoryName=name, uploadId=begun["uploadId"], layerDigests=[support.digest(data)]
    )
    link = client.get_download_url_for_layer(repositoryName=name, layerDigest=support.digest(data))
    assert httpx.get(link["downloadUrl"], timeout=30).content == data


def test_boto3_from_many_threads_with_a_waiter(cloud: LabCloud, name: str) -> None:
    client = cloud.client("ecr")
    images = [support.image(support.layer({"a": os.urandom(50)})) for _ in range(16)]

    def push(image: support.Image) -> str:
        for digest, data in image.blobs.items():
            upload_id = client.initiate_layer_upload(repositoryName=name)["uploadId"]
            client.upload_layer_part(
                repositoryName=name,
                uploadId=upload_id,
                partFirstByte=0,
                partLastByte=len(data) - 1,
                layerPartBlob=data,
            )
            client.complete_layer_upload(
                repositoryName=name, uploadId=upload_id, layerDigests=[digest]
            )
        done = client.put_image(
            repositoryName=name, imageManifest=image.manifest, imageTag=image.digest[7:20]
        )
        return str(done["image"]["imageId"]["imageDigest"])

    with ThreadPoolExecutor(16) as pool:
        pushed = set(pool.map(push, images))
    pages = client.get_paginator("list_images").paginate(
        repositoryName=name, PaginationConfig={"PageSize": 5}
    )
    assert {i["imageDigest"] for page in pages for i in page["imageIds"]} == pushed
    chosen = {"imageDigest": images[0].digest}
    client.start_image_scan(repositoryName=name, imageId=chosen)
    client.get_waiter("image_scan_complete").wait(
        repositoryName=name, imageId=chosen, WaiterConfig={"Delay": 1}
    )


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_there_and_back(
    cloud: LabCloud, name: str, folder: Path, image: support.Image, tmp_path: Path
) -> None:
    user = ":".join(credentials(cloud))
    remote = f"docker://{cloud.registry}/{name}:1"

    def skopeo(*arguments: str) -> str:
        done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    skopeo("copy", "--dest-tls-verify=false", "--dest-creds", user, f"oci:{folder}:1", remote)
    found = json.loads(skopeo("inspect", "--tls-verify=false", "--creds", user, remote))
    assert found["Digest"] == image.digest
    assert found["RepoTags"] == ["1"]
    back = tmp_path / "back"
    skopeo("copy", "--src-tls-verify=false", "--src-creds", user, remote, f"oci:{back}:1")
    assert (back / "blobs" / "sha256" / image.digest[7:]).read_text() == image.manifest


def test_oras_there_and_back(
    cloud: LabCloud, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "model.txt").write_text("weights")
    user, password = credentials(cloud)
    client = oras.client.OrasClient(hostname=cloud.registry, insecure=True, auth_backend="basic")
    client.auth.set_basic_auth(user, password)
    monkeypatch.chdir(tmp_path)
    target = f"{cloud.registry}/{name}:artifact"
    client.push(target=target, files=["model.txt"], disable_path_validation=True)
    assert client.get_tags(f"{cloud.registry}/{name}") == ["artifact"]
    (path,) = client.pull(target=target, outdir=str(tmp_path / "out"))
    assert Path(path).read_text() == "weights"


def test_the_lab_s_own_client(
    cloud: LabCloud, name: str, folder: Path, image: support.Image, tmp_path: Path
) -> None:
    user, password = credentials(cloud)
    local = layout.load(folder)
    target = f"{cloud.registry}/{name}:own"
    first = upload.push(local, target, username=user, password=password)
    assert first.digest == image.digest
    again = upload.push(local, target, username=user, password=password)
    assert [row.sent for row in again.layers] == [0, 0]
    back = download.pull(target, tmp_path / "back", username=user, password=password)
    assert back.manifest_bytes() == image.manifest.encode()
    by_api = ecr.push_layers(local, cloud.client("ecr"), name, "api")
    assert by_api.digest == image.digest


def test_a_token_of_the_cli_s_form(cloud: LabCloud) -> None:
    token = cloud.client("ecr").get_authorization_token()["authorizationData"][0]
    assert base64.b64decode(token["authorizationToken"]).startswith(b"AWS:")
    assert token["proxyEndpoint"] == cloud.url
