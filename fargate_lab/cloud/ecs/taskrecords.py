"""Tasks as the API shows them: kept in memory for reading, on disk at every change."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterable
from typing import Any

from fargate_lab.cloud.store import Store

KIND = "task"
VISIBLE_SECONDS = 3600
"""How long a stopped task can still be described (Developer Guide, "Stopped tasks")."""

Document = dict[str, Any]


class TaskRecord:
    """One task's description. Everything that changes it goes through `change`."""

    def __init__(self, store: Store, scope: str, task: Document) -> None:
        self.store, self.scope, self._task = store, scope, task
        self.lock = threading.RLock()

    @property
    def id(self) -> str:
        """The task's id: 32 hex digits."""
        return str(self._task["taskArn"].rsplit("/", 1)[-1])

    @property
    def cluster(self) -> str:
        """Its cluster's name."""
        return str(self._task["clusterArn"].rsplit("/", 1)[-1])

    def __getitem__(self, key: str) -> Any:
        return self._task[key]

    def get(self, key: str, default: Any = None) -> Any:
        """A member of the description."""
        return self._task.get(key, default)

    def describe(self) -> Document:
        """A copy of the description, free to be changed."""
        with self.lock:
            return copy.deepcopy(self._task)

    def container(self, name: str) -> Document:
        """The part of one container, to be changed inside `lock` and saved with `change`."""
        return next(c for c in self._task["containers"] if c["name"] == name)

    def change(self, *, step: bool = False, **members: Any) -> None:
        """Change members and write them down. step: one that counts in `version`."""
        with self.lock:
            self._task.update(members)
            if step:
                self._task["version"] += 1
            self.save()

    def save(self) -> None:
        """Write the description to disk."""
        with self.lock:
            self.store.put(KIND, self.scope, f"{self.cluster}/{self.id}", self._task)


class TaskRecords:
    """All tasks of this cloud."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._records: dict[str, dict[str, TaskRecord]] = {}

    def load(self) -> list[TaskRecord]:
        """Read what an earlier run of the cloud wrote."""
        for scope in self.store.scopes(KIND):
            for _, task in self.store.items(KIND, scope):
                self.add(TaskRecord(self.store, scope, task))
        return [record for records in self._records.values() for record in records.values()]

    def add(self, record: TaskRecord) -> None:
        """Make a task known; it has been saved before."""
        with self._lock:
            self._records.setdefault(record.scope, {})[record.id] = record

    def get(self, scope: str, cluster: str, task_id: str) -> TaskRecord | None:
        """A task of a cluster."""
        self._expire(scope)
        record = self._records.get(scope, {}).get(task_id)
        return record if record is not None and record.cluster == cluster else None

    def find(self, task_id: str) -> TaskRecord | None:
        """A task of whatever account, by its id."""
        with self._lock:
            return next((r[task_id] for r in self._records.values() if task_id in r), None)

    def of(self, scope: str, cluster: str | None = None) -> list[TaskRecord]:
        """The tasks of an account and Region, in the order they were started."""
        self._expire(scope)
        with self._lock:
            found: Iterable[TaskRecord] = self._records.get(scope, {}).values()
            return [r for r in found if cluster is None or r.cluster == cluster]

    def _expire(self, scope: str) -> None:
        deadline = time.time() - VISIBLE_SECONDS
        with self._lock:
            own = self._records.get(scope, {})
            gone = [r for r in own.values() if r.get("stoppedAt", deadline + 1) < deadline]
            for record in gone:
                del own[record.id]
        for record in gone:
            self.store.delete(KIND, scope, f"{record.cluster}/{record.id}")
