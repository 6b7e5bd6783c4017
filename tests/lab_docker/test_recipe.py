"""requirements.lock, image.toml and the Dockerfile say the same, and what they must."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement

from .conftest import LAB_DOCKER, ROOT

LOCK = LAB_DOCKER / "requirements.lock"


def locked(text: str) -> dict[str, set[str]]:
    """Package name to its pinned requirement lines, markers left out of the key."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        match = re.match(r"([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", line)
        if match:
            found.setdefault(match[1], set()).add(match[2])
    return found


def test_the_image_runs_the_versions_that_the_lab_runs() -> None:
    image, lab = locked(LOCK.read_text()), locked((ROOT / "requirements.lock").read_text())
    both = set(image) & set(lab)
    assert {"numpy", "onnxruntime", "pillow", "starlette", "uvicorn", "boto3"} <= both
    assert {name: image[name] for name in both} == {name: lab[name] for name in both}


def test_the_lock_has_a_hash_for_all_and_an_address_for_none() -> None:
    text = LOCK.read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=[a-z0-9])", text.split("\n", 4)[4])
    assert len(entries) > 20
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_what_is_asked_for_is_locked_and_nothing_heavy_came_along() -> None:
    image = locked(LOCK.read_text())
    for line in (LAB_DOCKER / "requirements.in").read_text().splitlines():
        if line and not line.startswith("#"):
            assert Requirement(line).name in image
    assert not {"scikit-learn", "scipy", "pandas", "skl2onnx", "onnx", "sympy"} & set(image)


def test_the_librarys_build_tool_is_the_labs() -> None:
    project = tomllib.loads((LAB_DOCKER / "inkprep" / "pyproject.toml").read_text())
    (pinned,) = project["build-system"]["requires"]
    version = locked((ROOT / "requirements.lock").read_text())["hatchling"]
    assert pinned == f"hatchling=={version.pop()}"


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return tomllib.loads((LAB_DOCKER / "image.toml").read_text())


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's last stage, as (instruction, arguments)."""
    text = re.sub(r"^\s*#.*\n", "", (LAB_DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).strip().splitlines()
    found = [
        (head, rest.strip()) for head, _, rest in (line.partition(" ") for line in lines if line)
    ]
    last = max(index for index, (head, _) in enumerate(found) if head == "FROM")
    return found[last + 1 :]


def one(name: str) -> str:
    (rest,) = (rest for head, rest in instructions() if head == name)
    return rest


def test_the_dockerfile_configures_what_the_recipe_configures(recipe: dict[str, Any]) -> None:
    config = recipe["config"]
    assert json.loads(one("ENTRYPOINT")) == config["entrypoint"] == ["python3", "-m", "app"]
    assert json.loads(one("CMD")) == config["cmd"] == ["serve"]
    assert one("USER") == config["user"] == "10001:10001"
    assert one("WORKDIR") == config["workdir"] == "/app"
    assert [f"{one('EXPOSE')}/tcp"] == config["exposed_ports"]
    assert one("STOPSIGNAL") == config["stop_signal"]
    assert dict(pair.split("=", 1) for pair in one("ENV").split()) == config["env"]
    assert dict(re.findall(r'(\S+?)="([^"]*)"', one("LABEL"))) == config["labels"]
    health = config["healthcheck"]
    options, _, command = one("HEALTHCHECK").partition(" CMD ")
    assert ["CMD", *json.loads(command)] == health["test"]
    told = dict(re.findall(r"--([a-z-]+)=(\d+)s?", options))
    for key in ("interval", "timeout", "start_period", "retries"):
        assert int(told[key.replace("_", "-")]) == health[key]


def test_the_layers_lie_in_the_contracts_order(recipe: dict[str, Any]) -> None:
    layers = recipe["layers"]
    assert [layer["name"] for layer in layers] == ["dependencies", "library", "model", "app"]
    copied = [rest.split()[-1] for head, rest in instructions() if head == "COPY"]
    assert copied == [layer["target"] for layer in layers]
    for layer in layers:
        assert layer["name"] == "model" or (LAB_DOCKER / layer["source"]).exists()


def test_the_last_stage_runs_nothing_and_the_base_is_pinned() -> None:
    assert "RUN" not in {head for head, _ in instructions()}
    base = re.search(r"^ARG BASE=(\S+)$", (LAB_DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert base
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base[1])
