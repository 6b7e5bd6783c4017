"""The registry's own addresses under `/_lab/registry/`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from fargate_lab.cloud.ecr.registry import Registry, registry_of

if TYPE_CHECKING:
    from fargate_lab.cloud.server import Cloud


def answer_lab(cloud: Cloud, path: str, query: dict[str, str]) -> dict[str, Any] | None:
    """The answer at a path, or None where there is nothing."""
    if path == "/_lab/registry/storage":
        account = query.get("account", "123456789012")
        return storage(registry_of(cloud.context), account)
    return None


def storage(registry: Registry, account: str) -> dict[str, Any]:
    """What sharing of layers saves in one account: sizes in bytes.

    `separate` is what the images would take if each kept its own layers, `stored` what they take
    on disk; `layers` lists every blob with its size and how many images share it.
    """
    uses: Counter[str] = Counter()
    sizes: dict[str, int] = {}
    images: list[dict[str, Any]] = []
    for scope in registry.store.scopes("repository"):
        if not scope.startswith(f"{account}/"):
            continue
        for repository in registry.repositories(scope):
            name = repository["name"]
            sizes |= registry.blobs.held(scope, name)
            tags = registry.tags_by_digest(scope, name)
            for image in registry.images(scope, name):
                uses.update(image["blobs"])
                images.append(
                    {
                        "repositoryName": name,
                        "region": scope.partition("/")[2],
                        "imageDigest": image["digest"],
                        "imageTags": tags.get(image["digest"], []),
                        "layers": image["blobs"],
                    }
                )
    rows = [{"digest": d, "size": n, "images": uses[d]} for d, n in sizes.items()]
    return {
        "account": account,
        "separate": sum(sizes.get(d, 0) * count for d, count in uses.items()),
        "stored": sum(sizes.values()),
        "images": images,
        "layers": sorted(rows, key=lambda row: -int(row["size"])),
    }
