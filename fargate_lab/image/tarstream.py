"""Tar members read from a stream: no seeking, and no header may ask for much memory.

Reads ustar, PAX and GNU long names, which is all that image layers hold; what it does not know it
refuses. (The standard library's reader takes a header's word for how much to read at once.)
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Protocol

from .digests import CHUNK
from .errors import UnpackError

#: Bytes that a PAX or long-name header may take; real ones take a few hundred.
_HEADER_LIMIT = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_TYPES = frozenset(
    {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE}
    | {tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}
)


class Source(Protocol):
    """Something to read bytes from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


class Body:
    """The content of the current member."""

    def __init__(self, source: Source, name: str, size: int) -> None:
        self._source, self._name = source, name
        self._left = size
        self._padding = -size % _BLOCK

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces of at most a mebibyte."""
        while self._left:
            data = self._source.read(min(CHUNK, self._left))
            if not data:
                raise UnpackError(self._name, "the archive ends in the middle of this member.")
            self._left -= len(data)
            yield data

    def skip(self) -> None:
        """Read past what is left and the padding."""
        for _ in self.chunks():
            pass
        _exactly(self._source, self._padding, self._name)
        self._padding = 0


def members(source: Source) -> Iterator[tuple[tarfile.TarInfo, Body]]:
    """(header, content) of each member, long names already put in place."""
    extra: dict[str, str] = {}
    while True:
        block = source.read(_BLOCK)
        while block and len(block) < _BLOCK and (more := source.read(_BLOCK - len(block))):
            block += more
        if not block or block == bytes(_BLOCK):
            return
        info = _header(block)
        if info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, b"L", b"K"):
            extra |= _extra(source, info)
            continue
        if info.type not in _TYPES:
            raise UnpackError(info.name, f"members of the type {info.type!r} are not understood.")
        _apply(info, extra)
        extra = {}
        if not info.isreg():
            info.size = 0
        body = Body(source, info.name, info.size)
        yield info, body
        body.skip()


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as wrong:
        raise UnpackError(
            "(header)", f"this is not a tar archive, or it is damaged: {wrong}"
        ) from None


def _extra(source: Source, info: tarfile.TarInfo) -> dict[str, str]:
    if not 0 <= info.size <= _HEADER_LIMIT:
        raise UnpackError(info.name, f"its extended header claims {info.size} bytes.")
    data = _exactly(source, info.size, info.name)
    _exactly(source, -info.size % _BLOCK, info.name)
    if info.type in (b"L", b"K"):
        text = data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        return {"path" if info.type == b"L" else "linkpath": text}
    found = _records(data, info.name)
    if any(key.startswith("GNU.sparse") for key in found):
        raise UnpackError(info.name, "sparse files are not understood; write the layer without.")
    # A global header may carry comments; a path in it would rename every member.
    return found if info.type == tarfile.XHDTYPE else {}


def _records(data: bytes, name: str) -> dict[str, str]:
    """PAX records: `<length> <key>=<value>\\n` (POSIX.1-2001, pax)."""
    found: dict[str, str] = {}
    while data.rstrip(b"\0"):
        length, space, _ = data.partition(b" ")
        if not space or not length.isdigit() or not len(length) + 3 < int(length) <= len(data):
            raise UnpackError(name, "its extended header is malformed.")
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[int(length) :]
    return found


def _apply(info: tarfile.TarInfo, extra: dict[str, str]) -> None:
    info.name = extra.get("path", info.name)
    info.linkname = extra.get("linkpath", info.linkname)
    if "size" in extra:
        if not extra["size"].isdigit():
            raise UnpackError(info.name, "its extended header gives a size that is no number.")
        info.size = int(extra["size"])
    if info.size < 0:
        raise UnpackError(info.name, "its size is negative.")


def _exactly(source: Source, size: int, name: str) -> bytes:
    data = b""
    while len(data) < size:
        more = source.read(size - len(data))
        if not more:
            raise UnpackError(name, "the archive ends in the middle of this member.")
        data += more
    return data
