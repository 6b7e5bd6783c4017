"""Images that chapters try things on: the lab's own with one more line, and one with old news."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_lab.paths import repo_root

if TYPE_CHECKING:
    from fargate_lab.image import Image

_RECIPE = """\
name = "{name}"
[[layers]]
name = "dependencies"
kind = "files"
source = "site"
target = "/opt/site"
"""


def variant(name: str, line: str) -> Image:
    """Build the lab's image with one more line of Python in its application, as `images/<name>`.

    The sources in `lab_docker/` stay as they are.
    """
    from fargate_lab.image import build

    with tempfile.TemporaryDirectory(prefix="fargate-lab-variant-") as folder:
        context = Path(folder, "lab_docker")
        unneeded = shutil.ignore_patterns("wheels", "__pycache__")
        shutil.copytree(repo_root() / "lab_docker", context, ignore=unneeded)
        with (context / "app" / "__init__.py").open("a", encoding="utf-8") as source:
            source.write(line + "\n")
        return build(context, name=name)


def claiming(name: str, package: str, version: str) -> Image:
    """Build an image that holds nothing but the metadata of a Python package, as `images/<name>`.

    Enough for a scanner, which reads what packages say of themselves.
    """
    from fargate_lab.image import build

    with tempfile.TemporaryDirectory(prefix="fargate-lab-variant-") as folder:
        context = Path(folder)
        info = context / "site" / f"{package}-{version}.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
        (context / "image.toml").write_text(_RECIPE.format(name=name), encoding="utf-8")
        return build(context, name=name, base="scratch")
