"""Cold start of the lab cloud to its first answered ECS call, and its memory then.

Both servers are started anew for each round, in turn, and asked for the clusters by the same
plain HTTP request. Memory is the resident set of the server's process and its children.

    python benchmarks/cloud_start.py [--rounds 7] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
TIME_TARGET, MEMORY_TARGET = 0.5, 0.7
DEADLINE = 60.0
HEADERS = {
    "x-amz-target": "AmazonEC2ContainerServiceV20141113.ListClusters",
    "content-type": "application/x-amz-json-1.1",
    "authorization": "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/ecs/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def lab(port: int, folder: Path) -> list[str]:
    """The lab cloud's command."""
    options = ["--port", str(port), "--state-dir", str(folder), "--runtime", "process"]
    return [sys.executable, "-m", "fargate_lab.cloud", *options]


def moto(port: int, folder: Path) -> list[str]:
    """moto's own server's command."""
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def answered(port: int) -> bool:
    """Whether ListClusters is answered."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", b"{}", HEADERS)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return "clusterArns" in json.loads(answer.read())
    except (OSError, urllib.error.URLError):
        return False


def measure(command: Callable[[int, Path], list[str]]) -> tuple[float, float]:
    """Seconds to the first answer, and MB of memory then."""
    port, folder = free_port(), Path(tempfile.mkdtemp())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AWS_DEFAULT_REGION": "us-east-1"}
    started = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(port, folder), env=environment, stdout=log, stderr=log)
    try:
        while not answered(port):
            if process.poll() is not None or time.perf_counter() - started > DEADLINE:
                raise SystemExit((folder / "log").read_text() or "the server did not answer")
            time.sleep(0.005)
        seconds = time.perf_counter() - started
        server = psutil.Process(process.pid)
        tree = [server, *server.children(recursive=True)]
        return seconds, sum(p.memory_info().rss for p in tree) / 1e6
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Print medians and ratios; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: dict[str, list[tuple[float, float]]] = {"lab": [], "moto_server": []}
    for command in (lab, moto):
        measure(command)  # fills the disk's cache and writes byte code; not counted
    for _ in range(options.rounds):
        rows["lab"].append(measure(lab))
        rows["moto_server"].append(measure(moto))
    found = {
        name: {
            "seconds": round(statistics.median(r[0] for r in measured), 3),
            "megabytes": round(statistics.median(r[1] for r in measured), 1),
        }
        for name, measured in rows.items()
    }
    ratios = {k: found["lab"][k] / found["moto_server"][k] for k in ("seconds", "megabytes")}
    good = ratios["seconds"] < TIME_TARGET and ratios["megabytes"] < MEMORY_TARGET
    if options.json:
        print(json.dumps({**found, "ratios": ratios, "targets_met": good}, indent=2))
        return 0 if good else 1
    for name, row in found.items():
        print(f"{name:12} {row['seconds']:7.3f} s {row['megabytes']:8.1f} MB")
    print(f"ratio        {ratios['seconds']:7.2f}   {ratios['megabytes']:8.2f}")
    print(f"target       {TIME_TARGET:7.2f}   {MEMORY_TARGET:8.2f}   {'met' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
