"""From nothing to an environment, and everything that can come between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fargate_lab.cli import bootstrap
from fargate_lab.cli.console import CommandError
from fargate_lab.cli.environment import STAMP, UNFINISHED
from tests.cli.conftest import Project, family, kill_group, until

posix = pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands in for uv")
pytestmark = posix


def test_the_first_run_sets_up_and_the_second_is_quiet_and_quick(project: Project) -> None:
    first = project.run("setup")
    assert (first.returncode, first.stdout) == (0, "")
    assert "making .venv: done" in first.stderr
    assert "installing packages: done" in first.stderr
    assert project.venv.ready()
    begun = time.monotonic()
    second = project.run("status")
    assert "done in" not in second.stderr
    assert time.monotonic() - begun < 10  # seconds where it should be under one: a busy machine


def test_the_environment_can_import_the_lab_from_anywhere(project: Project, tmp_path: Path) -> None:
    project.run("setup")
    done = subprocess.run(
        [str(project.venv.python), "-c", "import fargate_lab; print(fargate_lab.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert done.stdout.strip() == str(project.root / "fargate_lab" / "__init__.py")


def test_another_lock_is_installed_without_starting_over(project: Project) -> None:
    project.run("setup")
    kept = project.venv.folder / "kept"
    kept.touch()
    with project.venv.lock_file.open("a", encoding="utf-8") as lock:
        lock.write("# another\n")
    assert not project.venv.ready()
    done = project.run("setup")
    assert "installing packages: done" in done.stderr
    assert "making .venv" not in done.stderr
    assert kept.exists()


def test_a_moved_folder_is_set_up_anew(project: Project, tmp_path: Path) -> None:
    project.run("setup")
    moved = Project(tmp_path / "moved", project.env)
    shutil.move(project.root, moved.root)
    moved.fake_uv("exit 0")
    assert not moved.venv.ready()
    done = moved.run("setup")
    assert "making .venv: done" in done.stderr
    assert moved.venv.ready()


def test_a_python_that_is_gone_is_replaced(project: Project) -> None:
    project.run("setup")
    for name in project.venv.python.parent.glob("python*"):
        name.unlink()
    project.venv.python.symlink_to("/nowhere/python3")
    assert not project.venv.ready()
    assert project.run("setup").returncode == 0
    assert project.venv.ready()


def test_a_python_upgraded_under_the_environment_is_noticed(project: Project) -> None:
    project.run("setup")
    stamp = project.venv.folder / STAMP
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "python": "3.99"}))
    assert not project.venv.ready()


@pytest.mark.parametrize("content", ["", "{", "[]", '"ready"', "{}"])
def test_a_damaged_stamp_is_not_trusted(project: Project, content: str) -> None:
    project.run("setup")
    (project.venv.folder / STAMP).write_text(content, encoding="utf-8")
    assert not project.venv.ready()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_set_up_leaves_nothing_to_trust(project: Project, signum: int) -> None:
    project.fake_uv("sleep 300 & sleep 300")
    marker = str(project.root)
    child = project.popen("setup", LAB_TEST_FAMILY=marker)
    until(lambda: len(family(marker)) >= 4)  # lab.py, the script, its two sleeps
    ended = kill_group(child, signum)
    assert ended["code"] == 128 + signum
    assert "Interrupted" in str(ended["err"])
    assert "Traceback" not in str(ended["err"])
    until(lambda: family(marker) == [])
    assert (project.venv.folder / UNFINISHED).exists()
    project.fake_uv("exit 0")
    again = project.run("setup")
    assert "making .venv: done" in again.stderr
    assert project.venv.ready()


def test_a_killed_set_up_keeps_the_lock_until_its_installer_ends(project: Project) -> None:
    project.fake_uv(f"touch {project.root}/at-work; sleep 3")
    child = project.popen("setup")
    until((project.root / "at-work").exists)
    child.kill()
    child.communicate()
    (project.root / "at-work").unlink()
    project.fake_uv(f"touch {project.root}/second")
    done = project.run("setup")
    assert "waiting for it" in done.stderr
    assert "making .venv: done" in done.stderr
    assert project.venv.ready()


def test_two_at_once_set_up_once(project: Project) -> None:
    project.fake_uv(f"echo x >> {project.root}/count; sleep 1")
    children = [project.popen("setup") for _ in range(3)]
    ended = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert (project.root / "count").read_text() == "x\n"
    assert sum("waiting for it" in err for _, err in ended) == 2


@pytest.mark.parametrize(
    ("words", "meaning", "advice"),
    [
        ("error: dns error: failed to lookup address", "could not be reached", "HTTPS_PROXY"),
        ("No space left on device (os error 28)", "disk is full", "Free about 2 GB"),
        ("Permission denied (os error 13)", "could not be written", "writable"),
        ("invalid peer certificate: UnknownIssuer", "certificate was not", "SSL_CERT_FILE"),
        ("Hash mismatch for boto3", "hash differs", "run the command again"),
    ],
)
def test_a_failed_installation_is_explained(
    project: Project, words: str, meaning: str, advice: str
) -> None:
    project.fake_uv(f"echo '{words}' >&2; exit 2")
    done = project.run("setup")
    assert done.returncode == 1
    assert meaning in done.stderr
    assert advice in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not project.venv.ready()


def test_when_uv_fails_for_its_own_reasons_pip_does_it(project: Project) -> None:
    project.fake_uv("echo 'panicked at main.rs' >&2; exit 101")
    done = project.run("setup")
    assert "trying with pip" in done.stderr
    assert (done.returncode, project.venv.ready()) == (0, True)


def test_a_file_in_the_way_is_named(project: Project) -> None:
    project.venv.folder.write_text("not a folder", encoding="utf-8")
    done = project.run("setup")
    assert done.returncode == 1
    assert ".venv" in done.stderr
    assert "What to do" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.venv.folder.read_text(encoding="utf-8") == "not a folder"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(project: Project) -> None:
    project.root.chmod(0o555)
    try:
        done = project.run("setup")
    finally:
        project.root.chmod(0o755)
    assert done.returncode == 1
    assert "could not be written" in done.stderr


def test_a_python_without_ensurepip_is_told_what_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_uv_on_path", list)
    monkeypatch.setattr(bootstrap, "_pip", lambda *_: False)
    with pytest.raises(CommandError, match=r"apt install python3\.\d+-venv"):
        bootstrap.ensure(project.venv)
    assert not project.venv.ready()


@pytest.mark.parametrize(("command", "code"), [("stop", 0), ("status", 3), ("reset", 0)])
def test_nothing_is_set_up_to_stop_nothing(project: Project, command: str, code: int) -> None:
    done = project.run(command)
    assert done.returncode == code
    assert "nothing runs" in done.stderr
    assert not project.venv.folder.exists()


def test_doctor_needs_no_environment(project: Project) -> None:
    done = project.run("doctor")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("ok      Python")
    assert not project.venv.folder.exists()


def test_a_python_of_ones_own_must_have_the_packages(project: Project) -> None:
    done = subprocess.run(
        [sys._base_executable, "-I", str(project.root / "lab.py"), "--no-venv", "up"],  # type: ignore[attr-defined]
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        pytest.skip("the Python below the environment has the packages")
    assert "conda env create -f environment.yml" in done.stderr
