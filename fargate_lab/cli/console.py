"""What the commands say: answers on stdout, talk on stderr. Standard library alone."""

from __future__ import annotations

import sys


class CommandError(Exception):
    """A command cannot go on. The message is for people: what was wrong and what to do next."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Interrupted(BaseException):
    """Ctrl-C, a closed terminal or a request to end; `code` is the exit status that says so."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
        self.code = 128 + signum


def answer(text: str) -> None:
    """Write what the command was asked for to stdout."""
    _write(sys.stdout, text + "\n")


def say(text: str) -> None:
    """Tell the reader something on stderr: stdout stays clean for `eval` and for pipes."""
    _write(sys.stderr, text + "\n")


def live(text: str) -> None:
    """Redraw the current line of a terminal; nothing where stderr is not one."""
    if sys.stderr.isatty():
        _write(sys.stderr, f"\r\x1b[2K{text}")


def end_live() -> None:
    """Clear the line that `live` drew."""
    live("")


def _write(stream: object, text: str) -> None:
    """Write and flush; a closed pipe or terminal is no reason to fail half way."""
    try:
        stream.write(text)  # type: ignore[attr-defined]
        stream.flush()  # type: ignore[attr-defined]
    except UnicodeEncodeError:  # a Windows console in an old code page
        encoding = getattr(stream, "encoding", None) or "ascii"
        _write(stream, text.encode(encoding, "replace").decode(encoding))
    except (OSError, ValueError):
        return
