"""Blobs on disk, one file for each content, and which repository may see which blob.

A blob is there when two things are: its file, and a membership document that says which
repository holds it. The file comes first and goes last, so a kill at any moment leaves at worst
a file without a holder, which the next start removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from fargate_lab.cloud.store import Store

HOLDER = "blob"
"""kind; scope: the blob's hex; key: `account/region/repository`."""
LAYER = "layer"
"""kind; scope: `account/region`; key: `repository@digest`: the same fact, from the other side."""

PROMISE_SECONDS = 3600.0
"""How long a blob that no image names yet is kept for the push that will name it."""


class BlobStore:
    """All blobs of one cloud. Safe to use from many threads."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.lock = threading.RLock()
        self._promises: dict[tuple[str, str, str], float] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a blob's bytes are; digest is `sha256:<hex>`, already checked."""
        return self.folder / digest.partition(":")[2]

    def size(self, scope: str, repository: str, digest: str) -> int | None:
        """The size in bytes of a blob this repository holds, or None."""
        found = self.store.get(LAYER, scope, f"{repository}@{digest}")
        return int(found["size"]) if found else None

    def promise(self, scope: str, repository: str, digest: str) -> int | None:
        """Like `size`; a blob that was answered for is kept until the push that asked is done."""
        with self.lock:
            size = self.size(scope, repository, digest)
            if size is not None:
                self._promises[scope, repository, digest] = time.monotonic()
            return size

    def keep_promise(self, scope: str, repository: str, digests: Iterable[str]) -> None:
        """An image names these blobs now: from here on the image keeps them."""
        with self.lock:
            for digest in digests:
                self._promises.pop((scope, repository, digest), None)

    def adopt(self, scope: str, repository: str, digest: str, temporary: Path, size: int) -> bool:
        """Take a complete, synced file in; whether the repository did not hold the blob before.

        The file is gone from its place afterwards. The blob is on disk when this returns.
        """
        target = self.path(digest)
        with self.lock:
            if target.exists() and target.stat().st_size == size:
                temporary.unlink()
            else:
                temporary.replace(target)
                sync_folder(self.folder)
            return self._hold(scope, repository, digest, size)

    def mount(self, scope: str, source: str, repository: str, digest: str) -> bool:
        """Let a repository see a blob that another of the same scope holds; whether it does."""
        with self.lock:
            size = self.size(scope, source, digest)
            if size is None:
                return False
            self._hold(scope, repository, digest, size)
            return True

    def held(self, scope: str, repository: str) -> dict[str, int]:
        """Digest → size of every blob that a repository holds."""
        prefix = f"{repository}@"
        rows = self.store.items(LAYER, scope, prefix)
        return {key[len(prefix) :]: int(row["size"]) for key, row in rows}

    def release(self, scope: str, repository: str, keep: Iterable[str] = ()) -> None:
        """Drop what a repository holds and no image of it needs, except what is promised."""
        wanted = set(keep)
        with self.lock:
            gone = [
                digest
                for digest in self.held(scope, repository)
                if digest not in wanted and not self._promised(scope, repository, digest)
            ]
            self._drop(scope, repository, gone)

    def release_all(self, scope: str, repository: str) -> None:
        """Drop everything a repository holds: it is being deleted."""
        with self.lock:
            self._drop(scope, repository, list(self.held(scope, repository)))

    def forget(self, digest: str) -> None:
        """Drop a blob from every repository: its file was removed or changed from outside."""
        with self.lock:
            for holder, _ in self.store.items(HOLDER, digest.partition(":")[2]):
                account, region, repository = holder.split("/", 2)
                self._drop(f"{account}/{region}", repository, [digest])

    def sweep(self) -> int:
        """Remove files that no repository holds; how many. For the start, before any request."""
        removed = 0
        with self.lock:
            held = set(self.store.scopes(HOLDER))
            for path in self.folder.iterdir():
                if path.name not in held:
                    with contextlib.suppress(OSError):
                        path.unlink()
                        removed += 1
        return removed

    def _hold(self, scope: str, repository: str, digest: str, size: int) -> bool:
        self._promises[scope, repository, digest] = time.monotonic()
        key = f"{repository}@{digest}"
        if self.store.get(LAYER, scope, key):
            return False
        with self.store.transaction():
            document = {"size": size, "uploadedAt": time.time()}
            self.store.put(LAYER, scope, key, document)
            self.store.put(HOLDER, digest.partition(":")[2], f"{scope}/{repository}", {})
        return True

    def _promised(self, scope: str, repository: str, digest: str) -> bool:
        made = self._promises.get((scope, repository, digest))
        return made is not None and time.monotonic() - made < PROMISE_SECONDS

    def _drop(self, scope: str, repository: str, digests: list[str]) -> None:
        with self.store.transaction():
            for digest in digests:
                self.store.delete(LAYER, scope, f"{repository}@{digest}")
                self.store.delete(HOLDER, digest.partition(":")[2], f"{scope}/{repository}")
                self._promises.pop((scope, repository, digest), None)
        for digest in digests:
            if not self.store.items(HOLDER, digest.partition(":")[2]):
                # On Windows a blob that is being read cannot go; the next start removes it.
                with contextlib.suppress(OSError):
                    self.path(digest).unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable, where the system knows how."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
