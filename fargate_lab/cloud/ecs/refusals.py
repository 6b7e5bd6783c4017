"""Refusals whose text is a fact."""

from __future__ import annotations

from fargate_lab.cloud.protocol import AwsError
from fargate_lab.facts import fact


def refuse(name: str, **values: object) -> AwsError:
    """The error of a fact `messages.…`, its places filled."""
    message = fact(name)
    return AwsError(message.code or "ClientException", message.fill(**values))
