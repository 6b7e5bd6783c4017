"""The OCI distribution protocol, over HTTP."""

from __future__ import annotations

import base64
import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cloud.conftest import LabCloud
from tests.cloud.ecr import support
from tests.cloud.ecr.conftest import V2, credentials

NOWHERE = "The repository with name 'nowhere' does not exist in the registry with id '123456789012'"


@pytest.fixture
def name(cloud: LabCloud) -> str:
    made = f"r-{uuid.uuid4().hex[:8]}"
    cloud.client("ecr").create_repository(repositoryName=made)
    return made


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


def test_without_a_token_there_is_a_challenge(cloud: LabCloud) -> None:
    answer = httpx.get(f"{cloud.url}/v2/")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == (
        f'Basic realm="{cloud.url}/",service="ecr.amazonaws.com"'
    )
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!", "Bearer x", "Basic " + base64.b64encode(b"AWS:guess").decode()],
)
def test_what_is_no_token_is_refused(cloud: LabCloud, header: str) -> None:
    answer = httpx.get(f"{cloud.url}/v2/", headers={"authorization": header})
    assert code(answer) == (401, "UNAUTHORIZED")


def test_the_token_opens_only_as_user_aws(cloud: LabCloud) -> None:
    user, password = credentials(cloud)
    assert httpx.get(f"{cloud.url}/v2/", auth=(user, password)).status_code == 200
    assert httpx.get(f"{cloud.url}/v2/", auth=("root", password)).status_code == 401
    changed = password[:-2] + ("AA" if password[-2:] != "AA" else "BB")
    assert httpx.get(f"{cloud.url}/v2/", auth=(user, changed)).status_code == 401


def test_the_token_s_account_decides_whose_registry(cloud: LabCloud, name: str) -> None:
    other = credentials(cloud, "210987654321")
    answer = httpx.get(f"{cloud.url}/v2/{name}/tags/list", auth=other)
    assert code(answer) == (404, "NAME_UNKNOWN")
    assert "'210987654321'" in answer.text


def test_push_and_pull(v2: V2, name: str) -> None:
    image = support.image(support.layer({"a": b"1"}))
    done = v2.push(name, image, "1")
    assert done.status_code == 201
    assert done.headers["docker-content-digest"] == image.digest
    for reference in ("1", image.digest):
        found = v2("GET", f"{name}/manifests/{reference}", headers={"accept": support.MANIFEST})
        assert found.text == image.manifest
        assert found.headers["content-type"] == support.MANIFEST
        head = v2("HEAD", f"{name}/manifests/{reference}")
        assert head.headers["content-length"] == str(len(image.manifest))
        assert head.headers["docker-content-digest"] == image.digest
        assert head.content == b""
    for digest, data in image.blobs.items():
        assert v2("GET", f"{name}/blobs/{digest}").content == data


def test_a_blob_in_parts_and_ranges(v2: V2, name: str) -> None:
    data = os.urandom(3_000_000)
    digest = v2.blob(name, data)
    path = f"{name}/blobs/{digest}"
    head = v2("HEAD", path)
    assert (head.headers["content-length"], head.headers["accept-ranges"]) == ("3000000", "bytes")
    for given_range, expected in (
        ("bytes=0-9", data[:10]),
        ("bytes=2999990-", data[-10:]),
        ("bytes=-5", data[-5:]),
        ("bytes=10-99999999", data[10:]),
    ):
        part = v2("GET", path, headers={"range": given_range})
        assert part.status_code == 206
        assert part.content == expected
    assert v2("GET", path, headers={"range": "bytes=3000000-"}).status_code == 416
    assert v2("GET", path, headers={"if-none-match": head.headers["etag"]}).status_code == 304


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=4000), cuts=st.lists(st.integers(0, 4000), max_size=6))
def test_any_chunks_give_the_same_blob(v2: V2, name: str, data: bytes, cuts: list[int]) -> None:
    place = v2("POST", f"{name}/blobs/uploads/").headers["location"]
    edges = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    for start, end in pairwise(edges):
        given_range = {"content-range": f"{start}-{end - 1}"}
        done = v2.http.patch(place, content=data[start:end], headers=given_range)
        assert done.status_code == 202
        assert done.headers["range"] == f"0-{end - 1}"
        place = done.headers["location"]
    done = v2.http.put(place, params={"digest": support.digest(data)})
    assert done.status_code == 201
    assert v2("GET", f"{name}/blobs/{support.digest(data)}").content == data


