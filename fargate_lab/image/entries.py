"""What goes into a layer: entries from memory, from a folder or from a wheel, normalised."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from .digests import CHUNK
from .errors import BuildError

#: Never part of an image, whatever a recipe says: caches and editors' droppings.
ALWAYS_IGNORED = ("__pycache__", "*.pyc", "*.pyo", ".DS_Store", ".git", ".ipynb_checkpoints")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One member of a layer: a file, a folder or a symbolic link.

    `path` is relative to the image's root, with `/`. `opener` gives a file's bytes, `size` says
    how many. Owners and times are not here: in a layer they are always the same.
    """

    path: str
    mode: int = 0o644
    size: int = 0
    opener: Callable[[], IO[bytes]] | None = None
    target: str | None = None

    @property
    def is_folder(self) -> bool:
        """Neither content nor target: a folder."""
        return self.opener is None and self.target is None


def folder(path: str, mode: int = 0o755) -> Entry:
    """A folder of its own; parents of files come by themselves."""
    return Entry(path=clean(path), mode=mode)


def from_bytes(path: str, data: bytes, mode: int = 0o644) -> Entry:
    """A file from memory."""
    return Entry(path=clean(path), mode=mode, size=len(data), opener=lambda: io.BytesIO(data))


def from_file(path: str, source: Path, mode: int | None = None) -> Entry:
    """A file from disk: 0755 when its owner may execute it, else 0644."""
    info = source.stat()
    bits = mode if mode is not None else (0o755 if info.st_mode & 0o100 else 0o644)
    return Entry(path=clean(path), mode=bits, size=info.st_size, opener=lambda: source.open("rb"))


def link(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path=clean(path), mode=0o777, target=target)


def clean(path: str) -> str:
    """The path inside an image without leading `/`; BuildError if it climbs out of the root."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise BuildError(f"{path!r} is not a path inside an image.")
    return "/".join(parts)


def from_folder(source: Path, to: str, exclude: Iterable[str] = ()) -> list[Entry]:
    """All files under `source`, placed under `to`; symbolic links to files become files."""
    if not source.is_dir():
        raise BuildError(f"{source} is not a folder; the recipe names it as the source of {to}.")
    return [from_file(f"{to}/{name}", path) for name, path in walk(source, exclude)]


def walk(source: Path, exclude: Iterable[str] = ()) -> Iterator[tuple[str, Path]]:
    """(relative path, path) of the files under a folder, sorted, without what is excluded."""
    patterns = (*ALWAYS_IGNORED, *exclude)
    for where, folders, files in os.walk(source):
        base = Path(where).relative_to(source)
        folders[:] = sorted(
            name for name in folders if not ignored((base / name).as_posix(), patterns)
        )
        for name in sorted(files):
            relative = (base / name).as_posix()
            if not ignored(relative, patterns):
                yield relative, Path(where, name)


def ignored(relative: str, patterns: Iterable[str]) -> bool:
    """Whether a path, or its last name, matches one of the patterns (`*` crosses `/`)."""
    pattern = _any_of(tuple(patterns))
    return bool(pattern.match(relative) or pattern.match(relative.rpartition("/")[2]))


@cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    plain = (pattern.strip("/").removeprefix("**/") for pattern in patterns)
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in plain) or r"(?!)")


class DockerIgnore:
    """A context's `.dockerignore`, by Docker's rules: the last pattern that matches decides.

    A pattern is anchored at the context, `*` stops at `/`, `**` does not, `!` takes back, and what
    matches a folder matches all below it.
    """

    def __init__(self, context: Path) -> None:
        path = context / ".dockerignore"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = [line.strip() for line in text.splitlines()]
        self._rules = [
            (_docker_pattern(line.removeprefix("!")), not line.startswith("!"))
            for line in lines
            if line and not line.startswith("#")
        ]

    def ignores(self, relative: str) -> bool:
        """Whether a file of the context, by its relative path, stays out."""
        answer = False
        for pattern, outcome in self._rules:
            if pattern.fullmatch(relative):
                answer = outcome
        return answer


def _docker_pattern(pattern: str) -> re.Pattern[str]:
    spelled = ""
    for piece in re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|.", pattern.strip().strip("/")):
        known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        is_set = len(piece) > 1 and piece.startswith("[")
        spelled += known.get(piece) or (piece if is_set else re.escape(piece))
    return re.compile(spelled + "(?:/.*)?")


def with_parents(entries: Iterable[Entry]) -> list[Entry]:
    """Sorted by path, with every parent folder explicit; BuildError when two want one path."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        known = by_path.get(entry.path)
        if known is not None and not (known.is_folder and entry.is_folder):
            raise BuildError(f"two files want the same place in the image: /{entry.path}")
        by_path[entry.path] = entry
    for path in list(by_path):
        parent = path
        while "/" in parent:
            parent = parent.rsplit("/", 1)[0]
            known = by_path.setdefault(parent, folder(parent))
            if not known.is_folder and known.target is None:
                raise BuildError(f"/{parent} is both a file and a folder in the image.")
    return [by_path[path] for path in sorted(by_path)]


def inputs(entries: Iterable[Entry]) -> list[list[object]]:
    """What a layer made of these entries depends on: the value whose digest is its cache key."""
    found: list[list[object]] = []
    for entry in entries:
        content: str | None = None
        if entry.opener is not None:
            with entry.opener() as file:
                content = _digest_of(file)
        found.append([entry.path, entry.mode, content, entry.target])
    return sorted(found, key=str)


def _digest_of(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while data := file.read(CHUNK):
        digest.update(data)
    return "sha256:" + digest.hexdigest()
