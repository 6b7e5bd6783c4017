"""sha256 digests of files and values, in the form `sha256:<hex>` that OCI uses."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from .errors import DigestMismatchError, ImageError

CHUNK = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def of_bytes(data: bytes) -> str:
    """The digest of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """The digest of a file, read once in pieces."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def of_value(value: Any) -> str:
    """The digest of a JSON value in one canonical spelling: the key of a cache."""
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def hex_of(digest: str) -> str:
    """The hex part, after a check: a digest from outside must never become a path unseen."""
    if not _DIGEST.fullmatch(digest):
        raise ImageError(f"{digest!r} is not a digest: expected sha256: and 64 hex digits.")
    return digest[7:]


def verify_file(path: Path, digest: str, what: str) -> None:
    """Raise DigestMismatchError unless the file has this digest."""
    hex_of(digest)
    found = of_file(path)
    if found != digest:
        raise DigestMismatchError(what, digest, found)
