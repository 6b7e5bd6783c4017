"""The smallest program there is: it waits, and so holds a task's network namespace open.

An engine may be offline, so nothing can be pulled for this. The program is a static ELF file of
one system call, put together here (Linux ABI; `elf(5)`).
"""

from __future__ import annotations

import io
import struct
import tarfile

_X86_64 = bytes.fromhex("6a22 58 0f05 ebf9")
"""push 34 (pause); pop rax; syscall; jmp back."""
_ARM64 = struct.pack(
    "<7I",
    *(0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003),  # x0..x3 = 0
    0xD2800928,  # x8 = 73 (ppoll)
    0xD4000001,  # svc 0
    0x17FFFFFA,  # back to the start
)
_MACHINES = {"amd64": (0x3E, _X86_64), "arm64": (0xB7, _ARM64)}
_BASE = 0x400000


def program(architecture: str) -> bytes:
    """The executable for `amd64` or `arm64`."""
    machine, code = _MACHINES[architecture]
    start = 64 + 56
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01" + bytes(9),
        *(2, machine, 1, _BASE + start, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    size = start + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code


def archive(architecture: str) -> bytes:
    """A root file system with nothing but `/pause`."""
    out = io.BytesIO()
    data = program(architecture)
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("pause")
        info.size, info.mode = len(data), 0o755
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
