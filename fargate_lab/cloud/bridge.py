"""moto, loaded when first asked for: over HTTP for clients, directly for the lab's agent."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

THREADS = 16

_lock = threading.Lock()
_app: AsgiApp | None = None


def _configure() -> None:
    # Without AWS's managed policies, AttachRolePolicy of AmazonECSTaskExecutionRolePolicy fails.
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")


def loaded() -> bool:
    """Whether moto has been needed yet."""
    return _app is not None


def asgi_app() -> AsgiApp:
    """moto's server as an ASGI application. The first call imports moto (about 0.3 s)."""
    global _app
    with _lock:
        if _app is None:
            _configure()
            from a2wsgi import WSGIMiddleware
            from moto.moto_server.werkzeug_app import (
                DomainDispatcherApplication,
                create_backend_app,
            )

            wsgi = DomainDispatcherApplication(create_backend_app)
            _app = WSGIMiddleware(wsgi, workers=THREADS)  # type: ignore[arg-type,assignment]
        assert _app is not None
        return _app


def backend(service: str, account: str, region: str) -> Any:
    """moto's model of a service (`logs`, `ec2`, `secretsmanager`, …) for an account and Region.

    For the lab's own use behind the API: what is done here is what the same call over HTTP does.
    """
    with _lock:
        _configure()
        backends = importlib.import_module("moto.backends")
    return backends.get_backend(service)[account][region]
