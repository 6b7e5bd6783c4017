"""What an image stands on: this machine's Python, nothing, or another image."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..paths import cache_dir
from . import bytecode, hostpython
from .digests import of_value
from .errors import BuildError, ImageError, RegistryError
from .layers import Layer, LayerCache
from .layout import Image, load
from .progress import Progress
from .target import Target, host_architecture, host_glibc


@dataclass(frozen=True, kw_only=True)
class Base:
    """The lowest layers with their files, the configuration they bring, and what runs on them."""

    target: Target
    layers: list[tuple[Layer, Path]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)


def default_target(platform: str | None, python: str | None) -> Target:
    """The target of the base `auto`: this machine's C library where it is the same platform."""
    target = Target.parse(platform, python)
    glibc = host_glibc()
    if sys.platform == "linux" and glibc and target.architecture == host_architecture():
        return replace(target, glibc=glibc)
    return target


def resolve(
    base: str,
    *,
    platform: str | None,
    python: str | None,
    cache: LayerCache,
    gzip: bool,
    progress: Progress,
) -> Base:
    """The base of that name; BuildError when there is none such or it does not fit."""
    target = default_target(platform, python)
    if base == "auto":
        fits = hostpython.supported() and target.architecture == host_architecture()
        here = (sys.version_info.major, sys.version_info.minor)
        base = "host-python" if fits and target.python == here else "scratch"
    if base == "scratch":
        return Base(target=target, config={"config": {"Env": _env()}})
    if base == "host-python":
        return _host_python(target, cache, gzip=gzip, progress=progress)
    return _image_base(base, target, python, progress)


def _env() -> list[str]:
    return [f"{key}={value}" for key, value in hostpython.ENV.items()]


def _host_python(target: Target, cache: LayerCache, *, gzip: bool, progress: Progress) -> Base:
    hostpython.check(target)
    found = hostpython.collect()
    by = bytecode.compiler_for(target.python)
    layer = cache.layer(
        "base",
        ["host-python", sys.version, hostpython.inputs(found), by.inputs() if by else None],
        lambda: bytecode.with_bytecode(found, by, progress) if by else found,
        gzip=gzip,
        progress=progress,
    )
    return Base(
        target=target,
        layers=[(layer, cache.blob(layer.digest))],
        config={"config": {"Env": _env()}},
    )


def _image_base(base: str, target: Target, python: str | None, progress: Progress) -> Base:
    path = Path(base)
    if path.is_dir():
        image = load(path, platform=target.platform)
    elif path.is_file():
        from .archive import from_docker_archive

        key = of_value([str(path.resolve()), path.stat().st_mtime_ns, path.stat().st_size])
        image = from_docker_archive(path, cache_dir() / "bases" / key[7:27])
    else:
        image = _pulled(base, target, progress)
    if image.platform != target.platform:
        raise BuildError(f"the base {base} is for {image.platform}, not for {target.platform}.")
    return Base(
        target=target if python else _with_python(image, target),
        layers=[
            (replace(la, name="base", cached=True), image.blob(la.digest)) for la in image.layers
        ],
        config=image.config,
    )


def _with_python(image: Image, target: Target) -> Target:
    """The base's own Python, where it says so as Docker's Python images do."""
    for item in (image.config.get("config") or {}).get("Env") or []:
        found = re.fullmatch(r"PYTHON_VERSION=(\d+)\.(\d+)(\..*)?", item)
        if found:
            return replace(target, python=(int(found[1]), int(found[2])))
    return target


def _pulled(reference: str, target: Target, progress: Progress) -> Image:
    from .download import pull

    folder = cache_dir() / "bases" / of_value([reference, target.platform])[7:27]
    try:
        return pull(reference, folder, platform=target.platform, progress=progress)
    except RegistryError as failed:
        # Without a network, the copy from before does; what a registry says is believed.
        if failed.status == 0 and (folder / "index.json").is_file():
            return load(folder, platform=target.platform)
        raise
    except ImageError as wrong:
        raise BuildError(
            f"{reference!r} is neither `auto`, `host-python`, `scratch`, an existing folder or "
            f"file, nor a registry's image: {wrong}"
        ) from wrong
