"""Layers unpack as the specification says, and nothing leaves the folder."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_lab.image import DigestMismatchError, ImageError, UnpackError, unpack, unpack_cached
from fargate_lab.image import extract as module
from fargate_lab.image.media import LAYER_GZIP, LAYER_TAR, LAYER_ZSTD

Member = tuple[str, bytes, str]  # name, tar type, content or link target
FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
linux_only = pytest.mark.skipif(sys.platform == "win32", reason="links and modes of POSIX")


def tar(*members: Member, mode: int = 0o755, format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, mode
            if kind == FILE:
                info.size = len(content.encode())
                archive.addfile(info, io.BytesIO(content.encode()))
            else:
                info.linkname = content
                archive.addfile(info)
    return out.getvalue()


def run(tmp_path: Path, *layers: bytes, max_bytes: int = module.MAX_BYTES) -> Path:
    """Unpack layers; a sentinel beside the root must stay as it is."""
    outside = tmp_path / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "sentinel").write_text("untouched")
    blobs = []
    for number, data in enumerate(layers):
        path = tmp_path / f"layer{number}"
        path.write_bytes(data)
        blobs.append((path, LAYER_GZIP if data[:2] == b"\x1f\x8b" else LAYER_TAR))
    try:
        return unpack(blobs, tmp_path / "root", max_bytes=max_bytes)
    finally:
        assert os.listdir(outside) == ["sentinel"]
        assert (outside / "sentinel").read_text() == "untouched"


def tree(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@linux_only
def test_files_modes_links_and_times(tmp_path: Path) -> None:
    data = tar(("a/b", FILE, "1"), ("a/l", LINK, "b"), ("h", HARD, "a/b"), mode=0o4751)
    root = run(tmp_path, data)
    info = (root / "a/b").stat()
    assert stat.S_IMODE(info.st_mode) == 0o751
    assert info.st_nlink == 2
    assert info.st_mtime == 0
    assert os.readlink(root / "a/l") == "b"
    assert tree(root) == {"a/b": "1", "a/l": "1", "h": "1"}


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names(tmp_path: Path, format: int) -> None:
    name = "d" * 90 + "/" + "e" * 90
    assert tree(run(tmp_path, tar((name, FILE, "x"), format=format))) == {name: "x"}


@linux_only
def test_an_absolute_link_stays_inside(tmp_path: Path) -> None:
    data = tar(("etc/passwd", FILE, "ours"), ("a/b/l", LINK, "/etc/passwd"), ("d", LINK, "/a"))
    root = run(tmp_path, data, tar(("d/new", FILE, "through")))
    assert (root / "a/b/l").read_text() == "ours"
    assert os.readlink(root / "a/b/l") == "../../etc/passwd"
    assert (root / "a/new").read_text() == "through"


def test_whiteouts(tmp_path: Path) -> None:
    below = tar(("a/x", FILE, "1"), ("a/y", FILE, "2"), ("b/z", FILE, "3"), ("b/s/t", FILE, "4"))
    above = tar(
        ("a/.wh.x", FILE, ""),
        ("b/new", FILE, "5"),
        ("b/s/kept", FILE, "6"),
        ("b/.wh..wh..opq", FILE, ""),
    )
    assert tree(run(tmp_path, below, above)) == {"a/y": "2", "b/new": "5", "b/s/kept": "6"}


def test_a_whiteout_spares_its_own_layer(tmp_path: Path) -> None:
    data = tar(("a/x", FILE, "new"), ("a/.wh.x", FILE, ""))
    assert tree(run(tmp_path, tar(("a/x", FILE, "old")), data)) == {"a/x": "new"}


@linux_only
def test_a_later_layer_replaces(tmp_path: Path) -> None:
    first = tar(("f", FILE, "1"), ("d/in", FILE, "2"), ("l", LINK, "f"), ("keep/a", FILE, "3"))
    second = tar(("f", FOLDER, ""), ("d", FILE, "5"), ("l", FILE, "6"))
    third = tar(("keep", FOLDER, ""), mode=0o711)
    root = run(tmp_path, first, second, third)
    assert tree(root) == {"d": "5", "l": "6", "keep/a": "3"}
    assert stat.S_IMODE((root / "keep").stat().st_mode) == 0o711


HOSTILE: dict[str, tuple[list[list[Member]], str]] = {
    "absolute path": ([[("/etc/evil", FILE, "x")]], "absolute"),
    "dot dot": ([[("../outside/evil", FILE, "x")]], r"`\.\.`"),
    "hidden dot dot": ([[("a/../../outside/evil", FILE, "x")]], r"`\.\.`"),
    "link up": ([[("l", LINK, "../outside")]], "outside the image's root"),
    "absolute link up": ([[("l", LINK, "/../outside")]], "outside the image's root"),
    "deep link up": ([[("a/b/l", LINK, "../../../outside")]], "outside the image's root"),
    "link and write": (
        [[("a/r", LINK, "../."), ("a/r/a/r/x", LINK, "../.."), ("a/x/outside/e", FILE, "x")]],
        "root|file|links",
    ),
    "chained links": (
        [[("d/e", FOLDER, ""), ("d/e/l", LINK, "../.."), ("m", LINK, "d/e/l/../..")]],
        "outside the image's root|leads out",
    ),
    "links in two layers": (
        [[("d", FOLDER, ""), ("d/up", LINK, "..")], [("x", LINK, "d/up/../outside")]],
        "leads out",
    ),
    "write through chained links": (
        [
            [("d/e", FOLDER, ""), ("d/up", LINK, "e/../..")],
            [("p/q", FOLDER, ""), ("p/q/n", LINK, "../../d/up/../outside")],
            [("p/q/n/evil", FILE, "x")],
        ],
        "leads out",
    ),
    "loop": ([[("l", LINK, "l"), ("l/x", FILE, "x")]], "too many links"),
    "hard link up": ([[("h", HARD, "../outside/sentinel")]], r"`\.\.`"),
    "absolute hard link": ([[("h", HARD, "/etc/passwd")]], "absolute"),
    "hard link to nothing": ([[("h", HARD, "gone")]], "not in the image"),
    "hard link to folder": ([[("d", FOLDER, ""), ("h", HARD, "d")]], "not a file"),
    "character device": ([[("dev/null", tarfile.CHRTYPE, "")]], "device node"),
    "block device": ([[("sda", tarfile.BLKTYPE, "")]], "device node"),
    "pipe": ([[("p", tarfile.FIFOTYPE, "")]], "pipe"),
    "twice": ([[("a", FILE, "1"), ("./a", FILE, "2")]], "twice"),
    "file then link": ([[("a", FILE, "1"), ("a", LINK, "b")]], "twice"),
    "file then folder": ([[("a", FILE, "1"), ("a", FOLDER, "")]], "file and a folder"),
    "below a file": ([[("a", FILE, "1"), ("a/b", FILE, "2")]], "file"),
    "whiteout of parent": ([[("a/.wh...", FILE, "")]], "whiteout"),
    "whiteout of nothing": ([[("a/.wh.", FILE, "")]], "whiteout"),
    "whiteout up": ([[("../.wh.outside", FILE, "")]], r"`\.\.`"),
    "the root": ([[(".", FILE, "x")]], "root"),
    "empty link": ([[("l", LINK, "")]], "link to nothing"),
}


@linux_only
@pytest.mark.parametrize("case", HOSTILE, ids=str)
def test_hostile_archives(tmp_path: Path, case: str) -> None:
    layers, says = HOSTILE[case]
    with pytest.raises(UnpackError, match=says) as caught:
        run(tmp_path, *[tar(*members) for members in layers])
    assert caught.value.member
    assert not (tmp_path / "root").exists()


def test_damaged_archives(tmp_path: Path) -> None:
    good = tar(("a", FILE, "x" * 3000))
    cases = {
        "the archive ends": good[:1500],
        "not a tar archive": b"\1" * 512 + good,
        "gzip stream is damaged": gzip.compress(good)[:-20],
    }
    for says, data in cases.items():
        with pytest.raises(UnpackError, match=says):
            run(tmp_path, data)


def test_headers_that_ask_for_much(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 33
    with pytest.raises(UnpackError, match="claims 8589934592 bytes"):
        run(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))


def test_bombs(tmp_path: Path) -> None:
    bomb = gzip.compress(tar(("zeros", FILE, "0" * 2_000_000)))
    assert len(bomb) < 20_000
    with pytest.raises(UnpackError, match="larger than 1000000 bytes"):
        run(tmp_path, bomb, max_bytes=1_000_000)
    trailing = gzip.compress(tar(*[(f"f{i}", FILE, "") for i in range(3000)]))
    with pytest.raises(UnpackError, match="larger than 1000000 bytes"):
        run(tmp_path, trailing, max_bytes=1_000_000)


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 3)
    with pytest.raises(UnpackError, match="over 3 members"):
        run(tmp_path, tar(*[(f"f{i}", FILE, "") for i in range(4)]))


def test_names_that_differ_in_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tar(("a/Name", FILE, "1"), ("a/name", FILE, "2"))
    monkeypatch.setattr(module, "ignores_case", lambda _: True)
    with pytest.raises(UnpackError, match="/a/Name and /a/name differ only in case"):
        run(tmp_path, data)
    replaced = tar(("a/.wh.Name", FILE, "")), tar(("a/name", FILE, "2"))
    assert tree(run(tmp_path, tar(("a/Name", FILE, "1")), *replaced)) == {"a/name": "2"}


def test_what_is_not_a_layer(tmp_path: Path) -> None:
    blob = tmp_path / "b"
    blob.write_bytes(tar(("a", FILE, "1")))
    with pytest.raises(UnpackError, match="zstd cannot be read here"):
        unpack([(blob, LAYER_ZSTD)], tmp_path / "r")
    with pytest.raises(UnpackError, match="not the media type"):
        unpack([(blob, "text/plain")], tmp_path / "r")
    digest = "sha256:" + "0" * 64
    with pytest.raises(DigestMismatchError, match="does not match its digest"):
        unpack([(blob, LAYER_TAR)], tmp_path / "r", verify=[digest])
    assert not (tmp_path / "r").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(ImageError, match="not empty"):
        unpack([(blob, LAYER_TAR)], tmp_path / "full")


@linux_only
def test_windows_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refused)
    monkeypatch.setattr(sys, "platform", "win32")
    data = tar(("bin/l", LINK, "tool"), ("bin/tool", FILE, "1"), ("d", LINK, "bin"))
    assert tree(run(tmp_path, data)) == {
        **{"bin/l": "1", "bin/tool": "1"},
        **{"d/l": "1", "d/tool": "1"},
    }
    for number, name in enumerate(("a:b", "con.txt", "a\\..\\b", "end.")):
        fresh = tmp_path / f"w{number}"
        fresh.mkdir()
        with pytest.raises(UnpackError, match="Windows cannot hold"):
            run(fresh, tar((name, FILE, "1")))


def test_cached_once(tmp_path: Path) -> None:
    blob = tmp_path / "b"
    blob.write_bytes(tar(("a", FILE, "1")))
    digest = "sha256:" + hashlib.sha256(blob.read_bytes()).hexdigest()
    first = unpack_cached([(blob, LAYER_TAR, digest)], tmp_path / "cache")
    blob.unlink()
    assert unpack_cached([(blob, LAYER_TAR, digest)], tmp_path / "cache") == first
    assert tree(first) == {"a": "1"}
    assert [p.name for p in (tmp_path / "cache/rootfs").iterdir()] == [first.name]


def test_cached_leaves_nothing_of_a_bad_one(tmp_path: Path) -> None:
    blob = tmp_path / "b"
    blob.write_bytes(tar(("../a", FILE, "1")))
    digest = "sha256:" + hashlib.sha256(blob.read_bytes()).hexdigest()
    stale = tmp_path / "cache/rootfs" / ".draft-999999999-x"
    stale.mkdir(parents=True)
    with pytest.raises(UnpackError):
        unpack_cached([(blob, LAYER_TAR, digest)], tmp_path / "cache")
    assert list((tmp_path / "cache/rootfs").iterdir()) == []


PARTS = st.sampled_from(["a", "b", "c", ".", "..", "", "outside", ".wh.a", ".wh..wh..opq", "up"])
PATHS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
KINDS = st.sampled_from([FILE, FOLDER, LINK, HARD])


@linux_only
@settings(deadline=None, max_examples=200)
@given(
    layers=st.lists(st.lists(st.tuples(PATHS, KINDS, PATHS), max_size=6), min_size=1, max_size=3)
)
def test_nothing_ever_leaves(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[Member]]
) -> None:
    """Whatever the archives say: refused, or all of it inside, with no link that leads out."""
    tmp_path = tmp_path_factory.mktemp("x")
    try:
        root = run(tmp_path, *[tar(*members) for members in layers])
    except UnpackError:
        assert not (tmp_path / "root").exists()
        return
    for where, folders, files in os.walk(root):
        for name in (*folders, *files):
            real = os.path.realpath(os.path.join(where, name))
            assert real == str(root) or real.startswith(f"{root}/")
