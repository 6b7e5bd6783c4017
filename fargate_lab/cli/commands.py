"""From a parsed command line to the command: each is imported only when it is asked for."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Sequence

from fargate_lab.cli import arguments
from fargate_lab.cli.console import CommandError, Interrupted, say
from fargate_lab.cli.steps import interruptible


def main(argv: Sequence[str]) -> int:
    """Run a command; the exit code. A person's mistake is a message, never a stack trace."""
    try:
        options = arguments.parse(argv)
        command = _command(options.command)
        with interruptible():
            return command(options)
    except CommandError as error:
        say(str(error))
        return error.code
    except Interrupted as stop:
        say(f"\nEnded by {signal.Signals(stop.signum).name}; everything it started has stopped.")
        return stop.code
    except KeyboardInterrupt:
        return 130


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    if name in {"up", "stop", "status", "reset"}:
        from fargate_lab.cli import cloud

        commands = {
            "up": cloud.up,
            "stop": cloud.stop,
            "status": cloud.status,
            "reset": cloud.reset,
        }
        chosen: Callable[[argparse.Namespace], int] = commands[name]
        return chosen
    if name == "test":
        from fargate_lab.cli.testing import test

        return test
    if name == "tour":
        from fargate_lab.cli.tour import tour

        return tour
    if name == "setup":
        from fargate_lab.cli.fetching import setup

        return setup
    if name == "doctor":
        from fargate_lab import paths
        from fargate_lab.cli.doctor import doctor
        from fargate_lab.cli.environment import Environment

        return lambda _: doctor(Environment(paths.repo_root()))
    from fargate_lab.cli.jupyter import open_lab

    return open_lab
