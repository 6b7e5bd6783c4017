"""A loopback address of its own for each task."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path


class Addresses:
    """Hands out pairs: an outer address, which this machine uses, and an inner one.

    Linux answers on all of 127.0.0.0/8. Two clouds on one machine would collide if each counted
    from the same start, so addresses come from the state folder and the task's id.
    """

    def __init__(self, state_dir: Path, *, mapped: bool) -> None:
        self.mapped = mapped
        self._salt = str(state_dir.absolute())
        self._lock = threading.Lock()
        self._taken: dict[str, str] = {}

    def take(self, task_id: str) -> tuple[str, str]:
        """(outer, inner) of a task; both 127.0.0.1 where there is no other."""
        if self.mapped:
            return "127.0.0.1", "127.0.0.1"
        with self._lock:
            attempt = 0
            while True:
                digest = hashlib.sha256(f"{self._salt} {task_id} {attempt}".encode()).digest()
                # An even second number outside, the next odd one inside.
                second = 16 + 2 * (digest[0] % 112)
                rest = f"{digest[1]}.{1 + digest[2] % 254}"
                outer, inner = f"127.{second}.{rest}", f"127.{second + 1}.{rest}"
                if outer not in self._taken.values():
                    self._taken[task_id] = outer
                    return outer, inner
                attempt += 1

    def give_back(self, task_id: str) -> None:
        """Let another task have the address."""
        with self._lock:
            self._taken.pop(task_id, None)
