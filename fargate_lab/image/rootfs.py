"""Unpacked images, kept: one folder for each stack of layers, so that a second start is instant."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..paths import cache_dir
from .digests import hex_of, of_value
from .errors import ImageError
from .extract import MAX_BYTES, unpack
from .files import remove_tree


def chain(digests: Sequence[str]) -> str:
    """The digest of a stack of layers: the same layers in the same order, the same value."""
    for digest in digests:
        hex_of(digest)
    return of_value(["rootfs", 1, list(digests)])


def unpack_cached(
    layers: Sequence[tuple[Path, str, str]],
    cache: Path | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """The folder with these layers unpacked: `rootfs/<chain>` in the cache, made when missing.

    `layers` are (blob, media type, digest), lowest first; the digests are checked when unpacking.
    `cache` is the cache folder, by default the lab's. The result is shared by all who start the
    same image: do not write into it. It appears whole or not at all, also when several processes
    ask for it at once.
    """
    digests = [digest for _, _, digest in layers]
    home = (cache or cache_dir()) / "rootfs"
    final = home / hex_of(chain(digests))[:32]
    if final.is_dir():
        return final
    home.mkdir(parents=True, exist_ok=True)
    _sweep(home)
    draft = Path(tempfile.mkdtemp(prefix=f".draft-{os.getpid()}-", dir=home))
    try:
        blobs = [(path, media_type) for path, media_type, _ in layers]
        unpack(blobs, draft / "root", verify=digests, max_bytes=max_bytes)
        # Who comes second finds the name taken, and takes what is there.
        with contextlib.suppress(OSError):
            os.rename(draft / "root", final)
        if not final.is_dir():
            raise ImageError(f"{final} could not be made.")
    finally:
        remove_tree(draft)
    return final


def _sweep(home: Path) -> None:
    """Remove what a killed process left half unpacked."""
    import psutil

    for draft in home.glob(".draft-*"):
        owner = draft.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            remove_tree(draft)
