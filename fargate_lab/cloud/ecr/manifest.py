"""Reading a manifest: what it is, which blobs and which other manifests it names.

OCI image specification 1.1 and Docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fargate_lab.cloud.ecr import errors
from fargate_lab.cloud.ecr.blobstore import digest_of
from fargate_lab.cloud.ecr.fields import SHA256
from fargate_lab.cloud.protocol import AwsError
from fargate_lab.image.media import INDEXES, MANIFESTS

MANIFEST_LIMIT = 4 * 2**20
"""Largest manifest: ECR's model, shape ImageManifest."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob or manifest that a manifest names."""

    digest: str
    size: int
    media_type: str
    elsewhere: bool = False
    """Its bytes are at a URL of their own (a foreign layer) and need not be in the repository."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest whose form is right."""

    text: str
    digest: str
    media_type: str
    artifact_type: str | None
    blobs: tuple[Descriptor, ...]
    """Configuration and layers; none for an index."""
    children: tuple[Descriptor, ...]
    """The manifests of an index."""
    subject: str | None

    @classmethod
    def parse(cls, text: str, media_type: str | None) -> Manifest:
        """Read a manifest; `AwsError` InvalidParameterException says what is wrong with it."""
        document = _document(text)
        kind = _kind(document, media_type)
        blobs: tuple[Descriptor, ...] = ()
        children: tuple[Descriptor, ...] = ()
        artifact = document.get("artifactType")
        if kind in INDEXES:
            children = _descriptors(document, "manifests")
        else:
            config = _descriptor(document.get("config"), "config")
            blobs = (config, *_descriptors(document, "layers"))
            artifact = artifact or config.media_type
        subject = document.get("subject")
        return cls(
            text=text,
            digest=digest_of(text.encode()),
            media_type=kind,
            artifact_type=artifact if isinstance(artifact, str) else None,
            blobs=blobs,
            children=children,
            subject=_descriptor(subject, "subject").digest if subject is not None else None,
        )


def broken(why: str) -> AwsError:
    """A manifest that is not one."""
    return errors.invalid("ImageManifest", why)


def _document(text: str) -> Mapping[str, Any]:
    if len(text.encode()) > MANIFEST_LIMIT:
        raise broken(f"must have length less than or equal to {MANIFEST_LIMIT}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise broken("Invalid JSON syntax") from None
    if not isinstance(document, dict):
        raise broken("Invalid JSON syntax")
    if document.get("schemaVersion") != 2:
        raise broken("schemaVersion must be 2")
    return document


def _kind(document: Mapping[str, Any], given: str | None) -> str:
    own = document.get("mediaType")
    if own is not None and given is not None and own != given:
        raise errors.invalid(
            "ImageManifestMediaType", f"'{given}' does not match the manifest's mediaType '{own}'"
        )
    kind = own or given
    if kind is None:
        raise errors.invalid(
            "ImageManifestMediaType",
            "must not be null when the image manifest has no mediaType field",
        )
    if kind not in INDEXES | MANIFESTS:
        raise errors.invalid("ImageManifestMediaType", f"unsupported media type '{kind}'")
    wrong = ("config", "layers") if kind in INDEXES else ("manifests",)
    # A document that could be read both ways is a known way to smuggle: CVE-2021-41190.
    for name in wrong:
        if name in document:
            raise broken(f"a manifest of type {kind} must not have '{name}'")
    return str(kind)


def _descriptors(document: Mapping[str, Any], name: str) -> tuple[Descriptor, ...]:
    rows = document.get(name)
    if not isinstance(rows, list):
        raise broken(f"'{name}' must be a list")
    return tuple(_descriptor(row, f"{name}[{i}]") for i, row in enumerate(rows))


def _descriptor(row: object, where: str) -> Descriptor:
    if not isinstance(row, dict):
        raise broken(f"'{where}' must be a descriptor")
    digest, size, kind = row.get("digest"), row.get("size"), row.get("mediaType")
    if not isinstance(digest, str) or not SHA256.fullmatch(digest):
        raise broken(f"'{where}.digest' must be sha256 and 64 hexadecimal digits")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise broken(f"'{where}.size' must be a number of bytes")
    if not isinstance(kind, str) or not kind:
        raise broken(f"'{where}.mediaType' must be a media type")
    elsewhere = bool(row.get("urls")) or "nondistributable" in kind or ".foreign." in kind
    return Descriptor(digest, size, kind, elsewhere)
