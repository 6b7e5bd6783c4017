"""What notebooks import: `from fargate_lab.lesson import start; lab = start(chapter=5)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab

__all__ = ["start"]


def start(chapter: int, *, runtime: str | None = None) -> Lab:
    """Open a chapter: the backend, and whatever earlier chapters would have left.

    chapter: 0 to 13. runtime: `auto`, `docker` or `process`; None takes LAB_RUNTIME or `auto`.
    Harmless to run twice. Raises LabError with what to do when the backend cannot be had.
    """
    from fargate_lab.lesson.session import open_chapter

    return open_chapter(chapter, runtime=runtime)
