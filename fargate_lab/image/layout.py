"""An image in an OCI layout on disk: written whole, loaded with its digests checked."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import show
from .digests import hex_of, of_bytes
from .errors import DigestMismatchError, ImageError
from .files import place, write_atomically
from .layers import NOTE_FILES, NOTE_NAME, NOTE_SIZE, Layer
from .media import INDEXES, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, PLAIN_LAYERS

#: What skopeo, umoci and others take for the tag of an image in a layout.
REF_NAME = "org.opencontainers.image.ref.name"
_writing = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image of one platform. `layout` is its folder; `digest` that of its manifest."""

    layout: Path
    digest: str
    manifest: dict[str, Any]
    config: dict[str, Any]
    layers: list[Layer]

    @property
    def size(self) -> int:
        """Bytes that a registry stores: layers and configuration."""
        return sum(layer.size for layer in self.layers) + int(self.manifest["config"]["size"])

    @property
    def platform(self) -> str:
        """As Docker writes it: `linux/amd64`."""
        return f"{self.config.get('os', 'linux')}/{self.config.get('architecture', '')}"

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return blob_path(self.layout, digest)

    def blobs(self) -> list[tuple[Path, str]]:
        """(file, media type) of each layer, lowest first: what `unpack` takes."""
        return [(self.blob(layer.digest), layer.media_type) for layer in self.layers]

    def manifest_bytes(self) -> bytes:
        """The manifest as stored: the bytes that have the digest."""
        return self.blob(self.digest).read_bytes()

    def __str__(self) -> str:
        return show.image_text(self)

    def _repr_html_(self) -> str:
        return show.image_html(self)


def blob_path(layout: Path, digest: str) -> Path:
    """Where a layout keeps a blob."""
    return layout / "blobs" / "sha256" / hex_of(digest)


def encode(value: Any) -> bytes:
    """JSON in the one spelling that all digests here are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def write_layout(
    layout: Path,
    *,
    config: dict[str, Any],
    layers: Sequence[tuple[Layer, Path]],
    name: str,
) -> Image:
    """Make `layout` hold exactly this image; an interrupted call leaves the one before it.

    `name` is what the layout calls the image; it is no part of the image and of its digest.
    """
    with _writing:
        for layer, source in layers:
            place(source, blob_path(layout, layer.digest))
        config_bytes = encode(config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _put(layout, config_bytes, OCI_CONFIG),
            "layers": [layer.descriptor() for layer, _ in layers],
        }
        write_index(layout, _put(layout, encode(manifest), OCI_MANIFEST), config, name)
    return load(layout, known=[layer for layer, _ in layers])


def write_index(
    layout: Path, descriptor: dict[str, Any], config: dict[str, Any], name: str
) -> None:
    """Name the one image of a layout, then drop the blobs that it does not need."""
    platform = {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}
    entry = {**descriptor, "platform": platform, "annotations": {REF_NAME: name}}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    write_atomically(layout / "oci-layout", encode({"imageLayoutVersion": "1.0.0"}))
    write_atomically(layout / "index.json", encode(index))
    _sweep(layout, descriptor["digest"])


def _put(layout: Path, data: bytes, media_type: str) -> dict[str, Any]:
    digest = of_bytes(data)
    write_atomically(blob_path(layout, digest), data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _sweep(layout: Path, digest: str) -> None:
    manifest = json.loads(blob_path(layout, digest).read_bytes())
    wanted = {digest, manifest["config"]["digest"], *(la["digest"] for la in manifest["layers"])}
    for path in (layout / "blobs" / "sha256").iterdir():
        if f"sha256:{path.name}" not in wanted:
            path.unlink(missing_ok=True)


def load(layout: Path, *, platform: str | None = None, known: Sequence[Layer] = ()) -> Image:
    """Read a layout; `platform` chooses from a multi-architecture index.

    Manifest and configuration are checked against their digests, layers against their sizes.
    """
    try:
        document = json.loads((layout / "index.json").read_bytes())
        digest = choose(document, platform, str(layout))["digest"]
        manifest = _read(layout, digest)
        while manifest.get("mediaType") in INDEXES or "manifests" in manifest:
            digest = choose(manifest, platform, str(layout))["digest"]
            manifest = _read(layout, digest)
        config = _read(layout, manifest["config"]["digest"])
        layers = _layers(layout, manifest, config, known)
    except FileNotFoundError as missing:
        raise ImageError(
            f"{layout} is not a complete OCI layout: {os.path.basename(missing.filename)} is not "
            "there. Build or pull the image again."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise ImageError(f"{layout} is not a valid OCI layout: {wrong!r}") from None
    return Image(layout=layout, digest=digest, manifest=manifest, config=config, layers=layers)


def choose(index: dict[str, Any], platform: str | None, where: str) -> dict[str, Any]:
    """The manifest of an index for a platform; the only one when there is only one."""
    manifests: list[dict[str, Any]] = [
        m for m in index.get("manifests", []) if m.get("platform", {}).get("os") != "unknown"
    ]
    if len(manifests) == 1 and platform is None:
        return manifests[0]
    wanted = platform or "linux/amd64"
    have = []
    for manifest in manifests:
        found = manifest.get("platform", {})
        have.append(f"{found.get('os', '?')}/{found.get('architecture', '?')}")
        if have[-1] == "/".join(wanted.split("/")[:2]):
            return manifest
    raise ImageError(f"{where} has no image for {wanted}; it has: {', '.join(have) or 'none'}.")


def _read(layout: Path, digest: str) -> dict[str, Any]:
    data = blob_path(layout, digest).read_bytes()
    if of_bytes(data) != digest:
        raise DigestMismatchError(f"{layout.name}: blob", digest, of_bytes(data))
    value: dict[str, Any] = json.loads(data)
    return value


def _layers(
    layout: Path, manifest: dict[str, Any], config: dict[str, Any], known: Sequence[Layer]
) -> list[Layer]:
    diff_ids = config.get("rootfs", {}).get("diff_ids", [])
    if len(diff_ids) != len(manifest["layers"]):
        raise ValueError("the configuration names another number of layers than the manifest")
    found = []
    for at, (descriptor, diff_id) in enumerate(zip(manifest["layers"], diff_ids, strict=True)):
        size = blob_path(layout, descriptor["digest"]).stat().st_size
        if size != descriptor["size"]:
            raise DigestMismatchError(
                f"layer {descriptor['digest'][:19]}", f"{descriptor['size']} bytes", f"{size} bytes"
            )
        found.append(known[at] if known else _described(descriptor, diff_id))
    return found


def _described(descriptor: dict[str, Any], diff_id: str) -> Layer:
    notes = descriptor.get("annotations") or {}
    plain = descriptor["mediaType"] in PLAIN_LAYERS
    return Layer(
        name=notes.get(NOTE_NAME, "layer"),
        digest=descriptor["digest"],
        diff_id=diff_id,
        size=descriptor["size"],
        uncompressed_size=int(notes.get(NOTE_SIZE, descriptor["size"] if plain else 0)),
        media_type=descriptor["mediaType"],
        files=int(notes.get(NOTE_FILES, 0)),
        cached=True,
    )
