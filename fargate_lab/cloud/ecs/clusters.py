"""Clusters: named groups of tasks, with the capacity providers that may run them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from fargate_lab.cloud.ecs.arns import ecs_arn, is_foreign, last_part
from fargate_lab.cloud.ecs.capacity import (
    checked_providers,
    checked_strategy,
    describe_capacity_providers,
)
from fargate_lab.cloud.ecs.pages import page
from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.ecs.tags import Tags, checked
from fargate_lab.cloud.protocol import Call, Handler
from fargate_lab.cloud.store import Store

KIND = "cluster"
DEFAULT = "default"
INSIGHTS = ("enabled", "disabled", "enhanced")

Document = dict[str, Any]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


class TaskCounts(NamedTuple):
    """Tasks of a cluster that have not stopped."""

    running: int = 0
    pending: int = 0


CountTasks = Callable[[str, str], TaskCounts]
"""(scope, cluster name) → its tasks."""


class Clusters:
    """The clusters of every account, kept in the store."""

    def __init__(self, store: Store, tags: Tags, count_tasks: CountTasks) -> None:
        self.store = store
        self.tags = tags
        self.count_tasks = count_tasks
        self.actions: dict[str, Handler] = {
            "CreateCluster": self.create_cluster,
            "DeleteCluster": self.delete_cluster,
            "DescribeCapacityProviders": describe_capacity_providers,
            "DescribeClusters": self.describe_clusters,
            "ListClusters": self.list_clusters,
            "PutClusterCapacityProviders": self.put_cluster_capacity_providers,
            "UpdateCluster": self.update_cluster,
            "UpdateClusterSettings": self.update_cluster,
        }

    def create_cluster(self, call: Call) -> Mapping[str, Any]:
        """Make a cluster; one that exists already is answered as it is."""
        payload = call.payload
        name = payload.get("clusterName") or DEFAULT
        if not _NAME.fullmatch(name):
            raise refuse("messages.clusters.bad_name")
        with self.store.transaction():
            document = self.store.get(KIND, call.scope, name)
            if document is None or document["status"] != "ACTIVE":
                providers = checked_providers(payload.get("capacityProviders") or ())
                strategy = payload.get("defaultCapacityProviderStrategy") or ()
                document = {
                    "clusterArn": ecs_arn(call, f"cluster/{name}"),
                    "clusterName": name,
                    "status": "ACTIVE",
                    "settings": _settings(payload.get("settings") or (), []),
                    "capacityProviders": providers,
                    "defaultCapacityProviderStrategy": checked_strategy(strategy, providers),
                }
                _take_options(document, payload)
                self.tags.write(call.scope, document["clusterArn"], checked(payload.get("tags")))
                self.store.put(KIND, call.scope, name, document)
        return {"cluster": self._answer(call, document, ("SETTINGS", "TAGS", "CONFIGURATIONS"))}

    def describe_clusters(self, call: Call) -> Mapping[str, Any]:
        """The named clusters (`default` without names), and MISSING for those there are not."""
        include = call.payload.get("include") or ()
        clusters, failures = [], []
        for identifier in call.payload.get("clusters") or [DEFAULT]:
            document = self._find(call, identifier)
            if document is not None:
                clusters.append(self._answer(call, document, include))
            else:
                arn = ecs_arn(call, f"cluster/{last_part(identifier)}")
                foreign = identifier if is_foreign(call, identifier) else arn
                failures.append({"arn": foreign, "reason": "MISSING"})
        return {"clusters": clusters, "failures": failures}

    def list_clusters(self, call: Call) -> Mapping[str, Any]:
        """The ARNs of the active clusters."""
        arns = [
            document["clusterArn"]
            for _, document in self.store.items(KIND, call.scope)
            if document["status"] == "ACTIVE"
        ]
        return page(arns, call.payload, "clusterArns")

    def update_cluster(self, call: Call) -> Mapping[str, Any]:
        """Change the settings, the configuration or the Service Connect defaults."""
        with self.store.transaction():
            document = self.require(call, call.payload.get("cluster"))
            settings = call.payload.get("settings") or ()
            document["settings"] = _settings(settings, document["settings"])
            _take_options(document, call.payload)
            self.store.put(KIND, call.scope, document["clusterName"], document)
        return {"cluster": self._answer(call, document, ("SETTINGS", "TAGS", "CONFIGURATIONS"))}

    def put_cluster_capacity_providers(self, call: Call) -> Mapping[str, Any]:
        """Replace the capacity providers and the default strategy."""
        with self.store.transaction():
            document = self.require(call, call.payload.get("cluster"))
            providers = checked_providers(call.payload.get("capacityProviders") or ())
            strategy = call.payload.get("defaultCapacityProviderStrategy") or ()
            document["capacityProviders"] = providers
            document["defaultCapacityProviderStrategy"] = checked_strategy(strategy, providers)
            self.store.put(KIND, call.scope, document["clusterName"], document)
        return {"cluster": self._answer(call, document, ("SETTINGS", "TAGS"))}

    def delete_cluster(self, call: Call) -> Mapping[str, Any]:
        """Make a cluster INACTIVE. Refused while tasks run; it may be created anew afterwards."""
        identifier = call.payload.get("cluster")
        if not identifier:
            raise refuse("messages.clusters.blank")
        with self.store.transaction():
            document = self.require(call, identifier)
            if any(self.count_tasks(call.scope, document["clusterName"])):
                raise refuse("messages.clusters.contains_tasks")
            document["status"] = "INACTIVE"
            self.store.put(KIND, call.scope, document["clusterName"], document)
        return {"cluster": self._answer(call, document, ("SETTINGS", "TAGS"))}

    def require(self, call: Call, identifier: str | None) -> Document:
        """The active cluster of a name or ARN (None: `default`).

        Raises ClusterNotFoundException, with another text for a deleted cluster, as AWS does.
        """
        document = self._find(call, identifier or DEFAULT)
        if document is None:
            raise refuse("messages.clusters.not_found")
        if document["status"] != "ACTIVE":
            raise refuse("messages.clusters.inactive")
        return document

    def exists(self, call: Call, arn: str) -> bool:
        """Whether an active cluster has this ARN."""
        document = self._find(call, arn)
        return document is not None and document["status"] == "ACTIVE"

    def _find(self, call: Call, identifier: str) -> Document | None:
        if is_foreign(call, identifier):
            return None
        return self.store.get(KIND, call.scope, last_part(identifier))

    def _answer(self, call: Call, document: Document, include: Iterable[str]) -> Document:
        counts = self.count_tasks(call.scope, document["clusterName"])
        answer = {
            **{k: v for k, v in document.items() if k not in ("settings", "configuration")},
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": counts.running,
            "pendingTasksCount": counts.pending,
            "activeServicesCount": 0,
            "statistics": [],
            "tags": [],
            "settings": [],
        }
        if "SETTINGS" in include:
            answer["settings"] = document["settings"]
        if "TAGS" in include:
            answer["tags"] = self.tags.read(call.scope, document["clusterArn"])
        if "CONFIGURATIONS" in include and "configuration" in document:
            answer["configuration"] = document["configuration"]
        if "STATISTICS" in include:
            answer["statistics"] = _statistics(counts)
        return answer


def _settings(
    asked: Iterable[Mapping[str, Any]], present: list[dict[str, str]]
) -> list[dict[str, str]]:
    settings = {"containerInsights": "disabled"}
    settings.update({setting["name"]: setting["value"] for setting in present})
    for setting in asked:
        name, value = setting.get("name") or "", setting.get("value") or ""
        if name not in settings or value not in INSIGHTS:
            raise refuse("messages.clusters.bad_setting")
        settings[name] = value
    return [{"name": name, "value": value} for name, value in settings.items()]


def _take_options(document: Document, payload: Mapping[str, Any]) -> None:
    if payload.get("configuration"):
        document["configuration"] = payload["configuration"]
    defaults = payload.get("serviceConnectDefaults")
    if defaults:
        document["serviceConnectDefaults"] = {"namespace": defaults.get("namespace") or ""}


def _statistics(counts: TaskCounts) -> list[dict[str, str]]:
    # The lab runs tasks on Fargate alone, and no services yet: those counts are truly zero.
    values = {
        "runningEC2TasksCount": 0,
        "runningFargateTasksCount": counts.running,
        "pendingEC2TasksCount": 0,
        "pendingFargateTasksCount": counts.pending,
        "activeEC2ServiceCount": 0,
        "activeFargateServiceCount": 0,
        "drainingEC2ServiceCount": 0,
        "drainingFargateServiceCount": 0,
    }
    return [{"name": name, "value": str(value)} for name, value in values.items()]
