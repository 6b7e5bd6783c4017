"""Show every AWS call that boto3 makes, with its time; a call that is repeated is one line."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from fargate_lab.cli.console import answer


@dataclass
class Trace:
    """The calls as they happen; `flush` writes the last line of a run of equal ones."""

    calls: int = 0
    _name: str = ""
    _times: int = 0
    _spent: float = 0.0
    _begun: float = field(default_factory=time.monotonic)

    def listen(self, session: Any) -> None:
        """Hear of the calls of every client that a boto3 session makes from now on."""
        session.events.register("before-call", self._before)
        session.events.register("after-call", self._after)

    def _before(self, model: Any, **_: Any) -> None:
        name = f"{model.service_model.service_id.lower().replace(' ', '-')}:{model.name}"
        if name != self._name:
            self.flush()
            self._name = name
        self._begun = time.monotonic()

    def _after(self, **_: Any) -> None:
        self.calls += 1
        self._times += 1
        self._spent += time.monotonic() - self._begun

    def flush(self) -> None:
        """Write the call that is not written yet."""
        if self._times:
            repeated = f"  × {self._times}" if self._times > 1 else ""
            answer(f"      {self._name:<40}{self._spent * 1000:6.0f} ms{repeated}")
        self._name, self._times, self._spent = "", 0, 0.0
