"""Actions on lifecycle policies and their previews."""

from __future__ import annotations

from typing import Any

from fargate_lab.cloud.ecr import errors
from fargate_lab.cloud.ecr.fields import (
    check_choice,
    check_list,
    check_map,
    check_name,
    check_text,
    image_id,
    page,
    registry_checked,
    with_token,
)
from fargate_lab.cloud.ecr.housekeeping import Housekeeping
from fargate_lab.cloud.ecr.lifecycle import TEXT_LIMIT, parse
from fargate_lab.cloud.ecr.registry import PREVIEW, Document, Registry
from fargate_lab.cloud.protocol import AwsError, Call, Handler


class Lifecycles:
    """The handlers; one object for each cloud."""

    def __init__(self, registry: Registry, housekeeping: Housekeeping) -> None:
        self.registry = registry
        self.housekeeping = housekeeping

    def actions(self) -> dict[str, Handler]:
        """AWS's name of each action → its handler."""
        return {
            "PutLifecyclePolicy": self.put,
            "GetLifecyclePolicy": self.get,
            "DeleteLifecyclePolicy": self.delete,
            "StartLifecyclePolicyPreview": self.start_preview,
            "GetLifecyclePolicyPreview": self.get_preview,
        }

    def put(self, call: Call) -> dict[str, Any]:
        """PutLifecyclePolicy."""
        repository = self._repository(call)
        text = check_text(
            call.payload.get("lifecyclePolicyText"), "lifecyclePolicyText", maximum=TEXT_LIMIT
        )
        parse(text)
        with self.registry.store.transaction():
            repository = self._repository(call)
            repository["lifecyclePolicy"] = text
            repository.pop("lifecycleEvaluatedAt", None)
            self.registry.save_repository(call.scope, repository)
        self.housekeeping.expire(call.scope, repository["name"])
        return {**self._about(call, repository), "lifecyclePolicyText": text}

    def get(self, call: Call) -> dict[str, Any]:
        """GetLifecyclePolicy."""
        repository = self._repository(call)
        return self._answer(call, repository)

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteLifecyclePolicy."""
        with self.registry.store.transaction():
            repository = self._repository(call)
            answer = self._answer(call, repository)
            del repository["lifecyclePolicy"]
            repository.pop("lifecycleEvaluatedAt", None)
            self.registry.save_repository(call.scope, repository)
        return answer

    def start_preview(self, call: Call) -> dict[str, Any]:
        """StartLifecyclePolicyPreview."""
        repository = self._repository(call)
        name = repository["name"]
        given = call.payload.get("lifecyclePolicyText")
        text = (
            _policy_of(call, repository)
            if given is None
            else check_text(given, "lifecyclePolicyText", maximum=TEXT_LIMIT)
        )
        doomed = self.housekeeping.doomed(call.scope, name, parse(text))
        results = [
            {
                "imageTags": list(candidate.tags),
                "imageDigest": candidate.digest,
                "imagePushedAt": round(candidate.pushed, 3),
                "action": {"type": "EXPIRE"},
                "appliedRulePriority": priority,
            }
            for candidate, priority in doomed
        ]
        self.registry.store.put(PREVIEW, call.scope, name, {"text": text, "results": results})
        return {
            **self._about(call, repository),
            "lifecyclePolicyText": text,
            "status": "IN_PROGRESS",
        }

    def get_preview(self, call: Call) -> dict[str, Any]:
        """GetLifecyclePolicyPreview."""
        repository = self._repository(call)
        preview = self.registry.store.get(PREVIEW, call.scope, repository["name"])
        if preview is None:
            raise AwsError(
                "LifecyclePolicyPreviewNotFoundException",
                "Lifecycle policy preview does not exist for the repository with name "
                f"'{repository['name']}' in the registry with id '{call.account}'",
            )
        results = _filtered(call, preview["results"])
        rows, token = page(call, results)
        answer = {
            **self._about(call, repository),
            "lifecyclePolicyText": preview["text"],
            "status": "COMPLETE",
            "previewResults": list(rows),
            "summary": {"expiringImageTotalCount": len(preview["results"])},
        }
        return with_token(answer, token)

    def _repository(self, call: Call) -> Document:
        registry_checked(call)
        name = check_name(call.payload.get("repositoryName"))
        return self.registry.repository(call.scope, name)

    def _about(self, call: Call, repository: Document) -> dict[str, Any]:
        return {"registryId": call.account, "repositoryName": repository["name"]}

    def _answer(self, call: Call, repository: Document) -> dict[str, Any]:
        return {
            **self._about(call, repository),
            "lifecyclePolicyText": _policy_of(call, repository),
            "lastEvaluatedAt": round(float(repository.get("lifecycleEvaluatedAt") or 0), 3),
        }


def _policy_of(call: Call, repository: Document) -> str:
    text = repository.get("lifecyclePolicy")
    if text is None:
        raise AwsError(
            "LifecyclePolicyNotFoundException",
            "Lifecycle policy does not exist for the repository with name "
            f"'{repository['name']}' in the registry with id '{call.account}'",
        )
    return str(text)


def _filtered(call: Call, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    chosen = check_map(call.payload.get("filter") or {}, "filter")
    status = check_choice(
        chosen.get("tagStatus", "ANY"), "filter.tagStatus", ("TAGGED", "UNTAGGED", "ANY")
    )
    if status != "ANY":
        results = [r for r in results if bool(r["imageTags"]) == (status == "TAGGED")]
    given = call.payload.get("imageIds")
    if given is None:
        return results
    if call.payload.get("maxResults") is not None:
        raise errors.invalid("maxResults", "must be null when imageIds is given")
    wanted = [image_id(row, "imageIds") for row in check_list(given, "imageIds")]
    return [
        r
        for r in results
        if any(
            w.get("imageDigest", r["imageDigest"]) == r["imageDigest"]
            and ("imageTag" not in w or w["imageTag"] in r["imageTags"])
            for w in wanted
        )
    ]
