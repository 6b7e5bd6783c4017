"""Nothing imports anything above it: the floors of docs/architecture.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from fargate_lab import paths

ROOT = paths.repo_root()
PACKAGE = ROOT / "fargate_lab"
FLOORS = ("facts", "image", "runtime", "cloud", "lesson", "cli")
"""Lowest first. What lies directly in the package (paths, the version) is below them all."""

LESSON_MAY_SEE = {"fargate_lab.cloud.process"}
"""Lessons talk to the cloud over HTTP; they start and find it by its process alone."""

BEFORE_THE_ENVIRONMENT = (
    "arguments",
    "bootstrap",
    "console",
    "doctor",
    "environment",
    "locking",
    "steps",
    "troubles",
)
LIGHT = ("fargate_lab", "fargate_lab.image", "fargate_lab.lesson", "fargate_lab.cli.bootstrap")
HEAVY = {"sklearn", "docker", "jupyter_server", "jupyterlab", "onnxruntime", "moto", "pandas"}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, absolute, wherever in the file the import stands."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def floor(module: str) -> int:
    """How high a module of the package lies; -1 for what lies below all floors."""
    parts = module.split(".")
    return FLOORS.index(parts[1]) if len(parts) > 1 and parts[1] in FLOORS else -1


def within(module: str, allowed: Collection[str]) -> bool:
    """Whether a module is one of the allowed ones, or a name in it."""
    return any(module == each or module.startswith(each + ".") for each in allowed)


def own(path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=own)
def test_no_import_goes_up(path: Path) -> None:
    here = floor(own(path))
    above = {m for m in imports(path) if m.startswith("fargate_lab.") and floor(m) > here}
    assert above == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "lesson").rglob("*.py")), ids=own)
def test_lessons_reach_the_cloud_over_http(path: Path) -> None:
    seen = {m for m in imports(path) if m.startswith("fargate_lab.cloud.")}
    beyond = {
        m for m in seen if not any(m == ok or m.startswith(ok + ".") for ok in LESSON_MAY_SEE)
    }
    assert beyond == set()


@pytest.mark.parametrize("path", sorted((ROOT / "lab_docker").rglob("*.py")), ids=str)
def test_the_image_knows_nothing_of_the_lab(path: Path) -> None:
    assert {m for m in imports(path) if m.split(".")[0] == "fargate_lab"} == set()


@pytest.mark.parametrize("module", BEFORE_THE_ENVIRONMENT)
def test_set_up_needs_the_standard_library_alone(module: str) -> None:
    seen = {m.split(".")[0] for m in imports(PACKAGE / "cli" / f"{module}.py")}
    assert seen - set(sys.stdlib_module_names) <= {"fargate_lab"}
    siblings = {m for m in imports(PACKAGE / "cli" / f"{module}.py") if m.startswith("fargate_lab")}
    allowed = [f"fargate_lab.cli.{each}" for each in BEFORE_THE_ENVIRONMENT]
    beyond = {m for m in siblings if not within(m, ["fargate_lab.paths", *allowed])}
    assert beyond <= {"fargate_lab", "fargate_lab.cli"}


@pytest.mark.parametrize("module", LIGHT)
def test_an_import_brings_in_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
