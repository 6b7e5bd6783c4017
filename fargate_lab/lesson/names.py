"""The names the chapters use in the account, written out in their cells as well."""

from __future__ import annotations

import json

IMAGE = "inkdigits"
REPOSITORY = "inkdigits"
TAG = "1.0"
FAMILY = "inkdigits"
CLUSTER = "fargate-lab"
LOG_GROUP = "/ecs/inkdigits"
EXECUTION_ROLE = "inkdigits-execution"
TASK_ROLE = "inkdigits-task"
EXECUTION_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
PORT = 8080
SECURITY_GROUP = "inkdigits-web"

ECS_TASKS_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
"""Who may take the two roles: ECS tasks (Amazon ECS Developer Guide, task execution IAM role)."""
