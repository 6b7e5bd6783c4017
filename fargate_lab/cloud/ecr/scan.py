"""Scans: the Python distributions in an image's layers against a bundled list of advisories.

What ECR does on AWS looks at the packages of the operating system too, with a database that is
renewed daily; the lab's list is short and dated, and says so in every finding.
"""

from __future__ import annotations

import email.parser
import gzip
import json
import logging
import re
import tarfile
import threading
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from fargate_lab.cloud.ecr.registry import SCAN, Document, Registry
from fargate_lab.cloud.protocol import AwsError
from fargate_lab.image.media import INDEXES

log = logging.getLogger(__name__)

METADATA_LIMIT = 2**20
_METADATA = re.compile(r"(.*/)?([^/]+)\.dist-info/METADATA")
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class Advisory:
    """One published weakness of a distribution on PyPI."""

    id: str
    package: str
    affected: tuple[str, ...]
    """Version specifiers; a version that any of them holds is affected."""
    fixed: str
    severity: str
    summary: str
    source: str
    as_of: str

    def concerns(self, version: Version) -> bool:
        """Whether a version is affected."""
        return any(SpecifierSet(s).contains(version, prereleases=True) for s in self.affected)


@cache
def advisories() -> dict[str, tuple[Advisory, ...]]:
    """Normalised distribution name → its advisories."""
    text = resources.files("fargate_lab.facts").joinpath("advisories.json").read_text("utf-8")
    document = json.loads(text)
    found: dict[str, list[Advisory]] = {}
    for row in document["advisories"]:
        advisory = Advisory(
            **{**row, "affected": tuple(row["affected"])},
            source=document["source"].format(id=row["id"]),
            as_of=document["as_of"],
        )
        found.setdefault(advisory.package, []).append(advisory)
    return {name: tuple(rows) for name, rows in found.items()}


def distributions(layers: Sequence[Path]) -> set[tuple[str, str]]:
    """(normalised name, version) of what is installed in layers put on top of each other.

    Raises tarfile.TarError, OSError, EOFError or zlib.error for a layer that cannot be read.
    """
    found: dict[str, tuple[str, str]] = {}
    for path in layers:
        new: dict[str, tuple[str, str]] = {}
        hidden: set[str] = set()
        with tarfile.open(path, "r|*") as tar:
            for entry in tar:
                name = str(PurePosixPath(entry.name))
                _note_whiteout(name, hidden)
                if entry.isfile() and _METADATA.fullmatch(name):
                    file = tar.extractfile(entry)
                    if file is not None:
                        new[name] = _identity(file.read(METADATA_LIMIT))
        found = {n: v for n, v in found.items() if not _is_hidden(n, hidden)} | new
    return set(found.values())


def _note_whiteout(name: str, hidden: set[str]) -> None:
    folder, _, base = name.rpartition("/")
    if base == _OPAQUE:
        hidden.add(folder or ".")
    elif base.startswith(_WHITEOUT):
        hidden.add(f"{folder}/{base[len(_WHITEOUT) :]}".lstrip("/"))


def _is_hidden(name: str, hidden: set[str]) -> bool:
    return name in hidden or any(str(parent) in hidden for parent in PurePosixPath(name).parents)


def _identity(data: bytes) -> tuple[str, str]:
    message = email.parser.HeaderParser().parsestr(data.decode(errors="replace"))
    name = re.sub(r"[-_.]+", "-", str(message.get("Name", ""))).lower()
    return name, str(message.get("Version", ""))


