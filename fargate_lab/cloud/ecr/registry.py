"""The registry's state: repositories, images, tags; one object for each running cloud."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecr import errors
from fargate_lab.cloud.ecr.auth import Signer
from fargate_lab.cloud.ecr.blobstore import BlobStore
from fargate_lab.cloud.ecr.sessions import Uploads

if TYPE_CHECKING:
    from fargate_lab.cloud.ecr.housekeeping import Housekeeping

REPOSITORY = "repository"
"""kind; scope `account/region`; key: the name."""
IMAGE = "image"
"""kind; scope `account/region`; key: `repository@digest`."""
TAG = "tag"
"""kind; scope `account/region`; key: `repository:tag`."""
SCAN = "scan"
"""kind; scope `account/region`; key: `repository@digest`."""
PREVIEW = "lifecycle-preview"
"""kind; scope `account/region`; key: the repository's name."""

Document = dict[str, Any]
ImageId = dict[str, str]


class Registry:
    """Everything the API and the distribution protocol share. Safe to use from many threads."""

    def __init__(self, context: CloudContext) -> None:
        self.context = context
        self.store = context.store
        self.blobs = BlobStore(context.blobs, context.store)
        self.uploads = Uploads(context.state_dir / "uploads", self.blobs)
        self.signer = Signer(context.store)
        self.clock: Callable[[], float] = time.time
        self.housekeeping: Housekeeping
        """Set by `registry_of`: what follows a push, and what precedes a look at the images."""
        self.uploads.clean()
        self.blobs.sweep()

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """One durable change of images and tags; always the blobs' lock first, then the store's."""
        with self.blobs.lock, self.store.transaction():
            yield

    def repository(self, scope: str, name: str) -> Document:
        """A repository; `AwsError` RepositoryNotFoundException otherwise."""
        found = self.store.get(REPOSITORY, scope, name)
        if found is None:
            raise errors.repository_missing(account_of(scope), name)
        return found

    def repositories(self, scope: str) -> list[Document]:
        """All of a scope, by name."""
        return [row for _, row in self.store.items(REPOSITORY, scope)]

    def save_repository(self, scope: str, repository: Document) -> None:
        """Write a repository."""
        self.store.put(REPOSITORY, scope, repository["name"], repository)

    def image(self, scope: str, name: str, digest: str) -> Document | None:
        """An image by digest, or None."""
        return self.store.get(IMAGE, scope, f"{name}@{digest}")

    def images(self, scope: str, name: str) -> list[Document]:
        """All images of a repository, newest first."""
        rows = [row for _, row in self.store.items(IMAGE, scope, f"{name}@")]
        return sorted(rows, key=lambda row: -float(row["pushedAt"]))

    def tags(self, scope: str, name: str) -> dict[str, str]:
        """Tag → digest of a repository, by tag."""
        prefix = f"{name}:"
        rows = self.store.items(TAG, scope, prefix)
        return {key[len(prefix) :]: row["digest"] for key, row in rows}

    def tag(self, scope: str, name: str, tag: str) -> str | None:
        """The digest a tag points to, or None."""
        found = self.store.get(TAG, scope, f"{name}:{tag}")
        return found["digest"] if found else None

    def tags_by_digest(self, scope: str, name: str) -> dict[str, list[str]]:
        """Digest → its tags."""
        found: dict[str, list[str]] = {}
        for tag, digest in self.tags(scope, name).items():
            found.setdefault(digest, []).append(tag)
        return found

    def resolve(self, scope: str, name: str, image_id: ImageId) -> Document | None:
        """The image an identifier names, or None; both members must agree where both are given."""
        digest = image_id.get("imageDigest")
        tag = image_id.get("imageTag")
        if tag is not None:
            tagged = self.tag(scope, name, tag)
            if tagged is None or (digest is not None and digest != tagged):
                return None
            digest = tagged
        return self.image(scope, name, digest) if digest else None

    def wanted_image(self, scope: str, name: str, image_id: ImageId) -> Document:
        """Like `resolve`; `AwsError` ImageNotFoundException where there is none."""
        image = self.resolve(scope, name, image_id)
        if image is None:
            raise errors.image_missing(account_of(scope), name, image_id)
        return image

    def release_layers(self, scope: str, name: str) -> None:
        """Let go of the blobs that no image of a repository names any more."""
        with self.blobs.lock:
            used = {d for image in self.images(scope, name) for d in image["blobs"]}
            self.blobs.release(scope, name, used)

    def delete_repository(self, scope: str, name: str) -> None:
        """Remove a repository and everything in it."""
        with self.change():
            self.store.delete(REPOSITORY, scope, name)
            self.store.delete(PREVIEW, scope, name)
            for kind, separator in ((IMAGE, "@"), (SCAN, "@"), (TAG, ":")):
                for key, _ in self.store.items(kind, scope, name + separator):
                    self.store.delete(kind, scope, key)
        self.uploads.abort_all(scope, name)
        self.blobs.release_all(scope, name)


def account_of(scope: str) -> str:
    """The account of `account/region`."""
    return scope.partition("/")[0]


_registries: dict[CloudContext, Registry] = {}
_lock = threading.Lock()


def registry_of(context: CloudContext) -> Registry:
    """The one registry of a cloud, made when first asked for: leftovers of a kill go then."""
    with _lock:
        if context not in _registries:
            from fargate_lab.cloud.ecr.housekeeping import Housekeeping

            registry = Registry(context)
            registry.housekeeping = Housekeeping(registry)
            _registries[context] = registry
        return _registries[context]
