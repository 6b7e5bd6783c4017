"""RunTask to RUNNING and healthy, against the bare start of the same server by hand.

Both sides run the same image's same server; healthy is its /healthz answering 200 at the address
where this machine reaches it. `process` is compared with the entry point started by hand from the
unpacked image, `docker` with `docker run` of the same image. Rounds alternate; medians are shown.

    python benchmarks/run_task.py [--runtime process|docker] [--rounds 5] [--json]

Targets: process under 1.5 times the bare start; docker under `docker run` + 1 s.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fargate_lab import image  # noqa: E402
from fargate_lab.cloud import process  # noqa: E402

RATIO_TARGET, EXTRA_TARGET = 1.5, 1.0
DEADLINE = 90.0


def healthy(url: str) -> None:
    """Wait until /healthz answers 200."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=1):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.01)
    raise TimeoutError(url)


class Lab:
    """A cloud with the image pushed and its task definition registered."""

    def __init__(self, info: process.CloudInfo, built: image.Image) -> None:
        self.info = info
        self.ecs = self.client("ecs")
        ecr = self.client("ecr")
        uri = ecr.create_repository(repositoryName="inkdigits")["repository"]["repositoryUri"]
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        user, password = base64.b64decode(token).decode().split(":", 1)
        image.push(built, f"{uri}:1", username=user, password=password)
        self.ecs.create_cluster(clusterName="default")
        self.subnet = self.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
        self.ecs.register_task_definition(
            family="inkdigits",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="2048",
            memory="4096",
            executionRoleArn="arn:aws:iam::123456789012:role/execution",
            containerDefinitions=[
                {
                    "name": "web",
                    "image": f"{uri}:1",
                    "portMappings": [{"containerPort": 8080}],
                    "stopTimeout": 5,
                }
            ],
        )

    def client(self, service: str) -> Any:
        """A boto3 client of this cloud."""
        return boto3.client(
            service,
            endpoint_url=self.info.url,
            region_name="us-east-1",
            aws_access_key_id="lab",
            aws_secret_access_key="lab",
        )

    def once(self) -> float:
        """Seconds from RunTask to RUNNING and healthy."""
        network = {"awsvpcConfiguration": {"subnets": [self.subnet]}}
        began = time.perf_counter()
        task = self.ecs.run_task(
            taskDefinition="inkdigits", launchType="FARGATE", networkConfiguration=network
        )["tasks"][0]
        named = {"tasks": [task["taskArn"]]}
        while task["lastStatus"] != "RUNNING":
            if task["lastStatus"] == "STOPPED":
                raise SystemExit(f"The task stopped: {task['stoppedReason']}")
            time.sleep(0.01)
            task = self.ecs.describe_tasks(**named)["tasks"][0]
        details = {d["name"]: d["value"] for d in task["attachments"][0]["details"]}
        healthy(f"http://{details['privateIPv4Address']}:8080")
        taken = time.perf_counter() - began
        self.ecs.stop_task(task=task["taskArn"])
        waiter = self.ecs.get_waiter("tasks_stopped")
        waiter.config.delay = 0.1
        waiter.wait(**named)
        return taken


def bare(built: image.Image, folder: Path) -> float:
    """Seconds from starting the entry point by hand to healthy."""
    layers = [
        (path, kind, layer.digest)
        for (path, kind), layer in zip(built.blobs(), built.layers, strict=True)
    ]
    root = image.unpack_cached(layers)
    settings = built.config["config"]
    variables = dict(item.split("=", 1) for item in settings["Env"])
    variables["PYTHONPATH"] = f"{root}/opt/site:{root}/app"
    variables |= {"MODEL_DIR": f"{root}/opt/model", "HOST": "127.99.1.1", "PORT": "8080"}
    python = getattr(sys, "_base_executable", sys.executable)
    began = time.perf_counter()
    server = subprocess.Popen(
        [python, "-S", *settings["Entrypoint"][1:], *settings["Cmd"]],
        env={**variables, "PATH": os.environ["PATH"]},
        cwd=root / "app",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        healthy("http://127.99.1.1:8080")
        return time.perf_counter() - began
    finally:
        server.kill()
        server.wait()


def docker_run(tag: str) -> float:
    """Seconds from `docker run` to healthy."""
    began = time.perf_counter()
    command = ["docker", "run", "-d", "--rm", "--cpus", "2", "--memory", "4g", tag]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        inspect = ["docker", "inspect", "-f", form, name]
        address = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()
        healthy(f"http://{address}:8080")
        return time.perf_counter() - began
    finally:
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)


def load(built: image.Image, tag: str) -> None:
    """Give the engine the image under a tag."""
    with tempfile.TemporaryFile() as archive:
        image.to_docker_archive(built, archive, tag=tag)
        archive.seek(0)
        subprocess.run(["docker", "load"], stdin=archive, capture_output=True, check=True)


def measure(runtime: str, rounds: int) -> dict[str, Any]:
    """Alternate both sides; seconds of each round."""
    tag = "fargate-lab-benchmark:1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = image.build(ROOT / "lab_docker", name="inkdigits", output=folder / "image")
        if runtime == "docker":
            load(built, tag)
        info = process.start(folder / "state", port=0, runtime=runtime)
        try:
            lab = Lab(info, built)
            lab.once()
            other = (
                (lambda: docker_run(tag)) if runtime == "docker" else (lambda: bare(built, folder))
            )
            other()
            times = [(lab.once(), other()) for _ in range(rounds)]
        finally:
            process.stop(folder / "state")
            if runtime == "docker":
                subprocess.run(["docker", "rmi", tag], capture_output=True, check=False)
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    met = ours < theirs + EXTRA_TARGET if runtime == "docker" else ours < RATIO_TARGET * theirs
    return {
        "runtime": runtime,
        "run_task_seconds": round(ours, 3),
        "bare_seconds": round(theirs, 3),
        "ratio": round(ours / theirs, 2),
        "difference_seconds": round(ours - theirs, 3),
        "met": met,
        "rounds": [[round(a, 3), round(b, 3)] for a, b in times],
    }


def main() -> int:
    """Measure and print; the exit code is 0 when the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", choices=("process", "docker"), default="process")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.runtime, options.rounds)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(
            "{runtime}: RunTask to healthy {run_task_seconds} s, bare start {bare_seconds} s: "
            "ratio {ratio}, difference {difference_seconds} s, target {}".format(
                "met" if result["met"] else "missed", **result
            )
        )
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
