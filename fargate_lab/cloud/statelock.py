"""One cloud per state folder: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from fargate_lab.cloud.process import CloudError


class StateLock:
    """Hold a state folder. Raises CloudError when another cloud holds it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cloud.lock"
        self._file: BinaryIO | None = None

    def __enter__(self) -> StateLock:
        file = self.path.open("a+b")
        try:
            _lock(file)
        except OSError:
            file.close()
            raise CloudError(
                f"Another cloud already runs on {self.path.parent}. Use it, or stop it first: "
                "python3 lab.py stop"
            ) from None
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _lock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
