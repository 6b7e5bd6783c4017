"""Every rule of RunTask: the exact refusal, and what an accepted call becomes."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_lab.cloud import bridge
from fargate_lab.cloud.ecs.run_task_plan import RunTaskPlan
from fargate_lab.cloud.ecs.run_task_rules import validate_run_task, vcpu_shortage
from fargate_lab.cloud.protocol import AwsError, Call, Caller
from tests.cloud.conftest import Api
from tests.cloud.ecs.requests import definition, on_ec2, sidecar, with_container

# An account of its own: these tests add networks to it.
ACCOUNT = "202020202020"
CALLER = Caller(ACCOUNT, ACCOUNT, "us-east-1")
TARGET = "AmazonEC2ContainerServiceV20141113"


class Runner:
    """A cluster, task definitions and a network, and RunTask's rules on them."""

    def __init__(self, api: Api) -> None:
        self.api = api
        ec2 = bridge.backend("ec2", ACCOUNT, "us-east-1")
        self.vpc = next(vpc.id for vpc in ec2.vpcs.values() if vpc.is_default)
        subnets = sorted(ec2.describe_subnets(), key=lambda subnet: subnet.availability_zone)
        self.subnets = [subnet.id for subnet in subnets if subnet.vpc_id == self.vpc]
        self.other_vpc = ec2.create_vpc("10.9.0.0/16")
        self.other_subnet = ec2.create_subnet(self.other_vpc.id, "10.9.1.0/24").id
        groups = ec2.describe_security_groups()
        self.group = next(g.id for g in groups if g.vpc_id == self.vpc and g.name == "default")
        self.other_group = next(g.id for g in groups if g.vpc_id == self.other_vpc.id)
        self.call("CreateCluster", clusterName="demo", capacityProviders=["FARGATE"])
        self.call("RegisterTaskDefinition", **definition())
        self.call("RegisterTaskDefinition", **{**on_ec2(), "family": "ec2"})

    def call(self, action: str, **payload: Any) -> dict[str, Any]:
        return self.api.call(TARGET, action, payload, account=ACCOUNT)

    def network(self, *subnets: str, **changes: Any) -> dict[str, Any]:
        config = {"subnets": list(subnets) or self.subnets[:2], **changes}
        return {"awsvpcConfiguration": config}

    def request(self, *without: str, **changes: Any) -> dict[str, Any]:
        request = {
            "cluster": "demo",
            "taskDefinition": "web",
            "launchType": "FARGATE",
            "networkConfiguration": self.network(),
            **changes,
        }
        return {name: value for name, value in request.items() if name not in without}

    def plan(self, *without: str, **changes: Any) -> RunTaskPlan:
        payload = self.request(*without, **changes)
        call = Call("RunTask", payload, CALLER, "127.0.0.1:4577")
        return validate_run_task(self.api.context, call)

    def refused(self, *without: str, **changes: Any) -> tuple[str, str]:
        with pytest.raises(AwsError) as error:
            self.plan(*without, **changes)
        return error.value.code, error.value.message

    def invalid(self, *without: str, **changes: Any) -> str:
        code, text = self.refused(*without, **changes)
        assert code == "InvalidParameterException"
        return text


@pytest.fixture
def runner(api: Api) -> Runner:
    return Runner(api)


def test_an_accepted_call_is_resolved(runner: Runner) -> None:
    plan = runner.plan(count=2, startedBy="me", enableExecuteCommand=True)
    arn = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/demo"
    assert (plan.cluster_name, plan.cluster_arn) == ("demo", arn)
    assert plan.task_definition["taskDefinitionArn"].endswith(":task-definition/web:1")
    assert (plan.count, plan.launch_type, plan.capacity_providers) == (2, "FARGATE", ())
    assert (plan.platform_version, plan.platform_family) == ("1.4.0", "Linux")
    assert (plan.vpc, plan.subnets) == (runner.vpc, tuple(runner.subnets[:2]))
    assert plan.availability_zones == ("us-east-1a", "us-east-1b")
    assert plan.security_groups == (runner.group,)
    assert (plan.cpu, plan.memory, plan.ephemeral_gib) == (256, 512, 20)
    assert (plan.group, plan.started_by) == ("family:web", "me")
    assert plan.enable_execute_command
    assert not plan.assign_public_ip
    assert plan.vcpus == 0.5


def test_what_plain_moto_crashes_on_works(runner: Runner) -> None:
    # Memory at the task level only, and no security groups: moto 5.2.5 answers 500.
    assert runner.plan().memory == 512


