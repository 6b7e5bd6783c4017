"""Remove what the chapters made in an account, in the order AWS accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from fargate_lab.lesson import names

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab

_ABSENT = {
    "RepositoryNotFoundException",
    "ClusterNotFoundException",
    "NoSuchEntity",
    "ResourceNotFoundException",
    "DependencyViolation",  # a task's network interface still lets go of the security group
}


def remove_all(lab: Lab) -> None:
    """Stop tasks, then delete cluster, task definitions, repository, logs and roles; print each."""
    removed = list(_removals())
    print("Removed: " + ("; ".join(removed) if removed else "nothing was there") + ".")


def _removals() -> Iterator[str]:
    ecs, ecr = boto3.client("ecs"), boto3.client("ecr")
    stopped = stop_tasks(ecs)
    if stopped:
        yield f"{stopped} running tasks"
    if _gone(lambda: ecs.delete_cluster(cluster=names.CLUSTER)):
        yield f"cluster {names.CLUSTER}"
    count = _definitions(ecs)
    if count:
        yield f"{count} task definition revisions"
    if _gone(lambda: ecr.delete_repository(repositoryName=names.REPOSITORY, force=True)):
        yield f"repository {names.REPOSITORY}"
    logs = boto3.client("logs")
    if _gone(lambda: logs.delete_log_group(logGroupName=names.LOG_GROUP)):
        yield f"log group {names.LOG_GROUP}"
    yield from _security_group()
    yield from _roles()


def _security_group() -> Iterator[str]:
    ec2 = boto3.client("ec2")
    named = [{"Name": "group-name", "Values": [names.SECURITY_GROUP]}]
    for group in ec2.describe_security_groups(Filters=named)["SecurityGroups"]:
        if _gone(partial(ec2.delete_security_group, GroupId=group["GroupId"])):
            yield f"security group {names.SECURITY_GROUP}"


def _definitions(ecs: Any) -> int:
    """Deregister and delete every revision of the chapters' families; how many there were."""
    families = ecs.list_task_definition_families(familyPrefix=names.FAMILY)["families"]
    arns: list[str] = []
    for family in families:
        for status in ("ACTIVE", "INACTIVE"):
            found = ecs.list_task_definitions(familyPrefix=family, status=status)
            arns += found["taskDefinitionArns"]
    for arn in arns:
        ecs.deregister_task_definition(taskDefinition=arn)
    for first in range(0, len(arns), 10):  # DeleteTaskDefinitions takes at most 10
        ecs.delete_task_definitions(taskDefinitions=arns[first : first + 10])
    return len(arns)


def _roles() -> Iterator[str]:
    iam = boto3.client("iam")
    for role in (names.EXECUTION_ROLE, names.TASK_ROLE):
        try:
            attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        except ClientError:
            continue
        for policy in attached:
            iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=name)
        iam.delete_role(RoleName=role)
        yield f"role {role}"


def stop_tasks(ecs: Any) -> int:
    """Stop every task of the lab's cluster and wait until all have stopped; how many there were."""
    try:
        arns = ecs.list_tasks(cluster=names.CLUSTER)["taskArns"]
    except ClientError:
        return 0
    for arn in arns:
        ecs.stop_task(cluster=names.CLUSTER, task=arn, reason="lab.teardown()")
    if arns:
        waiter = ecs.get_waiter("tasks_stopped")
        waiter.wait(cluster=names.CLUSTER, tasks=arns, WaiterConfig={"Delay": 1, "MaxAttempts": 90})
    return len(arns)


def _gone(delete: Callable[[], Any]) -> bool:
    try:
        delete()
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ABSENT:
            raise
        return False
    return True
