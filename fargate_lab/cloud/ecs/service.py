"""ECS's API actions, gathered from the modules that implement them."""

from __future__ import annotations

from typing import ClassVar

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecs import absent
from fargate_lab.cloud.ecs.clusters import Clusters, TaskCounts
from fargate_lab.cloud.ecs.model_validation import conforming
from fargate_lab.cloud.ecs.tags import Tags
from fargate_lab.cloud.ecs.task_definitions import TaskDefinitions
from fargate_lab.cloud.ecs.tasks import Tasks
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
        self.tasks = Tasks(context, self.tags, self.clusters)
        self.tags.exists |= {
            "task": self.tasks.exists,
            "cluster": self.clusters.exists,
            "task-definition": self.task_definitions.exists,
        }
        actions = {
            **absent.ACTIONS,
            **self.clusters.actions,
            **self.tags.actions,
            **self.task_definitions.actions,
            **self.tasks.actions,
        }
        self.actions = {name: conforming(handler) for name, handler in actions.items()}

    def count_tasks(self, scope: str, cluster: str) -> TaskCounts:
        """The tasks of a cluster that have not stopped."""
        return self.tasks.count(scope, cluster)

    def startup(self) -> None:
        """Take up the tasks of an earlier run."""
        self.tasks.startup()

    def shutdown(self) -> None:
        """Stop the tasks."""
        self.tasks.shutdown()

    def refusal(self, action: str) -> AwsError:
        """Services and container instances are refused by name; the rest as not of this lab."""
        return absent.refusal(action) or super().refusal(action)