def test_the_task_definition_must_be_named_exist_and_be_active(runner: Runner) -> None:
    assert runner.invalid("taskDefinition") == "TaskDefinition can not be blank."
    for name in ("ghost", "web:9"):
        expected = ("ClientException", "TaskDefinition not found.")
        assert runner.refused(taskDefinition=name) == expected
    runner.call("DeregisterTaskDefinition", taskDefinition="web:1")
    assert runner.invalid(taskDefinition="web:1") == "TaskDefinition is inactive"
    assert runner.refused(taskDefinition="web") == ("ClientException", "TaskDefinition not found.")


def test_the_cluster_must_exist_and_is_looked_for_before_the_definition(runner: Runner) -> None:
    not_found = ("ClusterNotFoundException", "Cluster not found.")
    assert runner.refused(cluster="ghost", taskDefinition="ghost") == not_found
    assert runner.refused("cluster") == not_found
    runner.call("DeleteCluster", cluster="demo")
    assert runner.refused()[0] == "ClusterNotFoundException"
    runner.call("CreateCluster")
    assert runner.plan("cluster").cluster_name == "default"


def test_one_to_ten_tasks(runner: Runner) -> None:
    for count in (0, -1, 11):
        assert runner.invalid(count=count) == "count must be between 1 and 10."
    assert runner.plan(count=10).count == 10


def test_a_launch_type_or_a_strategy(runner: Runner) -> None:
    strategy = [{"capacityProvider": "FARGATE", "weight": 1}]
    assert runner.invalid(capacityProviderStrategy=strategy) == (
        "Specifying both a launch type and capacity provider strategy is not supported. "
        "Remove one and try again."
    )
    plan = runner.plan("launchType", capacityProviderStrategy=strategy, count=2)
    assert plan.launch_type == "FARGATE"
    assert plan.capacity_providers == ("FARGATE", "FARGATE")


def test_a_strategy_names_providers_of_the_cluster(runner: Runner) -> None:
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert runner.invalid("launchType", capacityProviderStrategy=strategy).startswith(
        "The specified capacity provider strategy cannot contain a capacity provider that is not "
        "associated with the cluster."
    )


