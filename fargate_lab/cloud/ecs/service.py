"""ECS's API actions, gathered from the modules that implement them.

`tasks.py` joins with RunTask, DescribeTasks, ListTasks and StopTask; it gets its accepted calls
from `run_task_rules.validate_run_task`.
"""

from __future__ import annotations

from typing import ClassVar

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecs import absent
from fargate_lab.cloud.ecs.clusters import Clusters, TaskCounts
from fargate_lab.cloud.ecs.model_validation import conforming
from fargate_lab.cloud.ecs.tags import Tags
from fargate_lab.cloud.ecs.task_definitions import TaskDefinitions
from fargate_lab.cloud.protocol import AwsError
from fargate_lab.cloud.services import Service


class EcsService(Service):
    """Elastic Container Service: clusters, task definitions, tasks."""

    name: ClassVar[str] = "ecs"

    def __init__(self, context: CloudContext) -> None:
        super().__init__(context)
        self.tags = Tags(context.store, {})
        self.clusters = Clusters(context.store, self.tags, self.count_tasks)
        self.task_definitions = TaskDefinitions(context.store, self.tags)
        self.tags.exists |= {
            "cluster": self.clusters.exists,
            "task-definition": self.task_definitions.exists,
        }
        actions = {
            **absent.ACTIONS,
            **self.clusters.actions,
            **self.tags.actions,
            **self.task_definitions.actions,
        }
        self.actions = {name: conforming(handler) for name, handler in actions.items()}

    def count_tasks(self, scope: str, cluster: str) -> TaskCounts:
        """The tasks of a cluster that have not stopped."""
        return TaskCounts()

    def refusal(self, action: str) -> AwsError:
        """Services and container instances are refused by name; the rest as not of this lab."""
        return absent.refusal(action) or super().refusal(action)
