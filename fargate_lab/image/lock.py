"""The image's `requirements.lock`: exact versions, each with the sha256 of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import BuildError
from .target import Target

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One package at one version, and the sha256 (hex) of every file that may be it."""

    name: NormalizedName
    version: str
    hashes: frozenset[str]

    def line(self) -> str:
        """The pin as pip reads it."""
        hashes = " ".join(f"--hash=sha256:{value}" for value in sorted(self.hashes))
        return f"{self.name}=={self.version} {hashes}"


def read_lock(path: Path, target: Target) -> list[Pin]:
    """The pins that apply to the target, by its environment markers; BuildError if malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BuildError(f"the lock file {path} is not there; the recipe names it.") from None
    pins: dict[str, Pin] = {}
    for line in _logical_lines(text):
        pin = _pin(line, path, target)
        if pin is None:
            continue
        if pin.name in pins:
            raise BuildError(f"{path.name}: {pin.name} is pinned twice for {target.platform}.")
        pins[pin.name] = pin
    return [pins[name] for name in sorted(pins)]


def _logical_lines(text: str) -> list[str]:
    joined = re.sub(r"\\\s*\n", " ", text)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def _pin(line: str, path: Path, target: Target) -> Pin | None:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if line.startswith("-"):
        raise BuildError(f"{path.name}: {line!r} is an option; only pinned packages belong here.")
    hashes = frozenset(_HASH.findall(line))
    try:
        requirement = Requirement(_HASH.sub("", line).strip())
    except InvalidRequirement as wrong:
        raise BuildError(f"{path.name}: {line[:60]!r} is not a requirement: {wrong}") from None
    if requirement.marker and not requirement.marker.evaluate(dict(target.markers())):
        return None
    exact = [s.version for s in requirement.specifier if s.operator == "=="]
    if len(exact) != 1 or len(requirement.specifier) != 1 or not hashes:
        raise BuildError(
            f"{path.name}: {requirement.name} must be pinned with == and have --hash=sha256: "
            "values (`uv pip compile --generate-hashes` writes such a file)."
        )
    return Pin(name=canonicalize_name(requirement.name), version=exact[0], hashes=hashes)
