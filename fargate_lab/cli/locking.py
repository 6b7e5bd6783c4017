"""One set-up at a time: an advisory lock on a file, on every platform. Standard library alone.

The operating system lets go of the lock when its holder ends, however it ends: there is no stale
lock to clean up.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def try_lock(descriptor: int) -> bool:
    """Take the lock on an open file if nobody holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None], timeout: float) -> Iterator[int]:
    """Hold the lock on `path`; calls `waiting` once if another holds it.

    Yields the descriptor, so that a child can inherit it and keep the lock while it works even if
    its parent is killed. Raises TimeoutError after `timeout` seconds and OSError where the file
    cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _wait(descriptor, waiting, timeout)
        yield descriptor
    finally:
        os.close(descriptor)


def _wait(descriptor: int, waiting: Callable[[], None], timeout: float) -> None:
    if try_lock(descriptor):
        return
    waiting()
    deadline = time.monotonic() + timeout
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.2)
