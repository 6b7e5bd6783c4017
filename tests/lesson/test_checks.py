"""Checks: verdicts, hints in steps, what is remembered, and strict grading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from fargate_lab.lesson import checks
from fargate_lab.lesson.checks import Missing, Verdict, exercise
from fargate_lab.lesson.errors import LabError, plain
from fargate_lab.lesson.session import Lab

LAB = cast(Lab, object())
"""The checks below look at nothing."""

HINTS = ("a question", "a call", "nearly all")


@pytest.fixture(autouse=True)
def own_exercises(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Exercises of chapter 99, forgotten after each test."""
    monkeypatch.setattr(checks, "_exercises", {})
    monkeypatch.setattr(checks, "_shown", {})

    @exercise("99.1", "done", hints=HINTS, read="the start")
    def done(lab: Lab) -> str:
        return "all of it"

    @exercise("99.2", "open", hints=HINTS, read="the middle")
    def missing(lab: Lab) -> str:
        raise Missing("a tag", found="<none>")

    @exercise("99.3", "elsewhere", hints=HINTS, read="the end")
    def missing_elsewhere(lab: Lab) -> str:
        raise Missing("a role", read="another chapter")

    @exercise("99.4", "refused", hints=HINTS, read="the end")
    def refused(lab: Lab) -> str:
        raise ClientError({"Error": {"Code": "Throttled", "Message": "Slow down."}}, "Anything")

    return


def test_a_pass_says_what_was_found() -> None:
    verdict = checks.run(LAB, "99.1")
    assert verdict.passed
    assert repr(verdict) == "PASSED  exercise 99.1: done\n  found: all of it"


def test_a_failure_says_what_is_missing_and_where_to_read() -> None:
    verdict = checks.run(LAB, "99.2")
    assert repr(verdict) == (
        "NOT YET  exercise 99.2: open\n  found: <none>\n  missing: a tag\n  read: the middle"
    )


def test_a_check_may_point_elsewhere() -> None:
    assert checks.run(LAB, "99.3").read == "another chapter"


def test_a_refusal_of_aws_is_feedback_not_a_crash() -> None:
    verdict = checks.run(LAB, "99.4")
    assert (verdict.passed, verdict.missing) == (False, "Throttled: Slow down.")


def test_html_says_it_in_words_and_escapes_what_was_found() -> None:
    failed = checks.run(LAB, "99.2")._repr_html_()
    assert "not yet" in failed
    assert "&lt;none&gt;" in failed
    assert "<none>" not in failed
    assert "passed" in checks.run(LAB, "99.1")._repr_html_()


def test_hints_come_in_steps(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(4):
        checks.hint("99.1")
    assert capsys.readouterr().out.splitlines() == [
        "Hint 1 of 3: a question",
        "Hint 2 of 3: a call",
        "Hint 3 of 3: nearly all",
        "Hint 3 of 3: nearly all",
    ]


def test_each_exercise_has_hints_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    checks.hint("99.1")
    checks.hint("99.2")
    assert capsys.readouterr().out.count("Hint 1 of 3") == 2


def test_what_is_passed_is_remembered_once() -> None:
    assert checks.passed() == []
    for number in ("99.1", "99.2", "99.1"):
        checks.run(LAB, number)
    assert checks.passed() == ["99.1"]


def test_a_broken_progress_file_costs_nothing() -> None:
    checks.run(LAB, "99.1")
    checks._progress_file().write_text("{", encoding="utf-8")
    assert checks.passed() == []
    assert checks.run(LAB, "99.1").passed
    assert checks.passed() == ["99.1"]


def test_strict_grading_raises_for_a_failure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CHECKS", "strict")
    assert checks.run(LAB, "99.1").passed
    with pytest.raises(AssertionError, match="missing: a tag"):
        checks.run(LAB, "99.2")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("99.7", "chapter 99 has 99.1, 99.2, 99.3, 99.4"),
        ("77.1", "write it as '3.2'"),
        ("first", "write it as '3.2'"),
    ],
)
def test_an_unknown_exercise_is_answered_with_the_known_ones(number: str, told: str) -> None:
    with pytest.raises(LabError, match=told):
        checks.run(LAB, number)


def test_hints_of_every_chapter_are_three_and_differ(root: Any, monkeypatch: Any) -> None:
    monkeypatch.undo()
    import importlib

    for path in sorted((root / "fargate_lab/lesson/checks").glob("chapter*.py")):
        importlib.import_module(f"fargate_lab.lesson.checks.{path.stem}")
    for item in checks._exercises.values():
        assert len(set(item.hints)) == 3, item.number
        assert item.read, item.number
        assert item.title, item.number


def test_a_lab_error_renders_as_its_text_alone() -> None:
    assert LabError("Do this.")._render_traceback_() == ["LabError: Do this."]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LabError("Do this."), "Do this."),
        (ValueError("odd"), "ValueError: odd"),
        (ClientError({"Error": {"Code": "A", "Message": "b"}}, "Op"), "A: b"),
    ],
)
def test_errors_in_one_line(error: Exception, text: str) -> None:
    assert plain(error) == text


def test_a_verdict_without_details_has_one_line() -> None:
    assert repr(Verdict("1.1", "x", True, "")) == "PASSED  exercise 1.1: x"


def test_a_cloud_that_is_gone_is_no_fault_of_the_exercise() -> None:
    @exercise("99.5", "gone", hints=HINTS, read="the end")
    def gone(_: Lab) -> str:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1/")

    with pytest.raises(LabError, match="first cell again"):
        checks.run(LAB, "99.5")


def test_a_number_without_quotes_and_with_spaces_will_do() -> None:
    number: Any = 99.1
    assert checks.run(LAB, number).passed
    assert checks.run(LAB, " 99.1 ").number == "99.1"
