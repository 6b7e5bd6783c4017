"""The container's health check: the standard library alone, so that it costs little each time."""

from __future__ import annotations

import http.client
import os


def check(timeout: float = 2.0) -> int:
    """0 if this container's own /healthz answers 200 within `timeout` seconds, else 1."""
    try:
        port = int(os.environ.get("PORT", "8080"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            connection.request("GET", "/healthz")
            return 0 if connection.getresponse().status == 200 else 1
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return 1
