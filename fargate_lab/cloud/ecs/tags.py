"""Tags of clusters, task definitions and tasks, kept by ARN."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fargate_lab.cloud.ecs.arns import is_foreign
from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.protocol import Call, Handler
from fargate_lab.cloud.store import Store

KIND = "ecs_tags"
LIMIT = 50
KEY_LENGTH, VALUE_LENGTH = 128, 256

Tag = dict[str, str]
Exists = Callable[[Call, str], bool]
"""Whether the resource of an ARN exists."""

_ALLOWED = re.compile(r"[\w\s.:/=+\-@]*")


class Tags:
    """Reading and writing tags; `exists` maps a resource type (`cluster`) to its look-up."""

    def __init__(self, store: Store, exists: Mapping[str, Exists]) -> None:
        self.store = store
        self.exists = dict(exists)
        self.actions: dict[str, Handler] = {
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "ListTagsForResource": self.list_tags_for_resource,
        }

    def read(self, scope: str, arn: str) -> list[Tag]:
        """The tags of a resource, in the order they were given."""
        document = self.store.get(KIND, scope, arn)
        return list(document["tags"]) if document else []

    def write(self, scope: str, arn: str, tags: Iterable[Tag]) -> None:
        """Replace the tags of a resource."""
        kept = [dict(tag) for tag in tags]
        if kept:
            self.store.put(KIND, scope, arn, {"tags": kept})
        else:
            self.store.delete(KIND, scope, arn)

    def tag_resource(self, call: Call) -> Mapping[str, Any]:
        """Add tags, replacing those with the same key."""
        arn = self._resource(call)
        with self.store.transaction():
            tags = {tag["key"]: tag for tag in self.read(call.scope, arn)}
            tags.update({tag["key"]: tag for tag in checked(call.payload.get("tags"))})
            if len(tags) > LIMIT:
                raise refuse("messages.tags.too_many")
            self.write(call.scope, arn, tags.values())
        return {}

    def untag_resource(self, call: Call) -> Mapping[str, Any]:
        """Remove tags by key; a key that is not there is no error."""
        arn = self._resource(call)
        keys = set(call.payload.get("tagKeys") or ())
        with self.store.transaction():
            kept = [tag for tag in self.read(call.scope, arn) if tag["key"] not in keys]
            self.write(call.scope, arn, kept)
        return {}

    def list_tags_for_resource(self, call: Call) -> Mapping[str, Any]:
        """The tags of a resource."""
        return {"tags": self.read(call.scope, self._resource(call))}

    def _resource(self, call: Call) -> str:
        arn: str = call.payload.get("resourceArn") or ""
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "ecs" or is_foreign(call, arn):
            raise refuse("messages.tags.bad_arn")
        kind = parts[5].partition("/")[0]
        if kind not in self.exists or not self.exists[kind](call, arn):
            raise refuse("messages.tags.missing")
        return arn


def checked(tags: Iterable[Mapping[str, str]] | None) -> list[Tag]:
    """Tags of a request with AWS's limits held; `value` defaults to the empty string."""
    found: dict[str, Tag] = {}
    for tag in tags or ():
        key, value = tag.get("key") or "", tag.get("value") or ""
        if not key:
            raise refuse("messages.tags.no_key")
        if key.lower().startswith("aws:"):
            raise refuse("messages.tags.reserved")
        if len(key) > KEY_LENGTH or len(value) > VALUE_LENGTH:
            raise refuse("messages.tags.too_long")
        if not (_ALLOWED.fullmatch(key) and _ALLOWED.fullmatch(value)):
            raise refuse("messages.tags.characters")
        if key in found:
            raise refuse("messages.tags.duplicate")
        found[key] = {"key": key, "value": value}
    if len(found) > LIMIT:
        raise refuse("messages.tags.too_many")
    return list(found.values())
