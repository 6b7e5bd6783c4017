"""The Dockerfile and the builder without a daemon: the same files, the same configuration."""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fargate_lab import image, paths
from fargate_lab.image.bases import default_target
from fargate_lab.image.files import place
from fargate_lab.image.wheels import resolve

# Minutes: an engine without a build cache installs everything with pip.
pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.long]
CONTEXT = paths.repo_root() / "lab_docker"
#: A Debian with Python 3.11 that an engine without a registry may have.
BASE = os.environ.get("LAB_TEST_BASE", "fargate-lab/python-base:bookworm")
SHARED_CACHE = os.environ.get("LAB_CACHE_DIR", "")
CONFIG = ("Entrypoint", "Cmd", "User", "WorkingDir", "ExposedPorts", "Labels", "StopSignal")


@pytest.fixture(scope="module")
def base() -> str:
    """A base image with Python, made with mmdebstrap when the engine has none."""
    found = subprocess.run(["docker", "image", "inspect", BASE], capture_output=True, check=False)
    if found.returncode == 0:
        return BASE
    if shutil.which("mmdebstrap") is None:
        pytest.skip(f"the engine has no {BASE}, and mmdebstrap is not here to make it")
    made = subprocess.run(
        f"mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates "
        f"bookworm - | docker import - {BASE}",
        shell=True,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"mmdebstrap could not make {BASE}: {made.stderr.decode()[-300:]}")
    return BASE


@pytest.fixture
def own_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the offline one: wheels come from the shared cache, or from an index."""
    if SHARED_CACHE:
        monkeypatch.setenv("LAB_CACHE_DIR", SHARED_CACHE)


@pytest.fixture
def images(base: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """(built by the engine from the Dockerfile, built without it), both in the engine."""
    mark = uuid.uuid4().hex[:8]
    engine, ours = f"lab-engine-{mark}:1", f"lab-ours-{mark}:1"
    context = tmp_path / "context"
    shutil.copytree(CONTEXT, context, ignore=shutil.ignore_patterns("model", "__pycache__"))
    _run(sys.executable, str(context / "train.py"), "--output", str(context / "model"))
    target = default_target(None, "3.11")
    for wheel in resolve(context / "requirements.lock", target):
        place(wheel.path, context / "wheels" / wheel.path.name)
    _run(
        *(sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:"),
        *("--dest", str(context / "wheels"), "hatchling"),
    )
    saved = tmp_path / "base.tar"
    _run("docker", "save", "-o", str(saved), base)
    built = image.build(context, name="same", base=str(saved), python="3.11")
    archive = tmp_path / "ours.tar"
    with archive.open("wb") as out:
        image.to_docker_archive(built, out, tag=ours)
    # The classic builder leaves the build stage behind without a name: mark it, to remove it alone.
    mark = f"fargate-lab.test={os.getpid()}"
    dockerfile = context / "Dockerfile"
    stage = "FROM ${BASE} AS build\n"
    text = dockerfile.read_text("utf-8")
    assert stage in text
    dockerfile.write_text(text.replace(stage, f"{stage}LABEL {mark}\n"), "utf-8")
    try:
        _run("docker", "load", "-q", "-i", str(archive))
        arguments = ["--build-arg", f"BASE={base}", "--build-arg", "PIP_NO_INDEX=1"]
        _run("docker", "build", "-q", "--network=none", *arguments, "-t", engine, str(context))
        yield engine, ours
    finally:
        for command in (
            ("rmi", "-f", engine, ours),
            ("image", "prune", "-f", "--filter", f"label={mark}"),
        ):
            subprocess.run(["docker", *command], capture_output=True, check=False)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def _files(name: str, tmp_path: Path) -> dict[str, tuple[str, int, str]]:
    """path -> (type, mode, content) of all that lies under /opt and /app."""
    container = _run("docker", "create", name).strip()
    exported = tmp_path / f"{container[:12]}.tar"
    try:
        _run("docker", "export", "-o", str(exported), container)
    finally:
        _run("docker", "rm", container)
    found = {}
    with tarfile.open(exported) as archive:
        for member in archive:
            path = member.name.rstrip("/")
            if path.split("/")[0] not in ("opt", "app"):
                continue
            content = member.linkname
            if member.isreg():
                file = archive.extractfile(member)
                assert file is not None
                if path.endswith(".pyc"):
                    found[path] = (member.type.decode(), member.mode, _bytecode(path, file.read()))
                    continue
                content = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            found[path] = (member.type.decode(), member.mode, content)
    return found


def _bytecode(path: str, data: bytes) -> str:
    """What may not differ: patch versions of one Python may compile the same source differently."""
    code = marshal.loads(data[16:])
    folder, _, name = path.rpartition("/")
    module = f"{folder.rpartition('/')[0]}/{name.split('.')[0]}.py"
    assert code.co_filename == f"/{module}"
    return data[:16].hex()  # magic number, kind, hash of the source


def _config(name: str) -> dict[str, Any]:
    config = json.loads(_run("docker", "image", "inspect", name))[0]["Config"]
    check = {k: v for k, v in config["Healthcheck"].items() if v}
    return {**{key: config[key] for key in CONFIG}, "Env": sorted(config["Env"]), "Health": check}


def test_both_ways_give_the_same_image(images: tuple[str, str], tmp_path: Path) -> None:
    engine, ours = images
    theirs, found = _files(engine, tmp_path), _files(ours, tmp_path)
    assert len(found) > 3000
    assert sum(path.endswith(".pyc") for path in found) > 1000
    assert sorted(theirs.keys() ^ found.keys()) == []
    assert {
        path: (theirs[path], found[path]) for path in found if theirs[path] != found[path]
    } == {}
    assert _config(ours) == _config(engine)