def findings_for(installed: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """ECR's findings for installed distributions, the worst first."""
    order = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")
    found = []
    for name, text in installed:
        try:
            version = Version(text)
        except InvalidVersion:
            continue
        found += [
            _finding(a, name, text) for a in advisories().get(name, ()) if a.concerns(version)
        ]
    return sorted(found, key=lambda f: (order.index(f["severity"]), f["name"], str(f)))


def _finding(advisory: Advisory, name: str, version: str) -> dict[str, Any]:
    attributes = {
        "package_name": name,
        "package_version": version,
        "fixed_version": advisory.fixed,
        "as_of": advisory.as_of,
    }
    return {
        "name": advisory.id,
        "description": advisory.summary,
        "uri": advisory.source,
        "severity": advisory.severity,
        "attributes": [{"key": k, "value": v} for k, v in attributes.items()],
    }


class Scanner:
    """Scans images one after the other in the background; its results are in the store."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def start(self, scope: str, name: str, digest: str, *, quiet: bool = False) -> Document:
        """Begin a scan; quiet: leave an image that cannot be scanned alone instead of refusing."""
        image = self.registry.image(scope, name, digest)
        if image is None or image["mediaType"] in INDEXES or not _is_image(image):
            if quiet:
                return {}
            kind = image["mediaType"] if image else "unknown"
            raise AwsError(
                "UnsupportedImageTypeException",
                f"The image with digest '{digest}' cannot be scanned: it is of type {kind}",
            )
        scan = {"status": "IN_PROGRESS", "startedAt": self.registry.clock()}
        self.registry.store.put(SCAN, scope, f"{name}@{digest}", scan)
        self._submit(scope, name, digest)
        return scan

    def resume(self) -> None:
        """Take up the scans that a stop of the cloud interrupted."""
        for scope in self.registry.store.scopes(SCAN):
            for key, scan in self.registry.store.items(SCAN, scope):
                if scan["status"] == "IN_PROGRESS":
                    name, _, digest = key.partition("@")
                    self._submit(scope, name, digest)

    def close(self) -> None:
        """Finish the scan at work and drop the rest, which the next start takes up."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)
                self._pool = None

    def _submit(self, scope: str, name: str, digest: str) -> None:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="ecr-scan")
            self._pool.submit(self._scan, scope, name, digest)

    def _scan(self, scope: str, name: str, digest: str) -> None:
        image = self.registry.image(scope, name, digest)
        if image is None:
            return
        try:
            rows = json.loads(image["manifest"])["layers"]
            paths = [self.registry.blobs.path(row["digest"]) for row in rows]
            findings = findings_for(distributions(paths))
            result = self._complete(findings)
        except (tarfile.TarError, gzip.BadGzipFile, OSError, EOFError, zlib.error) as error:
            log.info("scan of %s@%s: %s", name, digest, error)
            why = "a layer is neither tar nor gzip tar, or cannot be read"
            result = {"status": "FAILED", "description": f"The scan failed: {why}."}
        except Exception:
            log.exception("scan of %s@%s failed", name, digest)
            result = {"status": "FAILED", "description": "The scan failed; cloud.log has details."}
        with self.registry.change():
            if self.registry.image(scope, name, digest) is not None:
                self.registry.store.put(SCAN, scope, f"{name}@{digest}", result)

    def _complete(self, findings: list[dict[str, Any]]) -> Document:
        counts = Counter(f["severity"] for f in findings)
        summary = {
            "imageScanCompletedAt": round(self.registry.clock(), 3),
            "vulnerabilitySourceUpdatedAt": source_date(),
            "findingSeverityCounts": dict(counts),
        }
        return {
            "status": "COMPLETE",
            "description": "The scan was completed successfully.",
            "summary": summary,
            "findings": findings,
        }


def _is_image(image: Mapping[str, Any]) -> bool:
    rows = json.loads(image["manifest"]).get("layers", [])
    return bool(rows) and all("layer" in r["mediaType"] or "rootfs" in r["mediaType"] for r in rows)


@cache
def source_date() -> int:
    """The day the bundled list was made, in seconds since 1970."""
    import datetime as dt

    dates = [row.as_of for rows in advisories().values() for row in rows]
    day = dt.date.fromisoformat(max(dates))
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp())
