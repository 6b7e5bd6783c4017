"""Push: send an image to a registry, and only what the registry lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import show
from .digests import CHUNK
from .layers import Layer
from .layout import Image
from .progress import Progress, Silent
from .reference import parse_reference
from .registry import Registry

_PARALLEL = 4


@dataclass(frozen=True, kw_only=True)
class PushedLayer:
    """One layer of a push. `outcome`: `uploaded`, `already there` or `mounted`; `sent` in bytes."""

    name: str
    digest: str
    size: int
    outcome: str
    sent: int


@dataclass(frozen=True, kw_only=True)
class PushReport:
    """What a push did. `sent_bytes` counts bytes of layer bodies, as they went out."""

    reference: str
    digest: str
    layers: list[PushedLayer]

    @property
    def sent_bytes(self) -> int:
        """Bytes of layers that were really sent."""
        return sum(layer.sent for layer in self.layers)

    @property
    def uploaded(self) -> list[PushedLayer]:
        """The layers that were sent."""
        return [layer for layer in self.layers if layer.outcome == "uploaded"]

    @property
    def skipped(self) -> list[PushedLayer]:
        """The layers that were there, or came from another repository."""
        return [layer for layer in self.layers if layer.outcome != "uploaded"]

    def __str__(self) -> str:
        return show.push_text(self)

    def _repr_html_(self) -> str:
        return show.push_html(self)


class Counted:
    """A file's bytes in pieces, counted as they are taken."""

    def __init__(self, path: Path, told: partial[None] | None = None) -> None:
        self._path, self._told = path, told
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            while data := file.read(CHUNK):
                yield data
                self.sent += len(data)
                if self._told:
                    self._told(len(data))


def push(
    image: Image,
    reference: str,
    *,
    username: str | None = None,
    password: str | None = None,
    mount_from: Sequence[str] = (),
    progress: Progress | None = None,
) -> PushReport:
    """Push an image to `host[:port]/repository[:tag]`.

    A layer that the repository has is not sent; one that a repository of `mount_from` in the same
    registry has is taken over from there. RegistryError says what the registry refused.
    """
    where = parse_reference(reference)
    told = progress or Silent()
    with Registry(where, username=username, password=password) as registry:
        registry.allow_push()
        send = partial(_push_layer, registry, image, mount_from=mount_from, progress=told)
        unique = {layer.digest: layer for layer in image.layers}
        with ThreadPoolExecutor(_PARALLEL) as pool:
            done = {pushed.digest: pushed for pushed in pool.map(send, unique.values())}
        config = image.manifest["config"]["digest"]
        if not registry.has_blob(config):
            _send(registry, config, Counted(image.blob(config)), image.manifest["config"]["size"])
        digest = registry.put_manifest(
            where.name, image.manifest_bytes(), image.manifest["mediaType"]
        )
    return PushReport(reference=str(where), digest=digest, layers=list(done.values()))


def _push_layer(
    registry: Registry,
    image: Image,
    layer: Layer,
    *,
    mount_from: Sequence[str],
    progress: Progress,
) -> PushedLayer:
    task = f"push {layer.name} {show.short(layer.digest)[:6]}"
    progress.start(task, layer.size)
    outcome, sent = "already there", 0
    if not registry.has_blob(layer.digest):
        if any(registry.mount(layer.digest, source) for source in mount_from):
            outcome = "mounted"
        else:
            body = Counted(image.blob(layer.digest), partial(progress.advance, task))
            _send(registry, layer.digest, body, layer.size)
            outcome, sent = "uploaded", body.sent
    if not sent:
        progress.advance(task, layer.size)
    progress.finish(task, outcome)
    return PushedLayer(
        name=layer.name, digest=layer.digest, size=layer.size, outcome=outcome, sent=sent
    )


def _send(registry: Registry, digest: str, body: Counted, size: int) -> None:
    location = registry.start()
    location = registry.append(location, iter(body), size)
    registry.finish(location, digest)
