"""Actions on repositories: their making, settings, policies and tags; tokens for the registry."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from fargate_lab.cloud.ecr import errors
from fargate_lab.cloud.ecr.fields import (
    as_tags,
    check_choice,
    check_flag,
    check_list,
    check_map,
    check_name,
    check_text,
    page,
    registry_checked,
    tag_pairs,
    with_token,
)
from fargate_lab.cloud.ecr.registry import Document, Registry
from fargate_lab.cloud.protocol import AwsError, Call, Handler

MUTABILITY = ("MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")
ENCRYPTION = ("AES256", "KMS", "KMS_DSSE")
FILTER_LIMIT = 5
TAG_LIMIT = 50
POLICY_LIMIT = 10240
"""ECR's service model, shape RepositoryPolicyText."""

_FILTER = re.compile(r"[0-9a-zA-Z._*-]{1,128}")
_ARN = re.compile(r"arn:aws[a-z-]*:ecr:([^:]+):(\d{12}):repository/(.+)")


class Repositories:
    """The handlers; one object for each cloud."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def actions(self) -> dict[str, Handler]:
        """AWS's name of each action → its handler."""
        return {
            "CreateRepository": self.create,
            "DescribeRepositories": self.describe,
            "DeleteRepository": self.delete,
            "GetAuthorizationToken": self.token,
            "PutImageTagMutability": self._atomic(self.put_mutability),
            "PutImageScanningConfiguration": self._atomic(self.put_scanning),
            "SetRepositoryPolicy": self._atomic(self.set_policy),
            "GetRepositoryPolicy": self.get_policy,
            "DeleteRepositoryPolicy": self._atomic(self.delete_policy),
            "TagResource": self._atomic(self.tag),
            "UntagResource": self._atomic(self.untag),
            "ListTagsForResource": self.list_tags,
        }

    def _atomic(self, handler: Handler) -> Handler:
        """A handler whose reading and writing no other one comes between."""

        def wrapped(call: Call) -> Mapping[str, Any]:
            with self.registry.store.transaction():
                return handler(call)

        return wrapped

    def create(self, call: Call) -> dict[str, Any]:
        """CreateRepository."""
        account = registry_checked(call)
        name = check_name(call.payload.get("repositoryName"))
        repository: Document = {
            "name": name,
            "createdAt": self.registry.clock(),
            "scanOnPush": _scanning(call.payload.get("imageScanningConfiguration") or {}),
            "encryptionConfiguration": _encryption(call),
            "tags": tag_pairs(call.payload.get("tags") or []),
            **_mutability(call, call.payload.get("imageTagMutability") or "MUTABLE"),
        }
        _check_tag_count(repository["tags"])
        with self.registry.store.transaction():
            if self.registry.store.get("repository", call.scope, name):
                raise errors.repository_exists(account, name)
            self.registry.save_repository(call.scope, repository)
        return {"repository": self._shape(call, repository)}

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeRepositories."""
        registry_checked(call)
        names = call.payload.get("repositoryNames")
        if names is None:
            rows, token = page(call, self.registry.repositories(call.scope))
        else:
            if call.payload.get("maxResults") is not None:
                raise errors.invalid("maxResults", "must be null when repositoryNames is given")
            wanted = [
                check_name(n, "repositoryNames") for n in check_list(names, "repositoryNames")
            ]
            rows, token = [self.registry.repository(call.scope, n) for n in wanted], None
        return with_token({"repositories": [self._shape(call, r) for r in rows]}, token)

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteRepository."""
        account = registry_checked(call)
        repository = self._repository(call)
        name = repository["name"]
        force = check_flag(call.payload.get("force"), "force")
        if not force and self.registry.images(call.scope, name):
            raise errors.repository_not_empty(account, name)
        self.registry.delete_repository(call.scope, name)
        return {"repository": self._shape(call, repository)}

    def token(self, call: Call) -> dict[str, Any]:
        """GetAuthorizationToken."""
        for other in check_list(call.payload.get("registryIds") or [], "registryIds", 0, 10):
            text = check_text(other, "registryIds")
            if text != call.account:
                raise errors.not_authorized(call.account, text, call.action)
        now = self.registry.clock()
        password, expires = self.registry.signer.password(call.account, call.region, now)
        data = {
            "authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(),
            "expiresAt": expires,
            "proxyEndpoint": f"http://{call.registry}",
        }
        return {"authorizationData": [data]}

    def put_mutability(self, call: Call) -> dict[str, Any]:
        """PutImageTagMutability."""
        account = registry_checked(call)
        repository = self._repository(call)
        repository.pop("imageTagMutabilityExclusionFilters", None)
        settings = _mutability(call, call.payload.get("imageTagMutability"))
        self.registry.save_repository(call.scope, {**repository, **settings})
        return {"registryId": account, "repositoryName": repository["name"], **settings}

    def put_scanning(self, call: Call) -> dict[str, Any]:
        """PutImageScanningConfiguration."""
        account = registry_checked(call)
        repository = self._repository(call)
        flag = _scanning(call.payload.get("imageScanningConfiguration"))
        self.registry.save_repository(call.scope, {**repository, "scanOnPush": flag})
        return {
            "registryId": account,
            "repositoryName": repository["name"],
            "imageScanningConfiguration": {"scanOnPush": flag},
        }

    def set_policy(self, call: Call) -> dict[str, Any]:
        """SetRepositoryPolicy."""
        repository = self._repository(call)
        text = check_text(call.payload.get("policyText"), "policyText", maximum=POLICY_LIMIT)
        _check_policy(text)
        self.registry.save_repository(call.scope, {**repository, "policyText": text})
        return self._policy_answer(call, repository, text)

    def get_policy(self, call: Call) -> dict[str, Any]:
        """GetRepositoryPolicy."""
        repository = self._repository(call)
        return self._policy_answer(call, repository, _policy_of(call, repository))

    def delete_policy(self, call: Call) -> dict[str, Any]:
        """DeleteRepositoryPolicy."""
        repository = self._repository(call)
        text = _policy_of(call, repository)
        del repository["policyText"]
        self.registry.save_repository(call.scope, repository)
        return self._policy_answer(call, repository, text)

    def tag(self, call: Call) -> dict[str, Any]:
        """TagResource."""
        repository = self._by_arn(call)
        repository["tags"] |= tag_pairs(call.payload.get("tags"))
        _check_tag_count(repository["tags"])
        self.registry.save_repository(call.scope, repository)
        return {}

    def untag(self, call: Call) -> dict[str, Any]:
        """UntagResource."""
        repository = self._by_arn(call)
        for key in check_list(call.payload.get("tagKeys"), "tagKeys", 0, 200):
            repository["tags"].pop(check_text(key, "tagKeys"), None)
        self.registry.save_repository(call.scope, repository)
        return {}

    def list_tags(self, call: Call) -> dict[str, Any]:
        """ListTagsForResource."""
        return {"tags": as_tags(self._by_arn(call)["tags"])}

    def _repository(self, call: Call) -> Document:
        registry_checked(call)
        name = check_name(call.payload.get("repositoryName"))
        return self.registry.repository(call.scope, name)

    def _by_arn(self, call: Call) -> Document:
        arn = check_text(call.payload.get("resourceArn"), "resourceArn")
        match = _ARN.fullmatch(arn)
        if match is None:
            raise errors.invalid("resourceArn", f"Invalid ARN '{arn}'")
        region, account, name = match.groups()
        if account != call.account:
            raise errors.not_authorized(call.account, account, call.action)
        if region != call.region:
            raise errors.repository_missing(account, name)
        return self.registry.repository(call.scope, name)

    def _shape(self, call: Call, repository: Document) -> dict[str, Any]:
        name = repository["name"]
        return {
            "repositoryArn": f"arn:aws:ecr:{call.region}:{call.account}:repository/{name}",
            "registryId": call.account,
            "repositoryName": name,
            "repositoryUri": f"{call.registry}/{name}",
            "createdAt": round(repository["createdAt"], 3),
            "imageTagMutability": repository["imageTagMutability"],
            **{
                k: repository[k] for k in ("imageTagMutabilityExclusionFilters",) if k in repository
            },
            "imageScanningConfiguration": {"scanOnPush": repository["scanOnPush"]},
            "encryptionConfiguration": repository["encryptionConfiguration"],
        }

    def _policy_answer(self, call: Call, repository: Document, text: str) -> dict[str, Any]:
        return {
            "registryId": call.account,
            "repositoryName": repository["name"],
            "policyText": text,
        }


