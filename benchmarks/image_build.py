#!/usr/bin/env python3
"""Build and push without a daemon, against `docker build` and `docker push`.

    python3 benchmarks/image_build.py [--rounds 3] [--base IMAGE] [--registry HOST:PORT]

The same content from the same local wheels, on the same base, to the same registry: Debian's
`docker-registry`, fresh for every round. Targets: full build and push at least 5 times as fast;
rebuild and push after an edit of the app at least 4 times as fast with under 64 KiB sent; a push of
what is there sends no layer byte. What is not counted for either side: the base image, the wheels
and the trained model, which are there before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fargate_lab import image  # noqa: E402
from fargate_lab.image.bases import default_target  # noqa: E402
from fargate_lab.image.files import place  # noqa: E402
from fargate_lab.image.wheels import resolve  # noqa: E402
from fargate_lab.paths import cache_dir  # noqa: E402

PYTHON = "3.11"


def run(*command: str, **environment: str) -> None:
    """Run a program; what it printed is shown only if it failed."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0"),
            **environment,
        },
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


@contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """Debian's docker-registry with an empty store: its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage:\n  filesystem: {{rootdirectory: {folder / 'store'}}}\nhttp: {{addr: {where}}}\n"
    )
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(["docker-registry", "serve", str(config)], **quiet)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://{where}/v2/", timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    sys.exit("docker-registry did not start")
                time.sleep(0.05)
        yield where
    finally:
        process.terminate()
        process.wait()


def prepare(folder: Path, base: str) -> tuple[Path, Path]:
    """What both sides start from: the context with wheels and model, and the base as a layout."""
    context = folder / "context"
    ignore = shutil.ignore_patterns("model", "__pycache__", "wheels")
    shutil.copytree(ROOT / "lab_docker", context, ignore=ignore)
    run(sys.executable, str(context / "train.py"), "--output", str(context / "model"))
    for wheel in resolve(context / "requirements.lock", default_target(None, PYTHON)):
        place(wheel.path, context / "wheels" / wheel.path.name)
    run(
        *(sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:"),
        *("--dest", str(context / "wheels"), "hatchling"),
    )
    saved = folder / "base.tar"
    run("docker", "save", "-o", str(saved), base)
    image.from_docker_archive(saved, folder / "base")
    saved.unlink()
    return context, folder / "base"


def edit(context: Path) -> None:
    """Change one line of the app."""
    with (context / "app" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(f"\n# {uuid.uuid4().hex}\n")


def ours(context: Path, base: Path, folder: Path, where: str) -> dict[str, float]:
    """Seconds and bytes of our side, with an empty layer cache."""
    os.environ["LAB_CACHE_DIR"] = str(folder / "cache")
    shutil.rmtree(folder / "cache", ignore_errors=True)
    for wheel in (context / "wheels").glob("*.whl"):
        place(wheel, folder / "cache" / "wheels" / wheel.name)

    def once(tag: str) -> image.PushReport:
        built = image.build(
            context, name="b", base=str(base), python=PYTHON, output=folder / "layout"
        )
        return image.push(built, f"{where}/bench:{tag}")

    found = {}
    start = time.perf_counter()
    once("1")
    found["full"] = time.perf_counter() - start
    edit(context)
    start = time.perf_counter()
    report = once("2")
    found["edit"] = time.perf_counter() - start
    found["edit sent"] = report.sent_bytes
    start = time.perf_counter()
    found["again sent"] = once("2").sent_bytes
    found["again"] = time.perf_counter() - start
    return found


def engine(context: Path, base: str, where: str) -> dict[str, float]:
    """Seconds of the engine's side, without its build cache at first."""
    arguments = ["--build-arg", f"BASE={base}", "--build-arg", "PIP_NO_INDEX=1", "-q"]

    def once(tag: str, *more: str) -> None:
        name = f"{where}/bench:{tag}"
        run("docker", "build", *more, *arguments, "-t", name, str(context))
        run("docker", "push", "-q", name)

    found = {}
    start = time.perf_counter()
    once("1", "--no-cache")
    found["full"] = time.perf_counter() - start
    edit(context)
    start = time.perf_counter()
    once("2")
    found["edit"] = time.perf_counter() - start
    run("docker", "rmi", "-f", f"{where}/bench:1", f"{where}/bench:2")
    return found


def show(name: str, left: list[float], right: list[float], target: float) -> bool:
    """One line: medians, ratio and spread; whether the target is met."""
    ratio = statistics.median(left) / statistics.median(right)
    spread = f"{min(left):.1f}–{max(left):.1f} v. {min(right):.2f}–{max(right):.2f} s"
    print(
        f"{name:<24} docker {statistics.median(left):6.1f} s   "
        f"ours {statistics.median(right):6.2f} s   ratio {ratio:5.1f} (≥ {target:g})   {spread}"
    )
    return ratio >= target


def main() -> int:
    """Run the rounds and print the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base", default="fargate-lab/python-base:bookworm", help="in the engine")
    options = parser.parse_args()
    for program in ("docker", "docker-registry"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed; this comparison needs it.")
    print(f"wheels from {cache_dir() / 'wheels'}; base {options.base}; {options.rounds} rounds")
    docker, mine = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context, base = prepare(folder, options.base)
        for number in range(options.rounds):
            for side in ("engine", "ours"):
                store = folder / f"{side}{number}"
                store.mkdir()
                with docker_registry(store) as where:
                    if side == "engine":
                        docker.append(engine(context, options.base, where))
                    else:
                        mine.append(ours(context, base, folder, where))
                shutil.rmtree(store)
            print(f"round {number + 1}: docker {docker[-1]}, ours {mine[-1]}", flush=True)
    good = show("full build + push", [r["full"] for r in docker], [r["full"] for r in mine], 5)
    good &= show(
        "after an edit of the app", [r["edit"] for r in docker], [r["edit"] for r in mine], 4
    )
    sent = max(r["edit sent"] for r in mine)
    again = max(r["again sent"] for r in mine)
    print(f"sent after the edit      {sent:.0f} bytes (target: under {64 * 1024})")
    print(f"sent for what is there   {again:.0f} bytes (target: 0)")
    return 0 if good and sent < 64 * 1024 and again == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