def test_the_cluster_s_default_strategy_spreads_by_base_and_weight(runner: Runner) -> None:
    runner.call(
        "PutClusterCapacityProviders",
        cluster="demo",
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[
            {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": 3},
        ],
    )
    providers = runner.plan("launchType", count=10).capacity_providers
    assert providers[:2] == ("FARGATE", "FARGATE")
    assert (providers.count("FARGATE"), providers.count("FARGATE_SPOT")) == (4, 6)


def test_without_a_launch_type_ec2_is_meant_and_has_no_instances(runner: Runner) -> None:
    text = "No Container Instances were found in your cluster."
    assert runner.invalid("launchType") == text
    assert runner.invalid("networkConfiguration", launchType="EC2", taskDefinition="ec2") == text


def test_the_definition_must_fit_the_launch_type(runner: Runner) -> None:
    assert runner.invalid("networkConfiguration", taskDefinition="ec2") == (
        "Task definition does not support launch_type FARGATE."
    )
    assert runner.invalid(launchType="EXTERNAL") == (
        "Task definition does not support launch_type EXTERNAL."
    )


@pytest.mark.parametrize(
    ("asked", "given"), [(None, "1.4.0"), ("LATEST", "1.4.0"), ("1.3.0", "1.3.0")]
)
def test_platform_versions(runner: Runner, asked: str | None, given: str) -> None:
    assert runner.plan(platformVersion=asked).platform_version == given


def test_platform_versions_that_do_not_exist_or_do_not_fit(runner: Runner) -> None:
    for version in ("1.2.0", "9.9.9", "latest"):
        assert runner.refused(platformVersion=version) == (
            "PlatformUnknownException",
            "The specified platform version doesn't exist.",
        )
    runner.call("RegisterTaskDefinition", **definition(family="big", cpu="8192", memory="16384"))
    assert runner.refused(taskDefinition="big", platformVersion="1.3.0") == (
        "PlatformTaskDefinitionIncompatibilityException",
        "The specified platform version doesn't satisfy the required capabilities of the task "
        "definition.",
    )
    assert runner.invalid(launchType="EC2", platformVersion="1.4.0") == (
        "The platform version must be null when specifying an EC2 launch type."
    )


def test_windows_has_its_own_platform_and_no_spot(runner: Runner) -> None:
    windows = {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}
    payload = definition(family="win", cpu="1024", memory="2048", runtimePlatform=windows)
    runner.call("RegisterTaskDefinition", **payload)
    plan = runner.plan(taskDefinition="win")
    assert (plan.platform_version, plan.platform_family) == ("1.0.0", "WINDOWS_SERVER_2022_CORE")
    runner.call("PutClusterCapacityProviders", cluster="demo", capacityProviders=["FARGATE_SPOT"])
    strategy = [{"capacityProvider": "FARGATE_SPOT"}]
    assert "Windows" in runner.invalid(
        "launchType", taskDefinition="win", capacityProviderStrategy=strategy
    )


def test_awsvpc_wants_a_network_and_the_others_refuse_one(runner: Runner) -> None:
    text = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
    assert runner.invalid("networkConfiguration") == text
    assert runner.invalid(networkConfiguration={}) == text
    assert runner.invalid(taskDefinition="ec2", launchType="EC2") == (
        "Network Configuration is not valid for the given networkMode of this task definition."
    )


def test_subnets_must_be_there(runner: Runner) -> None:
    empty = {"awsvpcConfiguration": {"subnets": []}}
    assert runner.invalid(networkConfiguration=empty) == "subnets can not be empty."
    known = runner.subnets[0]
    assert runner.invalid(networkConfiguration=runner.network(known, "subnet-nope")) == (
        f"Error retrieving subnet information for [{known}, subnet-nope]: "
        "The subnet ID 'subnet-nope' does not exist (ErrorCode: InvalidSubnetID.NotFound)"
    )
    both = runner.network(known, runner.other_subnet)
    assert runner.invalid(networkConfiguration=both) == (
        "The subnets must all belong to the same VPC."
    )


def test_security_groups_must_be_there_and_of_the_vpc(runner: Runner) -> None:
    named = runner.network(securityGroups=[runner.group])
    assert runner.plan(networkConfiguration=named).security_groups == (runner.group,)
    ghost = runner.network(securityGroups=["sg-nope"])
    assert runner.invalid(networkConfiguration=ghost) == (
        "Error retrieving security group information for [sg-nope]: "
        "The security group 'sg-nope' does not exist (ErrorCode: InvalidGroup.NotFound)"
    )
    foreign = runner.network(securityGroups=[runner.other_group])
    assert runner.invalid(networkConfiguration=foreign) == (
        f"Security group {runner.other_group} does not appear to belong to the same VPC as the "
        "input subnets."
    )


def test_at_most_16_subnets_and_5_security_groups(runner: Runner) -> None:
    many = runner.network(*runner.subnets[:1] * 17)
    assert runner.invalid(networkConfiguration=many) == "subnets can have at most 16 items."
    many = runner.network(securityGroups=[runner.group] * 6)
    assert runner.invalid(networkConfiguration=many) == "securityGroups can have at most 5 items."
    fine = runner.network(*runner.subnets[:1] * 16, securityGroups=[runner.group] * 5)
    runner.plan(networkConfiguration=fine)


def test_a_public_address_is_fargate_s(runner: Runner) -> None:
    public = runner.network(assignPublicIp="ENABLED")
    assert runner.plan(networkConfiguration=public).assign_public_ip
    assert runner.invalid(networkConfiguration=public, launchType="EC2") == (
        "Assign public IP is not supported for this launch type."
    )


def test_placement_is_not_fargate_s(runner: Runner) -> None:
    assert runner.invalid(placementConstraints=[{"type": "distinctInstance"}]) == (
        "Placement constraints are not supported with FARGATE launch type."
    )
    assert runner.invalid(placementStrategy=[{"type": "random"}]) == (
        "Placement strategies are not supported with FARGATE launch type."
    )


def overrides(*containers: dict[str, Any], **task: Any) -> dict[str, Any]:
    return {"overrides": {"containerOverrides": list(containers), **task}}


def test_overrides_name_containers_of_the_task(runner: Runner) -> None:
    assert runner.invalid(**overrides({"name": "ghost", "command": ["x"]})) == (
        "Override for container named ghost is not a container in the TaskDefinition."
    )
    assert "must name its container" in runner.invalid(**overrides({"command": ["x"]}))
    item = {"name": "app", "command": ["batch"], "environment": [{"name": "A", "value": "1"}]}
    assert runner.plan(**overrides(item, {})).overrides["containerOverrides"] == [item, {}]


def test_overridden_sizes_are_fargate_s(runner: Runner) -> None:
    plan = runner.plan(**overrides(cpu="1 vCPU", memory="2GB"))
    assert (plan.cpu, plan.memory) == (1024, 2048)
    assert runner.plan(**overrides(memory="1024")).memory == 1024
    assert runner.refused(**overrides(memory="4096"))[1] == (
        "No Fargate configuration exists for given values: 256 CPU, 4096 memory. "
        "See the Amazon ECS documentation for the valid values."
    )
    assert runner.refused(**overrides(cpu="lots"))[1] == "Invalid 'cpu' setting for task."
    assert runner.refused(**overrides(memory="lots"))[1] == "Invalid 'memory' setting for task."


def test_overridden_containers_fit_in_the_task(runner: Runner) -> None:
    assert runner.invalid(**overrides({"name": "app", "memory": 513})) == (
        "The 'memory' setting for container 'app' is greater than for the task"
    )
    assert runner.invalid(**overrides({"name": "app", "cpu": 257})) == (
        "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."
    )
    runner.plan(**overrides({"name": "app", "memory": 512, "cpu": 256}))


def test_overridden_disk(runner: Runner) -> None:
    assert runner.plan(**overrides(ephemeralStorage={"sizeInGiB": 21})).ephemeral_gib == 21
    assert runner.invalid(**overrides(ephemeralStorage={"sizeInGiB": 20})) == (
        "EphemeralStorage size should be at least 21"
    )
    assert runner.invalid(**overrides(ephemeralStorage={"sizeInGiB": 201})) == (
        "EphemeralStorage size should be at most 200"
    )


def test_overridden_roles(runner: Runner) -> None:
    role = "arn:aws:iam::123456789012:role/other"
    plan = runner.plan(**overrides(taskRoleArn=role))
    assert plan.task_role == role
    assert plan.execution_role == "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"


def test_overrides_have_a_length(runner: Runner) -> None:
    long = {"name": "app", "environment": [{"name": "A", "value": "x" * 8192}]}
    text = "Container Overrides length must be at most 8192"
    assert runner.invalid(**overrides(long)) == text
    runner.plan(**overrides({**long, "environment": [{"name": "A", "value": "x" * 8000}]}))


def test_tags_of_the_call_win_over_those_of_the_definition(runner: Runner) -> None:
    own = [{"key": "team", "value": "a"}, {"key": "stage", "value": "dev"}]
    runner.call("RegisterTaskDefinition", **definition(tags=own))
    tags = [{"key": "team", "value": "b"}]
    plan = runner.plan(tags=tags, propagateTags="TASK_DEFINITION", enableECSManagedTags=True)
    assert {tag["key"]: tag["value"] for tag in plan.tags} == {
        "team": "b",
        "stage": "dev",
        "aws:ecs:clusterName": "demo",
    }
    assert runner.plan(tags=tags).tags == tuple(tags)
    assert "SERVICE" in runner.invalid(propagateTags="SERVICE")


@pytest.mark.parametrize(
    "member",
    [
        {"startedBy": "a b"},
        {"startedBy": "x" * 129},
        {"clientToken": "x" * 65},
        {"group": "x" * 256},
    ],
)
def test_names_of_a_call_have_a_form(runner: Runner, member: dict[str, str]) -> None:
    assert runner.invalid(**member).startswith(next(iter(member)))


def test_a_second_container_is_planned_too(runner: Runner) -> None:
    payload = with_container()
    payload["containerDefinitions"].append(sidecar())
    runner.call("RegisterTaskDefinition", **payload)
    names = [c["name"] for c in runner.plan().task_definition["containerDefinitions"]]
    assert names == ["app", "side"]


def test_the_region_s_vcpus_run_out() -> None:
    assert vcpu_shortage(5.75, 0.25) is None
    assert vcpu_shortage(5.75, 0.5) == (
        "You've reached the limit on the number of vCPUs you can run concurrently"
    )
    assert vcpu_shortage(5.75, 0.5, quota=100) is None


@pytest.mark.parametrize(
    ("feature", "task"),
    [
        (
            "environment files from S3",
            with_container(
                environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::bucket/settings.env"}]
            ),
        ),
        ("a restart policy", with_container(restartPolicy={"enabled": True})),
        ("the log driver splunk", with_container(logConfiguration={"logDriver": "splunk"})),
        (
            "EFS volumes",
            {"volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]},
        ),
    ],
)
def test_what_could_only_be_pretended_is_refused(
    runner: Runner, feature: str, task: dict[str, Any]
) -> None:
    runner.call("RegisterTaskDefinition", **{**definition(), **task, "family": "absent"})
    assert runner.refused(taskDefinition="absent") == (
        "UnsupportedFeatureException",
        f"The lab does not run tasks with {feature}; on AWS this task would start. "
        "Nothing was started.",
    )


def test_a_disabled_restart_policy_may_run(runner: Runner) -> None:
    task = with_container(restartPolicy={"enabled": False})
    runner.call("RegisterTaskDefinition", **{**definition(), **task, "family": "present"})
    assert runner.plan(taskDefinition="present").count == 1