def _policy_of(call: Call, repository: Document) -> str:
    text = repository.get("policyText")
    if text is None:
        raise AwsError(
            "RepositoryPolicyNotFoundException",
            f"Repository policy does not exist for the repository with name "
            f"'{repository['name']}' in the registry with id '{call.account}'",
        )
    return str(text)


def _check_policy(text: str) -> None:
    try:
        policy = json.loads(text)
        statements = policy["Statement"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise errors.invalid("PolicyText", "Invalid repository policy provided") from None
    rows = statements if isinstance(statements, list) else [statements]
    for row in rows:
        if not isinstance(row, dict) or row.get("Effect") not in ("Allow", "Deny"):
            raise errors.invalid("PolicyText", "Invalid repository policy provided")
        # ECR User Guide, "Repository policy examples": the repository is the resource already.
        if not {"Principal", "NotPrincipal"} & row.keys() or "Resource" in row:
            raise errors.invalid("PolicyText", "Invalid repository policy provided")


def _scanning(value: object) -> bool:
    given = check_map(value, "imageScanningConfiguration")
    return check_flag(given.get("scanOnPush"), "imageScanningConfiguration.scanOnPush")


def _encryption(call: Call) -> dict[str, str]:
    given = call.payload.get("encryptionConfiguration")
    if given is None:
        return {"encryptionType": "AES256"}
    given = check_map(given, "encryptionConfiguration")
    kind = check_choice(
        given.get("encryptionType"), "encryptionConfiguration.encryptionType", ENCRYPTION
    )
    key = given.get("kmsKey")
    if kind == "AES256":
        if key is not None:
            raise AwsError(
                "InvalidParameterException",
                "Invalid encryption configuration: Encryption key should not be set for AES256 "
                "encryption.",
            )
        return {"encryptionType": kind}
    default = f"arn:aws:kms:{call.region}:{call.account}:alias/aws/ecr"
    return {"encryptionType": kind, "kmsKey": str(key or default)}


def _mutability(call: Call, mode: object) -> dict[str, Any]:
    parameter = "imageTagMutabilityExclusionFilters"
    chosen = check_choice(mode, "imageTagMutability", MUTABILITY)
    rows = call.payload.get(parameter)
    if not chosen.endswith("_WITH_EXCLUSION"):
        if rows:
            raise errors.invalid(
                parameter,
                "ImageTagMutabilityExclusionFilters can't be specified when imageTagMutability "
                f"is set as {chosen}",
            )
        return {"imageTagMutability": chosen}
    if not rows:
        raise errors.invalid(
            parameter,
            "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as "
            f"{chosen}",
        )
    filters = []
    for row in check_list(rows, parameter, 1, FILTER_LIMIT):
        pair = check_map(row, parameter)
        kind = check_choice(pair.get("filterType"), f"{parameter}.filterType", ("WILDCARD",))
        text = check_text(pair.get("filter"), f"{parameter}.filter", minimum=1, maximum=128)
        if not _FILTER.fullmatch(text) or text.count("*") > 2:
            raise errors.invalid(
                f"{parameter}.filter",
                "must satisfy regular expression "
                "'^[0-9a-zA-Z._*-]{1,128}$' and hold at most two wildcards",
            )
        filters.append({"filterType": kind, "filter": text})
    return {"imageTagMutability": chosen, parameter: filters}


def _check_tag_count(tags: dict[str, str]) -> None:
    if len(tags) > TAG_LIMIT:
        raise AwsError(
            "TooManyTagsException",
            "The list of tags on the repository is over the limit. The maximum number of tags "
            f"that can be applied to a repository is {TAG_LIMIT}.",
        )
    if any(key.lower().startswith("aws:") for key in tags):
        raise AwsError(
            "InvalidTagParameterException",
            "Invalid parameter at 'tags' failed to satisfy constraint: 'tag keys must not begin "
            "with aws:'",
        )
