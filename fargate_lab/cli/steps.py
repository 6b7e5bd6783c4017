"""Set-up steps: a child process under a live line with the elapsed time. Standard library alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fargate_lab.cli.console import Interrupted, end_live, live, say

REDRAW_SECONDS = 0.2


@dataclass(frozen=True)
class Outcome:
    """How a child ended: its exit code and everything it wrote."""

    code: int
    output: str


def run_step(
    title: str,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    detail: Callable[[], str] = lambda: "",
    hold: int | None = None,
) -> Outcome:
    """Run a command with its output in `log` and a live line on the terminal.

    `detail` adds a word of progress to the line; `hold` is a lock's descriptor that the child keeps
    open. Ctrl-C ends the child and everything it started before it is passed on.
    """
    begun = time.monotonic()
    with log.open("ab") as sink:
        offset = sink.tell()
        child = _spawn(command, sink.fileno(), env, hold)
        try:
            while child.poll() is None:
                live(f"  {title} {detail()} ({time.monotonic() - begun:.0f} s)")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(REDRAW_SECONDS)
        except BaseException:
            _end(child)
            end_live()
            raise
    end_live()
    with log.open("rb") as source:
        source.seek(offset)
        output = source.read().decode(errors="replace")
    if child.returncode == 0:
        say(f"  {title}: done in {time.monotonic() - begun:.1f} s")
    return Outcome(child.returncode, output)


def _spawn(
    command: Sequence[str], sink: int, env: Mapping[str, str], hold: int | None
) -> subprocess.Popen[bytes]:
    if sys.platform == "win32":
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=dict(env)
        )
    # A session of its own: Ctrl-C reaches this process alone, which then ends the child in order.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        env=dict(env),
        start_new_session=True,
        pass_fds=() if hold is None else (hold,),
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Stop a child and what it started: politely, then not."""
    if sys.platform == "win32":
        child.terminate()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C, a closed terminal and a request to end into `Interrupted`, once.

    While the first is being handled the others are ignored, so that cleaning up is not cut short.
    """
    caught = [
        getattr(signal, name)
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
        if hasattr(signal, name)
    ]

    def handler(signum: int, _: object) -> None:
        for each in caught:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signum)

    # `nohup` asks for the hang-up to be ignored: that stays so.
    caught = [
        each
        for each in caught
        if each == signal.SIGINT or signal.getsignal(each) is not signal.SIG_IGN
    ]
    before = {each: signal.signal(each, handler) for each in caught}
    try:
        yield
    finally:
        for each, previous in before.items():
            signal.signal(each, previous)
