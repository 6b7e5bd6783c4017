"""What the tests of the image's content share: the model, trained once, and a running server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB_DOCKER = ROOT / "lab_docker"
INKPREP = LAB_DOCKER / "inkprep" / "src"

sys.path[:0] = [str(LAB_DOCKER), str(INKPREP)]
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model; with xdist the first worker to finish provides it for all."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "model"
    claim = shared.with_name("model.claim")
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        deadline = time.monotonic() + 240
        while not shared.exists() and time.monotonic() < deadline:
            time.sleep(0.1)  # a poll with a deadline: another process is at work
        return shared
    made = shared.with_name(f"model.{os.getpid()}")
    command = [sys.executable, str(LAB_DOCKER / "train.py"), "--output", str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    made.rename(shared)
    return shared


class Running:
    """A started `python3 -m app …`, its port and its log lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = 0
        self.lines: list[dict[str, Any]] = []
        self._fresh: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line = json.loads(text)  # every line is JSON, or this thread's test fails to see it
            self.lines.append(line)
            self._fresh.put(line)

    def event(self, name: str, timeout: float = 20) -> dict[str, Any]:
        """Wait for the log line of this event."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._fresh.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {name!r} in {self.lines}") from None
            if line["event"] == name:
                return line

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        kind: str = "application/json",
        method: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """One request on a connection of its own; its status and its JSON."""
        status, _, content = self.raw(path, body, kind, method)
        return status, json.loads(content)

    def raw(
        self,
        path: str,
        body: bytes | None = None,
        kind: str | None = "application/json",
        method: str | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """As `ask`, with the headers, and the body as it came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            headers = {"Content-Type": kind} if kind and body is not None else {}
            connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def stop(self) -> int:
        """Ask it to stop, as a container runtime does; its exit code."""
        if os.name == "nt":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined]
        else:
            self.process.terminate()
        code = self.process.wait(20)
        self._reader.join(5)
        return code


Start = Callable[..., Running]


@pytest.fixture(scope="session")
def starter(model_dir: Path) -> Iterator[Start]:
    """Starts roles of the app in processes of their own, and ends what is left of them."""
    started: list[Running] = []

    def start(*arguments: str, ready: bool = True, **environment: str) -> Running:
        given = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(INKPREP), str(LAB_DOCKER)]),
            "PYTHONUNBUFFERED": "1",
            "MODEL_DIR": str(model_dir),
            "HOST": "127.0.0.1",
            "PORT": "0",
            **environment,
        }
        flags = subprocess.CREATE_NEW_PROCESS_GROUP if os.name == "nt" else 0  # type: ignore[attr-defined]
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            env=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            creationflags=flags,
        )
        running = Running(process)
        started.append(running)
        if ready:
            running.port = running.event("ready").get("port", 0)
        return running

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.fixture(scope="module")
def server(starter: Start) -> Running:
    """One server for a module's tests."""
    return starter("serve", BODY_SECONDS="2", MAX_BODY_BYTES="200000")


@pytest.fixture(scope="session")
def samples() -> dict[str, Any]:
    """The stored strokes, by digit."""
    stored: dict[str, Any] = json.loads(
        (LAB_DOCKER / "samples" / "strokes.json").read_text("utf-8")
    )
    return stored


def which(*programs: str) -> str | None:
    """The first of these programs that is missing, if one is."""
    return next((name for name in programs if shutil.which(name) is None), None)
