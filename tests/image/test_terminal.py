"""`python -m fargate_lab.image`, and what other tools say of the layouts that it writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[[Path], Path]


def run(*arguments: str, fails: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fargate_lab.image", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) is fails, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if fails else done.stdout


@pytest.fixture
def layout(context: Make, tmp_path: Path) -> Path:
    root = context(tmp_path / "c")
    options = ("--base", "scratch", "--platform", "linux/amd64", "--python", "3.11")
    assert "dependencies" in run("build", str(root), "--name", "t", *options)
    return tmp_path / "state/images/t"


def test_a_round(layout: Path, tmp_path: Path) -> None:
    assert '"Entrypoint"' in run("inspect", "t")
    run("unpack", "t", str(tmp_path / "out"))
    assert (tmp_path / "out/app/app/__main__.py").read_text() == "print('hello')\n"
    run("save", "t", "--tag", "t:1", "--output", str(tmp_path / "t.tar"))
    with tarfile.open(tmp_path / "t.tar") as archive:
        assert "manifest.json" in archive.getnames()


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    assert run("inspect", "nothing", fails=True).startswith("error: ")
    assert "image.toml is not there" in run("build", str(tmp_path), fails=True)
    assert "not an image reference" in run("pull", "A/B", str(tmp_path / "x"), fails=True)


def test_skopeo_accepts_the_layout(layout: Path) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    shown = subprocess.run(
        ["skopeo", "inspect", "--config", f"oci:{layout}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(shown.stdout)["config"]["User"] == "10001:10001"


@pytest.mark.skipif(sys.platform != "linux", reason="umoci is for Linux")
def test_umoci_unpacks_the_same(layout: Path, tmp_path: Path) -> None:
    if shutil.which("umoci") is None:
        pytest.skip("umoci is not installed")
    rootless = [] if os.getuid() == 0 else ["--rootless"]
    bundle = tmp_path / "bundle"
    # The layout names its image by the build's name, which umoci takes for a tag.
    subprocess.run(
        ["umoci", "unpack", *rootless, "--image", f"{layout}:t", str(bundle)],
        check=True,
        capture_output=True,
    )
    run("unpack", "t", str(tmp_path / "own"))

    def tree(root: Path) -> dict[str, tuple[int, bytes]]:
        return {
            p.relative_to(root).as_posix(): (
                p.stat().st_mode,
                p.read_bytes() if p.is_file() else b"",
            )
            for p in sorted(root.rglob("*"))
        }

    assert tree(tmp_path / "own") == tree(bundle / "rootfs")
