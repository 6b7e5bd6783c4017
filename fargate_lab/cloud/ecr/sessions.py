"""Uploads under way: bytes go to a temporary file and through SHA-256 as they come.

An upload lives as long as the cloud: what an interrupted cloud had received of a blob was never
acknowledged as a blob, so the next start removes it and the client begins again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fargate_lab.cloud.ecr import errors
from fargate_lab.cloud.ecr.blobstore import BlobStore
from fargate_lab.cloud.protocol import AwsError

STALE_SECONDS = 24 * 3600.0
"""ECR forgets an upload that saw no byte for a day."""


@dataclass
class Upload:
    """One blob on its way into a repository."""

    id: str
    scope: str
    repository: str
    path: Path
    received: int = 0
    parts: list[int] = field(default_factory=list)
    """Sizes of the parts, for the layer API's rule on their least size."""
    touched: float = field(default_factory=time.monotonic)
    lock: threading.RLock = field(default_factory=threading.RLock)
    writing: threading.Lock = field(default_factory=threading.Lock)
    """Held while a request's body goes into it: bodies of two requests must not mix."""
    hasher: Any = field(default_factory=hashlib.sha256)

    @property
    def account(self) -> str:
        """Whose registry it goes to."""
        return self.scope.partition("/")[0]


class Uploads:
    """All uploads of one cloud. Safe to use from many threads."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self.folder = folder
        self.blobs = blobs
        self._open: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def clean(self) -> None:
        """Remove what an earlier run left half-way. For the start, before any request."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def begin(self, scope: str, repository: str) -> Upload:
        """A new, empty upload."""
        self._forget_stale()
        name = str(uuid.uuid4())
        upload = Upload(name, scope, repository, self.folder / name)
        try:
            upload.path.touch()
        except OSError as error:
            raise disk_error(error) from error
        with self._lock:
            self._open[name] = upload
        return upload

    def find(self, scope: str, repository: str, upload_id: str) -> Upload:
        """An upload of this repository; `AwsError` UploadNotFoundException otherwise."""
        upload = self._open.get(upload_id)
        if upload is None or (upload.scope, upload.repository) != (scope, repository):
            raise errors.upload_missing(scope.partition("/")[0], repository, upload_id)
        return upload

    def append(self, upload: Upload, data: bytes) -> int:
        """Add bytes at the end; how many there are now.

        When they cannot be written (a full disk), the upload ends and `AwsError` 507 says so.
        """
        with upload.lock:
            self._alive(upload)
            try:
                with upload.path.open("ab") as file:
                    file.write(data)
            except OSError as error:
                self.abort(upload)
                raise disk_error(error) from error
            upload.hasher.update(data)
            upload.received += len(data)
            upload.touched = time.monotonic()
            return upload.received

    def finish(self, upload: Upload, digest: str) -> bool:
        """Make a blob of it; whether the repository did not hold that blob before.

        `AwsError` InvalidLayerException when the digest is not that of the bytes: the upload ends,
        for nothing that could still be sent would make it right.
        """
        with upload.lock:
            self._alive(upload)
            actual = f"sha256:{upload.hasher.hexdigest()}"
            if actual != digest:
                self.abort(upload)
                raise errors.layer_digest_wrong(digest, actual)
            try:
                with upload.path.open("r+b") as file:
                    os.fsync(file.fileno())
                new = self.blobs.adopt(
                    upload.scope, upload.repository, digest, upload.path, upload.received
                )
            except OSError as error:
                self.abort(upload)
                raise disk_error(error) from error
            with self._lock:
                self._open.pop(upload.id, None)
            return new

    def abort(self, upload: Upload) -> None:
        """Forget it and its bytes."""
        with upload.lock:
            with self._lock:
                self._open.pop(upload.id, None)
            with contextlib.suppress(OSError):
                upload.path.unlink(missing_ok=True)

    def abort_all(self, scope: str, repository: str) -> None:
        """Forget every upload into a repository: it is being deleted."""
        with self._lock:
            doomed = [
                u for u in self._open.values() if (u.scope, u.repository) == (scope, repository)
            ]
        for upload in doomed:
            self.abort(upload)

    def _alive(self, upload: Upload) -> None:
        if upload.id not in self._open:
            raise errors.upload_missing(upload.account, upload.repository, upload.id)

    def _forget_stale(self) -> None:
        limit = time.monotonic() - STALE_SECONDS
        with self._lock:
            stale = [u for u in self._open.values() if u.touched < limit]
        for upload in stale:
            self.abort(upload)


def disk_error(error: OSError) -> AwsError:
    """The answer when the lab's disk does not take a blob."""
    return AwsError(
        "ServerException",
        f"The lab cannot store this blob ({error.strerror or error}). Nothing of it was kept. "
        "Free some disk space, or choose another folder with --state-dir, and push again.",
        507,
    )
