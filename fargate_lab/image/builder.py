"""From a recipe to an image: base, dependencies, custom library, model and app, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ..paths import state_dir
from . import bases, bytecode, entries, made, wheels
from .bases import Base
from .entries import Entry
from .errors import BuildError
from .layers import Layer, LayerCache
from .layout import Image, write_layout
from .progress import Progress, Silent
from .recipe import Recipe, Step, read_recipe
from .target import Target

#: One moment for every image: the same inputs must give the same digest (OCI `created`).
CREATED = "1970-01-01T00:00:01Z"
#: What an engine gives a container whose image sets no PATH (Docker's `DefaultPathEnv`).
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What decides whether a layer must be written again, and the entries to write.
_Parts = tuple[Any, Callable[[], list[Entry]]]


def build(
    context: Path,
    *,
    name: str,
    platform: str | None = None,
    base: str = "auto",
    output: Path | None = None,
    python: str | None = None,
    only_layers: Collection[str] | None = None,
    without: Collection[str] = (),
    model: Path | None = None,
    gzip: bool = False,
    progress: Progress | None = None,
) -> Image:
    """Build the image that `context/image.toml` describes, into an OCI layout.

    `platform`: `linux/amd64` or `linux/arm64`, by default this machine's; `python`: such as
    `3.12`, by default the base's. `base`: `auto`, `host-python`, `scratch`, an OCI layout's or
    `docker save` file's path, or a registry reference. `output`: by default `images/<name>` in
    the state folder. `only_layers` and `without` name layers to keep or to leave out, for showing
    what is missing then. `model`: a folder with a trained model, in place of training one.
    `gzip`: compress layers, which sends less and takes longer. BuildError says what is wrong.
    """
    told = progress or Silent()
    recipe = read_recipe(Path(context))
    chosen = _chosen(recipe, only_layers, without)
    cache = LayerCache()
    start = bases.resolve(
        base, platform=platform, python=python, cache=cache, gzip=gzip, progress=told
    )
    work = _Work(recipe, start.target, cache, gzip=gzip, model=model, progress=told)
    built = [(layer, cache.blob(layer.digest)) for layer in map(work.layer, chosen)]
    layers = [*start.layers, *built]
    return write_layout(
        Path(output) if output else state_dir() / "images" / name,
        config=_config(recipe, start, layers),
        layers=layers,
        name=name,
    )


def prefetch(
    context: Path,
    *,
    platform: str | None = None,
    python: str | None = None,
    progress: Progress | None = None,
) -> int:
    """Bring the wheels of a recipe into the cache, so that a build needs no network.

    Returns how many wheels the image has.
    """
    target = bases.default_target(platform, python)
    recipe = read_recipe(Path(context))
    return sum(
        len(wheels.resolve(recipe.context / step.source, target, progress=progress))
        for step in recipe.steps
        if step.kind == "requirements"
    )


def _chosen(recipe: Recipe, only: Collection[str] | None, without: Collection[str]) -> list[Step]:
    names = [step.name for step in recipe.steps]
    for name in (*(only or ()), *without):
        if name not in names:
            raise BuildError(f"the recipe has no layer {name!r}; it has: {', '.join(names)}.")
    return [
        step
        for step in recipe.steps
        if (only is None or step.name in only) and step.name not in without
    ]


class _Work:
    """Turns steps into layers; each kind knows its inputs and how to make its entries."""

    def __init__(
        self,
        recipe: Recipe,
        target: Target,
        cache: LayerCache,
        *,
        gzip: bool,
        model: Path | None,
        progress: Progress,
    ) -> None:
        self._recipe, self._target, self._cache = recipe, target, cache
        self._gzip, self._model, self._progress = gzip, model, progress
        self._ignore = entries.DockerIgnore(recipe.context)
        self._told_no_compiler = False

    def layer(self, step: Step) -> Layer:
        """The layer of one step, from the cache where its inputs are known."""
        makers = {
            "requirements": self._requirements,
            "project": self._project,
            "files": self._files,
        }
        inputs, make = makers[step.kind](step)
        return self._cache.layer(step.name, inputs, make, gzip=self._gzip, progress=self._progress)

    def _requirements(self, step: Step) -> _Parts:
        lock = self._recipe.context / step.source
        return self._installed(step, wheels.resolve(lock, self._target, progress=self._progress))

    def _project(self, step: Step) -> _Parts:
        wheel = made.library_wheel(self._recipe.context / step.source, self._progress)
        return self._installed(step, [wheel])

    def _installed(self, step: Step, found: list[wheels.Wheel]) -> _Parts:
        by = self._compiler() if step.bytecode else None
        inputs = ["wheels", step.target, list(step.exclude), [wheel.digest for wheel in found]]

        def make() -> list[Entry]:
            files = wheels.installed(found, step.target, step.exclude)
            return bytecode.with_bytecode(files, by, self._progress) if by else files

        return [*inputs, by.inputs() if by else None], make

    def _compiler(self) -> bytecode.Compiler | None:
        found = bytecode.compiler_for(self._target.python)
        if found is None and not self._told_no_compiler:
            self._told_no_compiler = True
            wanted = f"Python {self._target.python_version}"
            self._progress.start("bytecode", None)
            self._progress.finish(
                "bytecode",
                f"left out: {wanted} is not on this machine to compile it; the image is "
                f"complete and starts more slowly. Install {wanted} and build again.",
            )
        return found

    def _made(self, step: Step) -> Path:
        if self._model is not None:
            return self._model
        return made.made_folder(self._recipe.context, step, self._progress)

    def _files(self, step: Step) -> _Parts:
        source = self._recipe.context / step.source
        if step.make:
            source = self._made(step)
        below = len(step.target.strip("/")) + 1
        found = [
            entry
            for entry in entries.from_folder(source, step.target, step.exclude)
            if not self._ignore.ignores(f"{step.source}/{entry.path[below:]}")
            and (not step.include or entries.ignored(entry.path[below:], step.include))
        ]
        if not found:
            raise BuildError(f"layer {step.name!r} would be empty: {source} has no file for it.")
        return entries.inputs(found), lambda: found


def _config(recipe: Recipe, base: Base, layers: list[tuple[Layer, Path]]) -> dict[str, Any]:
    """The image configuration: the base's, with the recipe's on top (as a Dockerfile does)."""
    inherited = dict(base.config.get("config") or {})
    given = dict(item.split("=", 1) for item in inherited.get("Env") or [])
    env = {"PATH": DEFAULT_PATH, **given, **recipe.env}
    labels = {**(inherited.get("Labels") or {}), **recipe.config.get("Labels", {})}
    ports = {**(inherited.get("ExposedPorts") or {}), **recipe.config.get("ExposedPorts", {})}
    merged = {**inherited, **recipe.config, "Env": [f"{key}={value}" for key, value in env.items()]}
    if "Entrypoint" in recipe.config and "Cmd" not in recipe.config:
        merged.pop("Cmd", None)  # a new entry point does not take the base's arguments
    merged |= {k: v for k, v in (("Labels", labels), ("ExposedPorts", ports)) if v}
    return {
        "created": CREATED,
        "architecture": base.target.architecture,
        "os": "linux",
        "config": merged,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer, _ in layers]},
        "history": [
            {"created": CREATED, "created_by": f"fargate_lab.image: {layer.name}"}
            for layer, _ in layers
        ],
    }
