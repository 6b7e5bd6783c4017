"""The tour ends with the right digits, on both runtimes, and leaves nothing."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from fargate_lab.cli import tour
from fargate_lab.cli.trace import Trace
from fargate_lab.lesson.pad import samples
from tests.cli.conftest import Lab, family


@pytest.mark.parametrize("runtime", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_it_ends_with_the_right_digits(lab: Lab, runtime: str) -> None:
    done = lab.run("tour", "--runtime", runtime)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"Your container reads: (\d)", done.stdout) == list(tour.DIGITS)
    assert "ecs:RunTask" in done.stdout
    assert "exit code 0" in done.stdout
    assert not lab.state.exists()
    assert family(lab.marker) == []


def test_a_repeated_call_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    trace = Trace()

    def call(service: str, name: str) -> None:
        model = SimpleNamespace(service_model=SimpleNamespace(service_id=service), name=name)
        trace._before(model)
        trace._after()

    call("ECS", "RunTask")
    for _ in range(3):
        call("CloudWatch Logs", "GetLogEvents")
    trace.flush()
    trace.flush()
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "ecs:RunTask"
    assert "×" not in first
    assert second.split()[0] == "cloudwatch-logs:GetLogEvents"
    assert second.endswith("× 3")
    assert trace.calls == 4


@pytest.mark.parametrize("digit", "0123456789")
def test_a_drawing_fits_its_frame(digit: str) -> None:
    for strokes in samples()[digit]:
        lines = tour.picture(strokes)
        assert len(lines) == 8
        assert max(map(len, lines)) <= 16
        assert sum(line.count("#") for line in lines) >= 8


def test_a_single_point_is_drawn() -> None:
    assert tour.picture([[[5, 5]]])[0] == "#"
