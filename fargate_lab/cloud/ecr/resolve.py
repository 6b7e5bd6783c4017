"""From an image reference in a task definition to the files of its layers, as the agent pulls."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecr import images
from fargate_lab.cloud.ecr.registry import Document, Registry, registry_of
from fargate_lab.image.media import INDEXES

_AWS = re.compile(r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_LOOPBACK = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|host\.docker\.internal)(:\d+)?")
_REFERENCE = re.compile(r"(?P<name>[^@\s]+?)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>\S+))?")


class PullError(Exception):
    """An image that cannot be pulled; the text is a container's `reason` as ECS words it."""


class LayerFile(NamedTuple):
    """One layer as it was pushed."""

    path: Path
    media_type: str
    digest: str


@dataclass(frozen=True)
class ResolvedImage:
    """An image of the lab's registry, ready to be unpacked."""

    reference: str
    """As it was asked for."""
    digest: str
    """Of what the reference names: the index where it is one. ECS calls it `imageDigest`."""
    manifest: dict[str, Any]
    """The one chosen for the platform."""
    config: dict[str, Any]
    layers: tuple[LayerFile, ...]
    """Lowest first."""


@dataclass(frozen=True)
class Reference:
    """An image reference, taken apart."""

    host: str
    name: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `host/name:tag@digest`; a name without a host is Docker Hub's."""
        match = _REFERENCE.fullmatch(text.strip())
        if match is None:
            raise PullError(
                f"CannotPullContainerError: invalid reference format: {text!r} is not an image name"
            )
        first, slash, rest = match["name"].partition("/")
        named = slash and ("." in first or ":" in first or first == "localhost")
        host, name = (first, rest) if named else ("docker.io", match["name"])
        if host == "docker.io" and "/" not in name:
            name = f"library/{name}"
        tag = match["tag"] or (None if match["digest"] else "latest")
        return cls(host, name, tag, match["digest"])

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.name}{tag}{digest}"


def resolve_image(
    context: CloudContext,
    account: str,
    region: str,
    reference: str,
    platform: str = "linux/amd64",
) -> ResolvedImage:
    """Find an image of this cloud's registry for a platform (`os/architecture`).

    reference is `127.0.0.1:PORT/name:tag`, `…@sha256:…`, or the form of AWS's own registries,
    `ACCOUNT.dkr.ecr.REGION.amazonaws.com/name:tag`, which means the same repository here.
    Raises PullError with the text that ECS would report.
    """
    parsed = Reference.parse(reference)
    scope = _scope(parsed, account, region)
    registry = registry_of(context)
    registry.housekeeping.before_read(scope, parsed.name)
    wanted = {"imageTag": parsed.tag, "imageDigest": parsed.digest}
    image = registry.resolve(scope, parsed.name, {k: v for k, v in wanted.items() if v})
    if image is None:
        raise PullError(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
            f"failed to resolve ref {parsed}: {parsed}: not found"
        )
    chosen = _choose(registry, scope, parsed.name, image, platform)
    manifest = json.loads(chosen["manifest"])
    config = _config(registry, manifest, platform)
    layers = tuple(
        LayerFile(registry.blobs.path(row["digest"]), row["mediaType"], row["digest"])
        for row in manifest["layers"]
    )
    for layer in layers:
        if not layer.path.exists():
            raise PullError(
                f"CannotPullContainerError: failed to copy: {layer.digest} is not in the registry"
            )
    images.pulled(registry, scope, parsed.name, image)
    return ResolvedImage(reference, image["digest"], manifest, config, layers)


def _scope(reference: Reference, account: str, region: str) -> str:
    own = _AWS.fullmatch(reference.host)
    if own is not None:
        return f"{own[1]}/{own[2]}"
    if _LOOPBACK.fullmatch(reference.host):
        return f"{account}/{region}"
    host = "registry-1.docker.io" if reference.host == "docker.io" else reference.host
    version = reference.digest or reference.tag
    # Facts §2c, "pull: network": what a task without a way to the internet reports. Here there is
    # never one, so that the lab works offline: push the image to the lab's registry instead.
    raise PullError(
        "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to "
        f'resolve ref {reference}: failed to do request: Head "https://{host}/v2/'
        f'{reference.name}/manifests/{version}": dial tcp: lookup {host}: i/o timeout'
    )


def _choose(registry: Registry, scope: str, name: str, image: Document, platform: str) -> Document:
    if image["mediaType"] not in INDEXES:
        return image
    for row in json.loads(image["manifest"])["manifests"]:
        if _matches(row.get("platform") or {}, platform):
            child = registry.image(scope, name, row["digest"])
            if child is not None and child["mediaType"] not in INDEXES:
                return child
    raise _mismatch(platform)


def _config(registry: Registry, manifest: dict[str, Any], platform: str) -> dict[str, Any]:
    path = registry.blobs.path(manifest["config"]["digest"])
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict) or "rootfs" not in config:
        raise PullError(
            "CannotPullContainerError: the image has no valid configuration: "
            f"{manifest['config']['digest']} is {manifest['config']['mediaType']}"
        )
    if config.get("architecture") and not _matches(config, platform):
        raise _mismatch(platform)
    return config


def _matches(described: dict[str, Any], platform: str) -> bool:
    system, _, architecture = platform.partition("/")
    return described.get("os") == system and described.get("architecture") == architecture


def _mismatch(platform: str) -> PullError:
    return PullError(
        "CannotPullContainerError: image Manifest does not contain descriptor matching platform "
        f"'{platform}'"
    )
