"""Why an installation failed, in a sentence, and what to do next. Standard library alone."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Trouble:
    """A cause that can be recognised in an installer's words, and the advice for it."""

    name: str
    signs: tuple[str, ...]
    meaning: str
    advice: str


TROUBLES = (
    Trouble(
        "disk full",
        ("no space left", "errno 28", "os error 28", "disk quota", "not enough space"),
        "The disk is full.",
        "Free about 2 GB (or move the folder to a larger disk), then run the command again.",
    ),
    Trouble(
        "no venv",
        ("no module named venv", "no module named ensurepip", "ensurepip is not available"),
        "This Python lacks the modules that make an environment.",
        "On Debian or Ubuntu: apt install python3-venv; then run the command again.",
    ),
    Trouble(
        "certificate",
        ("certificate", "ssl: ", "unknownissuer"),
        "The package index's certificate was not accepted; a company's proxy often causes this.",
        "Set SSL_CERT_FILE to your company's certificate bundle, then run the command again.",
    ),
    Trouble(
        "no network",
        (
            "dns error",
            "name resolution",
            "failed to lookup",
            "getaddrinfo",
            "name or service not known",
            "nodename nor servname",
            "connection refused",
            "connection reset",
            "could not connect",
            "tcp connect error",
            "error sending request",
            "failed to fetch",
            "network is unreachable",
            "no route to host",
            "newconnectionerror",
            "timed out",
            "timeouterror",
            "proxyerror",
            "tunnel",
            "network connectivity is disabled",
        ),
        "The package index could not be reached.",
        "Connect to a network (set HTTPS_PROXY if yours needs it), then run the command again. "
        "Only the first run needs it.",
    ),
    Trouble(
        "no permission",
        (
            "permission denied",
            "errno 13",
            "os error 13",
            "read-only file system",
            "access is denied",
            "operation not permitted",
        ),
        "A file or folder could not be written.",
        "Make the folder yours and writable, and close programs that use its .venv, "
        "then run the command again.",
    ),
    Trouble(
        "hash",
        ("hash mismatch", "do not match the hashes", "hashes are required"),
        "A downloaded package is not the one that was tested: its hash differs.",
        "Nothing of it was installed. A broken download or cache is likely: "
        "run the command again; if it stays so, ask who runs your package index.",
    ),
    Trouble(
        "no build for this machine",
        (
            "no matching distribution",
            "no solution found",
            "no wheels",
            "no compatible",
            "failed to build",
            "failed building wheel",
            "is not a supported wheel",
        ),
        "A package has no build for this Python or this kind of machine.",
        "Use a 64-bit Python 3.11, 3.12 or 3.13 on Linux, macOS or Windows.",
    ),
)


def diagnose(output: str) -> Trouble | None:
    """The first cause whose sign is in the output, most specific first."""
    text = output.lower()
    for trouble in TROUBLES:
        if any(sign in text for sign in trouble.signs):
            return trouble
    return None


def tail(output: str, lines: int = 8) -> str:
    """The last lines an installer wrote, without colours, indented."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace("\r", "\n")
    kept = [line.rstrip() for line in plain.split("\n") if line.strip()]
    return "\n".join(f"    {line[:200]}" for line in kept[-lines:])


def explain(what: str, output: str, log: str) -> str:
    """The message for a failed installation: meaning, advice, the installer's last words."""
    trouble = diagnose(output)
    meaning = trouble.meaning if trouble else "The installer failed for a reason of its own."
    advice = trouble.advice if trouble else "Read its last words below, then run the command again."
    return (
        f"{what} failed. {meaning}\nWhat to do: {advice}\n"
        f"Nothing half-made will be used: the next run starts over.\n"
        f"Its last words (all of them: {log}):\n{tail(output)}"
    )
