"""A project small enough to be set up in a second, and `lab.py` as a process."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from fargate_lab import paths
from fargate_lab.cli.environment import Environment
from fargate_lab.cloud import process

ROOT = paths.repo_root()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something to become true; fails the test when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def family(marker: str) -> list[psutil.Process]:
    """The processes whose environment carries LAB_TEST_FAMILY=marker."""
    found = []
    for each in psutil.process_iter():
        try:
            if (
                each.environ().get("LAB_TEST_FAMILY") == marker
                and each.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(each)
        except (psutil.Error, OSError):
            continue
    return found


@dataclass
class Project:
    """A copy of lab.py with an empty lock file: its set-up takes about a second."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def venv(self) -> Environment:
        """Its environment."""
        return Environment(self.root)

    def popen(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start lab.py in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, str(self.root / "lab.py"), *words],
            cwd=self.root,
            env={**os.environ, **self.env, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run lab.py to its end."""
        child = self.popen(*words, **more)
        out, err = child.communicate(timeout=120)
        return subprocess.CompletedProcess(words, child.returncode, out, err)

    def fake_uv(self, script: str) -> None:
        """Put a `uv` on the PATH that does what a shell script says when it is to install."""
        folder = self.root / "fake"
        folder.mkdir(exist_ok=True)
        path = folder / "uv"
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\n{script}\n', encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.env["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small project that nothing was done to yet."""
    root = tmp_path / "project"
    shutil.copytree(
        ROOT / "fargate_lab" / "cli",
        root / "fargate_lab" / "cli",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("lab.py", "fargate_lab/__init__.py", "fargate_lab/paths.py"):
        shutil.copy(ROOT / name, root / name)
    (root / "fargate_lab" / "image").mkdir()
    (root / "fargate_lab" / "image" / "__init__.py").touch()
    (root / "requirements.lock").write_text("# nothing to install\n", encoding="utf-8")
    small = Project(root)
    # Quick and the same everywhere: whether uv is there is another test's question.
    small.fake_uv("exit 0")
    return small


@dataclass
class Lab:
    """The commands of this repository as processes, on a state folder of the test's own."""

    state: Path
    marker: str

    def command(self, *words: str) -> list[str]:
        """The command line, past the set-up that the tests themselves run in."""
        return [sys.executable, "-P", "-m", "fargate_lab.cli", *words]

    def env(self, **more: str) -> dict[str, str]:
        """The environment of the command."""
        own = {"LAB_STATE_DIR": str(self.state), "LAB_TEST_FAMILY": self.marker}
        return {**os.environ, "PYTHONPATH": str(ROOT), **own, **more}

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*words),
            env=self.env(**more),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def popen(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            self.command(*words),
            env=self.env(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@pytest.fixture
def lab(own_state: Path, tmp_path: Path) -> Iterator[Lab]:
    """The commands, and no cloud left when the test ends."""
    commands = Lab(own_state, tmp_path.as_posix())
    yield commands
    process.stop(own_state)
    for each in family(commands.marker):
        each.kill()


def kill_group(child: subprocess.Popen[str], signum: int = signal.SIGINT) -> Mapping[str, object]:
    """Send a signal to a process and its group, as Ctrl-C in a terminal does; how it ended."""
    os.killpg(child.pid, signum)
    out, err = child.communicate(timeout=60)
    return {"code": child.returncode, "out": out, "err": err}
