"""Task definitions over their life: registered, described, listed, deregistered, deleted."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_lab.cloud.protocol import AwsError
from tests.cloud.conftest import ECS, Api, LabCloud
from tests.cloud.ecs.requests import ROLE, definition, on_ec2, with_container

PREFIX = "arn:aws:ecs:us-east-1:123456789012:task-definition/"


def register(api: Api, family: str = "web", **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = api.ecs(
        "RegisterTaskDefinition", **definition(family=family, **changes)
    )
    return answer["taskDefinition"]


def refused(api: Api, action: str, **payload: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as error:
        api.ecs(action, **payload)
    return error.value.code, error.value.message


def test_defaults_are_filled_in(api: Api) -> None:
    payload = with_container(
        healthCheck={"command": ["CMD", "true"]}, restartPolicy={"enabled": True}
    )
    found = api.ecs("RegisterTaskDefinition", **payload)["taskDefinition"]
    [container] = found["containerDefinitions"]
    assert container["cpu"] == 0
    assert container["essential"] is True
    assert container["portMappings"] == [
        {"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}
    ]
    for empty in ("environment", "mountPoints", "volumesFrom", "systemControls"):
        assert container[empty] == []
    assert container["healthCheck"] == {
        "command": ["CMD", "true"],
        "interval": 30,
        "timeout": 5,
        "retries": 3,
    }
    assert container["restartPolicy"]["restartAttemptPeriod"] == 300
    assert container["logConfiguration"]["secretOptions"] == []
    assert found["taskDefinitionArn"] == f"{PREFIX}web:1"
    assert (found["revision"], found["status"]) == (1, "ACTIVE")
    assert (found["volumes"], found["placementConstraints"]) == ([], [])
    assert found["registeredBy"] == "arn:aws:iam::123456789012:root"
    assert found["registeredAt"] > 1_700_000_000


def test_under_bridge_the_host_port_is_chosen_at_run_time(api: Api) -> None:
    payload = on_ec2(portMappings=[{"containerPort": 80}])
    found = api.ecs("RegisterTaskDefinition", **payload)["taskDefinition"]
    assert found["containerDefinitions"][0]["portMappings"][0]["hostPort"] == 0


def test_sizes_are_kept_as_numbers(api: Api) -> None:
    found = register(api, cpu="1 vCPU", memory="2GB")
    assert (found["cpu"], found["memory"]) == ("1024", "2048")


def test_attributes_and_compatibilities(api: Api) -> None:
    found = register(api, taskRoleArn=ROLE)
    names = [attribute["name"] for attribute in found["requiresAttributes"]]
    assert len(names) == len(set(names))
    assert {
        "com.amazonaws.ecs.capability.logging-driver.awslogs",
        "ecs.capability.execution-role-awslogs",
        "com.amazonaws.ecs.capability.ecr-auth",
        "ecs.capability.execution-role-ecr-pull",
        "com.amazonaws.ecs.capability.task-iam-role",
        "ecs.capability.task-eni",
    } <= set(names)
    assert {"EC2", "FARGATE"} <= set(found["compatibilities"])


def test_compatibility_with_fargate_does_not_depend_on_being_asked_for(api: Api) -> None:
    found = register(api, requiresCompatibilities=["EC2"])
    assert "FARGATE" in found["compatibilities"]
    found = register(api, requiresCompatibilities=["EC2"], cpu="333")
    assert "FARGATE" not in found["compatibilities"]


def test_unknown_members_are_ignored(api: Api) -> None:
    found = register(api, colour="red")
    assert "colour" not in found
    payload = with_container(colour="red")
    found = api.ecs("RegisterTaskDefinition", **payload)["taskDefinition"]
    assert "colour" not in found["containerDefinitions"][0]


def test_describe_by_family_revision_and_arn(api: Api) -> None:
    register(api)
    second = register(api, cpu="512", memory="1024")
    for reference in ("web", "web:2", f"{PREFIX}web:2"):
        answer = api.ecs("DescribeTaskDefinition", taskDefinition=reference)
        assert answer == {"taskDefinition": second}
    assert (
        api.ecs("DescribeTaskDefinition", taskDefinition="web:1")["taskDefinition"]["cpu"] == "256"
    )


ELSEWHERE = PREFIX.replace("us-east-1", "eu-west-1") + "web:1"


@pytest.mark.parametrize("reference", ["ghost", "web:7", "web:0", "", "web:x", ELSEWHERE])
def test_what_there_is_not_cannot_be_described(api: Api, reference: str) -> None:
    register(api)
    assert refused(api, "DescribeTaskDefinition", taskDefinition=reference) == (
        "ClientException",
        "Unable to describe task definition.",
    )


def test_a_family_is_its_latest_active_revision(api: Api) -> None:
    register(api)
    register(api)
    api.ecs("DeregisterTaskDefinition", taskDefinition="web:2")
    assert (
        api.ecs("DescribeTaskDefinition", taskDefinition="web")["taskDefinition"]["revision"] == 1
    )
    api.ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    refused(api, "DescribeTaskDefinition", taskDefinition="web")
    found = api.ecs("DescribeTaskDefinition", taskDefinition="web:1")["taskDefinition"]
    assert found["status"] == "INACTIVE"
    assert found["deregisteredAt"] >= found["registeredAt"]


def test_a_number_is_never_given_twice(api: Api) -> None:
    register(api)
    register(api)
    for reference in ("web:1", "web:2"):
        api.ecs("DeregisterTaskDefinition", taskDefinition=reference)
    api.ecs("DeleteTaskDefinitions", taskDefinitions=["web:1", "web:2"])
    assert register(api)["revision"] == 3


def test_only_what_was_deregistered_is_deleted(api: Api) -> None:
    register(api)
    register(api)
    api.ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    answer = api.ecs("DeleteTaskDefinitions", taskDefinitions=["web:1", "web:2", "web:9", "web"])
    [deleted] = answer["taskDefinitions"]
    assert (deleted["revision"], deleted["status"]) == (1, "DELETE_IN_PROGRESS")
    assert [failure["arn"] for failure in answer["failures"]] == [
        f"{PREFIX}web:2",
        f"{PREFIX}web:9",
        f"{PREFIX}web",
    ]
    assert api.ecs("ListTaskDefinitions", status="INACTIVE")["taskDefinitionArns"] == []
    code, _ = refused(api, "DeleteTaskDefinitions", taskDefinitions=["web:2"] * 11)
    assert code == "InvalidParameterException"


def test_deregistering_wants_a_revision(api: Api) -> None:
    register(api)
    assert refused(api, "DeregisterTaskDefinition", taskDefinition="web") == (
        "InvalidParameterException",
        "Revision is missing from the task definition.",
    )


def test_lists_are_in_order_of_the_numbers_and_in_pages(api: Api) -> None:
    for _ in range(11):
        register(api)
    register(api, "web-2")
    numbers: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = api.ecs("ListTaskDefinitions", familyPrefix="web", maxResults=4, **token)
        numbers += [arn.rsplit(":", 1)[1] for arn in page["taskDefinitionArns"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert numbers == [str(n) for n in range(1, 12)]
    newest = api.ecs("ListTaskDefinitions", familyPrefix="web", sort="DESC", maxResults=1)
    assert newest["taskDefinitionArns"] == [f"{PREFIX}web:11"]
    assert refused(api, "ListTaskDefinitions", nextToken="%%%")[0] == "InvalidParameterException"
    assert refused(api, "ListTaskDefinitions", maxResults=101)[0] == "InvalidParameterException"


def test_families_by_prefix_and_status(api: Api) -> None:
    for family in ("api", "web", "web-worker"):
        register(api, family)
    api.ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    families = api.ecs("ListTaskDefinitionFamilies", familyPrefix="web")["families"]
    assert families == ["web", "web-worker"]
    assert api.ecs("ListTaskDefinitionFamilies", status="ACTIVE")["families"] == [
        "api",
        "web-worker",
    ]
    assert api.ecs("ListTaskDefinitionFamilies", status="INACTIVE")["families"] == ["web"]


def test_tags_come_when_asked_for(api: Api) -> None:
    register(api, tags=[{"key": "team", "value": "ml"}])
    answer = api.ecs("DescribeTaskDefinition", taskDefinition="web", include=["TAGS"])
    assert answer["tags"] == [{"key": "team", "value": "ml"}]


def test_accounts_and_regions_are_apart(api: Api) -> None:
    register(api)
    for other in ({"account": "111111111111"}, {"region": "ap-northeast-2"}):
        assert api.call(ECS, "ListTaskDefinitions", {}, **other)["taskDefinitionArns"] == []


def test_boto3_registers_what_plain_moto_cannot_run(cloud: LabCloud) -> None:
    ecs = cloud.client("ecs")
    payload = definition("executionRoleArn")
    payload["containerDefinitions"] = [{"name": "app", "image": "public.ecr.aws/nginx/nginx:1"}]
    answer = ecs.register_task_definition(**payload)["taskDefinition"]
    assert answer["memory"] == "512"
    assert answer["registeredAt"].year >= 2024
    with pytest.raises(ecs.exceptions.ClientException) as error:
        ecs.register_task_definition(**{**payload, "cpu": "333", "memory": "99999"})
    assert error.value.response["Error"]["Message"] == (
        "No Fargate configuration exists for given values: 333 CPU, 99999 memory. "
        "See the Amazon ECS documentation for the valid values."
    )
