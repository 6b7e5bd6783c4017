"""The drawing pad: stored strokes until someone draws, answers after each stroke."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fargate_lab.lesson import pad
from fargate_lab.lesson.errors import LabError
from fargate_lab.lesson.pad import DrawingPad, make_pad, samples

LINE = [[[0, 0], [0, 10]]]


@pytest.mark.parametrize("digit", "0123456789")
def test_each_digit_has_stored_strokes(digit: str) -> None:
    field = make_pad(digit)
    assert field.strokes == samples()[digit][0]
    assert not field.drawn
    assert all(len(point) == 2 for stroke in field.strokes for point in stroke)


def test_a_sample_that_is_not_stored_is_named() -> None:
    with pytest.raises(LabError, match="no stored drawing of 'x'; choose one of 0 to 9"):
        make_pad("x")


def test_missing_samples_are_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pad, "SAMPLES", tmp_path / "strokes.json")
    with pytest.raises(LabError, match="Restore them with git"):
        samples()


def test_the_answer_comes_at_once_and_after_each_stroke() -> None:
    asked: list[Any] = []

    def read(strokes: Any) -> str:
        asked.append(strokes)
        return f"{len(strokes)} strokes"

    field = DrawingPad(strokes=LINE)
    field.on_draw(read)
    assert field.answer == "1 strokes"
    field.strokes = [*LINE, [[5, 5]]]
    assert field.answer == "2 strokes"
    assert len(asked) == 2


def test_an_empty_field_asks_nobody() -> None:
    def read(strokes: Any) -> str:
        raise AssertionError("asked about nothing")

    field = DrawingPad()
    field.on_draw(read)
    field.strokes = LINE
    assert field.answer.startswith("No answer: asked about nothing")
    field.strokes = []
    assert field.answer == ""


def test_what_went_wrong_is_shown_under_the_field() -> None:
    def read(strokes: Any) -> str:
        raise ConnectionError("the task was stopped")

    field = DrawingPad(strokes=LINE)
    field.on_draw(read)
    assert field.answer == "No answer: the task was stopped"


def test_it_tells_a_drawing_from_a_sample() -> None:
    assert repr(DrawingPad(strokes=LINE)) == "DrawingPad(a stored sample, 1 strokes)"
    assert repr(DrawingPad(strokes=LINE, drawn=True)) == "DrawingPad(your drawing, 1 strokes)"


def test_the_field_can_be_used_without_a_network() -> None:
    script = (pad.HERE / "pad.js").read_text(encoding="utf-8")
    style = (pad.HERE / "pad.css").read_text(encoding="utf-8")
    for text in (script, style):
        assert "http://" not in text
        assert "https://" not in text
        assert "import(" not in text
