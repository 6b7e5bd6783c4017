"""The command line: one table of commands, their options and their help. Standard library alone."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from fargate_lab.cli.console import CommandError

RUNTIMES = ("auto", "docker", "process")
SHELLS = ("bash", "powershell", "cmd", "fish")

COMMANDS = {
    "open": "set up, start the lab cloud and open JupyterLab at chapter 00 (the default)",
    "up": "start the lab cloud in the background and print the exports that any client needs",
    "stop": "stop the lab cloud and every task it runs",
    "status": "say whether the lab cloud runs, where, and what runs in it",
    "reset": "stop the cloud and delete what it holds: repositories, images, tasks, logs",
    "doctor": "say what this machine lacks and what that means",
    "tour": "build, push, register, run and predict in the terminal, in half a minute",
    "test": "set up and run every check and test",
    "setup": "make the environment and fetch what the image needs, then end",
}

EPILOG = """\
python3 lab.py COMMAND --help tells more about one command.
Everything runs on this machine; nothing is sent to AWS. Ctrl-C ends a command and what it started.
"""


class _Parser(argparse.ArgumentParser):
    """argparse with one sentence for a mistake, and the nearest command for a typing error."""

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message}\nWhat there is: {self.prog} --help", code=2)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="python3 lab.py",
        description="Learn to run a machine-learning container on AWS Fargate, on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--no-venv",
        action="store_true",
        help="use the Python that runs this (a conda environment, a container) and install nothing",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _OPTIONS[name](command)
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The parsed command line; `command` is "open" when none is named.

    Raises CommandError with the nearest match for an unknown command. `test` collects what it does
    not know itself in `pytest_args`.
    """
    words = list(arguments)
    position = next((i for i, word in enumerate(words) if not word.startswith("-")), None)
    named = position is not None and not _is_option_value(words, position)
    if not named and not {"-h", "--help"} & set(words):
        words = [*_globals(words), "open", *[w for w in words if w != "--no-venv"]]
    elif named and position is not None and words[position] not in COMMANDS:
        raise CommandError(_unknown(words[position]), code=2)
    known, rest = build_parser().parse_known_args(words)
    if rest and known.command != "test":
        raise CommandError(
            f"{known.command} does not know {' '.join(rest)}.\n"
            f"What there is: python3 lab.py {known.command} --help",
            code=2,
        )
    known.pytest_args = [*getattr(known, "pytest_args", []), *rest]
    return known


def _globals(words: Sequence[str]) -> list[str]:
    return [word for word in words if word == "--no-venv"]


def _is_option_value(words: Sequence[str], position: int) -> bool:
    """Whether a word belongs to the option before it: `--port 8900` names no command."""
    if not position:
        return False
    return words[position - 1] in {"--port", "--state-dir", "--runtime"}


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f" Did you mean: python3 lab.py {near[0]}" if near else ""
    return f"There is no command {word!r}.{hint}\nThe commands: {', '.join(COMMANDS)}."


def port_number(text: str) -> int:
    """A TCP port from 1 to 65535."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535.")
    return number


def _nothing(_: argparse.ArgumentParser) -> None:
    """A command without options of its own."""


def _state_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="where the cloud keeps its files (default: LAB_STATE_DIR, or .lab beside lab.py)",
    )


def _cloud(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    _state_dir(parser)
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=default,
        help="how tasks run: docker, process, or auto (docker where an engine answers)",
    )


def _open(parser: argparse.ArgumentParser) -> None:
    _cloud(parser)
    parser.add_argument(
        "--port", type=port_number, metavar="N", help="JupyterLab's port (default: a free one)"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address and open no browser"
    )


def _up(parser: argparse.ArgumentParser) -> None:
    _cloud(parser)
    parser.add_argument(
        "--port",
        type=port_number,
        metavar="N",
        help="the cloud's port (default: 4577 or any)",
    )
    parser.add_argument(
        "--shell", choices=SHELLS, default="bash", help="whose syntax to print the exports in"
    )
    parser.epilog = (
        'bash, zsh:   eval "$(python3 lab.py up)"\n'
        "fish:        python3 lab.py up --shell fish | source\n"
        "PowerShell:  python lab.py up --shell powershell | Out-String | Invoke-Expression\n"
        "cmd:         python lab.py up --shell cmd > %TEMP%\\lab.cmd && call %TEMP%\\lab.cmd"
    )


def _status(parser: argparse.ArgumentParser) -> None:
    _state_dir(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.epilog = "The exit code is 0 when the cloud runs and 3 when it does not."


def _reset(parser: argparse.ArgumentParser) -> None:
    _state_dir(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask first")
    parser.epilog = "The cache of wheels and layers stays: without it they are downloaded again."


def _tour(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runtime", choices=RUNTIMES, help="how the task runs")
    parser.epilog = "It uses a cloud of its own and leaves nothing behind."


def _test(parser: argparse.ArgumentParser) -> None:
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--long", action="store_true", help="the long tests too")
    only.add_argument("--long-only", action="store_true", help="the long tests and nothing else")
    parser.epilog = (
        "Without further words: ruff, mypy, the tests (two at a time) and the solved notebooks.\n"
        "Every other word goes to pytest, which then runs alone:\n"
        "python3 lab.py test tests/cli -k up"
    )


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "open": _open,
    "up": _up,
    "stop": _state_dir,
    "status": _status,
    "reset": _reset,
    "tour": _tour,
    "test": _test,
    "doctor": _nothing,
    "setup": _nothing,
}
