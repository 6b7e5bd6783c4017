"""This machine's Python as a base: complete enough to run on its own."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from fargate_lab import image
from fargate_lab.image import hostpython
from fargate_lab.image.elf import read_elf
from fargate_lab.image.target import Target, host_architecture

pytestmark = pytest.mark.skipif(not hostpython.supported(), reason="needs Linux with glibc")
Make = Callable[[Path], Path]


@pytest.fixture
def built(context: Make, tmp_path: Path) -> image.Image:
    return image.build(context(tmp_path / "c"), name="h", base="host-python", only_layers=["app"])


def test_what_is_in_it(built: image.Image) -> None:
    base = built.layers[0]
    assert base.name == "base"
    assert base.size < 80_000_000
    with tarfile.open(built.blob(base.digest)) as archive:
        found = {m.name: m for m in archive}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert found["usr/local/bin/python3"].linkname == version
    assert f"usr/local/{sys.platlibdir}/{version}/os.py" in found
    assert found["tmp"].mode == 0o1777
    assert any(name.endswith("/libc.so.6") for name in found)
    assert any(name.endswith("/libstdc++.so.6") for name in found)
    tag = sys.implementation.cache_tag
    assert f"usr/local/{sys.platlibdir}/{version}/__pycache__/os.{tag}.pyc" in found
    assert f"usr/local/{sys.platlibdir}/{version}/json/__pycache__/decoder.{tag}.pyc" in found
    assert not any(n.endswith(".a") or "/test/" in n or "tkinter" in n for n in found)
    assert "PATH=/usr/local/bin" in built.config["config"]["Env"][0]


def test_the_second_time_is_from_the_cache(built: image.Image, tmp_path: Path) -> None:
    again = image.build(tmp_path / "c", name="h", base="auto", only_layers=["app"])
    assert again.digest == built.digest
    assert all(la.cached for la in again.layers)


def test_what_does_not_fit() -> None:
    other = "arm64" if host_architecture() == "amd64" else "amd64"
    here = (sys.version_info.major, sys.version_info.minor)
    for target in (
        Target(architecture=other, python=here),
        Target(architecture=host_architecture(), python=(3, 99)),
    ):
        with pytest.raises(image.BuildError, match="is this machine's"):
            hostpython.check(target)


def test_reading_elf(tmp_path: Path) -> None:
    program = read_elf(Path(sys.executable).resolve())
    assert program is not None
    assert program.interpreter.startswith("/lib")
    assert "libc.so.6" in program.needed
    (tmp_path / "text").write_text("no program")
    assert read_elf(tmp_path / "text") is None
    if shutil.which("ldd"):
        module = next(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("_ssl*.so"), None)
        if module is not None:
            shown = subprocess.run(["ldd", str(module)], capture_output=True, text=True, check=True)
            found = read_elf(module)
            assert found is not None
            assert all(name in shown.stdout for name in found.needed)


@pytest.mark.docker
def test_it_runs_under_docker(built: image.Image) -> None:
    tag = f"lab-hostpython-{uuid.uuid4().hex[:8]}:1"
    archive = io.BytesIO()
    image.to_docker_archive(built, archive, tag=tag)
    subprocess.run(["docker", "load", "-q"], input=archive.getvalue(), check=True)
    code = (
        "import ssl, sqlite3, ctypes, json, lzma, bz2, zlib, hashlib, socket, os, sys\n"
        "ssl.create_default_context().load_default_certs()\n"
        "socket.getaddrinfo('localhost', 80)\n"
        "known = len(ssl.create_default_context().get_ca_certs())\n"
        "print(json.dumps([os.getuid(), sys.prefix, known > 9]))"
    )
    try:
        done = subprocess.run(
            ["docker", "run", "--rm", "--entrypoint", "python3", tag, "-c", code],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run(["docker", "rmi", "-f", tag], check=True, capture_output=True)
    assert json.loads(done.stdout or "null") == [10001, "/usr/local", True], done.stderr
