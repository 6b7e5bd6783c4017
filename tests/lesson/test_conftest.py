"""The check tests' account: empty for each test, the same for moto's services and the lab's."""

from __future__ import annotations

import boto3
import pytest

from fargate_lab.lesson.session import Lab


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_account(lab: Lab, turn: int) -> None:
    ecs, iam = boto3.client("ecs"), boto3.client("iam")
    assert ecs.list_clusters()["clusterArns"] == []
    assert iam.list_roles()["Roles"] == []
    ecs.create_cluster(clusterName=f"turn-{turn}")
    iam.create_role(RoleName=f"turn-{turn}", AssumeRolePolicyDocument="{}")


def test_lab_and_moto_agree_on_the_account(lab: Lab) -> None:
    assert boto3.client("sts").get_caller_identity()["Account"] == lab.account
    arn = boto3.client("ecs").create_cluster(clusterName="mine")["cluster"]["clusterArn"]
    assert f":{lab.account}:" in arn
    assert boto3.client("ec2").describe_vpcs()["Vpcs"][0]["OwnerId"] == lab.account
