"""An unpacked image seen through a container's eyes: which file is behind a container's path."""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

COPY_LIMIT = 64 * 2**20
"""Bytes of working directory that each container gets a copy of; a larger one is shared."""


@dataclass(frozen=True)
class RootFs:
    """The shared, unpacked image below `root`, with `own` folders of one container over it."""

    root: Path
    own: Mapping[str, Path] = field(default_factory=dict)
    """Container path → this container's own folder."""

    def place(self, path: str) -> Path:
        """The file behind a normal absolute container path, links not followed."""
        for prefix in sorted(self.own, key=len, reverse=True):
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                return self.own[prefix] / path[len(prefix) :].lstrip("/")
        return self.root / path.lstrip("/")

    def resolve(self, path: str, base: str = "/") -> Path:
        """The file behind a container path, with links followed as the container would.

        A link to an absolute path stays inside the image. The file need not exist.
        """
        todo = [p for p in posixpath.join(base, path).split("/") if p]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop(0)
            if part in (".", ".."):
                if part == "..":
                    del done[-1:]
                continue
            found = self.place("/" + "/".join([*done, part]))
            if found.is_symlink() and links < 40:
                links += 1
                target = os.readlink(found).replace(os.sep, "/")
                if target.startswith("/"):
                    done = []
                todo = [p for p in target.split("/") if p] + todo
            else:
                done.append(part)
        return self.place("/" + "/".join(done))

    def exists(self, path: str) -> bool:
        """Whether the container would find something at an absolute path."""
        return self.resolve(path).exists()

    def translate(self, value: str) -> str:
        """An argument or a variable's value with the container's paths made this machine's.

        Lists as in PATH are translated part by part; anything that is no path of the image stays.
        """
        parts = value.split(":")
        if len(parts) > 1 and all(p == "" or p.startswith("/") for p in parts):
            return os.pathsep.join(self._one(p) for p in parts)
        option, equals, path = value.partition("=")
        if equals and option.startswith("-"):
            return option + equals + self._one(path)
        return self._one(value)

    def _one(self, value: str) -> str:
        # "/" alone is a value like any other (a URL's root path, say), never a folder of the image.
        if value.startswith("/") and value.strip("/") and "\0" not in value:
            found = self.resolve(value)
            if found.exists():
                return str(found)
        return value


def own_copy(source: Path, target: Path) -> bool:
    """Copy a working directory unless it is above COPY_LIMIT; whether it was copied."""
    size = 0
    for folder, _, names in os.walk(source):
        for name in names:
            size += os.lstat(os.path.join(folder, name)).st_size
            if size > COPY_LIMIT:
                return False
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
    return True
