"""Task definitions: families of numbered revisions."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from fargate_lab.cloud.ecs.arns import ecs_arn, is_foreign, last_part, partition
from fargate_lab.cloud.ecs.pages import page
from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.ecs.tags import Tags, checked
from fargate_lab.cloud.protocol import AwsError, Call, Handler
from fargate_lab.cloud.store import Store

KIND = "task_definition"
FAMILY_KIND = "task_family"
DELETE_LIMIT = 10

Document = dict[str, Any]

_REFERENCE = re.compile(r"([A-Za-z0-9_-]{1,255})(?::(\d{1,9}))?")


class TaskDefinitions:
    """The task definitions of every account, kept in the store."""

    def __init__(self, store: Store, tags: Tags) -> None:
        self.store = store
        self.tags = tags
        self.actions: dict[str, Handler] = {
            "DeleteTaskDefinitions": self.delete_task_definitions,
            "DeregisterTaskDefinition": self.deregister_task_definition,
            "DescribeTaskDefinition": self.describe_task_definition,
            "ListTaskDefinitionFamilies": self.list_task_definition_families,
            "ListTaskDefinitions": self.list_task_definitions,
            "RegisterTaskDefinition": self.register_task_definition,
        }

    def register_task_definition(self, call: Call) -> Mapping[str, Any]:
        """Check a definition against every rule and keep it as the family's next revision."""
        # The rules and the facts behind them are not needed to start, or to run what is registered.
        from fargate_lab.cloud.ecs.register import registered

        document = registered(call)
        tags = checked(call.payload.get("tags"))
        family = document["family"]
        with self.store.transaction():
            last = self.store.get(FAMILY_KIND, call.scope, family) or {"revision": 0}
            # Kept apart from the revisions themselves: a number is never given twice.
            revision = last["revision"] + 1
            arn = ecs_arn(call, f"task-definition/{family}:{revision}")
            document.update(
                taskDefinitionArn=arn,
                revision=revision,
                status="ACTIVE",
                registeredAt=round(time.time(), 3),
                registeredBy=f"arn:{partition(call.region)}:iam::{call.account}:root",
            )
            self.store.put(FAMILY_KIND, call.scope, family, {"revision": revision})
            self.store.put(KIND, call.scope, _key(family, revision), document)
            self.tags.write(call.scope, arn, tags)
        return {"taskDefinition": document, "tags": tags}

    def describe_task_definition(self, call: Call) -> Mapping[str, Any]:
        """A revision, or the latest active one of a family."""
        document = self.find(call, call.payload.get("taskDefinition") or "")
        if document is None:
            raise refuse("messages.describe.task_definition_missing")
        answer: Document = {"taskDefinition": document}
        if "TAGS" in (call.payload.get("include") or ()):
            answer["tags"] = self.tags.read(call.scope, document["taskDefinitionArn"])
        return answer

    def list_task_definitions(self, call: Call) -> Mapping[str, Any]:
        """The ARNs of the revisions of a status, by family and number, either way round."""
        payload = call.payload
        status, family = payload.get("status") or "ACTIVE", payload.get("familyPrefix")
        # familyPrefix is the whole family's name here, whatever its own name says: API model.
        arns = [
            document["taskDefinitionArn"]
            for _, document in self.store.items(KIND, call.scope, f"{family}:" if family else "")
            if document["status"] == status
        ]
        if payload.get("sort") == "DESC":
            arns.reverse()
        return page(arns, payload, "taskDefinitionArns")

    def list_task_definition_families(self, call: Call) -> Mapping[str, Any]:
        """Family names that begin with a prefix: ACTIVE ones have an active revision."""
        payload = call.payload
        status, prefix = payload.get("status") or "ALL", payload.get("familyPrefix") or ""
        active: dict[str, bool] = {}
        for _, document in self.store.items(KIND, call.scope, prefix):
            family = document["family"]
            active[family] = active.get(family, False) or document["status"] == "ACTIVE"
        wanted = {"ACTIVE": {True}, "INACTIVE": {False}}.get(status, {True, False})
        names = sorted(family for family, state in active.items() if state in wanted)
        return page(names, payload, "families")

    def deregister_task_definition(self, call: Call) -> Mapping[str, Any]:
        """Make a revision INACTIVE: it describes still, but no new task starts from it."""
        reference = call.payload.get("taskDefinition") or ""
        if _REFERENCE.fullmatch(last_part(reference)) and ":" not in last_part(reference):
            raise refuse("messages.describe.revision_missing")
        with self.store.transaction():
            document = self.find(call, reference)
            if document is None:
                raise refuse("messages.describe.deregister_missing")
            if document["status"] == "ACTIVE":
                document |= {"status": "INACTIVE", "deregisteredAt": round(time.time(), 3)}
                self._put(call, document)
        return {"taskDefinition": document}

    def delete_task_definitions(self, call: Call) -> Mapping[str, Any]:
        """Delete revisions that were deregistered before; the others are failures.

        AWS answers DELETE_IN_PROGRESS and removes a revision once nothing uses it. A revision
        that running tasks need is in their own records here, so it goes at once.
        """
        references = call.payload.get("taskDefinitions") or []
        if not 1 <= len(references) <= DELETE_LIMIT:
            raise refuse("messages.describe.delete_count")
        deleted, failures = [], []
        for reference in references:
            with self.store.transaction():
                try:
                    deleted.append(self._delete(call, reference))
                except AwsError as error:
                    arn = ecs_arn(call, f"task-definition/{last_part(reference)}")
                    failures.append({"arn": arn, "reason": error.message})
        return {"taskDefinitions": deleted, "failures": failures}

    def find(self, call: Call, reference: str) -> Document | None:
        """The revision of `family:revision`, of an ARN, or the latest active one of a family."""
        match = _REFERENCE.fullmatch(last_part(reference))
        if match is None or is_foreign(call, reference):
            return None
        family, revision = match.groups()
        if revision is not None:
            return self.store.get(KIND, call.scope, _key(family, int(revision)))
        last = self.store.get(FAMILY_KIND, call.scope, family) or {"revision": 0}
        for number in range(last["revision"], 0, -1):
            document = self.store.get(KIND, call.scope, _key(family, number))
            if document is not None and document["status"] == "ACTIVE":
                return document
        return None

    def exists(self, call: Call, arn: str) -> bool:
        """Whether a revision has this ARN."""
        return ":" in last_part(arn) and self.find(call, arn) is not None

    def _put(self, call: Call, document: Document) -> None:
        self.store.put(KIND, call.scope, _key(document["family"], document["revision"]), document)

    def _delete(self, call: Call, reference: str) -> Document:
        if ":" not in last_part(reference):
            raise refuse("messages.describe.revision_missing")
        document = self.find(call, reference)
        if document is None:
            raise refuse("messages.describe.delete_missing")
        if document["status"] != "INACTIVE":
            raise refuse("messages.describe.delete_active")
        key = _key(document["family"], document["revision"])
        self.store.delete(KIND, call.scope, key)
        self.tags.write(call.scope, document["taskDefinitionArn"], ())
        return document | {
            "status": "DELETE_IN_PROGRESS",
            "deleteRequestedAt": round(time.time(), 3),
        }


def _key(family: str, revision: int) -> str:
    # Zero-padded so that keys list in the order of the numbers.
    return f"{family}:{revision:09d}"
