"""Reading a request: names, types, lengths and patterns, refused in ECR's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fargate_lab.cloud.ecr import errors
from fargate_lab.cloud.protocol import Call

NAME_PATTERN = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
"""ECR's service model, shape RepositoryName."""
TAG_PATTERN = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
"""OCI distribution specification, "Pulling manifests"; ECR's model allows 300 characters."""
DIGEST_PATTERN = r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+"
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
UPLOAD_PATTERN = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
MAX_RESULTS = 1000


def check_name(name: object, parameter: str = "repositoryName") -> str:
    """A valid repository name; `AwsError` otherwise."""
    text = check_text(name, parameter, minimum=2, maximum=256)
    if not re.fullmatch(NAME_PATTERN, text):
        raise errors.invalid(parameter, f"must satisfy regular expression '{NAME_PATTERN}'")
    return text


def check_text(
    value: object, parameter: str, *, minimum: int = 0, maximum: int | None = None
) -> str:
    """A string within its length; `AwsError` otherwise."""
    if value is None:
        raise errors.invalid(parameter, "must not be null")
    if not isinstance(value, str):
        raise errors.invalid(parameter, "must be a string")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise errors.invalid(parameter, "must be valid Unicode")
    if len(value) < minimum:
        raise errors.invalid(parameter, f"must have length greater than or equal to {minimum}")
    if maximum is not None and len(value) > maximum:
        raise errors.invalid(parameter, f"must have length less than or equal to {maximum}")
    return value


def check_choice(value: object, parameter: str, choices: Sequence[str]) -> str:
    """One of a few words; `AwsError` otherwise."""
    if value not in choices:
        raise errors.invalid(parameter, f"must satisfy enum value set: [{', '.join(choices)}]")
    return str(value)


def check_digest(value: object, parameter: str) -> str:
    """A digest in the form the service accepts; `AwsError` otherwise."""
    text = check_text(value, parameter)
    if not re.fullmatch(DIGEST_PATTERN, text):
        raise errors.invalid(parameter, f"must satisfy regular expression '{DIGEST_PATTERN}'")
    return text


def check_tag(value: object, parameter: str = "imageTag") -> str:
    """A valid image tag; `AwsError` otherwise."""
    text = check_text(value, parameter, minimum=1, maximum=300)
    if not re.fullmatch(TAG_PATTERN, text):
        raise errors.invalid(parameter, f"must satisfy regular expression '{TAG_PATTERN}'")
    return text


def check_list(value: object, parameter: str, minimum: int = 1, maximum: int = 100) -> list[Any]:
    """A list within its length; `AwsError` otherwise."""
    if value is None:
        raise errors.invalid(parameter, "must not be null")
    if not isinstance(value, list):
        raise errors.invalid(parameter, "must be a list")
    if len(value) < minimum:
        raise errors.invalid(parameter, f"must have length greater than or equal to {minimum}")
    if len(value) > maximum:
        raise errors.invalid(parameter, f"must have length less than or equal to {maximum}")
    return value


def check_map(value: object, parameter: str) -> Mapping[str, Any]:
    """A structure; `AwsError` otherwise."""
    if value is None:
        raise errors.invalid(parameter, "must not be null")
    if not isinstance(value, dict):
        raise errors.invalid(parameter, "must be a structure")
    return value


def check_number(value: object, parameter: str, minimum: int, maximum: int | None = None) -> int:
    """An integer within its range; `AwsError` otherwise."""
    if value is None:
        raise errors.invalid(parameter, "must not be null")
    if not isinstance(value, int) or isinstance(value, bool):
        raise errors.invalid(parameter, "must be an integer")
    if value < minimum:
        raise errors.invalid(parameter, f"must have value greater than or equal to {minimum}")
    if maximum is not None and value > maximum:
        raise errors.invalid(parameter, f"must have value less than or equal to {maximum}")
    return value


def check_flag(value: object, parameter: str) -> bool:
    """A boolean, absent meaning false; `AwsError` otherwise."""
    if value is None:
        return False
    if not isinstance(value, bool):
        raise errors.invalid(parameter, "must be a boolean")
    return value


def registry_checked(call: Call) -> str:
    """The caller's account; `AwsError` when the call names another registry."""
    given = call.payload.get("registryId")
    if given is None:
        return call.account
    text = check_text(given, "registryId")
    if not re.fullmatch(r"[0-9]{12}", text):
        raise errors.invalid("registryId", "must satisfy regular expression '[0-9]{12}'")
    if text != call.account:
        raise errors.not_authorized(call.account, text, call.action)
    return text


def image_id(value: object, parameter: str = "imageId") -> dict[str, str]:
    """An image identifier's members, unchecked against the repository."""
    given = check_map(value, parameter)
    found: dict[str, str] = {}
    for member in ("imageDigest", "imageTag"):
        if given.get(member) is not None:
            found[member] = check_text(given[member], f"{parameter}.{member}", minimum=1)
    return found


def page(call: Call, rows: Sequence[Any], default: int = 100) -> tuple[Sequence[Any], str | None]:
    """One page of rows and the token of the next, by `maxResults` and `nextToken`."""
    given = call.payload.get("maxResults")
    limit = default if given is None else check_number(given, "maxResults", 1, MAX_RESULTS)
    token = call.payload.get("nextToken")
    start = 0
    if token is not None:
        text = check_text(token, "nextToken")
        if not re.fullmatch(r"page-\d{1,9}", text):
            raise errors.invalid("nextToken", "must be a token that an earlier answer gave")
        start = int(text[5:])
    following = f"page-{start + limit}" if start + limit < len(rows) else None
    return rows[start : start + limit], following


def with_token(answer: dict[str, Any], token: str | None) -> dict[str, Any]:
    """An answer with its `nextToken`, where there is a next page."""
    return {**answer, "nextToken": token} if token else answer


def tag_pairs(value: object, parameter: str = "tags") -> dict[str, str]:
    """Resource tags as a mapping; `AwsError` as ECR words it."""
    found: dict[str, str] = {}
    for item in check_list(value, parameter, 0, 1000):
        pair = check_map(item, parameter)
        key = check_text(pair.get("Key"), f"{parameter}.Key", minimum=1, maximum=128)
        found[key] = check_text(pair.get("Value"), f"{parameter}.Value", maximum=256)
    return found


def as_tags(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    """Resource tags in the wire's shape."""
    return [{"Key": k, "Value": v} for k, v in pairs.items()]


def joined(words: Iterable[str]) -> str:
    """Words for a message."""
    return ", ".join(words)
