"""The size, the words and the manners that every file of the project keeps to."""

from __future__ import annotations

import ast
import json
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fargate_lab import paths

ROOT = paths.repo_root()
MODULE_LINES = 500
FUNCTION_LINES = 40
CELLS = range(25, 61)
# 45 cells of lesson, and three cells (task, answer, check) for each of up to five exercises.
CELL_LINES = 20
MEDIAN_CELL_LINES = 5

Function = ast.FunctionDef | ast.AsyncFunctionDef

# In halves, so that this file does not hold what it looks for.
INDEX_HOSTS = ["pypi" + ".org", "python" + "hosted", "npm" + "js.", "deb." + "debian."]
HOME_FOLDER = re.compile(r"/(?:home|Users)/(?!jovyan|you|lab\b)[a-z][\w.-]+/|/root/\.\w")


def tracked() -> list[Path]:
    """The files under version control; what was downloaded as an archive is taken whole."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        found = [p for p in ROOT.rglob("*") if not {".venv", ".lab", ".git"} & set(p.parts)]
    else:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in found if path.is_file()]


def modules(*folders: str) -> list[Path]:
    """The Python files of some top-level folders."""
    return [p for p in tracked() if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in folders]


def name(path: Path) -> str:
    """A path as a test's name shows it."""
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method of a module, nested ones too."""
    return (n for n in ast.walk(tree) if isinstance(n, Function))


def speaks(path: Path) -> bool:
    """Programs of their own, and what notebooks call: they say what they have to say."""
    return path.name == "__main__.py" or path.parent.name in {"lesson", "checks"}


PACKAGE = modules("fargate_lab")
EVERYWHERE = modules("fargate_lab", "lab_docker", "tests", "benchmarks", "solutions", "quiz")
NOTEBOOKS = [p for p in tracked() if p.suffix == ".ipynb" and p.parent.name != "tests"]


def test_there_is_something_to_look_at() -> None:
    assert len(PACKAGE) > 10
    assert ROOT / "lab.py" in tracked()


@pytest.mark.parametrize("path", EVERYWHERE, ids=name)
def test_a_module_fits_in_one_head(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MODULE_LINES, f"{lines} lines: find the seam and make two modules of it"


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_functions_are_short(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    long = {
        f"{f.name} (line {f.lineno})": (f.end_lineno or 0) - f.lineno + 1
        for f in functions(tree)
        if (f.end_lineno or 0) - f.lineno + 1 > FUNCTION_LINES
    }
    assert not long, f"longer than {FUNCTION_LINES} lines"


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_public_names_are_explained(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert _unexplained(tree) == []


def _unexplained(tree: ast.Module) -> list[str]:
    """Public names of a module without a docstring; an empty `__init__.py` needs none."""
    missing = ["the module"] if tree.body and not ast.get_docstring(tree) else []
    scopes: list[tuple[str, ast.Module | ast.ClassDef]] = [("", tree)]
    while scopes:
        prefix, scope = scopes.pop()
        for node in scope.body:
            if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and not _is_overload(node):
                missing.append(f"{prefix}{node.name}")
            if isinstance(node, ast.ClassDef):
                scopes.append((f"{node.name}.", node))
    return missing


def _is_overload(node: ast.ClassDef | Function) -> bool:
    words = {ast.unparse(each) for each in node.decorator_list}
    return any(w.endswith((".setter", "overload", "override")) for w in words)


@pytest.mark.parametrize("path", [p for p in PACKAGE if not speaks(p)], ids=name)
def test_the_package_does_not_print(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prints = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert prints == []


@pytest.mark.parametrize("path", modules("fargate_lab", "tests"), ids=name)
def test_waiting_has_a_bound(path: Path) -> None:
    """A sleep belongs into a loop that looks at something until a deadline."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unbounded = [f.name for f in functions(tree) if _sleeps(f) and not _is_bounded(f)]
    at_import = [n.lineno for n in tree.body if not isinstance(n, ast.ClassDef | Function)
                 and _sleeps(n)]  # fmt: skip
    assert (unbounded, at_import) == ([], [])


def _sleeps(node: ast.AST) -> bool:
    calls = (ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call))
    return any(call in {"time.sleep", "asyncio.sleep", "sleep"} for call in calls)


def _is_bounded(function: Function) -> bool:
    """A loop around the sleep, and a clock or a counted number of rounds that ends it."""
    loops = [n for n in ast.walk(function) if isinstance(n, ast.While | ast.For | ast.AsyncFor)]
    around = [loop for loop in loops if _sleeps(loop)]
    clock = re.search(r"monotonic|deadline|loop\.time|timeout", ast.unparse(function))
    return bool(around) and bool(clock or any(isinstance(loop, ast.For) for loop in around))


@pytest.mark.parametrize("path", tracked(), ids=name)
def test_no_file_names_a_machine_or_an_index(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    assert [host for host in INDEX_HOSTS if host in text] == []
    assert HOME_FOLDER.findall(text) == []
    assert str(ROOT) + "/" not in text


def test_no_lock_that_names_index_hosts() -> None:
    assert [name(p) for p in tracked() if p.name == "uv.lock"] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_has_the_size_of_a_lesson(path: Path) -> None:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [_lines("".join(c["source"])) for c in cells if c["cell_type"] == "code"]
    assert len(cells) in CELLS
    assert max(code) <= CELL_LINES
    assert statistics.median(code) <= MEDIAN_CELL_LINES


def _lines(source: str) -> int:
    """Lines with something in them: nbgrader's markers and blank lines teach nothing."""
    return sum(1 for line in source.splitlines() if line.strip() and "###" not in line)