def test_an_upload_is_taken_up_where_it_stopped(v2: V2, name: str) -> None:
    place = v2("POST", f"{name}/blobs/uploads/").headers["location"]
    v2.http.patch(place, content=b"12345")
    state = v2.http.get(place)
    assert (state.status_code, state.headers["range"]) == (204, "0-4")
    late = v2.http.patch(place, content=b"89", headers={"content-range": "7-8"})
    assert (late.status_code, late.headers["range"]) == (416, "0-4")
    wrong = v2.http.patch(place, content=b"678", headers={"content-range": "5-6"})
    assert code(wrong) == (400, "SIZE_INVALID")
    done = v2.http.put(place, params={"digest": support.digest(b"1234567")}, content=b"67")
    assert done.status_code == 201
    assert v2.http.get(place).status_code == 404


def test_an_upload_can_be_cancelled(v2: V2, cloud: LabCloud, name: str) -> None:
    place = v2("POST", f"{name}/blobs/uploads/").headers["location"]
    v2.http.patch(place, content=b"12345")
    assert v2.http.delete(place).status_code == 204
    assert code(v2.http.patch(place, content=b"6")) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert not (cloud.state_dir / "uploads" / place.rpartition("/")[2]).exists()


@pytest.mark.parametrize("digest", ["", "sha256:1", "md5:" + "0" * 32, "sha256:" + "A" * 64])
def test_a_digest_that_is_none(v2: V2, name: str, digest: str) -> None:
    place = v2("POST", f"{name}/blobs/uploads/").headers["location"]
    answer = v2.http.put(place, params={"digest": digest}, content=b"x")
    assert code(answer) == (400, "DIGEST_INVALID")


def test_a_wrong_digest_leaves_nothing(v2: V2, cloud: LabCloud, name: str) -> None:
    wrong = "sha256:" + "0" * 64
    before = set((cloud.state_dir / "uploads").iterdir())
    answer = v2("POST", f"{name}/blobs/uploads/?digest={wrong}", content=b"hello")
    assert code(answer) == (400, "DIGEST_INVALID")
    assert v2("HEAD", f"{name}/blobs/{wrong}").status_code == 404
    assert set((cloud.state_dir / "uploads").iterdir()) == before


def test_a_blob_is_seen_only_where_it_is_held(v2: V2, cloud: LabCloud, name: str) -> None:
    data = os.urandom(100)
    digest = v2.blob(name, data)
    cloud.client("ecr").create_repository(repositoryName=f"{name}/second")
    second = f"{name}/second"
    assert v2("HEAD", f"{second}/blobs/{digest}").status_code == 404
    mounted = v2("POST", f"{second}/blobs/uploads/?mount={digest}&from={name}")
    assert mounted.status_code == 201
    assert v2("GET", f"{second}/blobs/{digest}").content == data
    absent = "sha256:" + "1" * 64
    begun = v2("POST", f"{second}/blobs/uploads/?mount={absent}&from={name}")
    assert begun.status_code == 202
    assert v2.http.delete(begun.headers["location"]).status_code == 204


def test_a_repository_that_is_not_there(v2: V2) -> None:
    for method, path in (
        ("POST", "nowhere/blobs/uploads/"),
        ("GET", "nowhere/manifests/1"),
        ("GET", "nowhere/tags/list"),
        ("PUT", "nowhere/manifests/1"),
        ("GET", "nowhere/blobs/sha256:" + "0" * 64),
    ):
        answer = v2(method, path)
        assert code(answer) == (404, "NAME_UNKNOWN")
        assert answer.json()["errors"][0]["message"] == NOWHERE


