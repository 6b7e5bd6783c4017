"""The cloud as a background process: start, find, stop."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from fargate_lab import __version__
from fargate_lab.cloud.protocol import DEFAULT_REGION

DEFAULT_PORT = 4577
RUNTIMES = ("auto", "docker", "process")
START_SECONDS = 30
STOP_SECONDS = 40
"""Tasks get their stop time-out (30 s by default on Fargate) before they are killed."""


class CloudError(Exception):
    """The cloud could not be started or stopped; the text says why and what to do next."""


@dataclass(frozen=True)
class CloudInfo:
    """A running cloud, as `cloud.json` describes it."""

    pid: int
    port: int
    url: str
    registry: str
    runtime: str
    version: str
    started: str
    token: str
    state_dir: str
    resumed: bool = False
    """Whether an earlier cloud left clusters, task definitions or repositories in this folder."""

    def news(self) -> str:
        """What a restart kept and what it lost; empty for a cloud that began with nothing."""
        if not self.resumed:
            return ""
        return (
            "This cloud took up an earlier one: its repositories, images, clusters and task "
            "definitions are as they were. Roles, networks, logs, buckets and secrets were kept "
            "in memory only and are gone."
        )

    def environment(self) -> dict[str, str]:
        """The variables that point any AWS client at this cloud."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "lab",
            "AWS_SECRET_ACCESS_KEY": "lab",
            "AWS_DEFAULT_REGION": DEFAULT_REGION,
            "AWS_REGION": DEFAULT_REGION,
            "LAB_REGISTRY": self.registry,
        }


def info_path(state_dir: Path) -> Path:
    """Where a cloud writes what it is."""
    return state_dir / "cloud.json"


