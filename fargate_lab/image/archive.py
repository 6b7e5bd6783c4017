"""Archives of `docker save` and `docker load`: written for an engine, read as a base."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .digests import CHUNK, hex_of, of_file
from .errors import ImageError
from .files import temporary
from .layers import MTIME, Layer
from .layout import Image, encode, write_layout
from .media import LAYER_TAR


def to_docker_archive(image: Image, out: IO[bytes], *, tag: str | None = None) -> None:
    """Write what `docker load` reads (engine 20.10 and newer), streaming; `tag` as `name:tag`."""
    config = image.blob(image.manifest["config"]["digest"])
    names = {layer.digest: f"{hex_of(layer.digest)}/layer.tar" for layer in image.layers}
    config_name = f"{config.name}.json"
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, config_name, config)
        for digest, name in names.items():
            _add(archive, name, image.blob(digest))
        manifest = encode(
            [
                {
                    "Config": config_name,
                    "RepoTags": [tag] if tag else None,
                    "Layers": [names[layer.digest] for layer in image.layers],
                }
            ]
        )
        archive.addfile(_info("manifest.json", len(manifest)), io.BytesIO(manifest))


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, MTIME
    return info


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    with path.open("rb") as file:
        archive.addfile(_info(name, path.stat().st_size), file)


def from_docker_archive(path: Path, layout: Path) -> Image:
    """Read a `docker save` file's first image into an OCI layout; ImageError if it is not one."""
    try:
        with tarfile.open(path) as archive:
            first = json.loads(_read(archive, "manifest.json"))[0]
            config = json.loads(_read(archive, first["Config"]))
            diff_ids = config["rootfs"]["diff_ids"]
            layers = [
                _layer(archive, name, diff_id, layout)
                for name, diff_id in zip(first["Layers"], diff_ids, strict=True)
            ]
    except (tarfile.TarError, KeyError, IndexError, ValueError) as wrong:
        raise ImageError(f"{path} is not a file of `docker save`: {wrong}") from None
    return write_layout(layout, config=config, layers=layers, name="base")


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(CHUNK):
        yield data


def _layer(archive: tarfile.TarFile, name: str, diff_id: str, layout: Path) -> tuple[Layer, Path]:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    folder = layout / "blobs" / "sha256"
    with temporary(folder) as draft:
        with draft.open("wb") as out:
            for data in _pieces(file):
                out.write(data)
        digest = of_file(draft)
        if digest != diff_id:
            raise ValueError(f"layer {name} does not have the digest that the image gives it")
        size = draft.stat().st_size
        target = folder / hex_of(digest)
        draft.replace(target)
    layer: dict[str, Any] = {"digest": digest, "diff_id": diff_id, "media_type": LAYER_TAR}
    return Layer(name="base", size=size, uncompressed_size=size, files=0, **layer), target
