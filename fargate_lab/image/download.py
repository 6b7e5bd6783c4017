"""Pull: an image from a registry into an OCI layout, every byte checked against its digest."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from . import files
from .digests import hex_of, of_bytes
from .errors import DigestMismatchError, ImageError
from .layout import Image, blob_path, choose, load, write_index
from .media import INDEXES, MANIFESTS
from .progress import Progress, Silent
from .reference import parse_reference
from .registry import Registry

_PARALLEL = 4


def pull(
    reference: str,
    layout: Path,
    *,
    username: str | None = None,
    password: str | None = None,
    platform: str | None = None,
    progress: Progress | None = None,
) -> Image:
    """Pull an image into the OCI layout `layout`; `platform` chooses from an index.

    Blobs that the layout has are not fetched. RegistryError or DigestMismatchError leave the image
    that was in the layout before.
    """
    where = parse_reference(reference)
    told = progress or Silent()
    with Registry(where, username=username, password=password) as registry:
        data, media_type = registry.manifest(where.name)
        if media_type in INDEXES:
            chosen = choose(json.loads(data), platform, str(where))
            data, media_type = registry.manifest(chosen["digest"])
        manifest = json.loads(data)
        media_type = manifest.get("mediaType", media_type)
        if media_type not in MANIFESTS:
            raise ImageError(f"{where} is {media_type or 'something'} that is no image manifest.")
        fetch = partial(_fetch, registry, layout, progress=told)
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(fetch, [manifest["config"], *manifest["layers"]]))
    digest = of_bytes(data)
    files.write_atomically(blob_path(layout, digest), data)
    config = json.loads(blob_path(layout, manifest["config"]["digest"]).read_bytes())
    descriptor = {"mediaType": media_type, "digest": digest, "size": len(data)}
    write_index(layout, descriptor, config, where.tag)
    image = load(layout)
    if platform and image.platform != "/".join(platform.split("/")[:2]):
        raise ImageError(f"{where} is for {image.platform}, not for {platform}.")
    return image


def _fetch(
    registry: Registry, layout: Path, descriptor: dict[str, Any], *, progress: Progress
) -> None:
    digest, size = descriptor["digest"], int(descriptor["size"])
    target = blob_path(layout, digest)
    task = f"pull {hex_of(digest)[:12]}"
    progress.start(task, size)
    if target.is_file() and target.stat().st_size == size:
        progress.advance(task, size)
        progress.finish(task, "already there")
        return
    found = hashlib.sha256()
    with files.temporary(target.parent) as draft:
        length = 0
        with draft.open("wb") as out, registry.blob(digest) as pieces:
            for data in pieces:
                length += len(data)
                if length > size:
                    break
                found.update(data)
                out.write(data)
                progress.advance(task, len(data))
        if length != size or found.hexdigest() != hex_of(digest):
            raise DigestMismatchError(
                f"{registry.reference}", digest, f"sha256:{found.hexdigest()} ({length} bytes)"
            )
        os.replace(draft, target)
    progress.finish(task, "pulled")
