"""What the registry does by itself: expire images by policy, scan what was pushed."""

from __future__ import annotations

from fargate_lab.cloud.ecr import images
from fargate_lab.cloud.ecr.lifecycle import Candidate, Rule, expiring, parse
from fargate_lab.cloud.ecr.registry import Registry
from fargate_lab.cloud.ecr.scan import Scanner

EVALUATE_SECONDS = 60.0
"""Rules that count days are looked at again when a repository is read, at most this often.

ECR takes up to 24 hours; the lab does not make anyone wait for it.
"""


class Housekeeping:
    """Wired into a registry once; its methods are called by the registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.scanner = Scanner(registry)

    def after_push(self, scope: str, name: str, digest: str) -> None:
        """An image or a tag was pushed."""
        repository = self.registry.repository(scope, name)
        if repository["scanOnPush"]:
            self.scanner.start(scope, name, digest, quiet=True)
        self.expire(scope, name)

    def before_read(self, scope: str, name: str) -> None:
        """Someone is about to look at a repository's images."""
        repository = self.registry.store.get("repository", scope, name)
        if repository is None or "lifecyclePolicy" not in repository:
            return
        last = float(repository.get("lifecycleEvaluatedAt") or 0)
        if self.registry.clock() - last >= EVALUATE_SECONDS:
            self.expire(scope, name)

    def expire(self, scope: str, name: str) -> None:
        """Apply a repository's lifecycle policy, if it has one."""
        with self.registry.change():
            repository = self.registry.repository(scope, name)
            text = repository.get("lifecyclePolicy")
            if text is None:
                return
            doomed = self.doomed(scope, name, parse(text))
            for candidate, _ in doomed:
                images.delete(self.registry, scope, name, {"imageDigest": candidate.digest})
            repository["lifecycleEvaluatedAt"] = self.registry.clock()
            self.registry.save_repository(scope, repository)
        if doomed:
            self.registry.release_layers(scope, name)

    def doomed(self, scope: str, name: str, rules: tuple[Rule, ...]) -> list[tuple[Candidate, int]]:
        """The images that rules would expire now, indexes before the images they name.

        An image that a staying index names stays with it (ECR User Guide, "Lifecycle policies":
        images of a manifest list go after the list).
        """
        rows = self.registry.images(scope, name)
        tags = self.registry.tags_by_digest(scope, name)
        candidates = [
            Candidate(r["digest"], tuple(tags.get(r["digest"], ())), float(r["pushedAt"]))
            for r in rows
        ]
        found = expiring(rules, candidates, self.registry.clock())
        gone = {candidate.digest for candidate, _ in found}
        kept = {child for r in rows if r["digest"] not in gone for child in r["children"]}
        indexes = {r["digest"] for r in rows if r["children"]}
        staying = [(c, p) for c, p in found if c.digest not in kept]
        return sorted(staying, key=lambda pair: pair[0].digest not in indexes)
