"""Files that appear whole or not at all, and links in place of copies where possible."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """A fresh file in a folder, on the file system of its final place; removed if not moved."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".draft-", dir=folder)
    os.close(handle)
    # mkstemp makes 0600; a blob may be read by whoever may read the folder.
    os.chmod(name, 0o644)
    try:
        yield Path(name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, never sees half of it."""
    with temporary(path.parent) as draft:
        draft.write_bytes(data)
        os.replace(draft, path)


def place(source: Path, target: Path) -> None:
    """Make `target` the same content-addressed file as `source`: a hard link, or else a copy."""
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary(target.parent) as draft:
        draft.unlink()
        try:
            os.link(source, draft)
        except OSError:
            shutil.copyfile(source, draft)
        os.replace(draft, target)


def remove_tree(path: Path) -> None:
    """Remove a folder whatever modes an image gave to what is in it."""
    if not path.exists():
        return
    for where, folders, _ in os.walk(path):
        for name in folders:
            child = Path(where, name)
            if not child.is_symlink():
                with contextlib.suppress(OSError):
                    child.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
