"""`image.toml`: what an image is made of, read and checked.

name = "digits"
platforms = ["linux/amd64", "linux/arm64"]

[config]                        # user, workdir, entrypoint, cmd, exposed_ports, stop_signal
entrypoint = ["python3", "-m", "app"]

[config.env]
[config.labels]
[config.healthcheck]            # test, interval, timeout, start_period (seconds), retries

[[layers]]                      # lowest first; paths of `source` are relative to this file
name = "dependencies"
kind = "requirements"           # the wheels of a lock with hashes
source = "requirements.lock"
target = "/opt/site"            # where in the image
bytecode = true                 # compile its modules, so that containers start faster

[[layers]]
kind = "project"                # the wheel of a folder with a pyproject.toml
[[layers]]
kind = "files"                  # a folder as it is, through `include` and `exclude`
make = ["train.py", "--output", "model"]   # what makes `source` when it is not there
inputs = ["train.py"]           # the files that decide whether to make it again
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import BuildError

KINDS = ("requirements", "project", "files")
_TOP = frozenset({"name", "platforms", "config", "layers"})
_LISTS = {"entrypoint": "Entrypoint", "cmd": "Cmd"}
_TEXTS = {"user": "User", "workdir": "WorkingDir", "stop_signal": "StopSignal"}
_CONFIG = frozenset({*_LISTS, *_TEXTS, "exposed_ports", "env", "labels", "healthcheck"})
_LAYER = frozenset(
    {"name", "kind", "source", "target", "bytecode", "include", "exclude", "make", "inputs"}
)
_TIMES = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One layer of the recipe. `kind` is `requirements`, `project` or `files`."""

    name: str
    kind: str
    source: str
    target: str
    bytecode: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    make: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A checked `image.toml`: the configuration by OCI's own keys, and the layers, lowest first."""

    context: Path
    name: str
    steps: tuple[Step, ...]
    config: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()


def read_recipe(context: Path) -> Recipe:
    """Read `image.toml` of a folder; BuildError names the key that is wrong."""
    path = context / "image.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BuildError(
            f"{path} is not there. It says what the image is made of; "
            "lab_docker/image.toml is an example."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise BuildError(f"{path} is not valid TOML: {wrong}") from None
    reader = _Reader(path)
    reader.known(document, _TOP, "the top level")
    layers = document.get("layers")
    if not isinstance(layers, list) or not layers:
        raise BuildError(f"{path}: expected one [[layers]] table for each layer, found none.")
    steps = tuple(reader.step(layer) for layer in layers)
    names = [step.name for step in steps]
    if len(set(names)) != len(names) or "base" in names:
        raise BuildError(f"{path}: layer names must differ, and `base` is taken: {names}")
    config = reader.table(document, "config")
    return Recipe(
        context=context,
        name=str(document.get("name", context.name)),
        steps=steps,
        config=reader.config(config),
        env={str(key): str(value) for key, value in reader.table(config, "env").items()},
        platforms=reader.strings(document, "platforms"),
    )


class _Reader:
    """Takes values out of the document, or says in which file and key the wrong one is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self, table: dict[str, Any], keys: frozenset[str], where: str) -> None:
        unknown = ", ".join(sorted(set(table) - keys))
        if unknown:
            raise BuildError(
                f"{self._path}: {where} has unknown key(s) {unknown}; "
                f"known: {', '.join(sorted(keys))}."
            )

    def table(self, parent: dict[str, Any], key: str) -> dict[str, Any]:
        found = parent.get(key, {})
        if not isinstance(found, dict):
            raise BuildError(f"{self._path}: {key} must be a table, found {found!r}.")
        return found

    def strings(self, table: dict[str, Any], key: str) -> tuple[str, ...]:
        found = table.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise BuildError(f"{self._path}: {key} must be a list of strings, found {found!r}.")
        return tuple(found)

    def step(self, layer: Any) -> Step:
        if not isinstance(layer, dict):
            raise BuildError(f"{self._path}: a [[layers]] entry must be a table.")
        texts = {key: str(layer.get(key, "")) for key in ("name", "kind", "source", "target")}
        self.known(layer, _LAYER, f"layer {texts['name']!r}")
        if not all(texts.values()) or not texts["target"].startswith("/"):
            raise BuildError(
                f"{self._path}: layer {texts['name']!r} needs name, kind, source, and a target "
                "that starts with /."
            )
        if texts["kind"] not in KINDS:
            raise BuildError(
                f"{self._path}: layer {texts['name']!r} has the kind {texts['kind']!r}; "
                f"expected one of {', '.join(KINDS)}."
            )
        compiled = layer.get("bytecode", False)
        if not isinstance(compiled, bool) or (compiled and texts["kind"] == "files"):
            raise BuildError(
                f"{self._path}: layer {texts['name']!r}: bytecode must be true or false, and only "
                "layers of the kinds requirements and project can have it."
            )
        return Step(
            name=texts["name"],
            kind=texts["kind"],
            source=texts["source"],
            target=texts["target"],
            bytecode=compiled,
            include=self.strings(layer, "include"),
            exclude=self.strings(layer, "exclude"),
            make=self.strings(layer, "make"),
            inputs=self.strings(layer, "inputs"),
        )

    def config(self, table: dict[str, Any]) -> dict[str, Any]:
        """OCI image specification, "Image configuration": the `config` object, without Env."""
        self.known(table, _CONFIG, "[config]")
        config: dict[str, Any] = {
            name: list(values)
            for key, name in _LISTS.items()
            if (values := self.strings(table, key))
        }
        config |= {name: str(table[key]) for key, name in _TEXTS.items() if table.get(key)}
        if ports := self.strings(table, "exposed_ports"):
            config["ExposedPorts"] = {p if "/" in p else f"{p}/tcp": {} for p in ports}
        if labels := self.table(table, "labels"):
            config["Labels"] = {str(key): str(value) for key, value in labels.items()}
        if check := self.table(table, "healthcheck"):
            config["Healthcheck"] = self._healthcheck(check)
        return config

    def _healthcheck(self, check: dict[str, Any]) -> dict[str, Any]:
        """Docker's extension of the configuration; there, times are nanoseconds."""
        self.known(check, frozenset({*_TIMES, "test", "retries"}), "[config.healthcheck]")
        answer: dict[str, Any] = {"Test": list(self.strings(check, "test"))}
        for key in (*_TIMES, "retries"):
            value = check.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise BuildError(
                    f"{self._path}: healthcheck {key} must be a number, found {value!r}."
                )
            if key == "retries":
                answer["Retries"] = int(value)
            else:
                answer[_TIMES[key]] = round(value * 1_000_000_000)
        return answer
