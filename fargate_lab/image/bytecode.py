"""Bytecode beside the modules of a layer, so that no container compiles them when it starts.

The files are those of `python -m compileall --invalidation-mode unchecked-hash`, with each module's
path inside the image, compiled by a Python of the image's own minor version. Their bytes depend on
that Python's version and on the sources: not on the folder, the order or what runs beside.
"""

from __future__ import annotations

import functools
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import compiler, entries
from .entries import Entry
from .errors import BuildError
from .progress import Progress

#: Raised when the bytes made from the same sources by the same Python change.
FORMAT = 1
#: Folders whose modules stay source only: a container does not run its dependencies' tests.
LEFT_OUT = "tests"
_PARALLEL = 4
#: Bytes of source that are worth a process of their own: compiling them takes about 0.2 s.
_WORTH_A_PROCESS = 512 << 10
_ASK = "import sys; print(sys.implementation.cache_tag, '.'.join(map(str, sys.version_info)))"


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """A Python of this machine. `tag` is such as `cpython-311`, `version` such as `3.11.9`."""

    executable: str
    tag: str
    version: str

    def inputs(self) -> list[object]:
        """What the bytecode depends on beside the sources."""
        return ["bytecode", FORMAT, LEFT_OUT, self.tag, self.version]


@functools.cache
def compiler_for(python: tuple[int, int]) -> Compiler | None:
    """A Python of that (major, minor) here, without its environment; None when there is none."""
    if python == (sys.version_info.major, sys.version_info.minor):
        executable = str(getattr(sys, "_base_executable", "") or sys.executable)
        return _compiler(
            executable, sys.implementation.cache_tag, _dotted(sys.version_info), python
        )
    name = f"python{python[0]}.{python[1]}"
    found = shutil.which(name)
    # A shim of a version manager may have the name and no such Python behind it.
    return _asked(found, python) if found else _launched(python)


def _launched(python: tuple[int, int]) -> Compiler | None:
    """By Windows' launcher, which knows the versions that are installed (PEP 397)."""
    launcher = shutil.which("py") if os.name == "nt" else None
    if launcher is None:
        return None
    said = _said([launcher, f"-{python[0]}.{python[1]}", "-c", "import sys; print(sys.executable)"])
    return _asked(said, python) if said else None


def _asked(executable: str, python: tuple[int, int]) -> Compiler | None:
    words = (_said([executable, "-S", "-c", _ASK]) or "").split()
    return _compiler(executable, words[0], words[1], python) if len(words) == 2 else None


def _compiler(
    executable: str, tag: str | None, version: str, python: tuple[int, int]
) -> Compiler | None:
    # Another implementation's bytecode would not be read by the image's CPython.
    if tag != f"cpython-{python[0]}{python[1]}":
        return None
    return Compiler(executable=executable, tag=tag, version=version)


def _said(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _dotted(version: Iterable[object]) -> str:
    return ".".join(map(str, version))


def with_bytecode(found: Sequence[Entry], by: Compiler, progress: Progress) -> list[Entry]:
    """The entries, and a `__pycache__/NAME.TAG.pyc` for every module that compiles."""
    modules = [entry for entry in found if _is_module(entry)]
    if not modules:
        return list(found)
    total = sum(entry.size for entry in modules)
    task = f"bytecode of {len(modules)} module(s)"
    progress.start(task, total)
    shares = _shares(modules, min(_PARALLEL, os.cpu_count() or 1, total // _WORTH_A_PROCESS + 1))
    # A zip is read by one at a time: only the waiting is done in parallel.
    sent = [b"".join(map(_question, share)) for share in shares]
    made: list[Entry] = []
    with ThreadPoolExecutor(len(shares)) as pool:
        for share, answer in zip(shares, pool.map(functools.partial(_run, by), sent), strict=True):
            made.extend(_answers(share, answer, by))
            progress.advance(task, sum(entry.size for entry in share))
    progress.finish(task, f"by Python {'.'.join(by.version.split('.')[:3])}")
    return [*found, *made]


def _is_module(entry: Entry) -> bool:
    if entry.opener is None or not entry.path.endswith(".py"):
        return False
    return LEFT_OUT not in entry.path.split("/")[:-1]


def _shares(modules: Sequence[Entry], count: int) -> list[list[Entry]]:
    """The modules in so many parts of about the same size."""
    shares: list[list[Entry]] = [[] for _ in range(count)]
    sizes = [0] * count
    for entry in sorted(modules, key=lambda entry: (-entry.size, entry.path)):
        smallest = sizes.index(min(sizes))
        shares[smallest].append(entry)
        sizes[smallest] += entry.size
    return [share for share in shares if share]


def _question(entry: Entry) -> bytes:
    assert entry.opener is not None
    with entry.opener() as file:
        source = file.read()
    return compiler.field(f"/{entry.path}".encode()) + compiler.field(source)


def _run(by: Compiler, sent: bytes) -> bytes:
    # The hash seed decides the order of sets in the bytecode of Python 3.10 and older.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONHASHSEED"] = "0"
    script = str(Path(compiler.__file__).resolve())
    done = subprocess.run(
        [by.executable, "-s", "-S", "-B", "-W", "ignore", script],
        input=sent,
        env=environment,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-600:]
        raise BuildError(f"{by.executable} could not compile the image's modules: {said}")
    return done.stdout


def _answers(share: Sequence[Entry], answer: bytes, by: Compiler) -> Iterable[Entry]:
    stream = io.BytesIO(answer)
    for entry in share:
        data = compiler.read(stream)
        if data is None:
            raise BuildError(f"{by.executable} stopped before it compiled /{entry.path}.")
        if data:
            folder, _, name = entry.path.rpartition("/")
            stem = name.removesuffix(".py")
            yield entries.from_bytes(f"{folder}/__pycache__/{stem}.{by.tag}.pyc", data)
