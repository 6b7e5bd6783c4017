"""Notebooks made from a chapter's text: blanks, grading metadata, navigation, drift."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from fargate_lab.lesson import release
from fargate_lab.lesson.__main__ import main

FIRST = """\
# %% [markdown]
# # 00 · First
#
# Words.

# %% tags=["nbval-ignore-output"]
x = 6

# %% exercise="0.1"
def answer():
    ### BEGIN SOLUTION
    secret = x * 7
    return secret
    ### END SOLUTION


# %% check="0.1"
answer()
"""
SECOND = '# %% [markdown]\n# # 01 · Second\n\n# %%\nprint("two")\n'

# nbgrader's schema 3 (nbgrader/nbgraderformat/v3.py and the JSON schema beside it): these keys of
# a cell are required, with these types; points too where the cell is graded.
REQUIRED = {
    "schema_version": int,
    "grade_id": str,
    "solution": bool,
    "grade": bool,
    "locked": bool,
    "task": bool,
}
GRADE_ID = re.compile(r"^[a-zA-Z0-9_\-]+$")


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two small chapters; nothing in them needs the cloud."""
    folder = tmp_path / "course"
    texts = folder / "solutions" / "src"
    texts.mkdir(parents=True)
    (texts / "00-first.py").write_text(FIRST, encoding="utf-8")
    (texts / "01-second.py").write_text(SECOND, encoding="utf-8")
    monkeypatch.setattr(release, "repo_root", lambda: folder)
    return folder


def made(course: Path, name: str = "00-first") -> Any:
    return release.chapter(course / "solutions" / "src" / f"{name}.py")


def write_all(course: Path) -> None:
    """Both notebooks of both chapters, not executed: drift does not look at outputs."""
    texts = release.sources(course)
    for text in texts:
        notebook = release.chapter(text, texts)
        release._write(notebook, course / "solutions" / f"{text.stem}.ipynb")
        release._write(release.blank(notebook), course / "notebooks" / f"{text.stem}.ipynb")


def test_the_blank_notebook_has_no_answer_and_still_parses(course: Path) -> None:
    blank = release.blank(made(course))
    text = blank.cells[2].source
    assert text == "def answer():\n    # Write your code here."
    assert "secret" not in nbformat.writes(blank)
    assert "SOLUTION" not in nbformat.writes(blank)


def test_the_solved_notebook_keeps_the_answer(course: Path) -> None:
    notebook = made(course)
    release.blank(notebook)
    assert "secret = x * 7" in notebook.cells[2].source


def test_every_solution_of_a_cell_is_blanked() -> None:
    cell = "a = 1\n### BEGIN SOLUTION\nb = 2\n### END SOLUTION\nc = 3\n"
    cell += "  ### BEGIN SOLUTION\n  d = 4\n  ### END SOLUTION"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    assert release.blank(notebook).cells[0].source == (
        "a = 1\n# Write your code here.\nc = 3\n  # Write your code here."
    )


def test_both_notebooks_are_valid(course: Path) -> None:
    notebook = made(course)
    nbformat.validate(notebook)
    nbformat.validate(release.blank(notebook))
    assert len({c.id for c in notebook.cells}) == len(notebook.cells)


def test_exercise_and_check_carry_nbgraders_metadata(course: Path) -> None:
    notebook = made(course)
    cells = [c.metadata["nbgrader"] for c in notebook.cells if "nbgrader" in c.metadata]
    answer, check = cells
    for metadata in cells:
        assert_schema_3(metadata)
    assert (answer["solution"], answer["grade"], answer["locked"]) == (True, False, False)
    assert (check["solution"], check["grade"], check["locked"]) == (False, True, True)
    assert (answer["grade_id"], check["grade_id"]) == ("exercise-0-1", "check-0-1")
    assert check["points"] == 1


def assert_schema_3(metadata: Any) -> None:
    for key, kind in REQUIRED.items():
        assert type(metadata[key]) is kind, key
    assert metadata["schema_version"] == 3
    assert GRADE_ID.match(metadata["grade_id"])
    assert ("points" in metadata) == metadata["grade"]
    assert metadata.get("points", 0) >= 0


def test_the_marks_themselves_are_gone(course: Path) -> None:
    for cell in made(course).cells:
        assert {"exercise", "check"}.isdisjoint(cell.metadata)


def test_navigation_links_neighbours_by_title(course: Path) -> None:
    assert made(course).cells[-1].source == "---\n[01 · Second](01-second.ipynb) →"
    assert made(course, "01-second").cells[-1].source == "---\n← [00 · First](00-first.ipynb)"


