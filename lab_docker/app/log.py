"""Logs as CloudWatch Logs Insights reads them: one JSON object a line on standard output."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


def event(name: str, *, level: str = "info", **fields: Any) -> None:
    """Write one line: time (UTC, RFC 3339), level, event, and what else is known."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"time": now, "level": level, "event": name, **fields}, default=str)
    # One write a line: two writers to one pipe must not interleave within it.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Handler(logging.Handler):
    """Puts what libraries log into the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one JSON line; a traceback goes into it as text."""
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = logging.Formatter().formatException(record.exc_info)
        event("log", level=record.levelname.lower(), **fields)


def install(level: int = logging.WARNING) -> None:
    """Send every library's log from `level` up through `Handler`."""
    root = logging.getLogger()
    root.handlers[:] = [Handler()]
    root.setLevel(level)
