"""Layers that something makes: the custom library's wheel and the trained model.

Both are kept by the digest of what they are made from, and made again only when that changes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from ..paths import cache_dir
from .digests import hex_of, of_file, of_value
from .entries import walk
from .errors import BuildError
from .files import remove_tree, write_atomically
from .progress import Progress
from .recipe import Step
from .wheels import Wheel

#: Reproducible wheels: https://reproducible-builds.org/specs/source-date-epoch/ (zip's 1980 limit).
_EPOCH = "315532800"
#: Packages whose versions may change what training gives.
_TRAINING = ("numpy", "scipy", "scikit-learn", "onnx", "skl2onnx")


def tree_key(root: Path, exclude: Sequence[str] = ()) -> list[list[str]]:
    """[path, digest] of every file below a folder (or of the one file): its content as a value."""
    if root.is_file():
        return [[root.name, of_file(root)]]
    if not root.is_dir():
        raise BuildError(f"{root} is not there; the recipe names it.")
    return [[name, of_file(path)] for name, path in walk(root, exclude)]


def library_wheel(source: Path, progress: Progress) -> Wheel:
    """The wheel of a library in a folder with a `pyproject.toml` for hatchling."""
    if not (source / "pyproject.toml").is_file():
        raise BuildError(f"{source} has no pyproject.toml, so no wheel can be built from it.")
    key = hex_of(of_value([metadata.version("hatchling"), tree_key(source, ("dist", "tests"))]))
    folder = cache_dir() / "libraries" / key
    found = sorted(folder.glob("*.whl"))
    if not found:
        progress.start(f"wheel of {source.name}", None)
        found = [_build_wheel(source, folder)]
        progress.finish(f"wheel of {source.name}", "built")
    return Wheel(path=found[0], digest=of_file(found[0]))


def _build_wheel(source: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draft-") as draft:
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*command, draft],
            cwd=source,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list(Path(draft).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise BuildError(f"no wheel of {source}: {(done.stderr or done.stdout).strip()[-800:]}")
        final = folder / wheels[0].name
        os.replace(wheels[0], final)
    return final


def made_folder(context: Path, step: Step, progress: Progress) -> Path:
    """The folder that `step.make` writes: `source` in its arguments becomes a folder in the cache.

    Made again when the command, a file of `inputs` (by default the context's own *.py files) or
    the version of a package that training uses has changed. A `source` that is there already is
    taken as it is: it is a model that was given.
    """
    given = context / step.source
    if given.is_dir() and any(given.iterdir()):
        return given
    names = step.inputs or sorted(path.name for path in context.glob("*.py"))
    inputs = [[name, tree_key(context / name)] for name in names]
    key = hex_of(of_value([list(step.make), inputs, _versions()]))
    folder = cache_dir() / "made" / key
    if not (folder / "done").is_file():
        progress.start(f"make {step.name}", None)
        _run(context, step, folder)
        progress.finish(f"make {step.name}", "made")
    return folder / "output"


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _TRAINING:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append((name, metadata.version(name)))
    return found


def _run(context: Path, step: Step, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draft-") as draft:
        output = Path(draft, "made", "output")
        output.mkdir(parents=True)
        command = [str(output) if part == step.source else part for part in step.make]
        done = subprocess.run(
            [sys.executable, *command],
            cwd=context,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BuildError(
                f"layer {step.name!r}: `{' '.join(step.make)}` failed with status "
                f"{done.returncode}:\n{done.stderr.strip()[-1500:]}"
            )
        if not any(output.iterdir()):
            raise BuildError(f"layer {step.name!r}: `{' '.join(step.make)}` wrote nothing.")
        write_atomically(output.parent / "done", done.stdout.encode())
        remove_tree(folder)
        with contextlib.suppress(OSError):  # another process was first, with the same result
            os.replace(output.parent, folder)
