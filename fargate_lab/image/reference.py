"""Image references: `host:port/repository:tag@digest`, as Docker reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import ImageError

_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOCAL = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\]|[a-z0-9.-]+\.localhost)(:\d+)?", re.I)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where an image is, or shall be, in a registry. `registry` is `host` or `host:port`."""

    registry: str
    repository: str
    tag: str = "latest"
    digest: str = ""

    @property
    def url(self) -> str:
        """The registry's address: plain HTTP on this machine, HTTPS everywhere else."""
        return f"{'http' if self.is_local else 'https'}://{self.registry}"

    @property
    def is_local(self) -> bool:
        """Whether the registry is on this machine."""
        return _LOCAL.fullmatch(self.registry) is not None

    @property
    def name(self) -> str:
        """What a manifest is asked for by: the digest if there is one, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        end = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"{self.registry}/{self.repository}{end}"


def parse_reference(text: str) -> Reference:
    """Read a reference; without a registry it is Docker Hub's, as with `docker pull`."""
    rest, _, digest = text.partition("@")
    first, slash, path = rest.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, path = "registry-1.docker.io", rest if slash else f"library/{rest}"
    elif first in ("docker.io", "index.docker.io"):
        first = "registry-1.docker.io"
        path = path if "/" in path else f"library/{path}"
    repository, colon, tag = path.partition(":")
    tag = tag if colon else "latest"
    if (
        not _REPOSITORY.fullmatch(repository)
        or not _TAG.fullmatch(tag)
        or (digest and not _DIGEST.fullmatch(digest))
        or not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", first)
    ):
        raise ImageError(
            f"{text!r} is not an image reference; expected host[:port]/repository[:tag], "
            "with a lower-case repository, such as 127.0.0.1:8081/inkdigits:1."
        )
    return Reference(registry=first, repository=repository, tag=tag, digest=digest)
