"""Which shared libraries an ELF file needs: a small reader, instead of running `ldd` on it.

Source: System V ABI, "Object Files" and "Dynamic Linking"; 64-bit little-endian only, which
x86-64 and arm64 are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29


@dataclass(frozen=True, kw_only=True)
class Elf:
    """`interpreter` is the dynamic loader that an executable asks for, empty for a library."""

    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    interpreter: str = ""


def read_elf(path: Path) -> Elf | None:
    """The dynamic section of a file; None when it is not 64-bit ELF."""
    with path.open("rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF" or head[4] != 2 or len(head) < 64:
            return None
        offset, size, count = _header(head)
        file.seek(offset)
        table = file.read(size * count)
        segments = [struct.unpack_from("<IIQQQQQQ", table, size * i) for i in range(count)]
        interpreter = ""
        dynamic = b""
        for kind, _, at, _, _, length, _, _ in segments:
            file.seek(at)
            if kind == _PT_INTERP:
                interpreter = file.read(length).rstrip(b"\0").decode()
            elif kind == _PT_DYNAMIC:
                dynamic = file.read(length)
        tags = list(struct.iter_unpack("<qQ", dynamic[: len(dynamic) // 16 * 16]))
        strings = _file_offset(dict(tags).get(_DT_STRTAB, 0), segments)

        def text(index: int) -> str:
            file.seek(strings + index)
            return file.read(4096).split(b"\0", 1)[0].decode()

        needed = tuple(text(value) for tag, value in tags if tag == _DT_NEEDED)
        search = tuple(
            folder
            for tag, value in tags
            if tag in (_DT_RPATH, _DT_RUNPATH)
            for folder in text(value).split(":")
            if folder
        )
    return Elf(needed=needed, search=search, interpreter=interpreter)


def _header(head: bytes) -> tuple[int, int, int]:
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    return offset, size, count


def _file_offset(address: int, segments: list[tuple[int, ...]]) -> int:
    for kind, _, at, virtual, _, length, _, _ in segments:
        if kind == _PT_LOAD and virtual <= address < virtual + length:
            return at + address - virtual
    return 0
