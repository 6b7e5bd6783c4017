"""Starting an image on this machine for a look, and images made for trying things on."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from fargate_lab.image import Image, build
from fargate_lab.lesson import tryout
from fargate_lab.lesson.errors import LabError
from fargate_lab.lesson.tryout import try_out
from fargate_lab.lesson.variants import claiming

RECIPE = """\
name = "small"
[config]
entrypoint = ["python3", "-m", "app"]
workdir = "/app"
[[layers]]
name = "app"
kind = "files"
source = "app"
target = "/app/app"
"""
SERVER = """\
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "cache"))


def image(folder: Path, source: str) -> Image:
    """An image whose application is one module."""
    context = folder / "context"
    (context / "app").mkdir(parents=True)
    (context / "app" / "__main__.py").write_text(source, encoding="utf-8")
    (context / "image.toml").write_text(RECIPE, encoding="utf-8")
    return build(context, name="small", base="scratch")


def test_a_container_that_cannot_import(tmp_path: Path) -> None:
    ended = try_out(image(tmp_path, "import inkprep\n"))
    assert ended.code == 1
    assert ended.lines[-1] == "ModuleNotFoundError: No module named 'inkprep'"


def test_arguments_reach_the_entry_point(tmp_path: Path) -> None:
    ended = try_out(image(tmp_path, "import sys\nprint(sys.argv[1:])\nsys.exit(3)\n"), "a", "b")
    assert (ended.code, ended.lines) == (3, ("['a', 'b']",))


@pytest.mark.skipif("sys.platform == 'win32'", reason="POSIX signals")
def test_stopped_once_it_says_so(tmp_path: Path) -> None:
    ended = try_out(image(tmp_path, SERVER), until="ready")
    assert (ended.code, ended.lines) == (0, ("ready",))


@pytest.mark.skipif("sys.platform == 'win32'", reason="POSIX signals")
def test_one_that_never_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tryout, "SECONDS", 1.0)
    with pytest.raises(LabError, match=r"still runs after 1 seconds, and never said 'listening'"):
        try_out(image(tmp_path, SERVER), until="listening")


def test_an_image_that_claims_a_package() -> None:
    old = claiming("old", "pillow", "9.5.0")
    with tarfile.open(old.blob(old.layers[0].digest)) as tar:
        member = tar.extractfile("opt/site/pillow-9.5.0.dist-info/METADATA")
        assert member is not None
        assert b"Name: pillow\nVersion: 9.5.0" in member.read()
