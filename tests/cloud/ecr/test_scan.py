"""Scans of real layers."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from fargate_lab.cloud.ecr.scan import advisories, distributions, findings_for
from fargate_lab.cloud.protocol import AwsError
from tests.cloud.conftest import ECR, Api
from tests.cloud.ecr import support

SITE = "usr/lib/python3/site-packages"


def installed(name: str, version: str, site: str = SITE) -> dict[str, bytes]:
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText\n"
    return {f"{site}/{name}-{version}.dist-info/METADATA": text.encode()}


def written(tmp_path: Path, *layers: dict[str, bytes]) -> list[Path]:
    paths = []
    for number, files in enumerate(layers):
        path = tmp_path / str(number)
        path.write_bytes(support.layer(files))
        paths.append(path)
    return paths


def test_what_is_installed_in_any_folder(tmp_path: Path) -> None:
    paths = written(tmp_path, installed("Pillow", "9.0"), installed("a.b", "1", "opt/site"))
    assert distributions(paths) == {("pillow", "9.0"), ("a-b", "1")}


@pytest.mark.parametrize(
    "gone",
    [
        f"{SITE}/.wh.Pillow-9.0.dist-info",
        f"{SITE}/Pillow-9.0.dist-info/.wh.METADATA",
        f"{SITE}/.wh..wh..opq",
        "usr/.wh.lib",
    ],
)
def test_what_a_later_layer_removes_is_not_there(tmp_path: Path, gone: str) -> None:
    assert distributions(written(tmp_path, installed("Pillow", "9.0"), {gone: b""})) == set()


def test_findings_the_worst_first() -> None:
    found = findings_for({("pillow", "9.0.0"), ("starlette", "0.46.0"), ("numpy", "2.0.0")})
    names = [f["name"] for f in found]
    assert names[0] == "CVE-2022-22817"
    assert {"CVE-2023-50447", "CVE-2025-54121"} <= set(names)
    assert "CVE-2021-34141" not in names
    assert findings_for({("pillow", "not a version")}) == []


def test_every_advisory_excludes_its_own_fix() -> None:
    rows = [row for rows in advisories().values() for row in rows]
    assert len(rows) > 50
    for row in rows:
        assert not row.concerns(Version(row.fixed)), row
        assert all(str(SpecifierSet(text)) for text in row.affected)
        assert row.source.endswith(row.id)
        assert row.severity in ("CRITICAL", "HIGH", "MEDIUM", "LOW")


def scanned(api: Api, tag: str) -> dict[str, object]:
    """The finished scan of an image."""
    deadline = time.monotonic() + 20
    while True:
        answer = api.ecr(
            "DescribeImageScanFindings", repositoryName="app", imageId={"imageTag": tag}
        )
        if answer["imageScanStatus"]["status"] != "IN_PROGRESS":
            return answer
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_scan_on_push_and_by_hand(api: Api) -> None:
    api.ecr(
        "CreateRepository",
        repositoryName="app",
        imageScanningConfiguration={"scanOnPush": True},
    )
    support.push(api, "app", support.image(support.layer(installed("jinja2", "3.1.2"))), "1")
    found = scanned(api, "1")["imageScanFindings"]
    assert isinstance(found, dict)
    assert found["findingSeverityCounts"] == {"HIGH": 2, "MEDIUM": 2}
    assert {"key": "package_version", "value": "3.1.2"} in found["findings"][0]["attributes"]
    (detail,) = api.ecr("DescribeImages", repositoryName="app")["imageDetails"]
    assert detail["imageScanStatus"]["status"] == "COMPLETE"
    assert detail["imageScanFindingsSummary"]["findingSeverityCounts"] == {"HIGH": 2, "MEDIUM": 2}
    again = api.ecr("StartImageScan", repositoryName="app", imageId={"imageTag": "1"})
    assert again["imageScanStatus"]["status"] == "IN_PROGRESS"


def test_a_layer_that_is_no_tar_fails_the_scan(api: Api) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    good = support.image(support.layer({"a": b"1"}))
    document = json.loads(good.manifest)
    document["layers"] = [support.descriptor(b"junk", support.LAYER)]
    text = json.dumps(document)
    config = next(iter(good.blobs.values()))
    blobs = {support.digest(d): d for d in (config, b"junk")}
    support.push(api, "app", support.Image(blobs, text), "1")
    api.ecr("StartImageScan", repositoryName="app", imageId={"imageTag": "1"})
    status = scanned(api, "1")["imageScanStatus"]
    assert isinstance(status, dict)
    assert status["status"] == "FAILED"


def test_no_scan_yet_and_an_index(api: Api) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    image = support.image(support.layer({"a": b"1"}))
    support.push(api, "app", image, "1")
    api.ecr("PutImage", repositoryName="app", imageManifest=support.index(image), imageTag="i")
    with pytest.raises(AwsError) as caught:
        scanned(api, "1")
    assert caught.value.code == "ScanNotFoundException"
    with pytest.raises(AwsError) as caught:
        api.ecr("StartImageScan", repositoryName="app", imageId={"imageTag": "i"})
    assert caught.value.code == "UnsupportedImageTypeException"


def test_an_interrupted_scan_is_taken_up(api: Api) -> None:
    api.ecr("CreateRepository", repositoryName="app")
    digest = support.push(api, "app", support.image(support.layer({"a": b"1"})), "1")
    key = f"app@{digest}"
    api.context.store.put("scan", "123456789012/us-east-1", key, {"status": "IN_PROGRESS"})
    api.service(ECR).startup()
    assert scanned(api, "1")["imageScanStatus"] == {
        "status": "COMPLETE",
        "description": "The scan was completed successfully.",
    }
