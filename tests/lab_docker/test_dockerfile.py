"""The Dockerfile, built for real without any network, and the image run in each role."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import LAB_DOCKER, which

BASE = "fargate-lab/python-base:bookworm"
SEVEN = json.dumps({"strokes": [[[10, 10], [90, 12], [40, 120]]]}).encode()
LEFT_OUT = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(900)]


def docker(*arguments: str, check: bool = True) -> str:
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        ["docker", *arguments], env=environment, check=False, capture_output=True, text=True
    )
    if check and done.returncode:
        raise AssertionError(f"docker {arguments[0]}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout.strip()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Debian with Python, made from Debian's own packages where the engine has none yet."""
    if (missing := which("docker")) or not docker("info", "--format", "{{.ID}}", check=False):
        pytest.skip(f"no Docker engine answers ({missing or 'docker info failed'})")
    if docker("images", "-q", BASE):
        return BASE
    if missing := which("mmdebstrap"):
        pytest.skip(f"no base image {BASE}, and no {missing} to make one")
    root = tmp_path_factory.mktemp("base") / "root.tar"
    command = ["mmdebstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates"]
    subprocess.run([*command, "bookworm", str(root)], check=True, capture_output=True)
    docker("import", "--change", 'CMD ["python3"]', str(root), BASE)
    root.unlink()
    return BASE


