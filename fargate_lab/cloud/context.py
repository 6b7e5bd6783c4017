"""What every service of the cloud shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fargate_lab.cloud.store import Store


@dataclass(frozen=True, slots=True)
class CloudContext:
    """One running cloud: its folder, its store, its addresses."""

    state_dir: Path
    cache_dir: Path
    store: Store
    port: int
    runtime: str
    """The asked-for runtime: `auto`, `docker` or `process`."""
    token: str
    """Lets the owner stop the cloud; known to whoever may read `cloud.json`."""

    @property
    def url(self) -> str:
        """The endpoint clients use, such as `http://127.0.0.1:4577`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def registry(self) -> str:
        """The registry's `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def blobs(self) -> Path:
        """The registry's blob folder."""
        return self.state_dir / "blobs" / "sha256"
