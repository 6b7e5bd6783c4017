"""Layers written bit for bit the same everywhere, hashed while written, cached by their inputs.

The rule of a layer: entries sorted by name, parents explicit, uid = gid = 0 without names,
mtime = 1 s, modes 0644 or 0755, gzip (where asked for) at level 1 without name and time.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

from ..paths import cache_dir
from . import files
from .digests import CHUNK, hex_of, of_value
from .entries import Entry, with_parents
from .errors import BuildError
from .media import LAYER_GZIP, LAYER_TAR
from .progress import Progress

#: Raised when the bytes written for the same inputs change, so that no old layer is reused.
FORMAT = 1
MTIME = 1

#: Annotations of a layer in the manifest: what a table of layers shows.
NOTE_NAME = "lab.fargate.layer.name"
NOTE_SIZE = "lab.fargate.layer.uncompressed-size"
NOTE_FILES = "lab.fargate.layer.files"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an image; sizes in bytes. `cached` = it was there already, not built now."""

    name: str
    digest: str
    diff_id: str
    size: int
    uncompressed_size: int
    media_type: str
    files: int
    cached: bool = False

    def descriptor(self) -> dict[str, Any]:
        """The layer as a manifest names it."""
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
            "annotations": {
                NOTE_NAME: self.name,
                NOTE_SIZE: str(self.uncompressed_size),
                NOTE_FILES: str(self.files),
            },
        }


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Hashing:
    """Counts and hashes what passes through."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._sink.write(data)

    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


class _Gzip:
    """A gzip stream whose header holds no time, no name and no operating system."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc, self._size = 0, 0
        sink.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff")

    def write(self, data: bytes, /) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._sink.write(self._deflate.compress(data))

    def close(self) -> None:
        tail = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        self._sink.write(self._deflate.flush() + tail)


def write_tar(entries: Iterable[Entry], sink: _Sink, told: Callable[[int], None]) -> int:
    """Write entries, already sorted and with parents, as one tar. The number of files."""
    count = 0
    for entry in entries:
        sink.write(_header(entry))
        if entry.opener is not None:
            count += 1
            with entry.opener() as source:
                _copy(source, sink, entry, told)
        else:
            count += entry.target is not None
    sink.write(bytes(2 * tarfile.BLOCKSIZE))
    return count


def _header(entry: Entry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.mode, info.mtime = entry.mode, MTIME
    if entry.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.target
    elif entry.opener is None:
        info.type = tarfile.DIRTYPE
    else:
        info.size = entry.size
    try:
        return info.tobuf(tarfile.USTAR_FORMAT)
    except ValueError:  # a name too long for ustar, or a file over 8 GiB: only then PAX
        return info.tobuf(tarfile.PAX_FORMAT)


def _copy(source: IO[bytes], sink: _Sink, entry: Entry, told: Callable[[int], None]) -> None:
    left = entry.size
    while left:
        data = source.read(min(CHUNK, left))
        if not data:
            raise BuildError(f"/{entry.path} became shorter while it was read; build again.")
        sink.write(data)
        left -= len(data)
        told(len(data))
    if padding := -entry.size % tarfile.BLOCKSIZE:
        sink.write(bytes(padding))


class LayerCache:
    """Built layers by the digest of their inputs: `layers/` in the cache folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_dir() / "layers"

    def blob(self, digest: str) -> Path:
        """Where a layer's bytes are, or would be."""
        return self.root / "sha256" / hex_of(digest)

    def _record(self, key: str) -> Path:
        return self.root / "keys" / f"{hex_of(key)}.json"

    def find(self, key: str, name: str) -> Layer | None:
        """The layer built from these inputs before, if its bytes are still here."""
        try:
            record = json.loads(self._record(key).read_text(encoding="utf-8"))
            layer = Layer(**{**record, "name": name, "cached": True})
            return layer if self.blob(layer.digest).stat().st_size == layer.size else None
        except (OSError, ValueError, TypeError):
            return None

    def layer(
        self,
        name: str,
        inputs: Any,
        make: Callable[[], Iterable[Entry]],
        *,
        gzip: bool,
        progress: Progress,
    ) -> Layer:
        """The layer for these inputs: from the cache, or written now from `make()`."""
        key = of_value({"format": FORMAT, "gzip": gzip, "inputs": inputs})
        found = self.find(key, name)
        if found is not None:
            progress.start(name, found.uncompressed_size)
            progress.advance(name, found.uncompressed_size)
            progress.finish(name, "cached")
            return found
        built = self._write(name, with_parents(make()), gzip=gzip, progress=progress)
        record = {k: v for k, v in vars(built).items() if k not in ("name", "cached")}
        files.write_atomically(self._record(key), json.dumps(record).encode())
        return replace(built, cached=False)

    def _write(self, name: str, entries: list[Entry], *, gzip: bool, progress: Progress) -> Layer:
        progress.start(name, sum(entry.size for entry in entries))
        with files.temporary(self.root) as draft:
            with draft.open("wb", buffering=CHUNK) as out:
                blob = _Hashing(out)
                packer = _Gzip(blob) if gzip else None
                content = _Hashing(packer) if packer else blob
                count = write_tar(entries, content, lambda n: progress.advance(name, n))
                if packer:
                    packer.close()
            target = self.blob(blob.digest())
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(draft, target)
        progress.finish(name, "built")
        return Layer(
            name=name,
            digest=blob.digest(),
            diff_id=content.digest(),
            size=blob.size,
            uncompressed_size=content.size,
            media_type=LAYER_GZIP if gzip else LAYER_TAR,
            files=count,
        )
