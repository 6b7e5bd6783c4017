"""The lab's own addresses under `/_lab/`: which module answers below which prefix.

`/_lab/health` and `/_lab/stop` are the server's own and need no service.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from fargate_lab.cloud.server import Cloud

Answer = Callable[["Cloud", str, dict[str, str]], "dict[str, Any] | None"]
"""(cloud, path, query) → a JSON document, or None where there is nothing.

Runs in a worker thread, and must not change anything: these addresses need no credentials.
"""

ENDPOINTS = {
    "/_lab/registry": "fargate_lab.cloud.ecr.lab_endpoints:answer_lab",
    "/_lab": "fargate_lab.cloud.ecs.lab_endpoints:answer_lab",
}
"""Path prefix → `module:function`, imported when first asked for. The longest prefix wins."""


def answer_lab(cloud: Cloud, path: str, query: dict[str, str]) -> dict[str, Any] | None:
    """The answer at a path, or None where there is nothing."""
    for prefix in sorted(ENDPOINTS, key=len, reverse=True):
        if path == prefix or path.startswith(f"{prefix}/"):
            module, _, name = ENDPOINTS[prefix].partition(":")
            answer = cast(Answer, getattr(importlib.import_module(module), name))
            return answer(cloud, path, query)
    return None
