"""Messages for learners."""

from __future__ import annotations

from typing import Any


class LabError(Exception):
    """Something the learner can mend; a notebook shows its text alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: a learner's mistake is not a crash of the lab.
        return [f"{type(self).__name__}: {self}"]


def plain(error: Any) -> str:
    """An AWS error as one line: its code and its text."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        details = response["Error"]
        return f"{details.get('Code', 'Error')}: {details.get('Message', '')}"
    if isinstance(error, LabError):
        return str(error)
    return f"{type(error).__name__}: {error}"
