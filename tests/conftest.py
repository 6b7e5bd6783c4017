"""What every test shares: folders of its own, an environment without AWS, honest skips."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path

import pytest

from fargate_lab import paths
from fargate_lab.cli.doctor import engine_version, index_answers
from fargate_lab.cli.shells import stray

SHARED_CACHE = os.environ.get("LAB_CACHE_DIR") or str(paths.repo_root() / ".lab" / "cache")
"""Wheels and unpacked layers are the same for every test, and costly to fetch."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: run the tests marked long too."""
    parser.addoption("--long", action="store_true", help="run the tests marked long too")


def pytest_configure(config: pytest.Config) -> None:
    """No test sees an AWS account, a lab cloud that already runs, or the instance metadata."""
    del config
    known = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "LAB_BACKEND")
    for name in [*known, "LAB_REGISTRY", "LAB_RUNTIME", "LAB_NO_VENV", *stray(os.environ)]:
        os.environ.pop(name, None)
    nowhere = str(Path(__file__).parent / "no-such-aws-file")
    os.environ |= {
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
        "LAB_CACHE_DIR": SHARED_CACHE,
    }


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests are left out unless they are asked for."""
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="long: only with `lab.py test --long`")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what this machine cannot run."""
    for marker, lacking in (("docker", no_docker), ("browser", no_browser), ("network", no_index)):
        if item.get_closest_marker(marker) and (reason := lacking()):
            pytest.skip(reason)


@functools.cache
def no_docker() -> str:
    """Why no Docker test can run here; empty when an engine answers."""
    if engine_version(os.environ.get("DOCKER_HOST", "")):
        return ""
    return "no Docker engine answers"


@functools.cache
def no_browser() -> str:
    """Why no browser test can run here; empty when there is a Chromium."""
    return "" if chromium() else "no Chromium on the PATH"


@functools.cache
def no_index() -> str:
    """Why nothing can be installed here; empty when a package index answers."""
    return "" if index_answers(os.environ) else "no package index answers"


def chromium() -> str | None:
    """The Chromium or Chrome of this machine."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a state folder of its own; the repository's is never touched."""
    state = tmp_path / "lab-state"
    monkeypatch.setenv("LAB_STATE_DIR", str(state))
    return state


@pytest.fixture
def browser_path() -> str:
    """The Chromium that browser tests drive."""
    found = chromium()
    if found is None:
        pytest.skip(no_browser())
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return paths.repo_root()


posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
