"""The declaration, the lock, the conda file and the other starts say the same."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from fargate_lab import paths
from fargate_lab.cli.bootstrap import pinned, pins

ROOT = paths.repo_root()
LOCK = ROOT / "requirements.lock"


@cache
def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@cache
def locked() -> dict[str, list[str]]:
    """Name to versions of everything in the lock: a newer Python may get a newer version."""
    text = LOCK.read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for word, version in re.findall(r"(?m)^([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)", text):
        found.setdefault(canonicalize_name(word), []).append(version)
    return found


@cache
def conda() -> dict[str, Any]:
    """environment.yml."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    return loaded


def declared() -> list[Requirement]:
    """What the project needs, and what its checks need."""
    words = [*project()["project"]["dependencies"], *project()["dependency-groups"]["dev"]]
    return [Requirement(word) for word in words]


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_lock_satisfies_the_declaration(requirement: Requirement) -> None:
    versions = locked().get(canonicalize_name(requirement.name))
    assert versions, "not in the lock: make it again as its first lines say"
    assert [v for v in versions if not requirement.specifier.contains(v, prereleases=True)] == []


def test_every_pin_has_hashes_and_no_address() -> None:
    text = LOCK.read_text(encoding="utf-8")
    entries = re.split(r"(?m)^(?=[a-zA-Z0-9])", text)[1:]
    assert len(entries) == pins(LOCK) == sum(map(len, locked().values()))
    assert [e.split()[0] for e in entries if "--hash=sha256:" not in e] == []
    assert not re.search(r"https?://|--index|--find-links|(?m:^/)", text)
    assert str(ROOT) not in text


def test_one_package_can_be_taken_out_of_the_lock() -> None:
    lines = pinned(LOCK, "uv").splitlines()
    assert lines[0].startswith(f"uv=={locked()['uv'][0]}")
    assert len(lines) > 5
    assert all("--hash=sha256:" in line for line in lines[1:])
    with pytest.raises(ValueError, match="no-such-package"):
        pinned(LOCK, "no-such-package")


def test_conda_gives_what_the_lock_pins() -> None:
    assert conda()["name"] == project()["project"]["name"] == "fargate-ml-lab"
    plain = [word for word in conda()["dependencies"] if isinstance(word, str)]
    nested = [word for word in conda()["dependencies"] if isinstance(word, dict)]
    python = next(Requirement(word) for word in plain if word.startswith("python"))
    assert python.specifier == SpecifierSet(project()["project"]["requires-python"])
    # Everything declared comes from the lock, which holds it: nothing can drift apart.
    assert nested == [{"pip": ["-r requirements.lock"]}]
    others = {Requirement(w).name for w in plain} - {"python"}
    assert others <= {r.name for r in declared()}


def test_binder_gives_what_the_lock_pins() -> None:
    folder = ROOT / ".binder"
    line = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert line[0] == "-r"
    assert (folder / line[1]).resolve() == LOCK
    name, version = (folder / "runtime.txt").read_text(encoding="utf-8").strip().split("-")
    assert name == "python"
    assert SpecifierSet(project()["project"]["requires-python"]).contains(version)
    for script in ("postBuild", "start"):
        assert "lab.py" in (folder / script).read_text(encoding="utf-8")
        assert sys.platform == "win32" or (folder / script).stat().st_mode & 0o111


def test_the_devcontainer_sets_up_with_lab_py() -> None:
    path = ROOT / ".devcontainer" / "devcontainer.json"
    loaded = json.loads(path.read_text(encoding="utf-8"))
    assert loaded["postCreateCommand"] == "python3 lab.py setup"
    version = loaded["image"].split(":")[1].split("-")[0]
    assert SpecifierSet(project()["project"]["requires-python"]).contains(version)


def imported(folder: str) -> set[str]:
    """The top-level modules that a folder's files import and the standard library lacks."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    # lab_docker's programs and library are imported by their own names, as inside the image.
    inside = {p.stem for p in (ROOT / "lab_docker").rglob("*.py")} | {"app", "inkprep"}
    local = {"fargate_lab", "lab_docker", "tests", "benchmarks", "conftest"} | inside
    return found - set(sys.stdlib_module_names) - local


def distributions(module: str) -> set[str]:
    """The distributions that bring a module in."""
    return {canonicalize_name(d) for d in metadata.packages_distributions().get(module, [])}


def undeclared(modules: set[str], names: set[str]) -> list[str]:
    """Modules that none of the declared distributions brings in."""
    return sorted(m for m in modules if not distributions(m) & names)


def test_the_package_imports_only_what_is_declared() -> None:
    words = project()["project"]["dependencies"]
    names = {canonicalize_name(Requirement(word).name) for word in words}
    assert undeclared(imported("fargate_lab"), names) == []


def test_the_tests_import_only_what_is_declared() -> None:
    names = {canonicalize_name(requirement.name) for requirement in declared()}
    assert undeclared(imported("tests"), names) == []


def test_licences_are_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "CC BY 4.0" in (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert project()["project"]["license"] == "Apache-2.0"


def test_ignored_folders_are_not_tracked() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {".venv/", ".lab/"} <= set(ignored)
