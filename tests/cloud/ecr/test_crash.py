"""A cloud that is killed while images are pushed keeps what it acknowledged, and nothing else."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from fargate_lab.cloud import process
from tests.cloud.conftest import LabCloud
from tests.cloud.ecr import support
from tests.cloud.ecr.conftest import V2, credentials


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    process.stop(tmp_path)


def started(folder: Path) -> LabCloud:
    return LabCloud(process.start(folder, port=0, runtime="process"))


def client(cloud: LabCloud) -> httpx.Client:
    return httpx.Client(base_url=cloud.url, auth=credentials(cloud), timeout=20)


def push_until_it_dies(cloud: LabCloud, seed: int, images: dict[str, support.Image]) -> None:
    """Push image after image, noting each when the registry has acknowledged it."""
    number = 0
    with client(cloud) as http:
        try:
            while True:
                rng = random.Random(f"{seed} {number}")
                image = support.image(*(rng.randbytes(n) for n in (300_000, 50_000)), plain=True)
                tag = f"{seed}-{number}"
                assert V2(http).push("app", image, tag).status_code == 201
                images[tag] = image
                number += 1
        except httpx.HTTPError:
            return


def check(cloud: LabCloud, images: dict[str, support.Image]) -> None:
    """Everything acknowledged is there, byte for byte; every file is a blob that is whole."""
    tags = cloud.client("ecr").describe_images(repositoryName="app", maxResults=1000)
    found = {t for detail in tags["imageDetails"] for t in detail["imageTags"]}
    assert found >= images.keys()
    with client(cloud) as http:
        for tag in random.sample(sorted(images), min(5, len(images))):
            image = images[tag]
            assert V2(http)("GET", f"app/manifests/{tag}").text == image.manifest
            for digest, data in image.blobs.items():
                assert V2(http)("GET", f"app/blobs/{digest}").content == data
    for path in (cloud.state_dir / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert list((cloud.state_dir / "uploads").iterdir()) == []


@pytest.mark.parametrize("rounds", [3, pytest.param(12, marks=pytest.mark.long)])
def test_kill_during_pushes(folder: Path, rounds: int) -> None:
    cloud = started(folder)
    cloud.client("ecr").create_repository(repositoryName="app")
    images: dict[str, support.Image] = {}
    for number in range(rounds):
        before = len(images)
        threads = [
            threading.Thread(target=push_until_it_dies, args=(cloud, number * 10 + n, images))
            for n in range(2)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while len(images) == before and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(random.Random(number).random() / 20)
        server = psutil.Process(cloud.info.pid)
        server.kill()
        server.wait(10)
        for thread in threads:
            thread.join(20)
        assert len(images) > before
        cloud = started(folder)
        check(cloud, images)


def test_a_file_without_a_holder_goes_at_the_next_start(folder: Path) -> None:
    cloud = started(folder)
    cloud.client("ecr").create_repository(repositoryName="app")
    with client(cloud) as http:
        digest = V2(http).blob("app", b"kept")
    process.stop(folder)
    blobs = folder / "blobs" / "sha256"
    (blobs / ("0" * 64)).write_bytes(b"left by a kill between rename and record")
    (folder / "uploads" / "half").write_bytes(b"left by a kill during an upload")
    cloud = started(folder)
    assert [path.name for path in blobs.iterdir()] == [digest[7:]]
    assert list((folder / "uploads").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX limits")
def test_a_full_disk_is_said_and_leaves_nothing(folder: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The server inherits the limit: a file of more than 1 MiB fails as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        cloud = started(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    cloud.client("ecr").create_repository(repositoryName="app")
    data = os.urandom(3 * 2**20)
    with client(cloud) as http:
        path = f"/v2/app/blobs/uploads/?digest={support.digest(data)}"
        answer = http.post(path, content=data)
        assert answer.status_code == 507
        (error,) = answer.json()["errors"]
        assert "Nothing of it was kept" in error["message"]
        assert list((folder / "uploads").iterdir()) == []
        assert V2(http).blob("app", b"small") == support.digest(b"small")
