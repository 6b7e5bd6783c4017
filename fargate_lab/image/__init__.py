"""OCI images without a daemon: build, push, pull and unpack.

Everything here loads when it is first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .archive import from_docker_archive, to_docker_archive
    from .builder import build, prefetch
    from .download import pull
    from .ecr import push_layers
    from .errors import (
        BuildError,
        DigestMismatchError,
        ImageError,
        MissingWheelsError,
        RegistryError,
        UnpackError,
    )
    from .extract import unpack
    from .layers import Layer
    from .layout import Image, load
    from .progress import Bars, Progress, Silent
    from .rootfs import unpack_cached
    from .upload import PushReport, push

_WHERE = {
    "archive": ("from_docker_archive", "to_docker_archive"),
    "builder": ("build", "prefetch"),
    "ecr": ("push_layers",),
    "errors": (
        *("BuildError", "DigestMismatchError", "ImageError", "MissingWheelsError"),
        *("RegistryError", "UnpackError"),
    ),
    "layers": ("Layer",),
    "layout": ("Image", "load"),
    "progress": ("Bars", "Progress", "Silent"),
    "download": ("pull",),
    "upload": ("PushReport", "push"),
    "rootfs": ("unpack_cached",),
    "extract": ("unpack",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "Bars",
    "BuildError",
    "DigestMismatchError",
    "Image",
    "ImageError",
    "Layer",
    "MissingWheelsError",
    "Progress",
    "PushReport",
    "RegistryError",
    "Silent",
    "UnpackError",
    "build",
    "from_docker_archive",
    "load",
    "prefetch",
    "pull",
    "push",
    "push_layers",
    "to_docker_archive",
    "unpack",
    "unpack_cached",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
