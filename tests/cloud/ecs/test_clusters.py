"""Clusters and their tags."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_lab.cloud.ecs.clusters import TaskCounts
from fargate_lab.cloud.protocol import AwsError
from tests.cloud.conftest import ECS, Api, LabCloud

ARN = "arn:aws:ecs:us-east-1:123456789012:cluster/"
DISABLED = [{"name": "containerInsights", "value": "disabled"}]


def refused(api: Api, action: str, **payload: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as error:
        api.ecs(action, **payload)
    return error.value.code, error.value.message


def test_a_cluster_without_a_name_is_default(api: Api) -> None:
    cluster = api.ecs("CreateCluster")["cluster"]
    assert (cluster["clusterName"], cluster["clusterArn"]) == ("default", f"{ARN}default")
    assert (cluster["status"], cluster["settings"]) == ("ACTIVE", DISABLED)
    assert api.ecs("DescribeClusters")["clusters"][0]["clusterName"] == "default"


def test_creating_again_changes_nothing(api: Api) -> None:
    first = api.ecs("CreateCluster", clusterName="demo", capacityProviders=["FARGATE"])
    again = api.ecs("CreateCluster", clusterName="demo", capacityProviders=["FARGATE_SPOT"])
    assert again == first


def test_describe_shows_what_is_asked_for_and_what_is_missing(api: Api) -> None:
    api.ecs("CreateCluster", clusterName="demo", tags=[{"key": "a", "value": "b"}])
    answer = api.ecs("DescribeClusters", clusters=["demo", f"{ARN}ghost", "ghost"])
    assert answer["clusters"][0]["tags"] == answer["clusters"][0]["settings"] == []
    missing = {"arn": f"{ARN}ghost", "reason": "MISSING"}
    assert answer["failures"] == [missing, missing]
    include = ["TAGS", "SETTINGS", "STATISTICS"]
    [cluster] = api.ecs("DescribeClusters", clusters=[f"{ARN}demo"], include=include)["clusters"]
    assert cluster["tags"] == [{"key": "a", "value": "b"}]
    assert cluster["settings"] == DISABLED
    assert {"name": "runningFargateTasksCount", "value": "0"} in cluster["statistics"]


def test_names_have_a_form(api: Api) -> None:
    for name in ("my cluster", "a/b", "x" * 256):
        assert refused(api, "CreateCluster", clusterName=name)[0] == "InvalidParameterException"
    api.ecs("CreateCluster", clusterName="x" * 255)


def test_lists_come_in_pages(api: Api) -> None:
    for n in range(5):
        api.ecs("CreateCluster", clusterName=f"c{n}")
    first = api.ecs("ListClusters", maxResults=3)
    rest = api.ecs("ListClusters", maxResults=3, nextToken=first["nextToken"])
    assert first["clusterArns"] + rest["clusterArns"] == [f"{ARN}c{n}" for n in range(5)]
    assert "nextToken" not in rest


def test_capacity_providers_and_the_default_strategy(api: Api) -> None:
    api.ecs("CreateCluster", clusterName="demo")
    strategy = [
        {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 4},
    ]
    cluster = api.ecs(
        "PutClusterCapacityProviders",
        cluster="demo",
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=strategy,
    )["cluster"]
    assert cluster["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert cluster["defaultCapacityProviderStrategy"][1] == {
        "capacityProvider": "FARGATE_SPOT",
        "weight": 4,
        "base": 0,
    }


@pytest.mark.parametrize(
    ("providers", "strategy", "text"),
    [
        (["my-asg"], [], "The specified capacity provider was not found."),
        (["FARGATE"], [{"capacityProvider": "FARGATE_SPOT"}], "The specified capacity provider "
         "strategy cannot contain a capacity provider that is not associated with the cluster."),
        (["FARGATE"], [{"capacityProvider": "FARGATE", "weight": 1001}], "A capacity provider "
         "strategy's weight must be between 0 and 1000"),
        (["FARGATE", "FARGATE_SPOT"],
         [{"capacityProvider": "FARGATE", "base": 1, "weight": 1},
          {"capacityProvider": "FARGATE_SPOT", "base": 1}],
         "Only one capacity provider in a capacity provider strategy can have a base defined."),
        (["FARGATE", "FARGATE_SPOT"],
         [{"capacityProvider": "FARGATE"}, {"capacityProvider": "FARGATE_SPOT"}],
         "A capacity provider strategy must contain at least one capacity provider with a weight "
         "greater than 0."),
        (["FARGATE"], [{"capacityProvider": "FARGATE", "weight": 1}] * 2, "A capacity provider "
         "strategy cannot contain the same capacity provider more than once."),
    ],
)  # fmt: skip
def test_rules_of_a_strategy(
    api: Api, providers: list[str], strategy: list[dict[str, Any]], text: str
) -> None:
    code, message = refused(
        api,
        "CreateCluster",
        capacityProviders=providers,
        defaultCapacityProviderStrategy=strategy,
    )
    assert code == "InvalidParameterException"
    assert message.startswith(text)
    assert api.ecs("ListClusters")["clusterArns"] == []


def test_settings_change_and_bad_ones_are_refused(api: Api) -> None:
    api.ecs("CreateCluster", clusterName="demo")
    enabled = [{"name": "containerInsights", "value": "enabled"}]
    for action in ("UpdateClusterSettings", "UpdateCluster"):
        assert api.ecs(action, cluster="demo", settings=enabled)["cluster"]["settings"] == enabled
    bad = [{"name": "containerInsights", "value": "on"}]
    assert refused(api, "UpdateCluster", cluster="demo", settings=bad)[0] == (
        "InvalidParameterException"
    )


def test_a_deleted_cluster_is_inactive_until_it_is_made_anew(api: Api) -> None:
    api.ecs("CreateCluster", clusterName="demo", tags=[{"key": "a", "value": "b"}])
    assert api.ecs("DeleteCluster", cluster="demo")["cluster"]["status"] == "INACTIVE"
    assert api.ecs("ListClusters")["clusterArns"] == []
    assert refused(api, "DeleteCluster", cluster="demo") == (
        "ClusterNotFoundException",
        "The referenced cluster was inactive.",
    )
    assert api.ecs("CreateCluster", clusterName="demo")["cluster"]["tags"] == []


def test_what_there_is_not_cannot_be_deleted(api: Api) -> None:
    not_found = ("ClusterNotFoundException", "Cluster not found.")
    assert refused(api, "DeleteCluster", cluster="ghost") == not_found
    assert refused(api, "DeleteCluster", cluster=ARN.replace("1234", "9999") + "x") == not_found


def test_a_cluster_with_tasks_is_not_deleted(api: Api) -> None:
    api.ecs("CreateCluster", clusterName="demo")
    clusters = api.service(ECS).clusters  # type: ignore[attr-defined]
    for counts in (TaskCounts(running=1), TaskCounts(pending=1)):
        clusters.count_tasks = lambda _scope, _name, counts=counts: counts
        assert refused(api, "DeleteCluster", cluster="demo") == (
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.",
        )
    [cluster] = api.ecs("DescribeClusters", clusters=["demo"])["clusters"]
    assert (cluster["runningTasksCount"], cluster["pendingTasksCount"]) == (0, 1)


def test_tags_are_added_replaced_and_removed(api: Api) -> None:
    arn = api.ecs("CreateCluster", clusterName="demo")["cluster"]["clusterArn"]
    api.ecs("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b"}])
    api.ecs("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "2"}])
    tags = api.ecs("ListTagsForResource", resourceArn=arn)["tags"]
    assert tags == [{"key": "a", "value": "2"}, {"key": "b", "value": ""}]
    api.ecs("UntagResource", resourceArn=arn, tagKeys=["a", "ghost"])
    assert api.ecs("ListTagsForResource", resourceArn=arn)["tags"] == [{"key": "b", "value": ""}]


@pytest.mark.parametrize(
    "tags",
    [
        [{"value": "x"}],
        [{"key": "aws:x", "value": "x"}],
        [{"key": "k" * 129}],
        [{"key": "k", "value": "v" * 257}],
        [{"key": "k!"}],
        [{"key": "k"}, {"key": "k"}],
        [{"key": f"k{n}"} for n in range(51)],
    ],
)
def test_bad_tags_make_no_cluster(api: Api, tags: list[dict[str, str]]) -> None:
    assert refused(api, "CreateCluster", clusterName="demo", tags=tags)[0] == (
        "InvalidParameterException"
    )
    assert api.ecs("ListClusters")["clusterArns"] == []


def test_only_what_is_there_has_tags(api: Api) -> None:
    for arn in ("demo", f"{ARN}ghost", "arn:aws:s3:::bucket", f"{ARN}x".replace("us-", "eu-")):
        code, _ = refused(api, "ListTagsForResource", resourceArn=arn)
        assert code == "InvalidParameterException"


@pytest.mark.parametrize("action", ["CreateService", "UpdateService", "CreateTaskSet"])
def test_services_are_refused_in_plain_words(cloud: LabCloud, action: str) -> None:
    ecs = cloud.client("ecs")
    calls = {
        "CreateService": lambda: ecs.create_service(serviceName="s", taskDefinition="t"),
        "UpdateService": lambda: ecs.update_service(service="s"),
        "CreateTaskSet": lambda: ecs.create_task_set(service="s", cluster="c", taskDefinition="t"),
    }
    with pytest.raises(ecs.exceptions.UnsupportedFeatureException) as error:
        calls[action]()
    text = error.value.response["Error"]["Message"]
    assert text.startswith("The lab does not run services yet")


def test_there_are_no_container_instances_and_no_services(api: Api) -> None:
    assert api.ecs("ListContainerInstances") == {"containerInstanceArns": []}
    assert api.ecs("ListServices") == {"serviceArns": []}
    answer = api.ecs("DescribeServices", cluster="c", services=["s"])
    assert answer["failures"] == [
        {"arn": "arn:aws:ecs:us-east-1:123456789012:service/c/s", "reason": "MISSING"}
    ]


def test_fargate_s_two_providers_are_there(api: Api) -> None:
    answer = api.ecs("DescribeCapacityProviders")
    names = [provider["name"] for provider in answer["capacityProviders"]]
    assert names == ["FARGATE", "FARGATE_SPOT"]
    answer = api.ecs("DescribeCapacityProviders", capacityProviders=["FARGATE", "asg"])
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]