def test_names_and_addresses_that_are_none(v2: V2, name: str) -> None:
    assert code(v2("GET", "UPPER/tags/list")) == (400, "NAME_INVALID")
    assert code(v2("GET", "_catalog")) == (405, "UNSUPPORTED")
    assert v2("GET", "what/ever").status_code == 404
    assert code(v2("GET", f"{name}/manifests/none")) == (404, "MANIFEST_UNKNOWN")
    assert code(v2("POST", f"{name}/manifests/none")) == (405, "UNSUPPORTED")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda m: "junk", "MANIFEST_INVALID"),
        (lambda m: "[]", "MANIFEST_INVALID"),
        (lambda m: json.dumps({**m, "schemaVersion": 1}), "MANIFEST_INVALID"),
        (lambda m: json.dumps({**m, "layers": None}), "MANIFEST_INVALID"),
        (lambda m: json.dumps({**m, "manifests": []}), "MANIFEST_INVALID"),
        (lambda m: json.dumps({**m, "config": {**m["config"], "size": 1}}), "SIZE_INVALID"),
        (
            lambda m: json.dumps({**m, "config": {**m["config"], "digest": "sha256:" + "0" * 64}}),
            "MANIFEST_BLOB_UNKNOWN",
        ),
    ],
)
def test_a_manifest_that_is_not_true(v2: V2, name: str, change: object, expected: str) -> None:
    image = support.image(support.layer({"a": b"1"}))
    for data in image.blobs.values():
        v2.blob(name, data)
    assert callable(change)
    text = change(json.loads(image.manifest))
    assert code(v2("PUT", f"{name}/manifests/1", content=text)) == (400, expected)
    assert v2("HEAD", f"{name}/manifests/1").status_code == 404


def test_a_manifest_under_a_digest_that_is_not_its_own(v2: V2, name: str) -> None:
    image = support.image(support.layer({"a": b"1"}))
    answer = v2.push(name, image, "sha256:" + "0" * 64)
    assert code(answer) == (400, "DIGEST_INVALID")


def test_an_immutable_tag(v2: V2, cloud: LabCloud, name: str) -> None:
    cloud.client("ecr").put_image_tag_mutability(
        repositoryName=name, imageTagMutability="IMMUTABLE"
    )
    image = support.image(support.layer({"a": b"1"}))
    assert v2.push(name, image, "1").status_code == 201
    answer = v2.push(name, support.image(support.layer({"a": b"2"})), "1")
    assert code(answer) == (400, "TAG_INVALID")
    assert answer.json()["errors"][0]["message"] == (
        f"The image tag '1' already exists in the '{name}' repository and cannot be overwritten "
        "because the repository is immutable."
    )


def test_tags_in_pages(v2: V2, name: str) -> None:
    image = support.image(support.layer({"a": b"1"}))
    for tag in ("c", "a", "b"):
        v2.push(name, image, tag)
    first = v2("GET", f"{name}/tags/list?n=2")
    assert first.json() == {"name": name, "tags": ["a", "b"]}
    rest = v2.http.get(first.links["next"]["url"])
    assert rest.json()["tags"] == ["c"]
    assert "link" not in rest.headers
    assert v2("GET", f"{name}/tags/list?n=x").status_code == 400


def test_an_index_and_a_client_that_knows_none(v2: V2, name: str) -> None:
    intel = support.image(support.layer({"a": b"1"}))
    arm = support.image(support.layer({"a": b"2"}), architecture="arm64")
    text = support.index(intel, arm)
    assert code(v2("PUT", f"{name}/manifests/1", content=text)) == (400, "MANIFEST_BLOB_UNKNOWN")
    for part in (intel, arm):
        assert v2.push(name, part, part.digest).status_code == 201
    assert v2("PUT", f"{name}/manifests/1", content=text).status_code == 201
    path = f"{name}/manifests/1"
    assert v2("GET", path, headers={"accept": support.INDEX}).text == text
    assert v2("GET", path, headers={"accept": support.MANIFEST}).text == intel.manifest
    other = v2("GET", path, headers={"accept": "text/plain"})
    assert code(other) == (404, "MANIFEST_UNKNOWN")
    held = v2("DELETE", f"{name}/manifests/{intel.digest}")
    assert "referenced by manifest list" in held.text
    assert v2("DELETE", path).status_code == 202
    assert v2("DELETE", f"{name}/manifests/{intel.digest}").status_code == 202


