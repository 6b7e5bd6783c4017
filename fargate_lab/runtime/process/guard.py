"""Memory limits for processes: what a container uses, looked at ten times a second."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

INTERVAL = 0.1
FAMILY_INTERVAL = 1.0
"""Seconds between searches for new child processes; each reads every process of the machine."""


@dataclass
class Guarded:
    """One container under guard."""

    root: psutil.Process
    group: str
    """Containers of one group (a task) share `group_limit`."""
    limit: int | None
    group_limit: int
    """Bytes."""
    on_excess: Callable[[], None]
    family: list[psutil.Process] = field(default_factory=list)
    used: int = 0

    def measure(self) -> int:
        """Bytes resident in all its processes."""
        total = 0
        for process in self.family or [self.root]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        self.used = total
        return total


class MemoryGuard:
    """One thread that watches all containers; it ends when there is none to watch."""

    def __init__(self) -> None:
        self._watched: dict[int, Guarded] = {}
        self._lock = threading.Lock()
        self._running = False

    def watch(self, guarded: Guarded) -> None:
        """Begin to watch a container."""
        with self._lock:
            self._watched[guarded.root.pid] = guarded
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="memory-guard", daemon=True).start()

    def forget(self, pid: int) -> list[psutil.Process]:
        """Stop watching a container; its known processes."""
        with self._lock:
            guarded = self._watched.pop(pid, None)
        return guarded.family if guarded else []

    def _run(self) -> None:
        next_search = 0.0
        while True:
            with self._lock:
                watched = list(self._watched.values())
                if not watched:
                    self._running = False
                    return
            if time.monotonic() >= next_search:
                _search(watched)
                next_search = time.monotonic() + FAMILY_INTERVAL
            for guarded in _excessive(watched):
                guarded.on_excess()
            time.sleep(INTERVAL)


def _search(watched: list[Guarded]) -> None:
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        children.setdefault(process.info["ppid"], []).append(process.pid)
    for guarded in watched:
        found, todo = [guarded.root], list(children.get(guarded.root.pid, ()))
        while todo:
            pid = todo.pop()
            with contextlib.suppress(psutil.Error):
                found.append(psutil.Process(pid))
            todo += children.get(pid, ())
        guarded.family = found


def _excessive(watched: list[Guarded]) -> list[Guarded]:
    groups: dict[str, list[Guarded]] = {}
    doomed = []
    for guarded in watched:
        used = guarded.measure()
        groups.setdefault(guarded.group, []).append(guarded)
        if guarded.limit is not None and used > guarded.limit:
            doomed.append(guarded)
    for group in groups.values():
        # As the kernel would, the largest pays for what all of them use.
        if sum(g.used for g in group) > group[0].group_limit:
            largest = max(group, key=lambda g: g.used)
            if largest not in doomed:
                doomed.append(largest)
    return doomed
