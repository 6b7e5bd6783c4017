"""`lab.py test` itself: honest counts, an honest exit code, nothing left running."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fargate_lab.cli import arguments, testing
from tests.cli.conftest import Lab, family, kill_group, until

BARE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""pytest alone starts in a fraction of the time; none of its plugins matters here."""


def run(lab: Lab, path: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `lab.py test` over one file of tests."""
    path.write_text(text, encoding="utf-8")
    options = ("--rootdir", str(path.parent), "-c", "/dev/null", "-p", "no:cacheprovider")
    return lab.run("test", str(path), *options, *words, **BARE)


def test_a_passing_run_ends_like_pytest(lab: Lab, tmp_path: Path) -> None:
    done = run(lab, tmp_path / "test_a.py", "def test_a(): pass\ndef test_b(): pass\n")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.strip("=").split(" in ")[0] == " 2 passed"


def test_a_failure_shows_in_the_code_and_the_counts(lab: Lab, tmp_path: Path) -> None:
    text = "import pytest\ndef test_a(): assert 0\ndef test_b(): pytest.skip('no')\n"
    done = run(lab, tmp_path / "test_a.py", text)
    assert done.returncode == 1
    assert " 1 failed, 1 skipped in " in done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "text", ["", "def broken(:\n", "import pytest\npytest.skip('all', allow_module_level=True)\n"]
)
def test_a_run_without_a_passed_test_is_no_success(lab: Lab, tmp_path: Path, text: str) -> None:
    assert run(lab, tmp_path / "test_a.py", text).returncode == 1


def test_a_process_left_behind_is_stopped_and_fails_the_run(lab: Lab, tmp_path: Path) -> None:
    text = (
        "import pathlib, subprocess, sys\n"
        "def test_a(tmp_path):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'],\n"
        "        start_new_session=True)\n"
        f"    pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
    )
    done = run(lab, tmp_path / "test_a.py", text)
    assert done.returncode == 1
    assert "left running and now stopped" in done.stderr
    assert " 1 failed, 1 passed in " in done.stdout.strip().splitlines()[-1]
    pid = int((tmp_path / "pid").read_text(encoding="utf-8"))
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupted_run_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "test_a.py"
    path.write_text(
        "import pathlib, subprocess, sys\n"
        "def test_a():\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'],\n"
        "        start_new_session=True)\n"
        f"    pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "    child.wait()\n",
        encoding="utf-8",
    )
    child = lab.popen("test", str(path), "-c", "/dev/null", "--rootdir", str(tmp_path), **BARE)
    until((tmp_path / "ready").exists)
    ended = kill_group(child)
    assert ended["code"] == 130
    assert "Traceback" not in str(ended["err"])
    assert family(lab.marker) == []


def test_a_long_test_runs_only_when_asked_for(lab: Lab) -> None:
    path = Path(__file__).with_name("test_full_setup.py")
    done = lab.run("test", str(path), "-rs")
    assert " 1 skipped in " in done.stdout.strip().splitlines()[-1]
    assert "only with `lab.py test --long`" in done.stdout
    assert done.returncode == 1


def test_the_plan_of_each_kind_of_run() -> None:
    root = Path(__file__).parents[2]

    def names(*words: str) -> list[str]:
        return [name for name, _ in testing._plan(arguments.parse(["test", *words]), root)]

    assert names()[:4] == ["ruff", "format", "mypy", "tests"]
    assert names("--long")[:4] == ["ruff", "format", "mypy", "tests"]
    assert names("--long-only") == ["long tests"]
    assert names("tests/cli") == ["tests"]


def test_a_report_is_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3"/></testsuites>',
        encoding="utf-8",
    )
    assert testing.read_report(report) == {"passed": 3, "failed": 2, "errors": 1, "skipped": 3}
    assert testing.read_report(tmp_path / "none.xml") == {}


def test_the_closing_line_adds_everything_up() -> None:
    line = testing.closing_line([{"passed": 2, "failed": 1}, {"passed": 1, "errors": 1}], 1.5)
    assert line.strip("=") == " 1 failed, 3 passed, 1 error in 1.50s "
    assert "no tests ran" in testing.closing_line([], 0.0)


def test_python_runs_the_tests_it_was_started_with() -> None:
    plan = testing._plan(arguments.parse(["test"]), Path(__file__).parents[2])
    assert {command[0] for _, command in plan} == {sys.executable}
