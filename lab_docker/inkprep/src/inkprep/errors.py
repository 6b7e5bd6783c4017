"""The one error that this library raises for a drawing it cannot use."""

from __future__ import annotations

from typing import Literal

Reason = Literal["empty", "shape", "not-finite", "too-many-points", "too-large", "unreadable"]


class InkError(ValueError):
    """A drawing or picture that no digit can be read from.

    `reason` is for programs, the message for people.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
