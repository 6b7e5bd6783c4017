"""The machine an image is for: operating system, architecture, Python and C library."""

from __future__ import annotations

import platform as host
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import BuildError

#: glibc of the oldest base that the lab ships for (Debian 12); newer bases run older wheels.
DEFAULT_GLIBC = (2, 36)
_OCI = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_WHEEL = {"amd64": "x86_64", "arm64": "aarch64"}


def host_architecture() -> str:
    """This machine's architecture by OCI's names: `amd64` or `arm64`."""
    machine = host.machine().lower()
    if machine not in _OCI:
        raise BuildError(f"images for {machine!r} machines are not built here; amd64 or arm64 are.")
    return _OCI[machine]


def host_glibc() -> tuple[int, int] | None:
    """This machine's glibc version; None where there is none (macOS, Windows, musl)."""
    name, version = host.libc_ver()
    if name != "glibc":
        return None
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What wheels are chosen for. `python` is (major, minor)."""

    architecture: str
    python: tuple[int, int]
    glibc: tuple[int, int] = DEFAULT_GLIBC

    @classmethod
    def parse(cls, platform: str | None, python: str | None) -> Target:
        """From `linux/amd64` and `3.11`; what is left out is this machine's."""
        system, _, machine = (platform or f"linux/{host_architecture()}").partition("/")
        machine = machine.partition("/")[0]  # linux/arm64/v8 is linux/arm64
        if system != "linux" or machine not in _WHEEL:
            raise BuildError(
                f"no image can be built for {platform!r}; expected linux/amd64 or linux/arm64, "
                "the two that Fargate runs."
            )
        version = python or f"{sys.version_info.major}.{sys.version_info.minor}"
        parts = version.split(".")
        if len(parts) < 2 or not all(part.isdigit() for part in parts[:2]):
            raise BuildError(f"{python!r} is not a Python version; expected one such as 3.12.")
        return cls(architecture=machine, python=(int(parts[0]), int(parts[1])))

    @property
    def platform(self) -> str:
        """As Docker writes it: `linux/amd64`."""
        return f"linux/{self.architecture}"

    @property
    def python_version(self) -> str:
        """`3.11`."""
        return f"{self.python[0]}.{self.python[1]}"

    def wheel_platforms(self) -> Iterator[str]:
        """Platform tags that run there, best first (PEP 600, and PEP 599/571's older names)."""
        machine = _WHEEL[self.architecture]
        legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        lowest = 5 if self.architecture == "amd64" else 17
        for minor in range(self.glibc[1], lowest - 1, -1):
            yield f"manylinux_2_{minor}_{machine}"
            if minor in legacy and (minor == 17 or self.architecture == "amd64"):
                yield f"{legacy[minor]}_{machine}"
        yield f"linux_{machine}"

    def markers(self) -> dict[str, str]:
        """The values of environment markers there (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python_version}.0",
            "os_name": "posix",
            "platform_machine": _WHEEL[self.architecture],
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python_version}.0",
            "python_version": self.python_version,
            "sys_platform": "linux",
        }