@pytest.fixture(scope="module")
def context(base: str, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build context with the model and all wheels in it."""
    if sys.version_info[:2] != (3, 11) or sys.platform != "linux":
        pytest.skip("the wheels are fetched for the running Python, the base has 3.11 on Linux")
    folder = tmp_path_factory.mktemp("context")
    for name in ("Dockerfile", ".dockerignore", "requirements.lock"):
        shutil.copy(LAB_DOCKER / name, folder)
    skip = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
    for name in ("inkprep", "app"):
        shutil.copytree(LAB_DOCKER / name, folder / name, ignore=skip)
    shutil.copytree(model_dir, folder / "model")
    fetch = [sys.executable, "-m", "pip", "download", "-q", "--only-binary", ":all:"]
    fetch += ["-d", str(folder / "wheels")]
    tool = tomllib.loads((LAB_DOCKER / "inkprep" / "pyproject.toml").read_text("utf-8"))
    hashed = ["--no-deps", "--require-hashes", "-r", str(folder / "requirements.lock")]
    for wanted in (hashed, tool["build-system"]["requires"]):
        subprocess.run([*fetch, *wanted], check=True, capture_output=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
def image(base: str, context: Path) -> Iterator[str]:
    tag = f"fargate-lab/test-inkdigits:{os.getpid()}"
    # The classic builder leaves the build stage behind without a name: mark it, to remove it alone.
    mark = f"fargate-lab.test={os.getpid()}"
    dockerfile = context / "Dockerfile"
    stage = "FROM ${BASE} AS build\n"
    text = dockerfile.read_text("utf-8")
    assert stage in text
    dockerfile.write_text(text.replace(stage, f"{stage}LABEL {mark}\n"), "utf-8")
    arguments = [
        "--network",
        "none",
        "--build-arg",
        f"BASE={base}",
        "--build-arg",
        "PIP_NO_INDEX=1",
    ]
    docker("build", *arguments, "-t", tag, str(context))
    yield tag
    docker("rmi", "-f", tag, check=False)
    docker("image", "prune", "-f", "--filter", f"label={mark}", check=False)


@pytest.fixture(scope="module")
def files(image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    """Everything in the image, by path; contents as SHA-256 in `pax_headers`."""
    container = docker("create", image)
    path = tmp_path_factory.mktemp("image") / "root.tar"
    try:
        docker("export", "-o", str(path), container)
    finally:
        docker("rm", container)
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name.startswith(("opt", "app")):
                content = tar.extractfile(member)
                digest = hashlib.sha256(content.read()).hexdigest() if content else ""
                member.pax_headers = {"sha256": digest}
                found[member.name] = member
    path.unlink()
    return found


def test_the_site_is_the_wheels_unzipped(files: dict[str, tarfile.TarInfo], context: Path) -> None:
    expected = {}
    tools = ("hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove_classifiers")
    wheels = [w for w in (context / "wheels").glob("*.whl") if not w.name.startswith(tools)]
    wheels += list((context / "wheels").glob("packaging-*.whl"))  # both a tool and a dependency
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as opened:
            for name in opened.namelist():
                scripts = ".data/scripts/" in name
                if (
                    not name.endswith("/")
                    and not scripts
                    and name.rpartition("/")[2] not in LEFT_OUT
                ):
                    expected[f"opt/site/{name}"] = hashlib.sha256(opened.read(name)).hexdigest()
    found = {
        name: member.pax_headers["sha256"]
        for name, member in files.items()
        if name.startswith("opt/site/") and member.isfile() and "/inkprep" not in name
        if not name.endswith(".pyc")
    }
    assert found == expected
    assert len(found) > 1000


def test_app_library_and_model_are_there_as_they_are(
    files: dict[str, tarfile.TarInfo], context: Path
) -> None:
    for source, target in (
        (context / "app", "app/app"),
        (context / "model", "opt/model"),
        (context / "inkprep" / "src" / "inkprep", "opt/site/inkprep"),
    ):
        expected = {
            f"{target}/{path.relative_to(source).as_posix()}": hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
            for path in source.rglob("*")
            if path.is_file()
        }
        found = {
            name: member.pax_headers["sha256"]
            for name, member in files.items()
            if name.startswith(f"{target}/") and member.isfile() and not name.endswith(".pyc")
        }
        assert found == expected


def test_all_belongs_to_root_and_all_may_read_it(files: dict[str, tarfile.TarInfo]) -> None:
    for member in files.values():
        assert (member.uid, member.gid) == (0, 0), member.name
        expected = {0o755} if member.isdir() else {0o644, 0o755}
        assert member.mode & 0o7777 in expected, (member.name, oct(member.mode))


def test_bytecode_lies_beside_what_is_imported(files: dict[str, tarfile.TarInfo]) -> None:
    compiled = {name for name in files if name.endswith(".pyc")}
    expected = set()
    for name, member in files.items():
        folder, _, module = name.rpartition("/")
        ours = name.startswith("opt/site/") and "tests" not in folder.split("/")
        if ours and member.isfile() and module.endswith(".py"):
            expected.add(f"{folder}/__pycache__/{module[:-3]}.cpython-311.pyc")
    assert compiled == expected
    assert "opt/site/inkprep/__pycache__/__init__.cpython-311.pyc" in compiled


def test_no_tool_or_cache_stays(image: str, files: dict[str, tarfile.TarInfo]) -> None:
    assert not [name for name in files if "/bin/" in name or "hatchling" in name]
    told = docker(
        "run", "--rm", "--entrypoint", "sh", image, "-c", "ls /build ~/.cache 2>&1; id -u"
    )
    assert told.count("No such file") + told.count("Permission denied") == 2
    assert told.endswith("10001")


def published(container: str) -> int:
    return int(docker("port", container, "8080/tcp").splitlines()[0].rpartition(":")[2])


def wait_for(container: str) -> int:
    """The port of a served container, once it answers."""
    port, deadline = published(container), time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return port
        except OSError:
            if time.monotonic() > deadline:
                raise AssertionError(docker("logs", container)) from None
            time.sleep(0.05)  # a poll with a deadline
        finally:
            connection.close()


@pytest.fixture
def container(image: str, request: pytest.FixtureRequest) -> Iterator[str]:
    limits = ["--memory", "128m", "--read-only", "--cap-drop", "ALL"]
    name = docker("run", "-d", *limits, "-p", "127.0.0.1::8080", image)
    yield name
    docker("rm", "-f", name)


def test_it_serves_unprivileged_in_little_memory_and_stops_properly(container: str) -> None:
    port = wait_for(container)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/predict", SEVEN, {"Content-Type": "application/json"})
    assert json.loads(connection.getresponse().read())["predictions"][0]["digit"] == 7
    connection.close()
    docker("exec", container, "python3", "-m", "app", "health")
    docker("stop", "-t", "10", container)
    assert (
        docker("inspect", "-f", "{{.State.ExitCode}} {{.State.OOMKilled}}", container) == "0 false"
    )
    events = [json.loads(line)["event"] for line in docker("logs", container).splitlines()]
    assert events == ["ready", "stopping", "stopped"]


class Runtime(BaseHTTPRequestHandler):
    """As much of Lambda's Runtime API as one call needs."""

    answers: list[tuple[str, bytes]]
    event: bytes
    done: threading.Event

    def do_GET(self) -> None:
        if self.answers:  # the one event was given: let the caller wait, as Lambda does
            self.done.wait(60)
            return
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "one")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60_000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:x:1:function:f")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.event)))
        self.end_headers()
        self.wfile.write(self.event)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.answers.append((self.path, self.rfile.read(length)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.done.set()

    def log_message(self, *arguments: Any) -> None:
        """Keep quiet."""


def test_the_same_image_is_a_lambda_function(image: str) -> None:
    done = threading.Event()
    kind = type("Given", (Runtime,), {"answers": [], "event": SEVEN, "done": done})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"AWS_LAMBDA_RUNTIME_API=127.0.0.1:{server.server_port}"
    container = docker("run", "-d", "--network", "host", "-e", address, image, "function")
    try:
        assert done.wait(60), docker("logs", container)
        path, content = kind.answers[0]  # type: ignore[attr-defined]
        assert path.endswith("/invocation/one/response"), content
        assert json.loads(content)["predictions"][0]["digit"] == 7
    finally:
        docker("rm", "-f", container)
        server.shutdown()
        server.server_close()