def write_info(info: CloudInfo) -> None:
    """Publish a cloud that answers; readable by its owner only, for it holds the stop token."""
    path = info_path(Path(info.state_dir))
    temporary = path.with_suffix(f".{info.pid}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(info), file, indent=2)
    temporary.replace(path)


def find(state_dir: Path) -> CloudInfo | None:
    """The cloud that runs on this state folder, or None. Removes the trace of a killed one."""
    try:
        info = CloudInfo(**json.loads(info_path(state_dir).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if _is_cloud(info.pid) and _answers(info):
        return info
    if not _is_cloud(info.pid):
        info_path(state_dir).unlink(missing_ok=True)
    return None


def start(state_dir: Path, *, port: int | None = None, runtime: str = "auto") -> CloudInfo:
    """Start the cloud, or return the one that runs here already.

    port None takes `DEFAULT_PORT` where it is free and any free port otherwise. Raises CloudError
    when a given port is taken, the folder cannot be written, or the server does not come up.
    """
    if runtime not in RUNTIMES:
        raise CloudError(f"Unknown runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}.")
    running = find(state_dir)
    if running is not None:
        if port is not None and port != running.port:
            raise CloudError(
                f"A cloud already runs on {state_dir}, at port {running.port}. "
                f"Stop it first (python3 lab.py stop) or leave --port out."
            )
        return running
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        log = (state_dir / "cloud.log").open("ab")
    except OSError as error:
        raise CloudError(
            f"The state folder {state_dir} cannot be written ({error.strerror or error}). "
            "Make it writable, or choose another with --state-dir."
        ) from error
    with log:
        offset = log.tell()
        process = subprocess.Popen(
            _command(state_dir, port, runtime),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **_detached(),
        )
    return _await_start(process, state_dir, offset)


def stop(state_dir: Path) -> bool:
    """Stop the cloud and every task it runs; whether there was one.

    Asks first; a cloud that does not go within `STOP_SECONDS` is killed, its children with it.
    One whose folder was deleted under it published nothing that could be found: it ends too.
    """
    stopped = _stop_published(state_dir)
    lost = list(_lost(state_dir))
    for process in lost:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(lost, timeout=STOP_SECONDS)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            _kill_tree(process)
    return stopped or bool(lost)


def _lost(state_dir: Path) -> Iterator[psutil.Process]:
    """This person's clouds that were started on a state folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = process.cmdline()
            if "fargate_lab.cloud" in words and str(state_dir) in words and _is_cloud(process.pid):
                yield process


def _stop_published(state_dir: Path) -> bool:
    try:
        info = CloudInfo(**json.loads(info_path(state_dir).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return False
    if not _is_cloud(info.pid):
        info_path(state_dir).unlink(missing_ok=True)
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(info.pid)
        request = urllib.request.Request(
            f"{info.url}/_lab/stop", method="POST", headers={"x-lab-token": info.token}
        )
        try:
            with local_opener().open(request, timeout=5):
                pass
        except OSError:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            _kill_tree(process)
    info_path(state_dir).unlink(missing_ok=True)
    return True


def _command(state_dir: Path, port: int | None, runtime: str) -> list[str]:
    command = [sys.executable, "-m", "fargate_lab.cloud", "--state-dir", str(state_dir)]
    command += ["--runtime", runtime]
    return [*command, "--port", str(port)] if port is not None else command


def _detached() -> dict[str, Any]:
    # The cloud outlives the terminal or the notebook that started it.
    package_root = str(Path(__file__).resolve().parents[2])
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(
        p for p in (package_root, os.environ.get("PYTHONPATH")) if p
    )
    # The lab's own server must never see a way to the real AWS.
    for name in [n for n in environment if n.startswith("AWS_")]:
        del environment[name]
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
        return {"creationflags": flags, "env": environment}
    return {"start_new_session": True, "env": environment}


def _await_start(process: subprocess.Popen[bytes], state_dir: Path, offset: int) -> CloudInfo:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        # Starting twice at once is harmless: the loser ends, and the winner is found here.
        info = find(state_dir)
        if info is not None:
            return info
        if process.poll() is not None:
            raise CloudError(_why(state_dir, offset))
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise CloudError(
        f"The cloud did not answer within {START_SECONDS} s. " + _why(state_dir, offset)
    )


def _why(state_dir: Path, offset: int) -> str:
    log = state_dir / "cloud.log"
    with log.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").strip().splitlines()
    said = [line for line in lines if line.startswith("cloud: ")]
    if said:
        return said[-1].removeprefix("cloud: ")
    return f"The cloud ended while starting; {log} has the details."


def local_opener() -> urllib.request.OpenerDirector:
    """Opens addresses of this machine: a proxy set for the internet must not see these calls."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _answers(info: CloudInfo) -> bool:
    try:
        with local_opener().open(f"{info.url}/_lab/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _is_cloud(pid: int) -> bool:
    # A process id may have been given to another program since.
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and any(
            part == "fargate_lab.cloud" for part in process.cmdline()
        )
    except psutil.Error:
        return False


def _kill_tree(process: psutil.Process) -> None:
    doomed = [*process.children(recursive=True), process]
    for child in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(doomed, timeout=5)


def bind(port: int | None) -> socket.socket:
    """A listening socket on 127.0.0.1. Raises CloudError when the given port is taken."""
    for candidate in [port] if port is not None else [DEFAULT_PORT, 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate or 0))
            listener.listen(2048)
            return listener
        except OSError:
            listener.close()
    raise CloudError(
        f"Port {port} of 127.0.0.1 is taken by another program. "
        "Choose another with --port, or leave it out to take any free one."
    )


def describe(
    port: int, runtime: str, token: str, state_dir: Path, *, resumed: bool = False
) -> CloudInfo:
    """What a cloud that begins to answer now says of itself."""
    return CloudInfo(
        pid=os.getpid(),
        port=port,
        url=f"http://127.0.0.1:{port}",
        registry=f"127.0.0.1:{port}",
        runtime=runtime,
        version=__version__,
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        token=token,
        state_dir=str(state_dir),
        resumed=resumed,
    )
