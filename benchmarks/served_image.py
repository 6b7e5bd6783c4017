#!/usr/bin/env python3
"""The served app against the same model behind FastAPI as plain pip installs it (uvicorn with h11).

    python3 benchmarks/served_image.py [--model lab_docker/model] [--rounds 12] [--seconds 0.5]

Both servers run at once, each round loads one and then the other, so that a noisy machine is noisy
for both; medians and the spread of the per-round ratios are printed. Where `taskset` exists the
servers are pinned to one core and the load comes from another. Also: time from the start of the
process to the first prediction, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
LAB_DOCKER = ROOT / "lab_docker"
PATHS = [str(LAB_DOCKER), str(LAB_DOCKER / "inkprep" / "src")]

PEER = """
import os, sys
from typing import Any
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel
import inkprep
from app.model import load

model = load()
app = FastAPI()

class Drawing(BaseModel):
    strokes: list[list[list[float]]] | None = None
    pixels: list[float] | None = None

@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}

@app.post("/predict")
async def predict(drawing: Drawing) -> dict[str, Any]:
    if drawing.strokes is not None:
        row = inkprep.from_strokes(drawing.strokes)
    else:
        row = np.array(drawing.pixels, dtype=np.float32)
    return {"predictions": model.predict(row[np.newaxis]), "model": model.about}

if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), http="h11", loop="asyncio")
"""


Row = tuple[float, float, float, float]


@dataclass
class Served:
    """A running server under measurement."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    start_seconds: float

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    def peak_megabytes(self) -> float | None:
        """Peak resident memory so far; None where the system does not tell it."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def request(body: bytes) -> bytes:
    """One POST /predict, as bytes."""
    head = "POST /predict HTTP/1.1\r\nhost: lab\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def ask(connection: socket.socket, sent: bytes) -> bytes:
    """Send one request, read one whole answer."""
    connection.sendall(sent)
    answer = connection.recv(65536)
    while True:
        head, mark, rest = answer.partition(b"\r\n\r\n")
        if mark:
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            if length and len(rest) >= int(length[1]):
                return answer
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the server closed the connection")
        answer += more


def pinned(command: list[str], core: int) -> list[str]:
    """The command on one core, where that can be had."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "-c", str(core), *command]
    return command


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(name: str, command: list[str], model: Path, first: bytes) -> Served:
    """Start a server and time it to its first answered prediction."""
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(PATHS),
        "MODEL_DIR": str(model),
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    started = time.perf_counter()
    process = subprocess.Popen(pinned(command, 0), env=environment, stdout=subprocess.DEVNULL)
    deadline = started + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                answer = ask(connection, first)
            break
        except OSError:
            if time.perf_counter() > deadline or process.poll() is not None:
                process.kill()
                raise SystemExit(f"{name} did not start.") from None
            time.sleep(0.002)
    took = time.perf_counter() - started
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{name} answered {answer[:200]!r}")
    return Served(name, process, port, took)


LOAD = """
import os, selectors, socket, sys, time
port, seconds, clients, path = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
sent = open(path, "rb").read()
chosen = selectors.DefaultSelector()
for _ in range(clients):
    s = socket.create_connection(("127.0.0.1", port)); s.setsockopt(6, 1, 1)
    chosen.register(s, selectors.EVENT_READ, [time.perf_counter(), b""]); s.sendall(sent)
done, late, times = 0, time.perf_counter() + seconds, []
begun = time.perf_counter()
while time.perf_counter() < late:
    for key, _ in chosen.select(1):
        s, state = key.fileobj, key.data
        state[1] += s.recv(65536)
        head, mark, rest = state[1].partition(b"\\r\\n\\r\\n")
        if not mark: continue
        low = head.lower(); at = low.index(b"content-length:") + 15
        if len(rest) < int(low[at:].split(b"\\r", 1)[0]): continue
        assert head.startswith(b"HTTP/1.1 200"), head
        now = time.perf_counter(); times.append(now - state[0]); done += 1
        state[0], state[1] = now, b""; s.sendall(sent)
times.sort()
half, most = times[len(times) // 2], times[int(len(times) * 0.99)]
print(done / (time.perf_counter() - begun), half * 1e3, most * 1e3, done)
"""


def load(served: Served, seconds: float, clients: int, sent: Path) -> Row:
    """Load from another process: requests a second, median and 99th percentile in milliseconds,
    and the server's processor time for one request in microseconds."""
    arguments = [str(served.port), str(seconds), str(clients), str(sent)]
    command = pinned([sys.executable, "-c", LOAD, *arguments], 1)
    before = served.cpu_seconds()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, median, p99, done = (float(value) for value in out.split())
    return rate, median, p99, (served.cpu_seconds() - before) / done * 1e6


def bodies() -> dict[str, bytes]:
    """What is asked: a drawn digit, and 64 numbers."""
    samples = json.loads((LAB_DOCKER / "samples" / "strokes.json").read_text())
    return {
        "strokes": json.dumps({"strokes": samples["3"][0]}).encode(),
        "pixels": json.dumps({"pixels": [(i * 7) % 17 for i in range(64)]}).encode(),
    }


def measure(model: Path, rounds: int, seconds: float, clients: int, folder: Path) -> None:
    """Start both, load them in turn, print the table."""
    peer = folder / "peer.py"
    peer.write_text(PEER)
    asked = bodies()
    commands = {"lab": [sys.executable, "-m", "app", "serve"], "peer": [sys.executable, str(peer)]}
    first = request(asked["strokes"])
    starts: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(4):
        for name, command in commands.items():
            served = start(name, command, model, first)
            starts[name].append(served.start_seconds)
            served.process.terminate()
            served.process.wait()
    running = {name: start(name, command, model, first) for name, command in commands.items()}
    try:
        for kind, body in asked.items():
            sent = folder / kind
            sent.write_bytes(request(body))
            results: dict[str, list[Row]] = {name: [] for name in commands}
            for _ in range(rounds):
                for name, served in running.items():
                    results[name].append(load(served, seconds, clients, sent))
            report(kind, results)
        for name, served in running.items():
            starts[name].append(served.start_seconds)
            memory = served.peak_megabytes()
            told = f"{memory:.0f} MB" if memory else "not known here"
            took = statistics.median(starts[name])
            print(f"{name:<5} start to first prediction {took:.3f} s (median), peak memory {told}")
    finally:
        for served in running.values():
            served.process.terminate()
            served.process.wait()


def report(kind: str, results: dict[str, list[Row]]) -> None:
    """One line for each server, and the ratio."""
    for name, rows in results.items():
        rate, half, p99, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"{kind:<8} {name:<5} {rate:7.0f} /s   median {half:6.2f} ms   p99 {p99:6.2f} ms   "
            f"processor {cpu:5.0f} µs a request"
        )
    pairs = list(zip(results["lab"], results["peer"], strict=True))
    rates = [a[0] / b[0] for a, b in pairs]
    costs = [b[3] / a[3] for a, b in pairs]
    print(
        f"{kind:<8} ratio {statistics.median(rates):.2f} × ({min(rates):.2f} to {max(rates):.2f}), "
        f"by processor time {statistics.median(costs):.2f} × ({min(costs):.2f} to {max(costs):.2f})"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when measured, 1 when something is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=LAB_DOCKER / "model")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.5, help="load in each round")
    parser.add_argument("--clients", type=int, default=8, help="connections kept open")
    options = parser.parse_args(arguments)
    if not (options.model / "model.json").exists():
        print("No model yet; make it with: python3 lab_docker/train.py", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        measure(options.model, options.rounds, options.seconds, options.clients, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
