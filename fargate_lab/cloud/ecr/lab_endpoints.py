"""The registry's own addresses under `/_lab/registry/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fargate_lab.cloud.server import Cloud


def answer_lab(cloud: Cloud, path: str, query: dict[str, str]) -> dict[str, Any] | None:
    """The answer at a path, or None where there is nothing."""
    return None
