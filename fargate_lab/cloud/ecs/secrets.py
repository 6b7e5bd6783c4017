"""Secrets of a container definition, fetched as the agent does before a container starts."""

from __future__ import annotations

import json
import threading
from typing import Any

from fargate_lab.cloud import bridge

_PREFIX = "unable to pull secrets or registry auth: execution resource retrieval failed: "
_RETRIED = "service call has been retried 1 time(s): "
_lock = threading.Lock()


class SecretError(Exception):
    """A secret that cannot be had; the text follows `ResourceInitializationError: `."""


def resolve(account: str, region: str, secrets: list[dict[str, str]]) -> dict[str, str]:
    """The values of a container's `secrets`, by variable name; raises SecretError."""
    return {s["name"]: value(account, region, s["valueFrom"]) for s in secrets}


def value(account: str, region: str, reference: str) -> str:
    """The value behind a `valueFrom`.

    A Secrets Manager ARN, `ARN:json-key:version-stage:version-id`, or an SSM parameter's name or
    ARN (ECS API Reference, "Secret").
    """
    if ":secretsmanager:" in reference:
        return _secret(account, reference)
    return _parameter(account, region, reference)


def _secret(account: str, reference: str) -> str:
    parts = reference.split(":")
    arn, region = ":".join(parts[:7]), parts[3]
    key, stage, version = [*parts[7:10], "", "", ""][:3]
    try:
        with _lock:
            backend = bridge.backend("secretsmanager", account, region)
            found: dict[str, Any] = backend.get_secret_value(
                arn, version or None, stage or ("" if version else "AWSCURRENT")
            )
    except Exception as error:
        raise SecretError(
            f"{_PREFIX}unable to retrieve secret from asm: {_RETRIED}failed to fetch secret "
            f"{reference} from secrets manager: {_said(error)}"
        ) from None
    text = found.get("SecretString")
    if text is None:
        binary = found.get("SecretBinary") or b""
        text = binary.decode(errors="replace") if isinstance(binary, bytes) else str(binary)
    return _json_key(str(text), key) if key else str(text)


def _json_key(text: str, key: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        raise SecretError(
            f"{_PREFIX}unable to retrieve secret from asm: {_RETRIED}invalid character in the "
            "secret: it is no JSON object, and a JSON key was asked for"
        ) from None
    if not isinstance(document, dict) or key not in document:
        raise SecretError(
            f"{_PREFIX}unable to retrieve secret from asm: {_RETRIED}retrieved secret from "
            f"Secrets Manager did not contain json key {key}"
        )
    found = document[key]
    return found if isinstance(found, str) else json.dumps(found)


def _parameter(account: str, region: str, reference: str) -> str:
    name = reference
    if reference.startswith("arn:"):
        region = reference.split(":")[3]
        name = reference.split(":parameter", 1)[-1]
        name = name if name.count("/") > 1 else name.lstrip("/")
    with _lock:
        parameter = bridge.backend("ssm", account, region).get_parameter(name)
    if parameter is None:
        raise SecretError(
            f"{_PREFIX}unable to retrieve secrets from ssm: {_RETRIED}invalid ssm parameters: "
            f"{reference}"
        )
    # A SecureString is kept encrypted; the agent asks for it decrypted.
    return str(parameter.response_object(decrypt=True, region=region)["Value"])


def _said(error: Exception) -> str:
    name = getattr(error, "error_type", type(error).__name__)
    return f"{name}: {getattr(error, 'message', error)}"
