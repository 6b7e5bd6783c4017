"""Layers are the same bytes for the same entries."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_lab.image import entries
from fargate_lab.image.entries import Entry
from fargate_lab.image.errors import BuildError
from fargate_lab.image.layers import Layer, LayerCache
from fargate_lab.image.progress import Silent

NAMES = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cc"]),
        min_size=1,
        max_size=12,
    ).filter(lambda name: name not in (".", "..")),
    min_size=1,
    max_size=4,
).map("/".join)


def write(root: Path, found: list[Entry], *, packed: bool = False) -> tuple[Layer, Path]:
    cache = LayerCache(root)
    layer = cache.layer("x", entries.inputs(found), lambda: found, gzip=packed, progress=Silent())
    return layer, cache.blob(layer.digest)


@settings(deadline=None, max_examples=40)
@given(
    content=st.dictionaries(NAMES, st.binary(max_size=2000), min_size=1, max_size=6),
    seed=st.randoms(),
)
def test_order_of_entries_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes], seed: object
) -> None:
    found = [entries.from_bytes(name, data) for name, data in content.items()]
    names = {entry.path for entry in found}
    if any(other.startswith(name + "/") for name in names for other in names):
        with pytest.raises(BuildError, match="both a file and a folder"):
            write(tmp_path_factory.mktemp("a"), found)
        return
    first, blob = write(tmp_path_factory.mktemp("a"), found)
    shuffled = list(found)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    again, _ = write(tmp_path_factory.mktemp("b"), shuffled)
    assert again == first
    with tarfile.open(blob) as archive:
        read = {m.name: archive.extractfile(m).read() for m in archive if m.isreg()}  # type: ignore[union-attr]
    assert read == {entry.path: content[name] for name, entry in zip(content, found, strict=True)}


def test_members_are_normalised(tmp_path: Path) -> None:
    secret = tmp_path / "tool"
    secret.write_text("#!/bin/sh\n")
    secret.chmod(0o4771)
    found = [entries.from_file("/opt/bin/tool", secret), entries.link("opt/link", "bin/tool")]
    _, blob = write(tmp_path / "c", found)
    with tarfile.open(blob) as archive:
        members = archive.getmembers()
    assert [m.name for m in members] == ["opt", "opt/bin", "opt/bin/tool", "opt/link"]
    assert [oct(m.mode) for m in members[:3]] == ["0o755", "0o755", "0o755"]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 1)}
    assert not any(m.pax_headers for m in members)


def test_long_names_survive(tmp_path: Path) -> None:
    name = "a/" + "b" * 300
    _, blob = write(tmp_path, [entries.from_bytes(name, b"1")])
    with tarfile.open(blob) as archive:
        assert name in archive.getnames()


def test_gzip_holds_the_same_tar(tmp_path: Path) -> None:
    found = [entries.from_bytes("a", b"x" * 5000)]
    plain, plain_blob = write(tmp_path, found)
    packed, blob = write(tmp_path, found, packed=True)
    again, _ = write(tmp_path / "other", found, packed=True)
    assert gzip.decompress(blob.read_bytes()) == plain_blob.read_bytes()
    assert packed.diff_id == plain.diff_id == plain.digest
    assert again.digest == packed.digest
    assert packed.size < plain.size == packed.uncompressed_size


def test_a_lost_or_cut_blob_is_built_again(tmp_path: Path) -> None:
    found = [entries.from_bytes("a", b"x")]
    first, blob = write(tmp_path, found)
    assert write(tmp_path, found)[0].cached
    blob.write_bytes(b"cut")
    again, blob = write(tmp_path, found)
    assert not again.cached
    assert again.digest == first.digest == "sha256:" + hashlib.sha256(blob.read_bytes()).hexdigest()


def test_two_files_at_one_place(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="same place"):
        write(tmp_path, [entries.from_bytes("a", b"1"), entries.from_bytes("a", b"2")])


@pytest.mark.parametrize(
    ("pattern", "path", "stays_out"),
    [
        ("*", "app/a.py", True),
        ("*\n!app", "app/a.py", False),
        ("*.md", "docs/a.md", False),
        ("**/*.md", "docs/a.md", True),
        ("docs", "docs/deep/a.md", True),
        ("# docs", "docs/a.md", False),
    ],
)
def test_docker_ignore(tmp_path: Path, pattern: str, path: str, stays_out: bool) -> None:
    (tmp_path / ".dockerignore").write_text(pattern)
    assert entries.DockerIgnore(tmp_path).ignores(path) is stays_out
