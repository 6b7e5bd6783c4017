"""What a container leaves behind when its first process ends, and when the cloud ends."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from fargate_lab.paths import cache_dir
from fargate_lab.runtime.driver import ContainerSpec, HostSpec, Image, Prepared
from fargate_lab.runtime.process import tree
from fargate_lab.runtime.process.driver import ProcessDriver, ProcessHost

posix = pytest.mark.skipif(os.name != "posix", reason="sessions are POSIX's")
DEAF = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "
SLEEP = "import time; time.sleep(300)"
FORK = (
    "import subprocess, sys\n"
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True,"
    " cwd='/', stdout=subprocess.DEVNULL)\n"
    "print(child.pid, flush=True)"
)


def begin(state: Path, root: Path, program: str) -> tuple[ProcessHost, list[str]]:
    """A container that runs a line of Python, and the lines it writes."""
    root.mkdir(exist_ok=True)
    driver = ProcessDriver(state, cache_dir())
    host = driver.open_host(HostSpec("t" * 32, state / "tasks" / ("t" * 32), 1, 256, 512))
    image = Image("x", "sha256:0", {}, {"os": "linux", "architecture": "amd64"}, ())
    spec = ContainerSpec("main", Prepared(image, str(root)), command=("python3", "-c", program))
    lines: list[str] = []
    host.create(spec).start(lambda line, at: lines.append(line.decode()))
    deadline = time.monotonic() + 20
    while not lines:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return host, lines


def gone(pid: int) -> bool:
    """Whether a process ends soon."""
    try:
        process = psutil.Process(pid)
        psutil.wait_procs([process], timeout=5)
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@posix
def test_a_child_in_a_session_of_its_own_ends_with_the_container(tmp_path: Path) -> None:
    """As in a container, where the kernel ends everything with the first process."""
    host, lines = begin(tmp_path / "state", tmp_path / "root", FORK)
    try:
        found = host.containers[0].wait(10)
        assert found is not None
        assert found.code == 0
        assert gone(int(lines[0]))
    finally:
        host.close()


@posix
def test_a_child_in_a_session_of_its_own_is_reaped(tmp_path: Path) -> None:
    """The next cloud finds what a killed one left, wherever it works and whatever it is called."""
    program = FORK + "\nimport time; time.sleep(300)"
    host, lines = begin(tmp_path / "state", tmp_path / "root", program)
    try:
        first = host.containers[0]._process
        assert first is not None
        (host.containers[0].folder / "process.json").unlink()
        tree.reap(tmp_path / "state" / "tasks")
        assert gone(int(lines[0]))
        assert gone(first.pid)
    finally:
        host.close()


def test_nothing_runs_on_when_the_driver_closes(tmp_path: Path) -> None:
    """A container that nobody had the time to stop ends with its driver."""
    host, _ = begin(tmp_path / "state", tmp_path / "root", DEAF + "time.sleep(300)")
    process = host.containers[0]._process
    assert process is not None
    try:
        host.driver.close()
        assert gone(process.pid)
        assert not (tmp_path / "state" / "tasks").exists()
    finally:
        host.close()
