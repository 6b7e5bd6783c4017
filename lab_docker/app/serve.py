"""`serve`: the model over HTTP.

GET /healthz, POST /predict, GET /metrics. Every refusal is JSON: {"error": {"code", "message"}}.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn

from app import STARTED, log
from app.model import Model, ModelError, load
from app.web import application

GRACE = 25
"""Seconds that requests in flight get after SIGTERM: less than the 30 s that ECS then waits."""


class Stop:
    """Remembers that the process was asked to stop, from before the server exists."""

    def __init__(self) -> None:
        self.asked = False
        self.server: uvicorn.Server | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler; a second signal stops waiting for requests in flight."""
        if self.server is not None:
            self.server.force_exit = self.asked
            self.server.should_exit = True
        if not self.asked:
            log.event("stopping", signal=signal.Signals(number).name)
        self.asked = True

    def install(self) -> None:
        """Take over the signals that mean stop. As process 1 nothing else would."""
        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):  # the last one: Windows
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self)


class Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals to `Stop` and says when it listens.

    uvicorn would raise the signal again once it has stopped; a task that was stopped properly
    should end with exit code 0.
    """

    def __init__(self, config: uvicorn.Config, ready: dict[str, Any]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled already."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        log.event("ready", **self._ready)


def run() -> int:
    """Serve until told to stop; 0 after a proper stop, 1 when there was no start."""
    stop = Stop()
    stop.install()
    log.install(logging.WARNING)
    try:
        model = load()
        listener = listen(os.environ.get("HOST", "0.0.0.0"), _port())
    except (ModelError, OSError, ValueError) as error:
        log.event("failed", level="error", message=str(error))
        return 1
    ready = {
        "port": listener.getsockname()[1],
        "model": model.about,
        "python": sys.version.split()[0],
        "seconds": round(time.perf_counter() - STARTED, 3),
    }
    server = Server(_config(model), ready)
    stop.server = server
    if not stop.asked:
        server.run(sockets=[listener])
    log.event("stopped")
    return 0


def _port() -> int:
    text = os.environ.get("PORT", "8080")
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"PORT is {text!r}; expected a number from 0 to 65535.")
    return int(text)


def listen(host: str, port: int) -> socket.socket:
    """The one listening socket, bound here so that a runtime can see or place it."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"Cannot listen on {host}:{port}: {error.strerror}. Set PORT.") from error
    return listener


def _config(model: Model) -> uvicorn.Config:
    return uvicorn.Config(
        application(model),
        loop="auto",
        http="auto",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,  # above a load balancer's 60 s, so that it never meets a closed one
        timeout_graceful_shutdown=GRACE,
    )
