"""The program that holds a task's network namespace."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from fargate_lab.runtime.engine import pause


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_it_is_a_static_program(architecture: str) -> None:
    """An ELF header whose entry point lies in its one segment."""
    data = pause.program(architecture)
    assert data[:4] == b"\x7fELF"
    entry = int.from_bytes(data[24:32], "little") - 0x400000
    assert 0 < entry < len(data) < 200


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="runs x86-64 Linux code"
)
def test_it_waits(tmp_path: Path) -> None:
    """It neither ends nor uses the processor."""
    program = tmp_path / "pause"
    program.write_bytes(pause.program("amd64"))
    program.chmod(0o755)
    running = subprocess.Popen([program])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.3)
        state = Path(f"/proc/{running.pid}/stat").read_text().rsplit(")", 1)[1].split()
        assert state[0] == "S"
        assert int(state[11]) + int(state[12]) == 0
    finally:
        running.kill()
        running.wait()
