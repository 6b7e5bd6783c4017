"""What earlier chapters would have left, so that any chapter can be the first."""

from __future__ import annotations

import base64
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from fargate_lab.lesson import names
from fargate_lab.paths import repo_root, state_dir

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab


@dataclass(frozen=True)
class Step:
    """Something a chapter leaves: make it unless it is there, and say whether it was made."""

    chapter: int
    what: str
    make: Callable[[Lab], bool]


def earlier(lab: Lab) -> list[str]:
    """Make what the chapters before this one leave; the names of what had to be made."""
    return [step.what for step in STEPS if step.chapter < lab.chapter and step.make(lab)]


def architecture() -> str:
    """The `cpuArchitecture` of images built on this machine: `X86_64` or `ARM64`."""
    return "ARM64" if platform.machine().lower() in ("arm64", "aarch64") else "X86_64"


def image(lab: Lab) -> bool:
    """The image inkdigits as an OCI layout in the state folder."""
    from fargate_lab.image import build

    if (state_dir() / "images" / names.IMAGE / "index.json").exists():
        return False
    build(repo_root() / "lab_docker", name=names.IMAGE)
    return True


def pushed(lab: Lab) -> bool:
    """The image in ECR, as inkdigits:1.0."""
    from fargate_lab.image import load, push

    ecr = boto3.client("ecr")
    made = _create(
        ecr.create_repository, repositoryName=names.REPOSITORY, imageTagMutability="IMMUTABLE"
    )
    tags = ecr.list_images(repositoryName=names.REPOSITORY, filter={"tagStatus": "TAGGED"})
    if any(i.get("imageTag") == names.TAG for i in tags["imageIds"]):
        return made
    image(lab)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    reference = f"{lab.registry}/{names.REPOSITORY}:{names.TAG}"
    layout = state_dir() / "images" / names.IMAGE
    push(load(layout), reference, username=user, password=password)
    return True


def roles(lab: Lab) -> bool:
    """The execution role (for ECS's agent) and the task role (for the application)."""
    iam = boto3.client("iam")
    made = False
    for name in (names.EXECUTION_ROLE, names.TASK_ROLE):
        made |= _create(
            iam.create_role, RoleName=name, AssumeRolePolicyDocument=names.ECS_TASKS_TRUST
        )
    iam.attach_role_policy(RoleName=names.EXECUTION_ROLE, PolicyArn=names.EXECUTION_POLICY)
    return made


def log_group(lab: Lab) -> bool:
    """The log group /ecs/inkdigits."""
    return _create(boto3.client("logs").create_log_group, logGroupName=names.LOG_GROUP)


def task_definition(lab: Lab) -> bool:
    """A first revision of the task definition inkdigits."""
    ecs = boto3.client("ecs")
    if ecs.list_task_definitions(familyPrefix=names.FAMILY)["taskDefinitionArns"]:
        return False
    ecs.register_task_definition(**definition(lab))
    return True


def definition(lab: Lab) -> dict[str, Any]:
    """The task definition that chapter 4 arrives at."""
    role = f"arn:aws:iam::{lab.account}:role"
    return {
        "family": names.FAMILY,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": f"{role}/{names.EXECUTION_ROLE}",
        "taskRoleArn": f"{role}/{names.TASK_ROLE}",
        "runtimePlatform": {"cpuArchitecture": architecture(), "operatingSystemFamily": "LINUX"},
        "containerDefinitions": [
            {
                "name": "inkdigits",
                "image": f"{lab.registry}/{names.REPOSITORY}:{names.TAG}",
                "essential": True,
                "portMappings": [{"containerPort": names.PORT, "protocol": "tcp"}],
                "healthCheck": {
                    "command": ["CMD", "python3", "-m", "app", "health"],
                    "interval": 5,
                    "timeout": 3,
                    "retries": 3,
                    "startPeriod": 10,
                },
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": names.LOG_GROUP,
                        "awslogs-region": lab.region,
                        "awslogs-stream-prefix": "web",
                    },
                },
            }
        ],
    }


def cluster(lab: Lab) -> bool:
    """The cluster fargate-lab."""
    ecs = boto3.client("ecs")
    found = ecs.describe_clusters(clusters=[names.CLUSTER])["clusters"]
    if any(c["status"] == "ACTIVE" for c in found):
        return False
    ecs.create_cluster(clusterName=names.CLUSTER)
    return True


def network(lab: Lab) -> dict[str, Any]:
    """RunTask's `networkConfiguration`: the default VPC, port 8080 open, a public address."""
    ec2 = boto3.client("ec2")
    default = [{"Name": "is-default", "Values": ["true"]}]
    vpc = ec2.describe_vpcs(Filters=default)["Vpcs"][0]["VpcId"]
    here = {"Name": "vpc-id", "Values": [vpc]}
    subnets = ec2.describe_subnets(Filters=[here])["Subnets"]
    named = [{"Name": "group-name", "Values": [names.SECURITY_GROUP]}, here]
    groups = ec2.describe_security_groups(Filters=named)["SecurityGroups"]
    if not groups:
        groups = [
            ec2.create_security_group(
                GroupName=names.SECURITY_GROUP, Description="port 8080 of inkdigits", VpcId=vpc
            )
        ]
        ec2.authorize_security_group_ingress(
            GroupId=groups[0]["GroupId"], IpProtocol="tcp", FromPort=names.PORT, ToPort=names.PORT,
            CidrIp="0.0.0.0/0",
        )  # fmt: skip
    return {
        "awsvpcConfiguration": {
            "subnets": sorted(s["SubnetId"] for s in subnets)[:2],
            "securityGroups": [groups[0]["GroupId"]],
            "assignPublicIp": "ENABLED",
        }
    }


STEPS = (
    Step(2, "the image inkdigits (chapter 2)", image),
    Step(3, "the repository inkdigits with the image 1.0 (chapter 3)", pushed),
    Step(4, "two IAM roles and a log group (chapter 4)", lambda lab: roles(lab) | log_group(lab)),
    Step(4, "the task definition inkdigits (chapter 4)", task_definition),
    Step(5, "the cluster fargate-lab (chapter 5)", cluster),
)

_EXISTS = {
    "RepositoryAlreadyExistsException",
    "EntityAlreadyExists",
    "ResourceAlreadyExistsException",
}


def _create(call: Callable[..., Any], **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _EXISTS:
            raise
        return False
    return True
