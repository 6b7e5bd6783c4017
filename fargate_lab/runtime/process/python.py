"""Which Python runs an image, and what of the image it can use."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fargate_lab.runtime.driver import Image, StartError
from fargate_lab.runtime.process.rootfs import RootFs

PYTHON_NAME = re.compile(r"python(3(\.\d+)?)?(\.exe)?")
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Interpreter:
    """A Python of this machine, as a container uses it."""

    executable: str
    site: tuple[str, ...]
    """The image's own site-packages folders."""
    substitutes: tuple[str, ...] = ()
    """Top-level modules taken from the lab's environment: the image has them for another system."""
    notes: tuple[str, ...] = ()


def host_platform() -> str:
    """This machine as an image's platform, such as `linux/amd64` or `darwin/arm64`."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}/{_MACHINES.get(machine, machine)}"


def is_python(program: str) -> bool:
    """Whether a program's path or name means Python."""
    return PYTHON_NAME.fullmatch(program.rsplit("/", 1)[-1]) is not None


def interpreter(image: Image, root: RootFs, variables: dict[str, str], program: str) -> Interpreter:
    """The Python that runs `program` of an image; raises StartError where none here can."""
    foreign = image.platform != host_platform()
    minor = image_minor(root, variables, program)
    own = sys.version_info[1]
    folders = site_folders(root, minor if minor is not None else own, program)
    paths = [root.resolve(p) for p in variables.get("PYTHONPATH", "").split(":") if p]
    native = native_distributions([*paths, *(Path(f) for f in folders)])
    if foreign:
        # Pure Python runs under any Python of this machine; the rest is the lab's own copy.
        modules, notes = substitutes(native)
        return Interpreter(base_executable(), folders, modules, notes)
    needed = minor if minor is not None else minor_of_native(native)
    if needed is None or needed == own:
        return Interpreter(base_executable(), folders)
    other = other_python(needed)
    if other is None:
        raise StartError(
            f"the image needs Python 3.{needed}, and the process driver found only Python 3.{own} "
            f"on this machine. Build the image for Python 3.{own}, install Python 3.{needed}, or "
            "use the docker runtime."
        )
    return Interpreter(other, folders)


def base_executable() -> str:
    """The lab's Python without the lab's environment."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def image_minor(root: RootFs, variables: dict[str, str], program: str) -> int | None:
    """The image's Python 3.x, from its name, its environment or its folders; None: unknown."""
    named = re.search(r"python3\.(\d+)$", program) or re.match(
        r"3\.(\d+)", variables.get("PYTHON_VERSION", "")
    )
    if named:
        return int(named[1])
    for folder in (f"{program}/../../lib", "/usr/local/lib", "/usr/lib"):
        if folder.startswith("/"):
            found = sorted(
                int(p.name[8:])
                for p in root.resolve(folder).glob("python3.*")
                # Distributions leave folders of other versions that hold no library.
                if p.name[8:].isdigit() and (p / "os.py").exists()
            )
            if found:
                return found[-1]
    return None


def site_folders(root: RootFs, minor: int, program: str) -> tuple[str, ...]:
    """Where this image's Python would look for packages besides PYTHONPATH."""
    candidates = [
        f"/usr/local/lib/python3.{minor}/site-packages",
        f"/usr/local/lib/python3.{minor}/dist-packages",
        "/usr/lib/python3/dist-packages",
    ]
    if program.startswith("/") and root.exists(f"{program}/../../pyvenv.cfg"):
        candidates = [f"{program}/../../lib/python3.{minor}/site-packages"]
    return tuple(str(p) for p in map(root.resolve, candidates) if p.is_dir())


@functools.lru_cache(maxsize=256)
def _tags(wheel: Path) -> tuple[str, ...]:
    return tuple(
        line.partition(":")[2].strip()
        for line in wheel.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.startswith("Tag:")
    )


def native_distributions(folders: Sequence[Path]) -> dict[Path, tuple[str, ...]]:
    """`*.dist-info` folders of packages with compiled parts, and their wheel tags."""
    found = {}
    for folder in folders:
        for wheel in sorted(folder.glob("*.dist-info/WHEEL")):
            tags = _tags(wheel)
            if any(not tag.endswith("-any") for tag in tags):
                found[wheel.parent] = tags
    return found


def minor_of_native(native: dict[Path, tuple[str, ...]]) -> int | None:
    """The Python 3.x that compiled packages were built for; None when any will do."""
    for tags in native.values():
        exact = [t for t in tags if re.match(r"cp3\d+-cp3\d+-", t)]
        if exact and len(exact) == len(tags):
            return int(re.match(r"cp3(\d+)", exact[0])[1])  # type: ignore[index]
    return None


def substitutes(native: dict[Path, tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Modules to take from the lab's environment, and what to tell people about it."""
    modules: list[str] = []
    notes: list[str] = []
    for info in native:
        name, version = info.name.removesuffix(".dist-info").rsplit("-", 1)
        try:
            own = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            notes.append(f"{name} {version} of the image cannot run here: the lab has no copy.")
            continue
        modules += top_level(own)
        notes.append(f"{name}: the lab's own {own.version} stands in for the image's {version}.")
    return tuple(dict.fromkeys(modules)), tuple(notes)


def top_level(distribution: importlib.metadata.Distribution) -> list[str]:
    """The top-level modules of an installed distribution."""
    names = []
    for file in distribution.files or ():
        first, rest = file.parts[0], file.parts[1:]
        if rest and first.isidentifier() and first != "__pycache__":
            names.append(first)
        elif not rest and first.endswith((".py", ".so", ".pyd")):
            names.append(first.split(".", 1)[0])
    return list(dict.fromkeys(names))


def lab_site() -> str:
    """The lab's own site-packages folder."""
    return sysconfig.get_path("platlib")


@functools.lru_cache(maxsize=8)
def other_python(minor: int) -> str | None:
    """Another Python of this machine that really is 3.`minor`."""
    found = shutil.which(f"python3.{minor}")
    if found is None:
        return None
    try:
        said = subprocess.run(
            [found, "-S", "-c", "import sys; print(sys.version_info[1])"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found if said.stdout.strip() == str(minor) else None
