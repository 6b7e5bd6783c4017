"""Bytecode in layers: there, used, and the same wherever and in whatever order it is made."""

from __future__ import annotations

import importlib.util
import marshal
import os
import random
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fargate_lab import image
from fargate_lab.image import bytecode, compiler, entries
from fargate_lab.image.entries import Entry
from fargate_lab.image.progress import Silent

from .conftest import RECIPE, make_wheel

Make = Callable[[Path], Path]
TAG = "cpython-311"
HERE = (sys.version_info.major, sys.version_info.minor)
pytestmark = pytest.mark.skipif(HERE != (3, 11), reason="the recipe's wheels are for Python 3.11")
COMPILED = RECIPE.replace('target = "/opt/site"', 'target = "/opt/site"\nbytecode = true')


@pytest.fixture
def compiled(context: Make) -> Make:
    def make(root: Path) -> Path:
        context(root)
        (root / "image.toml").write_text(COMPILED)
        return root

    return make


def build(root: Path, **options: object) -> image.Image:
    options = {"base": "scratch", "platform": "linux/amd64", "python": "3.11", **options}
    return image.build(root, name="small", **options)  # type: ignore[arg-type]


def pycs(built: image.Image) -> dict[str, bytes]:
    found = {}
    for layer in built.layers:
        with tarfile.open(built.blob(layer.digest)) as archive:
            for member in archive:
                if member.name.endswith(".pyc"):
                    file = archive.extractfile(member)
                    assert file is not None
                    assert member.mode == 0o644
                    found[member.name] = file.read()
    return found


def some_modules() -> list[Entry]:
    """Some 40 modules of the standard library, of every kind of content."""
    library = Path(sysconfig.get_path("stdlib"))
    names = sorted([*library.glob("[a-f]*.py"), *(library / "json").glob("*.py")])
    return [
        entries.from_file(f"opt/site/{path.name}", path) for path in names if "_" not in path.name
    ]


def content(found: list[Entry]) -> dict[str, bytes]:
    return {e.path: e.opener().read() for e in found if e.opener and e.path.endswith(".pyc")}


def this_python() -> bytecode.Compiler:
    found = bytecode.compiler_for(HERE)
    assert found is not None
    return found


def test_where_it_is_and_what_it_says(compiled: Make, tmp_path: Path) -> None:
    found = pycs(build(compiled(tmp_path / "c")))
    assert sorted(found) == [
        f"opt/site/pure/__pycache__/__init__.{TAG}.pyc",
        f"opt/site/smallib/__pycache__/__init__.{TAG}.pyc",
    ]
    data = found[f"opt/site/pure/__pycache__/__init__.{TAG}.pyc"]
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[4:8] == b"\1\0\0\0"  # PEP 552: by hash, and not checked
    assert data[8:16] == importlib.util.source_hash(b"x = 1\n")
    assert marshal.loads(data[16:]).co_filename == "/opt/site/pure/__init__.py"


def test_without_the_key_there_is_none(context: Make, tmp_path: Path) -> None:
    assert pycs(build(context(tmp_path / "c"))) == {}


