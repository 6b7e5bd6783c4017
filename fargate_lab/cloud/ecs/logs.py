"""What containers write, sent to the log group of their `awslogs` configuration."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass, field
from typing import Any

from fargate_lab.cloud import bridge

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.1
"""Lines are gathered for so long before they are sent."""

_lock = threading.Lock()
"""moto's model is not made for several threads."""


class LogSetupError(Exception):
    """The stream cannot be made; the text follows `ResourceInitializationError: `."""


@dataclass
class LogStream:
    """One container's stream. Lines may be added from any thread."""

    account: str
    region: str
    group: str
    name: str
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sending: threading.Lock = field(default_factory=threading.Lock)
    """Held while lines are on their way: a second flush returns only once the first is through."""

    def add(self, line: bytes, at: float) -> None:
        """Queue a line; at is epoch seconds."""
        text = line.decode(errors="replace")
        # CloudWatch Logs takes no empty message.
        event = {"timestamp": int(at * 1000), "message": text or " "}
        with self._lock:
            self._waiting.append(event)

    def flush(self) -> None:
        """Send what is queued; everything added before is sent when this returns."""
        with self._sending:
            self._send()

    def _send(self) -> None:
        with self._lock:
            events, self._waiting = self._waiting, []
        if not events:
            return
        events.sort(key=lambda event: int(event["timestamp"]))
        try:
            with _lock:
                backend = bridge.backend("logs", self.account, self.region)
                backend.put_log_events(self.group, self.name, events)
        except Exception as error:
            # As on AWS: the task runs on when its group is deleted under it.
            log.warning("log lines of %s are lost: %s", self.name, error)


def open_stream(
    account: str, region: str, options: dict[str, str], container: str, task_id: str
) -> LogStream:
    """Make the stream `prefix/container/task id` of an awslogs configuration.

    Raises LogSetupError where the group is missing and is not to be created.
    """
    group = options["awslogs-group"]
    where = options.get("awslogs-region") or region
    prefix = options.get("awslogs-stream-prefix")
    name = f"{prefix}/{container}/{task_id}" if prefix else task_id
    try:
        with _lock:
            backend = bridge.backend("logs", account, where)
            if options.get("awslogs-create-group") == "true":
                backend.ensure_log_group(group)
            backend.ensure_log_stream(group, name)
    except Exception as error:
        kind = getattr(error, "error_type", None) or type(error).__name__
        text = getattr(error, "message", None) or str(error)
        if "NotFound" in kind:
            kind, text = "ResourceNotFoundException", "The specified log group does not exist."
        raise LogSetupError(
            "failed to validate logger args: create stream has been retried 1 times: failed to "
            f"create Cloudwatch log stream: {kind}: {text} : exit status 1"
        ) from None
    return LogStream(account, where, group, name)


class LogShipper:
    """One thread that sends the lines of all streams."""

    def __init__(self) -> None:
        self._objects: dict[int, LogStream] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, stream: LogStream) -> None:
        """Ship a stream's lines from now on."""
        with self._lock:
            self._objects[id(stream)] = stream
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-shipper", daemon=True)
                self._thread.start()

    def remove(self, stream: LogStream) -> None:
        """Send what is left of a stream, and forget it."""
        with self._lock:
            self._objects.pop(id(stream), None)
        stream.flush()

    def close(self) -> None:
        """Send what is left of all streams and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        for stream in list(self._objects.values()):
            stream.flush()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            with self._lock:
                streams = list(self._objects.values())
                if not streams:
                    self._thread = None
                    return
            for stream in streams:
                with contextlib.suppress(Exception):
                    stream.flush()
