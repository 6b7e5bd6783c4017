"""Wheels for the image's platform: found in the cache, downloaded when missing, opened as entries.

The learner's own machine does not matter: tags and markers are evaluated for the target. What is in
the cache already costs no network call.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..paths import cache_dir
from . import entries
from .digests import of_file
from .entries import Entry
from .errors import BuildError, MissingWheelsError
from .files import place
from .lock import Pin, read_lock
from .progress import Progress, Silent
from .target import Target

if TYPE_CHECKING:
    from packaging.tags import Tag

#: What an installer writes beside a package, and what no container needs. The Dockerfile
#: removes the same names, so that both ways give the same files.
DROPPED_METADATA = frozenset(
    {"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"}
)


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel on disk whose digest is known to be right."""

    path: Path
    digest: str


def resolve(
    lock: Path, target: Target, *, cache: Path | None = None, progress: Progress | None = None
) -> list[Wheel]:
    """The wheels of a lock for a target, from the cache or, when missing, by download.

    MissingWheelsError when neither has them. A damaged wheel in the cache is fetched again.
    """
    folder = cache or cache_dir() / "wheels"
    pins = read_lock(lock, target)
    found = _cached(pins, target, folder)
    missing = [pin for pin in pins if pin not in found]
    if missing:
        _download(missing, target, folder, progress or Silent())
        found |= _cached(missing, target, folder)
        still = [f"{pin.name}=={pin.version}" for pin in missing if pin not in found]
        if still:
            raise MissingWheelsError(still, f"There is no wheel for {target.platform}.")
    return [found[pin] for pin in pins]


def _cached(pins: Sequence[Pin], target: Target, folder: Path) -> dict[Pin, Wheel]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    ranks = {tag: rank for rank, tag in enumerate(_tags(target))}
    wanted = {(pin.name, pin.version): pin for pin in pins}
    best: dict[Pin, tuple[int, Wheel]] = {}
    for path in sorted(folder.glob("*.whl")):
        try:
            name, version, _, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        pin = wanted.get((name, str(version)))
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if pin is None or rank is None or (pin in best and best[pin][0] <= rank):
            continue
        digest = of_file(path)
        if digest.removeprefix("sha256:") in pin.hashes:
            best[pin] = (rank, Wheel(path=path, digest=digest))
    return {pin: wheel for pin, (_, wheel) in best.items()}


def _tags(target: Target) -> Iterator[Tag]:
    from packaging.tags import compatible_tags, cpython_tags

    platforms = list(target.wheel_platforms())
    yield from cpython_tags(target.python, platforms=platforms)
    interpreter = f"cp{target.python[0]}{target.python[1]}"
    yield from compatible_tags(target.python, interpreter=interpreter, platforms=platforms)


def _download(pins: Sequence[Pin], target: Target, folder: Path, progress: Progress) -> None:
    task = f"download {len(pins)} wheel(s)"
    progress.start(task, None)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as draft:
        wanted = Path(draft, "wanted.txt")
        wanted.write_text("\n".join(pin.line() for pin in pins), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--only-binary=:all:", "--no-deps", "--require-hashes", "--dest", draft),
            *("--python-version", target.python_version, "--implementation", "cp"),
            *(part for tag in target.wheel_platforms() for part in ("--platform", tag)),
            *("--requirement", str(wanted)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for wheel in Path(draft).glob("*.whl"):
            place(wheel, folder / wheel.name)
    progress.finish(task, "done" if done.returncode == 0 else "failed")
    if done.returncode:
        raise _failure(pins, done.stderr)


def _failure(pins: Sequence[Pin], stderr: str) -> BuildError:
    names = [f"{pin.name}=={pin.version}" for pin in pins]
    if "DO NOT MATCH THE HASHES" in stderr:
        return BuildError(
            f"a downloaded wheel has another hash than the lock names: {stderr[-600:].strip()}"
        )
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR")]
    return MissingWheelsError(names, f"pip said: {' '.join(errors[-2:]) or stderr.strip()[-300:]}")


def installed(wheels: Iterable[Wheel], to: str, exclude: Sequence[str] = ()) -> list[Entry]:
    """The files of wheels as `pip install --target` would place them under `to`, sorted later.

    `exclude` is matched against each wheel's own paths, as placed.
    """
    found: list[Entry] = []
    for wheel in wheels:
        found.extend(_install(wheel, to, exclude))
    return found


def _install(wheel: Wheel, to: str, exclude: Sequence[str]) -> Iterator[Entry]:
    try:
        # Not closed here: its entries read from it later, and it closes with the last of them.
        archive = zipfile.ZipFile(wheel.path)
    except (OSError, zipfile.BadZipFile) as broken:
        raise BuildError(f"the wheel {wheel.path.name} cannot be read: {broken}") from None
    for info in archive.infolist():
        place_at = _place(info.filename)
        if info.is_dir() or place_at is None or entries.ignored(place_at, exclude):
            continue
        executable = (info.external_attr >> 16) & 0o111
        yield Entry(
            path=entries.clean(f"{to}/{place_at}"),
            mode=0o755 if executable else 0o644,
            size=info.file_size,
            opener=partial(archive.open, info),
        )


def _place(name: str) -> str | None:
    """Where a wheel's member goes below the target folder; None when it does not (PEP 427)."""
    first, _, rest = name.partition("/")
    if first.endswith(".data"):
        scheme, _, rest = rest.partition("/")
        return rest or None if scheme in ("purelib", "platlib", "data") else None
    if first.endswith(".dist-info") and rest in DROPPED_METADATA:
        return None
    return None if entries.ignored(name, entries.ALWAYS_IGNORED) else name
