"""Media types of the OCI image specification 1.1, and Docker's for the same things."""

from __future__ import annotations

from .errors import UnpackError

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_TAR = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

PLAIN_LAYERS = frozenset({LAYER_TAR, DOCKER_LAYER_TAR})
INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
ACCEPT = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))

_COMPRESSION = {
    LAYER_TAR: "none",
    DOCKER_LAYER_TAR: "none",
    LAYER_GZIP: "gzip",
    DOCKER_LAYER_GZIP: "gzip",
    LAYER_ZSTD: "zstd",
    # Older builders used the non-distributable names for Windows bases and private layers.
    "application/vnd.oci.image.layer.nondistributable.v1.tar": "none",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": "zstd",
}


def compression(media_type: str) -> str:
    """`none` or `gzip` for a layer's media type; UnpackError for anything else."""
    found = _COMPRESSION.get(media_type)
    if found == "zstd":
        raise UnpackError(
            media_type,
            "layers compressed with zstd cannot be read here; build the image with gzip or plain "
            "tar layers (for docker buildx: --output type=registry,compression=gzip).",
        )
    if found is None:
        raise UnpackError(media_type, "this is not the media type of a layer in tar or tar+gzip.")
    return found
