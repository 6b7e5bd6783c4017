"""JupyterLab opens, and is gone with everything it started however the command ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from fargate_lab.cli.console import CommandError
from fargate_lab.cli.jupyter import free_port, has_screen
from fargate_lab.cloud import process
from tests.cli.conftest import Lab, family, kill_group, until

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def opened(child: subprocess.Popen[str]) -> tuple[str, str]:
    """The address and the token that the command prints once JupyterLab answers."""
    assert child.stdout is not None
    for line in child.stdout:
        found = re.search(r"(http://127\.0\.0\.1:\d+)/\S*\?token=(\w+)", line)
        if found:
            return found[1], found[2]
    raise AssertionError("it ended without an address")


def call(address: str, token: str, path: str, method: str = "GET") -> object:
    """One request to JupyterLab's own interface."""
    request = urllib.request.Request(
        f"{address}{path}", method=method, headers={"Authorization": f"token {token}"}
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        loaded: object = json.load(reply)
        return loaded


@posix
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_it_opens_and_leaves_nothing_behind(lab: Lab, tmp_path: Path, signum: int) -> None:
    child = lab.popen("open", "--no-browser", "--runtime", "process", TMPDIR=str(tmp_path))
    address, token = opened(child)
    call(address, token, "/api/kernels", "POST")
    assert process.find(lab.state) is not None
    assert len(family(lab.marker)) >= 4  # the command, JupyterLab, the kernel, the cloud
    ended = kill_group(child, signum)
    assert ended["code"] == 128 + signum
    assert "Traceback" not in str(ended["err"])
    assert family(lab.marker) == []
    assert process.find(lab.state) is None
    assert list(tmp_path.glob("lab-jupyter-*")) == []


@posix
def test_a_cloud_that_ran_before_goes_on(lab: Lab) -> None:
    lab.run("up", "--runtime", "process")
    before = process.find(lab.state)
    child = lab.popen("open", "--no-browser")
    opened(child)
    kill_group(child)
    assert process.find(lab.state) == before


@posix
def test_an_interruption_before_it_answers_leaves_nothing(lab: Lab) -> None:
    child = lab.popen("open", "--no-browser", "--runtime", "process")
    until(lambda: len(family(lab.marker)) >= 3)
    ended = kill_group(child)
    assert ended["code"] == 130
    until(lambda: family(lab.marker) == [])


def test_a_taken_port_is_an_error_before_anything_starts(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = lab.run("open", "--no-browser", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "is taken by another program" in done.stderr
    assert process.find(lab.state) is None


def test_any_free_port_will_do() -> None:
    assert free_port(None) > 0
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(CommandError, match="taken"):
        free_port(taken.getsockname()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({}, False),
        ({"DISPLAY": ":0", "CI": "true"}, False),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "somebody"}, False),
    ],
)
def test_a_browser_opens_only_where_it_is_seen(environ: dict[str, str], seen: bool) -> None:
    assert has_screen(environ) is seen
