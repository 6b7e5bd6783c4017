"""Chapter 2's checks, on images of a few files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fargate_lab.image import Image, build
from fargate_lab.lesson import checks
from fargate_lab.lesson.backend import Backend
from fargate_lab.lesson.session import Lab
from fargate_lab.paths import state_dir

RECIPE = """\
name = "inkdigits"
[config]
user = "10001:10001"
entrypoint = ["python3", "-m", "app"]
cmd = ["serve"]
[config.labels]
"org.opencontainers.image.version" = "1.0.0"
[[layers]]
name = "library"
kind = "files"
source = "inkprep"
target = "/opt/site/inkprep"
[[layers]]
name = "app"
kind = "files"
source = "app"
target = "/app/app"
"""
SECRET = 'TOKEN = "AKIA-EXAMPLE-SECRET"\n'
LAB = Lab(2, Backend("local", "000000000000", "us-east-1", "process"))


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small context whose image `inkdigits` is built."""
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "context"
    for name, text in {
        "image.toml": RECIPE,
        "app/__init__.py": '__version__ = "1.0.0"\n',
        "app/serve.py": "print('serving')\n",
        "inkprep/__init__.py": '__version__ = "1.0.0"\n',
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    make(folder, "inkdigits")
    return folder


def make(folder: Path, name: str, **options: object) -> Image:
    return build(folder, name=name, base="scratch", **options)  # type: ignore[arg-type]


def replace(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")


def missing(number: str) -> str:
    """What a check that fails says is missing, with what it found."""
    verdict = checks.run(LAB, number)
    assert not verdict.passed
    return f"{verdict.missing} | {verdict.found}"


def test_a_new_version_passes(context: Path) -> None:
    replace(context, "app/__init__.py", "1.0.0", "1.1.0")
    replace(context, "image.toml", '"1.0.0"', '"1.1.0"')
    make(context, "inkdigits-1.1")
    verdict = checks.run(LAB, "2.1")
    assert verdict.passed, verdict
    assert "1 layers" in verdict.found


def test_a_new_version_blank(context: Path) -> None:
    assert "There is no image inkdigits-1.1 yet" in missing("2.1")


def test_before_anything_is_built() -> None:
    assert "There is no image inkdigits yet" in missing("2.1")


def test_a_new_version_that_is_the_old_one(context: Path) -> None:
    make(context, "inkdigits-1.1")
    assert "inkdigits under another name" in missing("2.1")


def test_a_new_version_with_another_library(context: Path) -> None:
    replace(context, "app/__init__.py", "1.0.0", "1.1.0")
    replace(context, "inkprep/__init__.py", "1.0.0", "1.1.0")
    replace(context, "image.toml", '"1.0.0"', '"1.1.0"')
    make(context, "inkdigits-1.1")
    assert missing("2.1") == "Only app may be new. | also new: library"


def test_a_new_version_without_the_label(context: Path) -> None:
    replace(context, "app/__init__.py", "1.0.0", "1.1.0")
    make(context, "inkdigits-1.1")
    assert "the label says 1.0.0" in missing("2.1")


def test_a_new_version_in_the_label_alone(context: Path) -> None:
    replace(context, "image.toml", '"1.0.0"', '"1.1.0"')
    make(context, "inkdigits-1.1")
    assert "app/__init__.py in the image does not say 1.1.0" in missing("2.1")


def test_a_new_version_without_the_library(context: Path) -> None:
    make(context, "inkdigits-1.1", without=["library"])
    assert "missing: library" in missing("2.1")


def test_another_job_passes(context: Path) -> None:
    replace(context, "image.toml", '["serve"]', '["batch"]')
    replace(context, "image.toml", "10001:10001", "10002:10002")
    make(context, "inkdigits-batch")
    assert checks.run(LAB, "2.2").passed


def test_another_job_blank(context: Path) -> None:
    assert "There is no image inkdigits-batch yet" in missing("2.2")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('["serve"]', '["serve"]', "CMD must be"),
        ('["python3", "-m", "app"]', '["python3", "-m", "app", "batch"]', "entry point must stay"),
        ('user = "10001:10001"\n', "", "runs as root"),
        ('"10001:10001"', '"root"', "runs as root"),
    ],
)
def test_another_job_done_wrong(context: Path, old: str, new: str, said: str) -> None:
    replace(context, "image.toml", old, new)
    make(context, "inkdigits-batch")
    if "CMD" not in said and "entry" not in said:
        replace(context, "image.toml", '["serve"]', '["batch"]')
        make(context, "inkdigits-batch")
    assert said in missing("2.2")


def test_another_job_of_the_old_user(context: Path) -> None:
    replace(context, "image.toml", '["serve"]', '["batch"]')
    make(context, "inkdigits-batch")
    assert missing("2.2") == "The user must be 10002:10002. | User '10001:10001'"


def test_another_job_by_changing_the_app(context: Path) -> None:
    replace(context, "app/serve.py", "serving", "working off a queue")
    make(context, "inkdigits-batch")
    assert missing("2.2") == "No layer may be new. | new: app"


@pytest.fixture
def leaky(context: Path) -> Path:
    """The learner's copy, with a token in it, where the exercise puts it."""
    copy = state_dir() / "work" / "chapter-02" / "mine-clean"
    shutil.copytree(context, copy)
    (copy / "app" / "local_settings.py").write_text(SECRET, encoding="utf-8")
    return copy


def test_a_clean_image_passes(leaky: Path) -> None:
    (leaky / ".dockerignore").write_text("app/local_settings.py\n", encoding="utf-8")
    make(leaky, "inkdigits-clean")
    assert checks.run(LAB, "2.3").passed
    shutil.rmtree(leaky)  # the chapter's own cleaning up
    assert checks.run(LAB, "2.3").passed


def test_a_clean_image_blank(leaky: Path) -> None:
    assert "There is no image inkdigits-clean yet" in missing("2.3")


def test_an_image_with_the_token(leaky: Path) -> None:
    make(leaky, "inkdigits-clean")
    assert "app/app/local_settings.py in layer app" in missing("2.3")


def test_an_image_without_the_app(leaky: Path) -> None:
    make(leaky, "inkdigits-clean", without=["app"])
    assert "The application is gone as well" in missing("2.3")


def test_an_image_with_half_the_app(leaky: Path) -> None:
    (leaky / ".dockerignore").write_text("app/local_settings.py\napp/serve.py\n", encoding="utf-8")
    make(leaky, "inkdigits-clean")
    assert "not in the image: app/app/serve.py" in missing("2.3")


def test_a_clean_image_by_deleting_the_file(leaky: Path) -> None:
    (leaky / "app" / "local_settings.py").unlink()
    make(leaky, "inkdigits-clean")
    assert "was deleted from the folder" in missing("2.3")
