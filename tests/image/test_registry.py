"""Push and pull against a real registry, and against one that answers badly."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from fargate_lab import image
from fargate_lab.image.reference import parse_reference

Make = Callable[[Path], Path]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def built(context: Make, tmp_path: Path) -> image.Image:
    return image.build(
        context(tmp_path / "c"), name="small", base="scratch", platform="linux/amd64", python="3.11"
    )


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Debian's docker-registry on a free port: its address."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    where = f"127.0.0.1:{free_port()}"
    config = tmp_path / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage:\n  filesystem: {{rootdirectory: {tmp_path / 'registry'}}}\n"
        f"http: {{addr: {where}}}\n"
    )
    with subprocess.Popen(
        [program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"http://{where}/v2/", trust_env=False)
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline, "docker-registry did not start"
                time.sleep(0.05)
        yield where
        process.terminate()


class Recorder:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.notes: dict[str, str] = {}
        self._lock = threading.Lock()

    def start(self, task: str, total: int | None) -> None:
        self.totals[task] = 0

    def advance(self, task: str, amount: int) -> None:
        with self._lock:
            self.totals[task] += amount

    def finish(self, task: str, note: str = "") -> None:
        self.notes[task] = note


def test_push_and_pull(built: image.Image, registry: str, tmp_path: Path) -> None:
    where = f"{registry}/deep/small:1"
    told = Recorder()
    report = image.push(built, where, progress=told)
    total = sum(layer.size for layer in built.layers)
    assert report.digest == built.digest
    assert report.sent_bytes == total == sum(told.totals.values())
    assert [la.outcome for la in report.layers] == ["uploaded"] * 4
    assert set(told.notes.values()) == {"uploaded"}

    again = image.push(built, where)
    assert again.sent_bytes == 0
    assert len(again.skipped) == 4
    assert "already there" in str(again)
    assert "<table>" in again._repr_html_()

    mounted = image.push(built, f"{registry}/other:1", mount_from=["nowhere", "deep/small"])
    assert {la.outcome for la in mounted.layers} == {"mounted"}
    assert mounted.sent_bytes == 0

    for name in (where, f"{registry}/deep/small@{built.digest}"):
        pulled = image.pull(name, tmp_path / "pulled")
        assert pulled.digest == built.digest
        assert [la.name for la in pulled.layers] == [la.name for la in built.layers]
        assert pulled.manifest_bytes() == built.manifest_bytes()


def test_an_edit_of_the_app_sends_one_layer(
    built: image.Image, registry: str, tmp_path: Path
) -> None:
    image.push(built, f"{registry}/small:1")
    (tmp_path / "c/app/__main__.py").write_text("print('changed')\n")
    edited = image.build(
        tmp_path / "c", name="small", base="scratch", platform="linux/amd64", python="3.11"
    )
    report = image.push(edited, f"{registry}/small:2")
    assert [la.name for la in report.uploaded] == ["app"]
    assert report.sent_bytes < 64 * 1024


def test_a_registry_image_as_base(built: image.Image, registry: str, tmp_path: Path) -> None:
    image.push(built, f"{registry}/base:1")
    root = tmp_path / "c"
    options: dict[str, Any] = {"platform": "linux/amd64", "python": "3.11"}
    upper = image.build(
        root,
        name="up",
        base=f"{registry}/base:1",
        only_layers=["app"],
        output=tmp_path / "u",
        **options,
    )
    assert [la.name for la in upper.layers] == ["base"] * 4 + ["app"]


def test_what_is_not_there(built: image.Image, registry: str, tmp_path: Path) -> None:
    with pytest.raises(image.RegistryError, match=r"small:9 is not there") as caught:
        image.pull(f"{registry}/small:9", tmp_path / "p")
    assert caught.value.status == 404
    nobody = f"127.0.0.1:{free_port()}"
    with pytest.raises(image.RegistryError, match="nothing answers at") as caught:
        image.push(built, f"{nobody}/small:1")
    assert caught.value.status == 0


def test_skopeo_reads_what_was_pushed(built: image.Image, registry: str, tmp_path: Path) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    image.push(built, f"{registry}/small:1")
    source, target = f"docker://{registry}/small:1", f"docker://{registry}/copy:1"
    off = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    subprocess.run(["skopeo", "copy", "-q", "--preserve-digests", *off, source, target], check=True)
    assert image.pull(f"{registry}/copy:1", tmp_path / "p").digest == built.digest


class Fake(BaseHTTPRequestHandler):
    """A registry that wants a token, and whose blobs are damaged."""

    manifest = b""
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        given = self.headers.get("authorization", "")
        here = f"http://{self.headers['host']}"
        if self.path.startswith("/token"):
            right = "Basic " + base64.b64encode(b"AWS:right").decode()
            ok = given == right and "scope=repository%3Ar%3Apull" in self.path
            self._answer(200 if ok else 401, json.dumps({"token": "t1"}).encode() if ok else b"")
        elif given != "Bearer t1":
            body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}).encode()
            self._answer(401, body, www_authenticate=f'Bearer realm="{here}/token",service="s"')
        elif "/manifests/" in self.path:
            self._answer(200, self.manifest, content_type=image_manifest)
        else:
            self._answer(200, b"damaged")


image_manifest = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def fake() -> Iterator[str]:
    blob = {"digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(), "size": 7}
    Fake.manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": image_manifest, "config": blob, "layers": []}
    ).encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_tokens_and_damaged_blobs(fake: str, tmp_path: Path) -> None:
    with pytest.raises(
        image.RegistryError, match=r"wants a login.*GetAuthorizationToken"
    ) as caught:
        image.pull(f"{fake}/r:1", tmp_path / "p", username="AWS", password="wrong")
    assert caught.value.status == 401
    with pytest.raises(image.DigestMismatchError, match="does not match its digest"):
        image.pull(f"{fake}/r:1", tmp_path / "p", username="AWS", password="right")
    assert not list((tmp_path / "p").rglob("*index.json"))


@pytest.mark.parametrize(
    ("text", "url", "repository", "name"),
    [
        ("127.0.0.1:5000/a/b:1", "http://127.0.0.1:5000", "a/b", "1"),
        ("localhost/a", "http://localhost", "a", "latest"),
        (
            "1.dkr.ecr.eu-west-1.amazonaws.com/a:v",
            "https://1.dkr.ecr.eu-west-1.amazonaws.com",
            "a",
            "v",
        ),
        ("python:3.11", "https://registry-1.docker.io", "library/python", "3.11"),
        ("docker.io/me/x", "https://registry-1.docker.io", "me/x", "latest"),
    ],
)
def test_references(text: str, url: str, repository: str, name: str) -> None:
    found = parse_reference(text)
    assert (found.url, found.repository, found.name) == (url, repository, name)


@pytest.mark.parametrize(
    "text", ["", "Upper/Case", "h:1/a:", "h:1/a@sha256:12", "h:1/../a", "h:1/a b"]
)
def test_references_that_are_none(text: str) -> None:
    with pytest.raises(image.ImageError, match="not an image reference"):
        parse_reference(text)


class Ecr:
    """ECR's layer API in memory, as strict as its documentation."""

    class exceptions:
        class ImageAlreadyExistsException(Exception):
            """The same image under the same tag."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.images: dict[str, str] = {}
        self._open: dict[str, bytes] = {}

    def batch_check_layer_availability(
        self, *, repositoryName: str, layerDigests: list[str]
    ) -> Any:
        return {
            "layers": [
                {"layerDigest": d, "layerAvailability": "AVAILABLE"}
                for d in layerDigests
                if d in self.blobs
            ],
            "failures": [],
        }

    def initiate_layer_upload(self, *, repositoryName: str) -> Any:
        self._open[str(len(self._open))] = b""
        return {"uploadId": str(len(self._open) - 1), "partSize": 10485760}

    def upload_layer_part(
        self,
        *,
        repositoryName: str,
        uploadId: str,
        partFirstByte: int,
        partLastByte: int,
        layerPartBlob: bytes,
    ) -> None:
        assert partFirstByte == len(self._open[uploadId])
        assert partLastByte - partFirstByte + 1 == len(layerPartBlob) <= 10 << 20
        assert partFirstByte % (5 << 20) == 0, "only the last part may be under 5 MiB"
        self._open[uploadId] += layerPartBlob

    def complete_layer_upload(
        self, *, repositoryName: str, uploadId: str, layerDigests: list[str]
    ) -> Any:
        data = self._open[uploadId]
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        assert layerDigests == [digest]
        self.blobs[digest] = data
        return {"layerDigest": digest}

    def put_image(self, *, imageManifest: str, imageTag: str, **_: str) -> Any:
        digest = "sha256:" + hashlib.sha256(imageManifest.encode()).hexdigest()
        if self.images.get(imageTag) == digest:
            raise self.exceptions.ImageAlreadyExistsException
        document = json.loads(imageManifest)
        for blob in [document["config"], *document["layers"]]:
            assert len(self.blobs[blob["digest"]]) == blob["size"]
        self.images[imageTag] = digest
        return {"image": {"imageId": {"imageDigest": digest}}}


def test_the_layer_api(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    (root / "app/big.py").write_bytes(b"#" * (23 << 20))
    built = image.build(root, name="s", base="scratch", platform="linux/amd64", python="3.11")
    ecr = Ecr()
    report = image.push_layers(built, ecr, "small", "1")
    assert report.digest == built.digest == ecr.images["1"]
    assert report.sent_bytes == sum(la.size for la in built.layers) > 23 << 20
    again = image.push_layers(built, ecr, "small", "1")
    assert again.sent_bytes == 0
    assert again.digest == built.digest
