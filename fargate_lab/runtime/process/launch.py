"""From a container's command line to a command of this machine."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import stat
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fargate_lab.runtime.driver import StartError
from fargate_lab.runtime.process import python
from fargate_lab.runtime.process.rootfs import RootFs
from fargate_lab.runtime.process.shim import fargate_lab_shim as shim

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FIRST_BOOT = "init.py"
SHELLS = {"sh", "bash", "dash", "ash"}
EXEC_FORMAT_EXIT = 255
_ELF_MACHINES = {0x3E: "amd64", 0xB7: "arm64"}
_RUNC = (
    "ResourceInitializationError: failed to create new container runtime task: failed to create "
    "shim task: OCI runtime create failed: runc create failed: unable to start container process: "
)


@dataclass(frozen=True)
class Command:
    """What to start: an executable of this machine and its whole argv."""

    executable: str
    argv: list[str]


class ExecFormat(Exception):
    """A program for another machine: the container starts, and dies at once."""


@dataclass(frozen=True)
class Launcher:
    """Everything that is needed to start programs of one container."""

    root: RootFs
    variables: dict[str, str]
    """The container's own, before translation."""
    working_directory: str
    boot: Path
    """The script that starts Python with the shim."""
    interpreter: python.Interpreter | None

    def command(self, arguments: list[str], *, first: bool = False) -> Command:
        """The command behind a container's argv; raises StartError or ExecFormat.

        first: it becomes the container's first process.
        """
        if not arguments:
            raise StartError("no command specified", "CannotCreateContainerError")
        program = arguments[0]
        if python.is_python(program):
            return self._python([self.root.translate(a) for a in arguments[1:]], first)
        found = self._find(program)
        rest = [self.root.translate(a) for a in arguments[1:]]
        if found is None:
            own = _own_shell(program) if sys.platform not in ("linux",) else None
            if own is None:
                raise StartError(_not_found(program))
            return Command(own, [program, *rest])
        return self._program(program, found, rest, first)

    def _python(self, arguments: list[str], first: bool) -> Command:
        if self.interpreter is None:
            raise StartError("no Python of this machine can run the image")
        options, _, _, _ = shim.options_of(arguments)  # type: ignore[no-untyped-call]
        executable = self.interpreter.executable
        # -S keeps this machine's site-packages out: what the image lacks must be missing.
        boot = self.boot.with_name(FIRST_BOOT) if first else self.boot
        return Command(executable, ["python3", "-S", *options, str(boot), *arguments])

    def _find(self, program: str) -> Path | None:
        if "/" in program:
            found = self.root.resolve(program, self.working_directory)
            return found if found.is_file() else None
        for folder in self.variables.get("PATH", DEFAULT_PATH).split(":"):
            found = self.root.resolve(posixpath.join(folder or ".", program), "/")
            if found.is_file():
                return found
        return None

    def _program(self, name: str, found: Path, rest: list[str], first: bool) -> Command:
        if os.name == "posix" and not found.stat().st_mode & 0o111:
            raise StartError(f'{_RUNC}exec: "{name}": permission denied: unknown')
        with found.open("rb") as file:
            head = file.read(4096)
        if head.startswith(b"#!"):
            line = head[2:].split(b"\n", 1)[0].decode(errors="replace").strip().split(None, 1)
            words = line if line and not line[0].endswith("/env") else line[1].split()
            return self.command([*words, str(found), *rest], first=first)
        if head.startswith(b"\x7fELF"):
            return _elf(self.root, name, found, head, rest)
        own = _own_shell(name)
        if own is not None:
            return Command(own, [name, *rest])
        raise ExecFormat(f"exec {name}: exec format error")


def _not_found(program: str) -> str:
    why = "no such file or directory" if "/" in program else "executable file not found in $PATH"
    kind = "stat" if "/" in program else "exec"
    middle = f"{kind} {program}" if kind == "stat" else f'"{program}"'
    return f"{_RUNC}exec: {middle}: {why}: unknown".replace(
        "exec: stat", f'exec: "{program}": stat'
    )


def _own_shell(name: str) -> str | None:
    base = name.rsplit("/", 1)[-1]
    return shutil.which("sh") if base in SHELLS else None


def _elf(root: RootFs, name: str, found: Path, head: bytes, rest: list[str]) -> Command:
    machine = _ELF_MACHINES.get(struct.unpack_from("<H", head, 18)[0], "")
    if f"linux/{machine}" != python.host_platform():
        own = _own_shell(name) if sys.platform != "linux" else None
        if own is None:
            raise ExecFormat(f"exec {name}: exec format error")
        return Command(own, [name, *rest])
    loader = _loader(head)
    if loader is None or Path(loader).exists():
        return Command(str(found), [name, *rest])
    # Built for another C library: the image brings its loader along.
    own_loader = root.resolve(loader)
    if not own_loader.is_file():
        raise StartError(
            f'{_RUNC}exec: "{name}": stat {loader}: no such file or directory: unknown'
        )
    libraries = ":".join(str(root.resolve(p)) for p in ("/lib", "/usr/lib", "/usr/local/lib"))
    return Command(
        str(own_loader), [str(own_loader), "--library-path", libraries, str(found), *rest]
    )


def _loader(head: bytes) -> str | None:
    """The program interpreter that a 64-bit ELF file asks for; None for a static one."""
    offset, size, count = (
        struct.unpack_from("<Q", head, 32)[0],
        *struct.unpack_from("<HH", head, 54),
    )
    for index in range(count):
        at = offset + index * size
        if at + 40 > len(head):
            return None
        if struct.unpack_from("<I", head, at)[0] == 3:
            start, length = (
                struct.unpack_from("<Q", head, at + 8)[0],
                struct.unpack_from("<Q", head, at + 32)[0],
            )
            return head[start : start + length].rstrip(b"\0").decode(errors="replace")
    return None


def write_boot(folder: Path, interpreter: python.Interpreter, config: dict[str, Any]) -> Path:
    """Write the script that starts Python with the shim, and `python3` for shells to find."""
    folder.mkdir(parents=True, exist_ok=True)
    boot = folder / "boot.py"
    executable = ""
    if os.name == "posix":
        for name in ("python3", "python"):
            wrapper = folder / name
            wrapper.write_text(
                f'#!/bin/sh\nexec "{interpreter.executable}" -S "{boot}" "$@"\n', encoding="utf-8"
            )
            wrapper.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP)
        executable = str(folder / "python3")
    config = {
        **config,
        "executable": executable,
        "site": interpreter.site,
        "substitutes": interpreter.substitutes,
        "lab_site": python.lab_site(),
    }
    shim_folder = str(Path(shim.__file__).resolve().parent)
    for path, is_first in ((boot, False), (folder / FIRST_BOOT, True)):
        said = json.dumps({**config, "first": is_first})
        path.write_text(
            f"import sys\nsys.path.insert(0, {shim_folder!r})\n"
            "import json\nimport fargate_lab_shim\n"
            f"fargate_lab_shim.main(__file__, json.loads({said!r}))\n",
            encoding="utf-8",
        )
    return boot