def test_it_is_imported_in_place_of_the_source(compiled: Make, tmp_path: Path) -> None:
    built = build(compiled(tmp_path / "c"))
    root = image.unpack(
        [(built.blob(la.digest), la.media_type) for la in built.layers], tmp_path / "r"
    )
    (root / "opt/site/pure/__init__.py").write_text("x = 'compiled again'\n")
    done = subprocess.run(
        [this_python().executable, "-S", "-c", "import pure, smallib; print(pure.x, smallib.y)"],
        env={**os.environ, "PYTHONPATH": str(root / "opt/site"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "2"]


def test_the_same_in_another_place_with_another_umask_and_environment(
    compiled: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(compiled(tmp_path / "one"))
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "cache2"))
    (tmp_path / "cache2").mkdir()
    os.rename(tmp_path / "cache/wheels", tmp_path / "cache2/wheels")
    for name, value in (("HASHSEED", "7"), ("OPTIMIZE", "2"), ("PATH", str(tmp_path))):
        monkeypatch.setenv(f"PYTHON{name}", value)
    before = os.umask(0o077)
    try:
        second = build(compiled(tmp_path / "two/deeper"), output=tmp_path / "out")
    finally:
        os.umask(before)
    assert not any(la.cached for la in second.layers)
    assert pycs(second) == pycs(first)
    assert second.digest == first.digest


def test_neither_order_nor_neighbours_nor_processes_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modules = some_modules()
    assert len(modules) > 40
    first = content(bytecode.with_bytecode(modules, this_python(), Silent()))
    assert len(first) == len(modules)
    shuffled = random.Random(1).sample(modules, len(modules))
    monkeypatch.setattr(bytecode, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(
        bytecode, "_shares", lambda all_, count: [all_[n::count] for n in range(count)]
    )
    assert content(bytecode.with_bytecode(shuffled, this_python(), Silent())) == first
    for entry in shuffled[:3]:
        alone = content(bytecode.with_bytecode([entry], this_python(), Silent()))
        assert alone.items() <= first.items()


def test_names_alive_elsewhere_in_the_process_do_not_matter() -> None:
    source = b"def very_own_name_1(a):\n    very_own_name_2 = {'very_own_name_3', ('q', 1.5)}\n"
    first = compiler.pyc(source, "/m.py")
    # marshal alone would mark them now: they are in use here, too.
    held = [sys.intern(f"very_own_name_{n}") for n in (1, 2, 3)]
    assert compiler.pyc(source, "/m.py") == first
    assert held


def test_what_is_left_out() -> None:
    files = {
        "s/a/tests/test_a.py": b"x = 1",
        "s/a/tests/__init__.py": b"",
        "s/tests.py": b"x = 1",
        "s/old.py": b"print 'two'\n",
        "s/null.py": b"x = '\0'\n",
        "s/coded.py": b"# coding: latin-1\nx = '\xe9'\n",
        "s/mark.py": b"\xef\xbb\xbfx = 1\n",
        "s/data.txt": b"x = 1",
        "s/empty.py": b"",
        "s/\xe9.py": b"x = 1",
    }
    given = [entries.from_bytes(path, data) for path, data in files.items()]
    made = bytecode.with_bytecode(given, this_python(), Silent())
    assert made[: len(given)] == given
    names = {path.removeprefix("s/__pycache__/").split(".")[0] for path in content(made)}
    assert names == {"tests", "coded", "mark", "empty", "\xe9"}


def test_the_code_is_the_source() -> None:
    for entry in some_modules()[:20]:
        assert entry.opener is not None
        source = entry.opener().read()
        data = compiler.pyc(source, f"/{entry.path}")
        expected = compile(source, f"/{entry.path}", "exec", dont_inherit=True)
        assert marshal.loads(data[16:]) == expected


def test_a_python_that_is_not_here(
    compiled: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = compiled(tmp_path / "c")
    digest = make_wheel(
        tmp_path / "cache/wheels", "only", "py3-none-any", {"only/__init__.py": b"z = 3\n"}
    )
    (root / "requirements.lock").write_text(f"only==1.0 --hash=sha256:{digest}\n")
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    bytecode.compiler_for.cache_clear()
    told = Recorder()
    built = build(root, python="3.99", progress=told)
    assert pycs(built) == {}
    notes = [note for task, note in told.notes if task == "bytecode"]
    assert len(notes) == 1
    assert "Python 3.99 is not on this machine" in notes[0]


@pytest.fixture
def impostor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`python3.99` on PATH that is this Python."""
    program = tmp_path / "bin/python3.99"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    bytecode.compiler_for.cache_clear()
    yield
    bytecode.compiler_for.cache_clear()


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for a Python")
def test_a_program_of_that_name_with_another_version(impostor: None) -> None:
    assert bytecode.compiler_for((3, 99)) is None


class Recorder(Silent):
    """A progress that remembers notes."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    def finish(self, task: str, note: str = "") -> None:
        self.notes.append((task, note))


def test_only_wheels_are_compiled(compiled: Make, tmp_path: Path) -> None:
    root = compiled(tmp_path / "c")
    recipe = COMPILED.replace('target = "/app/app"', 'target = "/app/app"\nbytecode = true')
    (root / "image.toml").write_text(recipe)
    with pytest.raises(
        image.BuildError, match=r"layer 'app': bytecode must be true or false.*only"
    ):
        build(root)


def test_the_cache_knows_with_and_without(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    build(root)
    (root / "image.toml").write_text(COMPILED)
    again = build(root)
    assert [la.name for la in again.layers if not la.cached] == ["dependencies", "library"]
