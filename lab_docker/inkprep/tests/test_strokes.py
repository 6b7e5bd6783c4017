"""Strokes to the model's input."""

from __future__ import annotations

from typing import Any

import inkprep
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

SEVEN = [[[10, 10], [90, 12], [40, 120]]]
FOUR = [[[30, 0], [0, 60], [68, 60]], [[48, 30], [45, 100]]]

numbers = st.floats(-1000, 1000).map(lambda v: round(v, 1))
drawings = st.lists(
    st.lists(st.tuples(numbers, numbers).map(list), min_size=1, max_size=12),
    min_size=1,
    max_size=4,
)


def extent(strokes: Any) -> float:
    points = np.concatenate([np.asarray(stroke, dtype=float) for stroke in strokes])
    return float((points.max(axis=0) - points.min(axis=0)).max())


@given(drawings)
def test_any_drawing_gives_a_valid_array(strokes: Any) -> None:
    made = inkprep.from_strokes(strokes)
    assert made.shape == (64,)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert 0 <= made.min() <= made.max() <= 16
    assert made.sum() > 0


@given(drawings, st.integers(-5000, 5000), st.integers(-5000, 5000))
def test_place_does_not_matter(strokes: Any, right: int, down: int) -> None:
    assume(extent(strokes) > 1)
    moved = [[[x + right, y + down] for x, y in stroke] for stroke in strokes]
    difference = np.abs(inkprep.from_strokes(strokes) - inkprep.from_strokes(moved))
    # One pixel of the working canvas is 1/64 of a cell; a rounded pen may tip over by a few.
    assert difference.mean() < 0.5


@given(drawings, st.sampled_from([0.01, 0.5, 3.0, 1000.0]))
def test_size_does_not_matter(strokes: Any, factor: float) -> None:
    assume(extent(strokes) > 1)
    scaled = [[[x * factor, y * factor] for x, y in stroke] for stroke in strokes]
    difference = np.abs(inkprep.from_strokes(strokes) - inkprep.from_strokes(scaled))
    assert difference.mean() < 0.5


def test_slant_is_taken_out() -> None:
    upright = inkprep.from_strokes([[[0, 0], [0, 100]]])
    slanted = inkprep.from_strokes([[[50, 0], [0, 100]]])
    assert np.abs(upright - slanted).max() < 1


def test_ink_balances_on_the_middle_and_fills_the_height() -> None:
    for strokes in (SEVEN, FOUR):
        cells = inkprep.from_strokes(strokes).reshape(8, 8)
        assert cells[0].max() > 4
        assert cells[7].max() > 4
        columns = np.arange(8) + 0.5
        assert abs((cells.sum(axis=0) @ columns) / cells.sum() - 4) < 0.5


def test_speed_of_the_hand_does_not_matter() -> None:
    slow_start = [[[40, y / 10] for y in range(200)] + [[40, 100], [90, 100]]]
    steady = [[[40, y] for y in range(0, 101, 10)] + [[90, 100]]]
    assert np.abs(inkprep.from_strokes(slow_start) - inkprep.from_strokes(steady)).mean() < 0.3


def test_a_dot_is_drawn() -> None:
    assert inkprep.from_strokes([[[5, 5]]]).sum() > 0


@pytest.mark.parametrize(
    ("strokes", "reason"),
    [
        ([], "empty"),
        ([[], []], "empty"),
        ("seven", "shape"),
        (None, "shape"),
        ({"x": 1}, "shape"),
        ([1, 2], "shape"),
        ([[1, 2]], "shape"),
        ([[[1, 2, 3]]], "shape"),
        ([[[1, 2], [3]]], "shape"),
        ([[["1", "2"]]], "shape"),
        ([[[True, False]]], "shape"),
        ([[[1, None]]], "shape"),
        ([[[10**400, 1]]], "shape"),
        ([[[float("nan"), 1]]], "not-finite"),
        ([[[1, float("inf")]]], "not-finite"),
        ([[[-1.7e308, 0], [1.7e308, 1]]], "not-finite"),
        ([[[0, 0]] * 20_001], "too-many-points"),
        ([[]] * 20_001, "too-many-points"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(strokes: Any, reason: str) -> None:
    with pytest.raises(inkprep.InkError) as refused:
        inkprep.from_strokes(strokes)
    assert refused.value.reason == reason
    assert len(str(refused.value)) > 10


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
        ),
        max_leaves=20,
    )
)
def test_anything_gives_an_array_or_inkerror(value: Any) -> None:
    try:
        made = inkprep.from_strokes(value)
    except inkprep.InkError:
        return
    assert made.shape == (64,)
    assert np.isfinite(made).all()
