"""Checks of chapter 2: images in the lab's folder."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

from fargate_lab.image import Image, Layer, load
from fargate_lab.image.errors import ImageError
from fargate_lab.lesson import names
from fargate_lab.lesson.checks import Missing, exercise
from fargate_lab.paths import state_dir

if TYPE_CHECKING:
    from fargate_lab.lesson.session import Lab

VERSION_LABEL = "org.opencontainers.image.version"
VERSION_FILE = "app/app/__init__.py"
TOKEN = b"AKIA-EXAMPLE-SECRET"
KEPT = ("work", "chapter-02", "mine-clean", "app", "local_settings.py")


@exercise(
    "2.1",
    "a new version changes one layer",
    read="chapter 2, Change one line and build again",
    hints=(
        "The version stands in two files. Which of them ends up in a layer, and which only in the "
        "configuration?",
        "Replace the text in copy/'app'/'__init__.py' and copy/'image.toml', then call "
        "build(copy, name='inkdigits-1.1', …).",
        "(copy / 'image.toml').write_text((copy / 'image.toml').read_text().replace('\"1.0.0\"', "
        "'\"1.1.0\"')), the same for app/__init__.py, then build(copy, name='inkdigits-1.1', "
        "model=context / 'model').",
    ),
)
def new_version(lab: Lab) -> str:
    """`inkdigits-1.1`: the app says 1.1.0, the label too, and only the app layer is new."""
    first, mine = _image(names.IMAGE), _image("inkdigits-1.1")
    if mine.manifest["config"] == first.manifest["config"]:
        raise Missing(
            "The image is inkdigits under another name. Change the version in the copy, and build "
            "from the copy, not from the original context.",
            found="the same configuration and the same layers, by digest",
        )
    _only_new(first, mine, "app")
    text = _files(mine, _layer(mine, "app")).get(VERSION_FILE, b"").decode(errors="replace")
    if "1.1.0" not in text:
        raise Missing(
            "app/__init__.py in the image does not say 1.1.0.",
            found=next((s for s in text.splitlines() if "version" in s), "no version in it"),
        )
    label = (mine.config["config"].get("Labels") or {}).get(VERSION_LABEL)
    if label != "1.1.0":
        raise Missing(
            f"The label {VERSION_LABEL} must say 1.1.0; it is in image.toml.",
            found=f"the label says {label}",
        )
    return f"version and label say 1.1.0; {len(mine.layers) - 1} layers are those of inkdigits"


@exercise(
    "2.2",
    "the same layers, another job",
    read="chapter 2, What an image is",
    hints=(
        "The user and the command are settings. Where do settings live, and where do files?",
        "Change `cmd` and `user` under [config] in the copy's image.toml, and no layer.",
        'cmd = ["batch"] and user = "10002:10002" in copy/"image.toml"; then '
        "build(copy, name='inkdigits-batch', model=context / 'model').",
    ),
)
def another_job(lab: Lab) -> str:
    """`inkdigits-batch`: the layers of inkdigits, CMD batch, user 10002:10002."""
    first, mine = _image(names.IMAGE), _image("inkdigits-batch")
    _only_new(first, mine)
    settings, before = mine.config["config"], first.config["config"]
    if settings.get("Entrypoint") != before.get("Entrypoint"):
        raise Missing(
            "The entry point must stay; only its default argument changes. That is CMD.",
            found=f"Entrypoint {settings.get('Entrypoint')}",
        )
    if settings.get("Cmd") != ["batch"]:
        raise Missing('CMD must be ["batch"].', found=f"Cmd {settings.get('Cmd')}")
    user = str(settings.get("User", ""))
    if user.partition(":")[0] in ("", "0", "root"):
        raise Missing('This image runs as root. Set user = "10002:10002".', found=f"User {user!r}")
    if user != "10002:10002":
        raise Missing("The user must be 10002:10002.", found=f"User {user!r}")
    return "the layers of inkdigits; CMD batch; user 10002:10002"


@exercise(
    "2.3",
    "the secret stays outside",
    read="chapter 2, A deleted secret is still there",
    hints=(
        "Which file decides what is sent to a build at all?",
        "A last line in the copy's .dockerignore takes a file out again; the builder reads it as "
        "Docker does.",
        "Append app/local_settings.py to copy/'.dockerignore', then "
        "build(copy, name='inkdigits-clean', model=context / 'model').",
    ),
)
def clean(lab: Lab) -> str:
    """`inkdigits-clean`: no layer holds the token, and the application is complete."""
    first, mine = _image(names.IMAGE), _image("inkdigits-clean")
    known = {layer.digest for layer in first.layers}
    for layer in mine.layers:
        if layer.digest in known:
            continue
        for path, data in _files(mine, layer).items():
            if TOKEN in data:
                raise Missing(
                    "A layer holds the token. Keep the file out of the build.",
                    found=f"{path} in layer {layer.name}",
                )
    if "app" not in {layer.name for layer in mine.layers}:
        raise Missing(
            "The application is gone as well. Leave out one file, not its layer.",
            found="layers " + ", ".join(layer.name for layer in mine.layers),
        )
    lost = set(_files(first, _layer(first, "app"))) - set(_files(mine, _layer(mine, "app")))
    if lost:
        raise Missing(
            "The application is incomplete: leave out local_settings.py and nothing else.",
            found="not in the image: " + ", ".join(sorted(lost)),
        )
    folder = state_dir().joinpath(*KEPT[:3])
    if folder.is_dir() and not state_dir().joinpath(*KEPT).exists():
        raise Missing(
            "The image is clean, but local_settings.py was deleted from the folder; its owner "
            "needs it. Run the exercise's first lines again and exclude the file instead.",
            found="no app/local_settings.py in the copy",
        )
    return "no layer holds the token; the application is complete"


def _image(name: str) -> Image:
    folder = state_dir() / "images"
    try:
        return load(folder / name)
    except (ImageError, OSError):
        built = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        raise Missing(
            f"There is no image {name} yet: build(…, name='{name}').",
            found="images " + (", ".join(built) or "none"),
        ) from None


def _only_new(first: Image, mine: Image, *allowed: str) -> None:
    """Raise Missing when layers other than the allowed ones differ from those of `first`."""
    before = {layer.name: layer.digest for layer in first.layers}
    after = {layer.name: layer.digest for layer in mine.layers}
    absent = [name for name in before if name not in after]
    if absent:
        raise Missing("Layers are left out; the image must have them all.",
                      found="missing: " + ", ".join(absent))  # fmt: skip
    other = [n for n in after if after[n] != before.get(n) and n not in allowed]
    if other:
        may = f"Only {', '.join(allowed)} may be new." if allowed else "No layer may be new."
        raise Missing(may, found="also new: " + ", ".join(other) if allowed else
                      "new: " + ", ".join(other))  # fmt: skip


def _layer(image: Image, name: str) -> Layer:
    return next(layer for layer in image.layers if layer.name == name)


def _files(image: Image, layer: Layer) -> dict[str, bytes]:
    found = {}
    with tarfile.open(image.blob(layer.digest)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                found[member.name] = content.read()
    return found
