"""lab.py itself: what every Python is told, help, and commands that do not exist."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fargate_lab import paths
from fargate_lab.cli.arguments import COMMANDS, parse
from fargate_lab.cli.console import CommandError

LAB = paths.repo_root() / "lab.py"
OLD = ("python2.7", "python3.6", "python3.7", "python3.8", "python3.9", "python3.10")


def load() -> ModuleType:
    """lab.py as a module."""
    spec = importlib.util.spec_from_file_location("lab", LAB)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 1), (3, 10, 13)])
def test_an_old_python_is_refused_with_advice(version: tuple[int, ...]) -> None:
    message = load().refusal(version)
    assert f"this is Python {version[0]}.{version[1]}." in message
    assert "3.11 or newer" in message
    assert "What to do" in message


def test_an_old_python_names_the_newer_one_that_is_there() -> None:
    assert "python3.13 lab.py" in load().refusal((3, 8, 0), ["python3.13"])


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 2), (4, 0, 0)])
def test_a_new_python_will_do(version: tuple[int, ...]) -> None:
    assert load().refusal(version) is None


@pytest.mark.parametrize("name", OLD)
def test_a_real_old_python_reads_the_file(name: str) -> None:
    python = _working(name)
    if python is None:
        pytest.skip(f"no {name} here")
    done = subprocess.run([python, str(LAB)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The lab needs Python 3.11 or newer")
    assert "Traceback" not in done.stderr


def _working(name: str) -> str | None:
    """A Python of that name that starts: a version manager's folder counts too."""
    version = name.removeprefix("python")
    versions = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    for candidate in [shutil.which(name), *map(str, versions)]:
        if (
            candidate
            and not subprocess.run([candidate, "-V"], capture_output=True, check=False).returncode
        ):
            return candidate
    return None


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """lab.py as a process."""
    return subprocess.run(
        [sys.executable, str(LAB), *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_names_every_command_and_sets_nothing_up() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert [name for name in COMMANDS if name not in done.stdout] == []
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python3 lab.py {command}")


def test_a_typing_error_gets_the_nearest_command() -> None:
    done = run("statsu")
    assert done.returncode == 2
    assert "Did you mean: python3 lab.py status" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "--port", "0"], "no port"),
        (["up", "--port", "70000"], "no port"),
        (["up", "--port", "http"], "no port"),
        (["up", "--runtime", "podman"], "invalid choice"),
        (["stop", "--now"], "does not know --now"),
        (["up", "here"], "does not know here"),
        (["test", "--long", "--long-only"], "not allowed with"),
    ],
)
def test_a_wrong_option_is_one_sentence(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], "open"),
        (["--no-browser"], "open"),
        (["--port", "8900"], "open"),
        (["--no-venv", "--runtime", "process"], "open"),
        (["--no-venv", "up", "--port", "8900"], "up"),
        (["test", "-k", "up"], "test"),
    ],
)
def test_the_command_is_found(words: list[str], command: str) -> None:
    assert parse(words).command == command


def test_what_test_does_not_know_goes_to_pytest() -> None:
    options = parse(["test", "--long", "tests/cli", "-k", "a or b", "-x"])
    assert options.long
    assert options.pytest_args == ["tests/cli", "-k", "a or b", "-x"]


def test_an_unlike_word_gets_the_list() -> None:
    with pytest.raises(CommandError, match="The commands: open, up"):
        parse(["zzzz"])
