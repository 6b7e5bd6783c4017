"""How far a build, push or pull has come: one small protocol, silent or with bars."""

from __future__ import annotations

import threading
from typing import Any, Protocol


class Progress(Protocol):
    """Told about named tasks; called from several threads."""

    def start(self, task: str, total: int | None) -> None:
        """A task begins; `total` in bytes where it is known."""

    def advance(self, task: str, amount: int) -> None:
        """So many more bytes of it are done."""

    def finish(self, task: str, note: str = "") -> None:
        """It is done; `note` says how, e.g. `already there`."""


class Silent:
    """Says nothing: the default."""

    def start(self, task: str, total: int | None) -> None:
        """Ignored."""

    def advance(self, task: str, amount: int) -> None:
        """Ignored."""

    def finish(self, task: str, note: str = "") -> None:
        """Ignored."""


class Bars:
    """tqdm bars, one a task; in a terminal or, by tqdm itself, in a notebook."""

    def __init__(self, *, notebook: bool = False) -> None:
        if notebook:
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm
        self._tqdm: Any = tqdm
        self._bars: dict[str, Any] = {}
        self._lock = threading.Lock()

    def start(self, task: str, total: int | None) -> None:
        """Open a bar."""
        with self._lock:
            self._bars[task] = self._tqdm(
                total=total, desc=f"{task:<24}", unit="B", unit_scale=True, leave=True
            )

    def advance(self, task: str, amount: int) -> None:
        """Move a bar."""
        with self._lock:
            if task in self._bars:
                self._bars[task].update(amount)

    def finish(self, task: str, note: str = "") -> None:
        """Close a bar, with the note beside it."""
        with self._lock:
            bar = self._bars.pop(task, None)
            if bar is not None:
                if note:
                    bar.set_postfix_str(note)
                bar.close()
