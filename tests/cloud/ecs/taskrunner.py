"""A small image whose program does what its arguments say, and short ways to run it as a task."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from fargate_lab import image
from tests.cloud.conftest import LabCloud

GROUP = "/ecs/small"
PROGRAM = '''\
"""Does one thing, named by its first argument."""
import http.server, json, os, signal, sys, time, urllib.request

what, rest = sys.argv[1], sys.argv[2:]

class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = {"name": os.environ.get("NAME"), "environment": dict(os.environ)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

def serve(host, port):
    signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), os._exit(7)))
    server = http.server.ThreadingHTTPServer((host, port), Echo)
    print("ready", flush=True)
    server.serve_forever()

if what == "serve":
    serve("0.0.0.0", int(rest[0]) if rest else 8080)
elif what == "serve-local":
    serve("127.0.0.1", 8080)
elif what == "exit":
    print("leaving", flush=True)
    sys.exit(int(rest[0]))
elif what == "import":
    __import__(rest[0])
elif what == "print":
    if os.path.exists("/shared/note"):
        print(open("/shared/note").read(), flush=True)
    for name in rest:
        print(f"{name}={os.environ.get(name)}", flush=True)
elif what == "tick":
    for number in range(1000):
        print("tick", number, flush=True)
        time.sleep(0.05)
elif what == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    time.sleep(600)
elif what == "grow":
    blocks = []
    while True:
        blocks.append(b"x" * (4 << 20))
        time.sleep(0.005)
elif what == "get":
    deadline = time.time() + 20
    while True:
        try:
            print("got", urllib.request.urlopen(rest[0], timeout=5).read(60).decode(), flush=True)
            break
        except OSError as error:
            if time.time() > deadline:
                sys.exit(f"no answer: {error}")
            time.sleep(0.05)
elif what == "metadata":
    root = os.environ["ECS_CONTAINER_METADATA_URI_V4"]
    print(json.load(urllib.request.urlopen(root + "/task", timeout=10))["TaskARN"], flush=True)
    print(json.load(urllib.request.urlopen(root, timeout=10))["Name"], flush=True)
elif what == "write":
    open("/shared/note" if len(rest) < 2 else rest[1], "w").write(rest[0])
'''


RECIPE = """
name = "small"
platforms = ["linux/amd64", "linux/arm64"]

[config]
workdir = "/app"
entrypoint = ["python3", "/app/small.py"]
cmd = ["serve"]

[[layers]]
name = "program"
kind = "files"
source = "program"
target = "/app"
include = ["*.py"]
"""


def small_image(folder: Path) -> image.Image:
    """This machine's Python and PROGRAM, as an image in a layout."""
    context = folder / "context"
    (context / "program").mkdir(parents=True)
    (context / "image.toml").write_text(RECIPE, encoding="utf-8")
    (context / "program" / "small.py").write_text(PROGRAM, encoding="utf-8")
    return image.build(context, name="small", base="host-python", output=folder / "layout")


@dataclass
class Runner:
    """A cloud with the small image pushed, a cluster, a subnet and a log group."""

    cloud: LabCloud
    repository: str
    subnet: str

    @classmethod
    def prepare(cls, cloud: LabCloud, folder: Path) -> Runner:
        """Push the image and make what tasks need."""
        ecr = cloud.client("ecr")
        uri = ecr.create_repository(repositoryName="small")["repository"]["repositoryUri"]
        data = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        user, password = base64.b64decode(data).decode().split(":", 1)
        image.push(small_image(folder), f"{uri}:1", username=user, password=password)
        cloud.client("ecs").create_cluster(clusterName="default")
        cloud.client("logs").create_log_group(logGroupName=GROUP)
        subnet = cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
        return cls(cloud, uri, subnet)

    @property
    def ecs(self) -> Any:
        """An ECS client."""
        return self.cloud.client("ecs")

    def container(self, name: str, *command: str, **members: Any) -> dict[str, Any]:
        """A container definition that logs to GROUP."""
        return {
            "name": name,
            "image": f"{self.repository}:1",
            "command": list(command),
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": GROUP,
                    "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": "t",
                },
            },
            **members,
        }

    def register(self, family: str, *containers: dict[str, Any], **members: Any) -> str:
        """Register a Fargate definition; its ARN."""
        answer = self.ecs.register_task_definition(
            family=family,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            **{"cpu": "1024", "memory": "2048"} | members,
            executionRoleArn="arn:aws:iam::123456789012:role/execution",
            containerDefinitions=list(containers),
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str, **members: Any) -> list[str]:
        """RunTask; the tasks' ARNs."""
        answer = self.ecs.run_task(
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": [self.subnet]}},
            **members,
        )
        assert answer["failures"] == []
        return [task["taskArn"] for task in answer["tasks"]]

    def start(self, family: str, *command: str, **members: Any) -> str:
        """Register and run one container; the task's ARN."""
        definition = self.register(family, self.container("main", *command, **members))
        return self.run(definition)[0]

    def describe(self, arn: str) -> dict[str, Any]:
        """DescribeTasks of one task."""
        return dict(self.ecs.describe_tasks(tasks=[arn], include=["TAGS"])["tasks"][0])

    def until(
        self, arn: str, wanted: Callable[[dict[str, Any]], bool], seconds: float = 60
    ) -> dict[str, Any]:
        """The task's description once it is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            task = self.describe(arn)
            if wanted(task):
                return task
            assert time.monotonic() < deadline, f"not within {seconds} s: {task}"
            time.sleep(0.03)

    def running(self, arn: str) -> dict[str, Any]:
        """The task once it runs."""
        task = self.until(arn, lambda t: t["lastStatus"] in ("RUNNING", "STOPPED"))
        assert task["lastStatus"] == "RUNNING", task
        return task

    def stopped(self, arn: str) -> dict[str, Any]:
        """The task once it has stopped."""
        return self.until(arn, lambda t: t["lastStatus"] == "STOPPED")

    def lines(self, arn: str, container: str = "main") -> list[str]:
        """What a container has logged so far."""
        name = f"t/{container}/{arn.rsplit('/', 1)[-1]}"
        answer = self.cloud.client("logs").get_log_events(
            logGroupName=GROUP, logStreamName=name, startFromHead=True
        )
        return [event["message"] for event in answer["events"]]

    def line(self, arn: str, text: str, container: str = "main") -> None:
        """Wait until a container has logged a line."""
        deadline = time.monotonic() + 60
        seen: list[str] = []
        while text not in seen:
            assert time.monotonic() < deadline, seen
            time.sleep(0.03)
            # The stream is there once the task's network is: not at once after RunTask.
            with contextlib.suppress(ClientError):
                seen = self.lines(arn, container)
