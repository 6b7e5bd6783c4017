"""Every answer of the control plane validates against AWS's own model of ECS."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel, Shape

from fargate_lab.cloud.protocol import dumps
from tests.cloud.conftest import ECS, Api
from tests.cloud.ecs.requests import definition, with_container

MODEL = ServiceModel(
    botocore.session.Session().get_component("data_loader").load_service_model("ecs", "service-2")
)
CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/demo"
TAGS = [{"key": "team", "value": "ml"}]
STRATEGY = [{"capacityProvider": "FARGATE", "weight": 1}]
TASK_ACTIONS = {"RunTask", "DescribeTasks", "ListTasks", "StopTask"}
"""Answered by running tasks: their answers are checked where tasks run."""

# In an order in which each finds what it needs.
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("CreateCluster", {"clusterName": "demo", "capacityProviders": ["FARGATE"], "tags": TAGS}),
    ("DescribeCapacityProviders", {"capacityProviders": ["FARGATE", "ghost"]}),
    ("DescribeClusters", {"clusters": ["demo", "ghost"],
                          "include": ["TAGS", "SETTINGS", "STATISTICS", "CONFIGURATIONS"]}),
    ("ListClusters", {"maxResults": 1}),
    ("UpdateCluster", {"cluster": "demo", "serviceConnectDefaults": {"namespace": "n"},
                       "configuration": {"executeCommandConfiguration": {"logging": "DEFAULT"}}}),
    ("UpdateClusterSettings", {"cluster": "demo",
                               "settings": [{"name": "containerInsights", "value": "enhanced"}]}),
    ("PutClusterCapacityProviders", {"cluster": "demo", "capacityProviders": ["FARGATE"],
                                     "defaultCapacityProviderStrategy": STRATEGY}),
    ("RegisterTaskDefinition", {**with_container(
        healthCheck={"command": ["CMD", "true"]}, restartPolicy={"enabled": True},
        secrets=[{"name": "KEY", "valueFrom": "key"}], ulimits=[
            {"name": "nofile", "softLimit": 1, "hardLimit": 2}]),
        "ephemeralStorage": {"sizeInGiB": 21}, "volumes": [{"name": "data"}], "tags": TAGS,
        "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}}),
    ("RegisterTaskDefinition", definition(tags=TAGS)),
    ("DescribeTaskDefinition", {"taskDefinition": "web:1", "include": ["TAGS"]}),
    ("ListTaskDefinitionFamilies", {}),
    ("ListTaskDefinitions", {"maxResults": 1}),
    ("DeregisterTaskDefinition", {"taskDefinition": "web:1"}),
    ("DeleteTaskDefinitions", {"taskDefinitions": ["web:1", "web:2"]}),
    ("TagResource", {"resourceArn": CLUSTER, "tags": TAGS}),
    ("ListTagsForResource", {"resourceArn": CLUSTER}),
    ("UntagResource", {"resourceArn": CLUSTER, "tagKeys": ["team"]}),
    ("ListServices", {"cluster": "demo"}),
    ("DescribeServices", {"cluster": "demo", "services": ["s"]}),
    ("ListContainerInstances", {"cluster": "demo"}),
    ("DescribeContainerInstances", {"cluster": "demo", "containerInstances": ["i"]}),
    ("DeleteCluster", {"cluster": "demo"}),
]  # fmt: skip

SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "double": (int, float),
    "timestamp": (int, float),
}


def flaws(shape: Shape, value: Any, path: str) -> list[str]:
    """Where a document differs from its shape."""
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            return [f"{path}: no structure"]
        unknown = [f"{path}.{name}: unknown" for name in value.keys() - shape.members.keys()]
        missing = [f"{path}.{n}: missing" for n in shape.required_members if n not in value]
        inner = [
            flaw
            for name in value.keys() & shape.members.keys()
            for flaw in flaws(shape.members[name], value[name], f"{path}.{name}")
        ]
        return unknown + missing + inner
    if shape.type_name == "list":
        items = value if isinstance(value, list) else [None]
        return [
            f for n, item in enumerate(items) for f in flaws(shape.member, item, f"{path}[{n}]")
        ]
    if shape.type_name == "map":
        return [f for k, v in value.items() for f in flaws(shape.value, v, f"{path}.{k}")]
    if not isinstance(value, SCALARS[shape.type_name]) or (
        isinstance(value, bool) and shape.type_name != "boolean"
    ):
        return [f"{path}: {value!r} is no {shape.type_name}"]
    enum = getattr(shape, "enum", [])
    return [f"{path}: {value!r} is not listed"] if enum and value not in enum else []


def test_a_flaw_is_found() -> None:
    shape = MODEL.operation_model("CreateCluster").output_shape
    assert flaws(shape, {"cluster": {"colour": 1}}, "") == [".cluster.colour: unknown"]
    assert flaws(shape, {"cluster": {"clusterName": 1}}, "") != []
    assert flaws(shape, {"cluster": {"tags": "x"}}, "") != []


def test_every_answer_has_the_model_s_shape(api: Api) -> None:
    answered = set()
    for action, payload in CALLS:
        document = json.loads(dumps(api.ecs(action, **payload)))
        shape = MODEL.operation_model(action).output_shape
        assert flaws(shape, document, action) == []
        answered.add(action)
    assert answered | TASK_ACTIONS >= set(api.service(ECS).actions)


def test_timestamps_are_of_now(api: Api) -> None:
    found = api.ecs("RegisterTaskDefinition", **definition())["taskDefinition"]
    registered = dt.datetime.fromtimestamp(found["registeredAt"], dt.UTC)
    assert abs(dt.datetime.now(dt.UTC) - registered) < dt.timedelta(minutes=1)


@pytest.mark.parametrize("heavy", ["moto", "botocore", "boto3", "yaml"])
def test_the_control_plane_answers_without(heavy: str, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.protocol import Call, Caller
from fargate_lab.cloud.services import make_service
from fargate_lab.cloud.store import Store
folder = Path({str(tmp_path)!r})
context = CloudContext(folder, folder, Store(folder / "c.sqlite"), 1, "process", "t")
service = make_service({ECS!r}, context)
caller = Caller("lab", "123456789012", "us-east-1")
answer = service.actions["ListClusters"](Call("ListClusters", {{}}, caller, "r"))
assert answer == {{"clusterArns": []}}, answer
service.actions["CreateCluster"](Call("CreateCluster", {{"clusterName": "demo"}}, caller, "r"))
assert {heavy!r} not in sys.modules, {heavy!r}
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
