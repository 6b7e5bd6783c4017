"""`python -m fargate_lab.image`: build, push, pull, inspect and unpack from the terminal."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ..paths import repo_root, state_dir
from .errors import ImageError
from .progress import Bars, Progress, Silent


def _progress(options: argparse.Namespace) -> Progress:
    return Bars() if sys.stderr.isatty() and not options.quiet else Silent()


def _credentials(options: argparse.Namespace) -> tuple[str | None, str | None]:
    """The password comes from the environment or from standard input, never from the command line:
    others on the machine can read a command line."""
    if options.password_stdin:
        return options.username, sys.stdin.read().strip()
    return options.username, os.environ.get("REGISTRY_PASSWORD")


def _layout(options: argparse.Namespace) -> Path:
    """A name in the state folder, or a path."""
    given = Path(options.image)
    return given if (given / "index.json").is_file() else state_dir() / "images" / options.image


def _build(options: argparse.Namespace) -> None:
    from .builder import build

    image = build(
        options.context,
        name=options.name,
        platform=options.platform,
        base=options.base,
        python=options.python,
        output=options.output,
        without=options.without,
        gzip=options.gzip,
        progress=_progress(options),
    )
    print(f"{image}\n{image.layout}")


def _prefetch(options: argparse.Namespace) -> None:
    from .builder import prefetch

    count = prefetch(
        options.context,
        platform=options.platform,
        python=options.python,
        progress=_progress(options),
    )
    print(f"{count} wheels are in the cache.")


def _push(options: argparse.Namespace) -> None:
    from .layout import load
    from .upload import push

    username, password = _credentials(options)
    report = push(
        load(_layout(options)),
        options.reference,
        username=username,
        password=password,
        progress=_progress(options),
    )
    print(report)


def _pull(options: argparse.Namespace) -> None:
    from .download import pull

    username, password = _credentials(options)
    image = pull(
        options.reference,
        options.layout,
        username=username,
        password=password,
        platform=options.platform,
        progress=_progress(options),
    )
    print(image)


def _inspect(options: argparse.Namespace) -> None:
    from .layout import load

    image = load(_layout(options), platform=options.platform)
    print(image)
    print(json.dumps(image.config.get("config", {}), indent=2, ensure_ascii=False))


def _unpack(options: argparse.Namespace) -> None:
    from .extract import unpack
    from .layout import load

    image = load(_layout(options), platform=options.platform)
    unpack(image.blobs(), options.target, verify=[layer.digest for layer in image.layers])
    print(options.target)


def _save(options: argparse.Namespace) -> None:
    from .archive import to_docker_archive
    from .layout import load

    image = load(_layout(options))
    if options.output:
        with options.output.open("wb") as out:
            to_docker_archive(image, out, tag=options.tag)
    else:
        to_docker_archive(image, sys.stdout.buffer, tag=options.tag)


def _arguments(*names: str) -> argparse.ArgumentParser:
    """Arguments that several commands share."""
    shared = argparse.ArgumentParser(add_help=False)
    if "context" in names:
        shared.add_argument("context", type=Path, nargs="?", default=repo_root() / "lab_docker")
        shared.add_argument("--python", help="such as 3.12 (default: the base's)")
    if "image" in names:
        shared.add_argument("image", help="the name of a built image, or an OCI layout's path")
    if "platform" in names:
        shared.add_argument("--platform", help="linux/amd64 or linux/arm64 (default: this one)")
    if "login" in names:
        shared.add_argument("--username", help="for ECR: AWS")
        shared.add_argument(
            "--password-stdin", action="store_true", help="or in the variable REGISTRY_PASSWORD"
        )
    return shared


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fargate_lab.image", description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, about: str, run: Callable[[argparse.Namespace], None], *shared: str
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, parents=[_arguments(*shared)])
        made.set_defaults(run=run)
        return made

    build = command("build", "build an image from a recipe", _build, "context", "platform")
    build.add_argument("--name", default="inkdigits")
    build.add_argument("--base", default="auto", help="auto, host-python, scratch, path, reference")
    build.add_argument("--output", type=Path, help="the OCI layout (default: in the state folder)")
    build.add_argument("--without", action="append", default=[], metavar="LAYER")
    build.add_argument("--gzip", action="store_true", help="compress layers")
    command("prefetch", "bring wheels into the cache", _prefetch, "context", "platform")
    push = command("push", "push to a registry", _push, "image", "login")
    push.add_argument("reference")
    pull = command("pull", "pull into an OCI layout", _pull, "platform", "login")
    pull.add_argument("reference")
    pull.add_argument("layout", type=Path)
    command("inspect", "layers and configuration", _inspect, "image", "platform")
    unpack = command("unpack", "unpack into an empty folder", _unpack, "image", "platform")
    unpack.add_argument("target", type=Path)
    save = command("save", "write a file for `docker load`", _save, "image")
    save.add_argument("--tag", help="name:tag that the engine gives it")
    save.add_argument("--output", type=Path, help="default: standard output")
    return parser


def main() -> int:
    """The exit status: 0, or 1 with one line that says what was wrong."""
    options = _parser().parse_args()
    try:
        options.run(options)
    except ImageError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 1
    except OSError as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was complete is kept.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
