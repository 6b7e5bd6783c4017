"""One holder at a time, and no lock outlives its holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fargate_lab import paths
from fargate_lab.cli.locking import locked

HOLD = """
import sys; from pathlib import Path; from fargate_lab.cli.locking import locked
with locked(Path(sys.argv[1]), lambda: None, 5):
    print("held", flush=True); sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until its stdin is closed."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=paths.repo_root(),
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_the_second_is_told_and_gives_up_in_time(tmp_path: Path) -> None:
    told: list[str] = []
    with holder(tmp_path / "lock") as child:
        with (
            pytest.raises(TimeoutError),
            locked(tmp_path / "lock", lambda: told.append("waiting"), 0.3),
        ):
            pass
        child.kill()
    assert told == ["waiting"]


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as child:
        child.kill()
    told: list[str] = []
    with locked(tmp_path / "lock", lambda: told.append("waiting"), 0):
        assert told == []


def test_it_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "lock", pytest.fail, 0) as descriptor:
            assert descriptor > 2


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked(tmp_path / "none" / "lock", pytest.fail, 0):
        pass
