"""From a recipe to an image: the same everywhere, and rebuilt only where something changed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fargate_lab import image
from fargate_lab.image import made
from fargate_lab.image.lock import read_lock
from fargate_lab.image.target import Target
from fargate_lab.image.wheels import resolve

from .conftest import make_wheel

Make = Callable[[Path], Path]


def build(context: Path, **options: object) -> image.Image:
    options = {"base": "scratch", "platform": "linux/amd64", "python": "3.11", **options}
    return image.build(context, name="small", **options)  # type: ignore[arg-type]


def names(found: image.Image, layer: str) -> list[str]:
    digest = next(la.digest for la in found.layers if la.name == layer)
    with tarfile.open(found.blob(digest)) as archive:
        return [m.name for m in archive if m.isreg()]


def test_layers_and_configuration(context: Make, tmp_path: Path) -> None:
    built = build(context(tmp_path / "c"))
    assert [la.name for la in built.layers] == ["dependencies", "library", "model", "app"]
    assert names(built, "app") == ["app/app/__init__.py", "app/app/__main__.py"]
    assert names(built, "model") == ["opt/model/model.json"]
    found = names(built, "dependencies")
    assert "opt/site/nat.so" in found
    assert "opt/site/pure-1.0.dist-info/METADATA" in found
    assert not any(name.endswith("RECORD") for name in found)
    config = built.config["config"]
    assert config["Entrypoint"] == ["python3", "-m", "app"]
    assert config["User"] == "10001:10001"
    assert "PYTHONPATH=/opt/site:/app" in config["Env"]
    assert config["Healthcheck"]["Interval"] == 10_000_000_000
    assert built.layout == tmp_path / "state/images/small"
    assert "dependencies" in str(built)
    assert "<table>" in built._repr_html_()


def test_the_same_in_another_place_with_another_umask(
    context: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(context(tmp_path / "one"))
    wheels = tmp_path / "cache/wheels"
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "cache2"))
    (tmp_path / "cache2").mkdir()
    os.rename(wheels, tmp_path / "cache2/wheels")
    before = os.umask(0o077)
    try:
        second = build(context(tmp_path / "two/deeper"), output=tmp_path / "out")
    finally:
        os.umask(before)
    assert not any(la.cached for la in second.layers)
    assert second.digest == first.digest


@pytest.mark.parametrize(
    ("file", "layer"),
    [
        ("app/__main__.py", "app"),
        ("lib/smallib/__init__.py", "library"),
        ("train.py", "model"),
    ],
)
def test_one_change_rebuilds_one_layer(
    context: Make, tmp_path: Path, file: str, layer: str
) -> None:
    root = context(tmp_path / "c")
    first = build(root)
    path = root / file
    path.write_text(path.read_text().replace("{}", "{1}") + "\n# changed\n")
    second = build(root)
    pairs = zip(first.layers, second.layers, strict=True)
    assert [b.name for a, b in pairs if a.digest != b.digest] == [layer]
    assert [b.name for b in second.layers if not b.cached] == [layer]
    blobs = list((second.layout / "blobs/sha256").iterdir())
    assert len(blobs) == len(second.layers) + 2


def test_a_touched_file_rebuilds_nothing(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    build(root)
    os.utime(root / "app/__main__.py", (5, 5))
    (root / "app/__pycache__").mkdir()
    (root / "app/__pycache__/x.pyc").write_text("no")
    assert all(la.cached for la in build(root).layers)


def test_leaving_layers_out(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    assert [la.name for la in build(root, without=["library"]).layers] == [
        "dependencies",
        "model",
        "app",
    ]
    assert [la.name for la in build(root, only_layers=["app"]).layers] == ["app"]
    with pytest.raises(image.BuildError, match="no layer 'libary'; it has: dependencies, library"):
        build(root, without=["libary"])


def test_a_given_model(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    (root / "train.py").unlink()
    model = tmp_path / "model"
    model.mkdir()
    (model / "mine.onnx").write_bytes(b"m")
    assert names(build(root, model=model), "model") == ["opt/model/mine.onnx"]


def test_training_that_fails(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    (root / "train.py").write_text("raise SystemExit('no data')")
    with pytest.raises(image.BuildError, match=r"(?s)layer 'model': `train.py .*no data"):
        build(root)
    assert not list((tmp_path / "cache/made").glob("*"))


def test_wheels_fit_the_target(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    for platform, content in (("linux/amd64", b"amd"), ("linux/arm64", b"arm")):
        built = build(root, platform=platform)
        assert built.platform == platform
        with tarfile.open(built.blob(built.layers[0].digest)) as archive:
            file = archive.extractfile("opt/site/nat.so")
            assert file is not None
            assert file.read() == content


def test_a_build_with_all_wheels_calls_nobody(
    context: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = context(tmp_path / "c")
    build(root)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "run", forbidden)
    build(root)


def test_missing_wheels_offline(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    with pytest.raises(image.MissingWheelsError, match=r"nat==1.0.*prefetch") as caught:
        build(root, python="3.12")
    assert caught.value.packages == ["nat==1.0"]
    assert not (tmp_path / "state/images").exists()


def test_a_wheel_with_another_hash_is_not_taken(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    make_wheel(tmp_path / "cache/wheels", "pure", "py3-none-any", {"pure/__init__.py": b"evil"})
    with pytest.raises(image.MissingWheelsError, match=r"pure==1\.0"):
        build(root)


def test_download_fills_the_cache(
    context: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = context(tmp_path / "c")
    shelf = tmp_path / "shelf"
    os.rename(tmp_path / "cache/wheels", shelf)
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    assert image.prefetch(root, platform="linux/arm64", python="3.11") == 2
    assert sorted(p.name for p in (tmp_path / "cache/wheels").iterdir()) == [
        "nat-1.0-cp311-cp311-manylinux_2_17_aarch64.whl",
        "pure-1.0-py3-none-any.whl",
    ]


def test_data_folders_of_a_wheel(tmp_path: Path) -> None:
    wheels = tmp_path / "cache/wheels"
    digest = make_wheel(
        wheels,
        "odd",
        "py3-none-any",
        {
            "odd-1.0.data/purelib/odd.py": b"1",
            "odd-1.0.data/data/share/x": b"2",
            "odd-1.0.data/scripts/odd": b"3",
            "odd-1.0.data/headers/odd.h": b"4",
        },
    )
    lock = tmp_path / "lock"
    lock.write_text(f"odd==1.0 --hash=sha256:{digest}")
    from fargate_lab.image.wheels import installed

    found = installed(resolve(lock, Target(architecture="amd64", python=(3, 11))), "/s")
    assert {e.path for e in found if "dist-info" not in e.path} == {"s/odd.py", "s/share/x"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("pure", "must be pinned"),
        ("pure==1.0", "must be pinned"),
        ("pure>=1.0 --hash=sha256:" + "0" * 64, "must be pinned"),
        ("-r other.txt", "is an option"),
        ("!!", "is not a requirement"),
    ],
)
def test_locks_that_are_none(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "lock").write_text(line)
    with pytest.raises(image.BuildError, match=says):
        read_lock(tmp_path / "lock", Target(architecture="amd64", python=(3, 11)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected one \\[\\[layers\\]\\]"),
        ("x = [", "not valid TOML"),
        ("colour = 1\n", "unknown key\\(s\\) colour"),
        ('[[layers]]\nname="a"\nkind="files"\nsource="a"\ntarget="opt"', "starts with /"),
        ('[[layers]]\nname="a"\nkind="zip"\nsource="a"\ntarget="/a"', "kind 'zip'"),
        ('[[layers]]\nname="base"\nkind="files"\nsource="a"\ntarget="/a"', "is taken"),
        ('[config]\ncmd="x"\n[[layers]]\nname="a"\nkind="files"\nsource="a"\ntarget="/a"', "cmd"),
    ],
)
def test_recipes_that_are_none(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "image.toml").write_text(text)
    with pytest.raises(image.BuildError, match=says):
        build(tmp_path)


def test_no_recipe_and_odd_targets(context: Make, tmp_path: Path) -> None:
    with pytest.raises(image.BuildError, match=r"image.toml is not there"):
        build(tmp_path)
    root = context(tmp_path / "c")
    with pytest.raises(image.BuildError, match="expected linux/amd64 or linux/arm64"):
        build(root, platform="windows/amd64")
    with pytest.raises(image.BuildError, match="not a Python version"):
        build(root, python="three")
    with pytest.raises(image.BuildError, match="neither"):
        build(root, base="No Such Base")


def test_an_image_as_base(context: Make, tmp_path: Path) -> None:
    root = context(tmp_path / "c")
    lower = build(root, only_layers=["dependencies"], output=tmp_path / "lower")
    upper = build(root, without=["dependencies"], base=str(tmp_path / "lower"))
    assert [la.name for la in upper.layers] == ["base", "library", "model", "app"]
    assert upper.layers[0].digest == lower.layers[0].digest
    with pytest.raises(image.ImageError, match="linux/arm64"):
        build(root, base=str(tmp_path / "lower"), platform="linux/arm64")


def test_docker_archives_go_round(context: Make, tmp_path: Path) -> None:
    built = build(context(tmp_path / "c"))
    with (tmp_path / "saved.tar").open("wb") as out:
        image.to_docker_archive(built, out, tag="small:1")
    back = image.from_docker_archive(tmp_path / "saved.tar", tmp_path / "back")
    assert [la.diff_id for la in back.layers] == [la.diff_id for la in built.layers]
    (tmp_path / "none.tar").write_bytes(b"no tar")
    with pytest.raises(image.ImageError, match="not a file of `docker save`"):
        image.from_docker_archive(tmp_path / "none.tar", tmp_path / "x")


def test_loading_checks_digests(context: Make, tmp_path: Path) -> None:
    built = build(context(tmp_path / "c"))
    again = image.load(built.layout)
    assert again.digest == built.digest
    assert [la.name for la in again.layers] == [la.name for la in built.layers]
    built.blob(built.manifest["config"]["digest"]).write_bytes(b"{}")
    with pytest.raises(image.DigestMismatchError, match="does not match its digest"):
        image.load(built.layout)
    with pytest.raises(image.ImageError, match="not a complete OCI layout"):
        image.load(tmp_path)


def test_a_library_without_a_project(tmp_path: Path) -> None:
    from fargate_lab.image.progress import Silent

    with pytest.raises(image.BuildError, match="no pyproject"):
        made.library_wheel(tmp_path, Silent())


def test_importing_is_cheap() -> None:
    code = (
        "import sys, fargate_lab.image as i\n"
        "i.build, i.push\n"
        "heavy = {'boto3', 'docker', 'sklearn', 'numpy', 'moto', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