def test_a_release_writes_both_and_nothing_has_drifted(course: Path) -> None:
    write_all(course)
    written = release.release(["00"])
    assert [p.relative_to(course).as_posix() for p in written] == [
        "solutions/00-first.ipynb",
        "notebooks/00-first.ipynb",
    ]
    solved = nbformat.read(written[0], 4)
    assert solved.cells[3].outputs[0].data["text/plain"] == "42"
    assert all(not c.get("outputs") for c in nbformat.read(written[1], 4).cells)
    assert release.drift(course) == []


def test_making_it_twice_gives_the_same_bytes(course: Path) -> None:
    first = [p.read_bytes() for p in release.release(["01"])]
    assert [p.read_bytes() for p in release.release(["01"])] == first


def test_a_text_that_was_edited_since_is_found(course: Path) -> None:
    write_all(course)
    text = course / "solutions" / "src" / "00-first.py"
    text.write_text(FIRST.replace("x * 7", "x * 8"), encoding="utf-8")
    # The answer stands in the solved notebook alone.
    assert release.drift(course) == [
        "solutions/00-first.ipynb differs from solutions/src/00-first.py"
    ]
    text.write_text(FIRST.replace("Words.", "Other words."), encoding="utf-8")
    assert release.drift(course) == [
        "solutions/00-first.ipynb differs from solutions/src/00-first.py",
        "notebooks/00-first.ipynb differs from solutions/src/00-first.py",
    ]


def test_changed_metadata_is_found(course: Path) -> None:
    write_all(course)
    text = course / "solutions" / "src" / "00-first.py"
    text.write_text(FIRST.replace('check="0.1"', 'check="0.2"'), encoding="utf-8")
    assert len(release.drift(course)) == 2


def test_a_notebook_that_was_edited_by_hand_is_found(course: Path) -> None:
    write_all(course)
    path = course / "notebooks" / "01-second.ipynb"
    path.write_text(path.read_text().replace("two", "three"), encoding="utf-8")
    assert release.drift(course) == [
        "notebooks/01-second.ipynb differs from solutions/src/01-second.py"
    ]


def test_notebooks_and_texts_without_counterpart_are_found(course: Path) -> None:
    write_all(course)
    shutil.move(course / "solutions/src/01-second.py", course / "solutions/src/01-renamed.py")
    (course / "notebooks" / "00-first.ipynb").unlink()
    found = release.drift(course)
    assert "notebooks/00-first.ipynb has no counterpart" in found
    for folder in ("solutions", "notebooks"):
        for name in ("01-second", "01-renamed"):
            assert f"{folder}/{name}.ipynb has no counterpart" in found


def test_a_chapter_that_fails_leaves_its_notebooks_alone(course: Path) -> None:
    write_all(course)
    files = [course / d / "01-second.ipynb" for d in ("notebooks", "solutions")]
    before = [p.read_bytes() for p in files]
    text = course / "solutions" / "src" / "01-second.py"
    text.write_text(SECOND + "\n# %%\n1 / 0\n", encoding="utf-8")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        release.release(["01"])
    assert [p.read_bytes() for p in files] == before


def test_an_unknown_chapter_is_refused(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["07"]) == 1
    assert "There is no chapter 07; there are 00, 01." in capsys.readouterr().err


def test_the_command_says_what_drifted(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--blank-only"]) == 0
    assert main(["--check"]) == 1
    assert "solutions/00-first.ipynb has no counterpart" in capsys.readouterr().out
    write_all(course)
    assert main(["--check"]) == 0


def test_this_repositorys_notebooks_are_what_its_texts_make(root: Path) -> None:
    assert release.drift(root) == []


def test_every_chapter_is_released_as_nbgrader_wants_it(root: Path) -> None:
    for text in release.sources(root):
        notebook = release.chapter(text, release.sources(root))
        nbformat.validate(notebook)
        graded = [c.metadata["nbgrader"] for c in notebook.cells if "nbgrader" in c.metadata]
        for metadata in graded:
            assert_schema_3(metadata)
        answers = {m["grade_id"].removeprefix("exercise-") for m in graded if m["solution"]}
        checked = {m["grade_id"].removeprefix("check-") for m in graded if m["grade"]}
        assert answers == checked, text.name
        assert len({m["grade_id"] for m in graded}) == len(graded), text.name


def test_every_exercise_of_a_chapter_has_a_check_and_the_other_way_round(root: Path) -> None:
    from fargate_lab.lesson import checks

    for text in release.sources(root):
        source = text.read_text(encoding="utf-8")
        asked = set(re.findall(r'^# %% exercise="([^"]+)"', source, re.MULTILINE))
        called = set(re.findall(r'lab\.check\("([^"]+)"\)', source))
        assert asked == called, text.name
        for number in asked:
            checks.get(number)
