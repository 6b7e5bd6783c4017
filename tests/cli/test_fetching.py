"""Fetching the image's packages: once, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from fargate_lab.cli import fetching


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """What was fetched, in place of fetching it."""
    seen: list[Path] = []
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "_implementation", lambda: seen.append)
    return seen


def test_it_is_done_once(calls: list[Path]) -> None:
    assert fetching.prefetch()
    assert fetching.prefetch()
    assert [path.name for path in calls] == ["lab_docker"]


def test_another_lock_is_fetched_again(calls: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fetching.prefetch()
    monkeypatch.setattr(fetching, "_digest", lambda _: "another")
    fetching.prefetch()
    assert len(calls) == 2


def test_a_failure_is_a_warning_and_is_tried_again(
    calls: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Path) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(fetching, "_implementation", lambda: fail)
    assert not fetching.prefetch()
    said = capsys.readouterr().err
    assert "no route to host" in said
    assert "will need a network" in said
    monkeypatch.setattr(fetching, "_implementation", lambda: calls.append)
    assert fetching.prefetch()
    assert len(calls) == 1
