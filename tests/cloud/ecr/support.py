"""Small images for tests."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest(data: bytes) -> str:
    """`sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files: dict[str, bytes]) -> bytes:
    """A gzip layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


@dataclass(frozen=True)
class Image:
    """A manifest and the blobs it names."""

    blobs: dict[str, bytes]
    manifest: str

    @property
    def digest(self) -> str:
        """The manifest's."""
        return digest(self.manifest.encode())


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    """What a manifest says of a blob."""
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def image(*layers: bytes, architecture: str = "amd64", plain: bool = False, **extra: Any) -> Image:
    """An image of the given layers; plain: they are no gzip, nor anything else."""
    config = json.dumps(
        {
            "os": "linux",
            "architecture": architecture,
            "config": {"Cmd": ["/hello"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [digest(data if plain else gzip.decompress(data)) for data in layers],
            },
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config, CONFIG),
        "layers": [descriptor(data, LAYER) for data in layers],
        **extra,
    }
    blobs = {digest(data): data for data in (config, *layers)}
    return Image(blobs, json.dumps(manifest))


def index(*images: Image) -> str:
    """An index of images, the n-th for the n-th platform of a list."""
    rows = [
        {
            **descriptor(i.manifest.encode(), MANIFEST),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for i, architecture in zip(images, ("amd64", "arm64", "s390x"), strict=False)
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows})


def upload(api: Any, repository: str, data: bytes) -> str:
    """Send one blob by the layer API, through the `api` fixture."""
    upload_id = api.ecr("InitiateLayerUpload", repositoryName=repository)["uploadId"]
    step = 10 * 2**20
    for start in range(0, len(data), step):
        part = data[start : start + step]
        api.ecr(
            "UploadLayerPart",
            repositoryName=repository,
            uploadId=upload_id,
            partFirstByte=start,
            partLastByte=start + len(part) - 1,
            layerPartBlob=base64.b64encode(part).decode(),
        )
    done = api.ecr(
        "CompleteLayerUpload",
        repositoryName=repository,
        uploadId=upload_id,
        layerDigests=[digest(data)],
    )
    return str(done["layerDigest"])


def push(api: Any, repository: str, wanted: Image, tag: str | None = None) -> str:
    """Put an image with all its blobs into a repository, skipping the blobs it has."""
    have = api.ecr(
        "BatchCheckLayerAvailability", repositoryName=repository, layerDigests=list(wanted.blobs)
    )["layers"]
    for row in have:
        if row["layerAvailability"] == "UNAVAILABLE":
            upload(api, repository, wanted.blobs[row["layerDigest"]])
    named = {"imageTag": tag} if tag else {}
    answer = api.ecr("PutImage", repositoryName=repository, imageManifest=wanted.manifest, **named)
    return str(answer["image"]["imageId"]["imageDigest"])
