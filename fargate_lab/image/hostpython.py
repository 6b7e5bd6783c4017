"""The base `host-python`: this machine's Python and the libraries it needs, as one layer.

It makes an image complete without any download: the interpreter at /usr/local/bin/python3, its
standard library, the dynamic loader, the C library and every shared library that these need.
Linux with glibc only: the kernel is the one thing an image does not bring along.
"""

from __future__ import annotations

import glob
import os
import ssl
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from . import entries
from .elf import Elf, read_elf
from .entries import Entry
from .errors import BuildError
from .target import Target, host_architecture, host_glibc

#: Libraries that wheels may expect from the system: PEP 600 and the manylinux policies, without
#: the graphical ones; and glibc's own parts that are loaded by name at run time.
_EXPECTED = (
    *("libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libutil.so.1"),
    *("libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2", "libgcc_s.so.1", "libstdc++.so.6"),
    *("libz.so.1", "libexpat.so.1"),
)
#: Parts of the standard library that no container runs.
_LEFT_OUT = (
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "lib2to3"),
    *("site-packages", "dist-packages", "config-*", "pydoc_data", "sitecustomize.py", "*.a"),
    *("_tkinter.*", "_test*", "_ctypes_test*", "xxlimited*", "xxsubtype*", "nis.*", "_gdbm.*"),
    *("EXTERNALLY-MANAGED", "*.exe"),
)
_PASSWD = (
    "root:x:0:0:root:/root:/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    "app:x:10001:10001:app:/app:/sbin/nologin\n"
)
_GROUP = "root:x:0:\nnogroup:x:65534:\napp:x:10001:\n"
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

#: The environment of the base: what Docker's own Python images have, too.
ENV = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def supported() -> bool:
    """Whether this machine can give such a base."""
    return sys.platform == "linux" and host_glibc() is not None


def check(target: Target) -> None:
    """BuildError unless this machine's Python fits the target."""
    if not supported():
        raise BuildError(
            "the base `host-python` needs Linux with glibc; use `scratch`, an OCI layout or a "
            "registry reference here."
        )
    here = (sys.version_info.major, sys.version_info.minor)
    if target.architecture != host_architecture() or target.python != here:
        raise BuildError(
            f"the base `host-python` is this machine's: linux/{host_architecture()} with Python "
            f"{here[0]}.{here[1]}, not {target.platform} with Python {target.python_version}. "
            "Use a registry reference, an OCI layout or `scratch` as the base for that."
        )


def inputs(found: Iterable[Entry]) -> list[list[object]]:
    """What the layer depends on, read from names, sizes and times: content is not hashed."""
    return [[entry.path, entry.mode, entry.size, entry.target, _stamp(entry)] for entry in found]


def collect() -> list[Entry]:
    """Every entry of the base layer."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    executable = Path(os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    # Debian's /usr/lib/python3.X and a pyenv's …/lib/python3.X both become /usr/local/lib/…:
    # the interpreter looks for its library from its own place upwards.
    root = f"usr/local/{sys.platlibdir}/python{version}"
    found = [
        *_library(stdlib, root),
        entries.from_file(f"usr/local/bin/python{version}", executable, 0o755),
        entries.link("usr/local/bin/python3", f"python{version}"),
        entries.link("usr/local/bin/python", f"python{version}"),
        *_system_files(),
    ]
    modules = sorted((stdlib / "lib-dynload").glob("*.so"))
    roots = [executable, *(m for m in modules if not entries.ignored(m.name, _LEFT_OUT))]
    found.extend(_shared(roots))
    return found


def _library(stdlib: Path, root: str) -> Iterator[Entry]:
    for relative, path in entries.walk(stdlib, _LEFT_OUT):
        if path.exists():  # Debian links sitecustomize and others to /etc
            yield entries.from_file(f"{root}/{relative}", path, 0o644)


def _system_files() -> Iterator[Entry]:
    yield entries.folder("tmp", 0o1777)
    yield entries.folder("root", 0o700)
    yield entries.folder("app")
    yield entries.from_bytes("etc/passwd", _PASSWD.encode())
    yield entries.from_bytes("etc/group", _GROUP.encode())
    yield entries.from_bytes("etc/nsswitch.conf", _NSSWITCH.encode())
    paths = ssl.get_default_verify_paths()
    bundle = next((p for p in (_BUNDLE, paths.cafile, _certifi()) if p and os.path.isfile(p)), None)
    if bundle:
        yield entries.from_file(_BUNDLE, Path(bundle), 0o644)
        if paths.openssl_cafile != _BUNDLE:
            yield entries.link(paths.openssl_cafile, _BUNDLE)


def _certifi() -> str | None:
    try:
        import certifi
    except ImportError:
        return None
    return certifi.where()


def _shared(roots: list[Path]) -> Iterator[Entry]:
    """The loader at its own path, and all libraries beside the C library.

    That folder is one which the loader searches without any configuration, on every distribution.
    """
    libraries = _closure(roots)
    home = libraries["libc.so.6"].parent
    for name, path in sorted(libraries.items()):
        yield entries.from_file(f"{home}/{name}", path, 0o755)
    program = read_elf(roots[0])
    loader = program.interpreter if program else ""
    if not loader:
        raise BuildError(f"{roots[0]} is not a dynamically linked program; use another base.")
    if Path(loader) != home / Path(loader).name:
        yield entries.from_file(loader, Path(loader), 0o755)


def _closure(roots: list[Path]) -> dict[str, Path]:
    """Every library, by name, that the roots and the expected list need, directly or not."""
    found: dict[str, Path] = {}
    waiting: list[tuple[str, Path, Elf]] = []

    def want(path: Path) -> None:
        elf = read_elf(path)
        if elf is not None:
            waiting.extend((name, path, elf) for name in elf.needed)

    for root in roots:
        want(root)
    program = roots[0]
    waiting = [*[(name, program, Elf()) for name in _EXPECTED], *waiting]
    while waiting:
        name, by, elf = waiting.pop()
        if name in found:
            continue
        path = _find(name, by, elf)
        if path is not None:
            found[name] = path
            want(path)
    if "libc.so.6" not in found:
        raise BuildError("this machine's libc.so.6 was not found; use another base.")
    return found


def _find(name: str, by: Path, elf: Elf) -> Path | None:
    own = [folder.replace("$ORIGIN", str(by.parent)) for folder in elf.search]
    beside = [str(Path(sys.base_prefix) / "lib")]
    for folder in (*own, *system_folders(), *beside):
        path = Path(folder, name)
        if path.is_file() and read_elf(path) is not None:
            return path
    return None


@cache
def system_folders() -> tuple[str, ...]:
    """Where the dynamic loader looks: the built-in folders and those of /etc/ld.so.conf."""
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    builtin = [f"/lib/{triplet}", f"/usr/lib/{triplet}", "/lib64", "/usr/lib64", "/lib", "/usr/lib"]
    return tuple(builtin + list(_configured("/etc/ld.so.conf")))


def _configured(path: str) -> Iterator[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split("#", 1)[0].split()
        if words[:1] == ["include"]:
            for pattern in words[1:]:
                for more in sorted(glob.glob(os.path.join("/etc", pattern))):
                    yield from _configured(more)
        elif words:
            yield words[0]


def _stamp(entry: Entry) -> object:
    if entry.opener is None:
        return None
    with entry.opener() as file:
        try:
            info = os.fstat(file.fileno())
        except (AttributeError, OSError):  # content from memory
            return file.read().hex()
    return [info.st_mtime_ns, info.st_ino] if stat.S_ISREG(info.st_mode) else None
