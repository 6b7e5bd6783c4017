"""A small recipe of its own, with wheels made here: nothing is downloaded."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

RECIPE = """
name = "small"

[config]
user = "10001:10001"
workdir = "/app"
entrypoint = ["python3", "-m", "app"]
cmd = ["serve"]
exposed_ports = ["8080/tcp"]

[config.env]
PYTHONPATH = "/opt/site:/app"

[config.labels]
"org.opencontainers.image.title" = "small"

[config.healthcheck]
test = ["CMD", "python3", "-m", "app", "health"]
interval = 10
timeout = 3
retries = 3

[[layers]]
name = "dependencies"
kind = "requirements"
source = "requirements.lock"
target = "/opt/site"

[[layers]]
name = "library"
kind = "project"
source = "lib"
target = "/opt/site"

[[layers]]
name = "model"
kind = "files"
source = "model"
target = "/opt/model"
make = ["train.py", "--output", "model"]

[[layers]]
name = "app"
kind = "files"
source = "app"
target = "/app/app"
include = ["**/*.py"]
"""

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "smallib"
version = "1.0"
"""


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State and cache of the test's own; and pip finds nothing anywhere."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("LAB_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("LAB_CACHE_DIR", str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/nonexistent/pip.conf")
    return cache


def make_wheel(folder: Path, name: str, tag: str, files: dict[str, bytes]) -> str:
    """Write a wheel; its sha256 in hex."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def context(own_folders: Path) -> Callable[[Path], Path]:
    """Makes a context in a folder; the wheels of its lock are in the cache."""
    wheels = own_folders / "wheels"
    pure = make_wheel(wheels, "pure", "py3-none-any", {"pure/__init__.py": b"x = 1\n"})
    amd = make_wheel(wheels, "nat", "cp311-cp311-manylinux_2_17_x86_64", {"nat.so": b"amd"})
    arm = make_wheel(wheels, "nat", "cp311-cp311-manylinux_2_17_aarch64", {"nat.so": b"arm"})

    def make(root: Path) -> Path:
        for folder in ("lib/smallib", "app/deep"):
            (root / folder).mkdir(parents=True)
        (root / "image.toml").write_text(RECIPE)
        (root / "requirements.lock").write_text(
            f"pure==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:{pure}\n    # via x\n"
            f"nat==1.0 \\\n    --hash=sha256:{amd} \\\n    --hash=sha256:{arm}\n"
            f"other==1.0 ; sys_platform == 'win32' --hash=sha256:{'0' * 64}\n"
        )
        (root / "lib/pyproject.toml").write_text(PYPROJECT)
        (root / "lib/smallib/__init__.py").write_text("y = 2\n")
        (root / "app/__init__.py").write_text("")
        (root / "app/__main__.py").write_text("print('hello')\n")
        (root / "app/deep/notes.txt").write_text("not a module\n")
        (root / "train.py").write_text(
            "import pathlib, sys\n"
            "(pathlib.Path(sys.argv[2]) / 'model.json').write_text('{}')\n"
            "print('trained')\n"
        )
        return root

    return make
