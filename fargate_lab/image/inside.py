"""Paths that stay inside a root folder, whatever names and links an archive brings."""

from __future__ import annotations

import os
import posixpath
import stat
import sys
from collections import deque
from pathlib import Path

from .errors import UnpackError

_MAX_LINKS = 40  # as Linux: path_resolution(7)
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))]
)


def parts_of(name: str) -> list[str]:
    """The components of a member's name; UnpackError when it is absolute or climbs."""
    if name.startswith("/"):
        raise UnpackError(name, "its path is absolute; members are relative to the image's root.")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UnpackError(name, "its path contains `..`, which could leave the image's root.")
    if "\0" in name:
        raise UnpackError(name, "its path contains a NUL character.")
    if sys.platform == "win32":
        for part in parts:
            _check_windows(name, part)
    return parts


def _check_windows(name: str, part: str) -> None:
    if (
        any(c in '<>:"\\|?*' or ord(c) < 32 for c in part)
        or part.endswith((".", " "))
        or part.split(".")[0].lower() in _RESERVED
    ):
        raise UnpackError(name, f"Windows cannot hold a file named {part!r}; use Linux or WSL 2.")


class Inside:
    """Resolves paths below a root as if the root were `/`, and refuses to leave it."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._known: dict[tuple[str, ...], str] = {}

    def forget(self) -> None:
        """A folder or link was replaced: what was resolved before may be wrong now."""
        self._known.clear()

    def path(self, relative: str) -> str:
        """The file system path of a place that is already resolved."""
        return f"{self.root}/{relative}" if relative else self.root

    def folder(self, parts: list[str], member: str) -> str:
        """The resolved place of a folder, made where it is missing; follows links inside."""
        key = tuple(parts)
        found = self._known.get(key)
        if found is None:
            found = self.resolve(parts, member, make=True)
            if found and not os.path.isdir(self.path(found)):
                raise UnpackError(member, f"/{found} is a file, so nothing can be below it.")
            self._known[key] = found
        return found

    def resolve(self, parts: list[str], member: str, *, make: bool = False) -> str:
        """Where a path leads, all links followed, as a relative path without links."""
        real: list[str] = []
        pending = deque(parts)
        links = 0
        while pending:
            part = pending.popleft()
            if part in ("", "."):
                continue
            if part == "..":
                if not real:
                    raise UnpackError(member, "a link on its way leads out of the image's root.")
                real.pop()
                continue
            real.append(part)
            path = self.path("/".join(real))
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                if make:
                    os.mkdir(path, 0o755)
                continue
            except NotADirectoryError:
                raise UnpackError(member, f"/{'/'.join(real[:-1])} is a file.") from None
            if stat.S_ISLNK(mode):
                links += 1
                if links > _MAX_LINKS:
                    raise UnpackError(member, "its path goes through too many links, or a loop.")
                text = os.readlink(path).replace(os.sep, "/")
                real = [] if text.startswith("/") else real[:-1]
                pending.extendleft(reversed(text.split("/")))
        return "/".join(real)

    def link_text(self, place: str, target: str, member: str) -> str:
        """What a link at a resolved place must say to lead where it would with the root as `/`.

        An absolute target becomes a relative one, so that it cannot mean this machine's own file.
        """
        here = posixpath.dirname(place)
        if not target or "\0" in target:
            raise UnpackError(member, "it is a link to nothing.")
        if sys.platform == "win32" and "\\" in target:
            raise UnpackError(member, "its target contains a backslash, a separator on Windows.")
        start = [] if target.startswith("/") else [part for part in here.split("/") if part]
        _check_climb(start, target, member)
        if not target.startswith("/"):
            return target
        return posixpath.relpath(posixpath.normpath(target), "/" + here)


def _check_climb(start: list[str], target: str, member: str) -> None:
    depth = len(start)
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            raise UnpackError(member, f"it links to {target!r}, which is outside the image's root.")