def test_referrers(v2: V2, name: str) -> None:
    subject = support.image(support.layer({"a": b"1"}))
    v2.push(name, subject, "1")
    about = {"subject": support.descriptor(subject.manifest.encode(), support.MANIFEST)}
    paper = support.image(
        support.layer({"sbom": b"{}"}),
        artifactType="application/spdx+json",
        annotations={"by": "test"},
        **about,
    )
    done = v2.push(name, paper, paper.digest)
    assert done.headers["oci-subject"] == subject.digest
    found = v2("GET", f"{name}/referrers/{subject.digest}")
    (row,) = found.json()["manifests"]
    assert (row["digest"], row["artifactType"]) == (paper.digest, "application/spdx+json")
    assert row["annotations"] == {"by": "test"}
    none = v2("GET", f"{name}/referrers/{subject.digest}?artifactType=x/y")
    assert (none.json()["manifests"], none.headers["oci-filters-applied"]) == ([], "artifactType")


def test_deleting_the_last_image_frees_its_layers(v2: V2, cloud: LabCloud, name: str) -> None:
    shared, own = support.layer({"a": os.urandom(20)}), support.layer({"b": os.urandom(20)})
    first, second = support.image(shared), support.image(shared, own)
    v2.push(name, first, "1")
    v2.push(name, second, "2")
    path = cloud.state_dir / "blobs" / "sha256"
    files = {data: path / support.digest(data)[7:] for data in (shared, own)}
    assert v2("DELETE", f"{name}/manifests/2").status_code == 202
    assert (files[shared].exists(), files[own].exists()) == (True, False)
    cloud.client("ecr").delete_repository(repositoryName=name, force=True)
    assert not files[shared].exists()


def test_sixteen_pushes_of_one_layer_at_once(v2: V2, cloud: LabCloud, name: str) -> None:
    data = os.urandom(2_000_000)
    before = set((cloud.state_dir / "uploads").iterdir())
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: v2.blob(name, data), range(16))) == {support.digest(data)}
    assert v2("GET", f"{name}/blobs/{support.digest(data)}").content == data
    assert set((cloud.state_dir / "uploads").iterdir()) == before


def test_a_link_needs_no_token(v2: V2, cloud: LabCloud, name: str) -> None:
    data = os.urandom(1000)
    digest = v2.blob(name, data)
    url = cloud.client("ecr").get_download_url_for_layer(repositoryName=name, layerDigest=digest)[
        "downloadUrl"
    ]
    assert httpx.get(url).content == data
    assert httpx.get(url.replace("Signature=", "Signature=0")).status_code == 403
    assert httpx.get(url.replace("Expires=", "Expires=9")).status_code == 403


def test_a_file_that_was_taken_away_can_be_pushed_again(v2: V2, cloud: LabCloud, name: str) -> None:
    data = os.urandom(1000)
    digest = v2.blob(name, data)
    (cloud.state_dir / "blobs" / "sha256" / digest[7:]).unlink()
    assert code(v2("GET", f"{name}/blobs/{digest}")) == (404, "BLOB_UNKNOWN")
    assert v2.blob(name, data) == digest
    assert v2("GET", f"{name}/blobs/{digest}").content == data


def test_what_sharing_saves(v2: V2, cloud: LabCloud) -> None:
    account = "111122223333"
    cloud.client("ecr", account).create_repository(repositoryName="shared")
    base, one, two = (support.layer({"a": os.urandom(n)}) for n in (5000, 10, 20))
    with httpx.Client(base_url=cloud.url, auth=credentials(cloud, account)) as http:
        mine = V2(http)
        first, second = support.image(base, one), support.image(base, two)
        mine.push("shared", first, "1")
        mine.push("shared", second, "2")
    found = httpx.get(f"{cloud.url}/_lab/registry/storage?account={account}").json()
    every = {**first.blobs, **second.blobs}
    assert found["stored"] == sum(map(len, every.values()))
    assert found["separate"] == found["stored"] + len(base)
    assert found["layers"][0] == {"digest": support.digest(base), "size": len(base), "images": 2}
