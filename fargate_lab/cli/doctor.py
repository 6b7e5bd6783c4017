"""What this machine lacks for the lab, what that means, and what to do. Standard library alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fargate_lab import paths
from fargate_lab.cli.console import answer
from fargate_lab.cli.environment import Environment

NEEDED_DISK_GB = 2.0
"""The environment takes about 1.3 GB, a chapter's images and wheels about 0.5 GB."""

NEEDED_MEMORY_GB = 2.0
PORTS = {4577: "the lab cloud", 8888: "JupyterLab"}


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was found, what that means, what to do.

    `needed` makes the whole report fail when it is not ok.
    """

    name: str
    ok: bool
    found: str
    meaning: str = ""
    advice: str = ""
    needed: bool = False

    def lines(self) -> list[str]:
        """The finding as text: one line when all is well, up to three otherwise."""
        mark = "ok     " if self.ok else ("MISSING" if self.needed else "lacking")
        lines = [f"{mark} {self.name:<12} {self.found}"]
        indent = " " * 21
        if self.meaning:
            lines.append(f"{indent}{self.meaning}")
        if self.advice and not self.ok:
            lines.append(f"{indent}To do: {self.advice}")
        return lines


def doctor(environment: Environment) -> int:
    """Print every finding; the exit code is 1 when something needed is missing."""
    findings = examine(environment)
    for finding in findings:
        for line in finding.lines():
            answer(line)
    missing = [finding.name for finding in findings if finding.needed and not finding.ok]
    answer("")
    if missing:
        answer(f"The lab cannot work here before this is mended: {', '.join(missing)}.")
        return 1
    answer("The lab works on this machine. What is lacking above narrows it as the lines say.")
    return 0


def examine(environment: Environment) -> list[Finding]:
    """Every finding about this machine, in the order of the report."""
    looks: list[Callable[[], Finding]] = [
        python,
        lambda: venv(environment),
        lambda: folder(paths.state_dir()),
        lambda: disk(environment.root),
        memory,
        lambda: ports(PORTS),
        docker,
        chromium,
        lambda: credentials(os.environ),
        lambda: proxies(os.environ),
        lambda: network(os.environ),
    ]
    return [look() for look in looks]


def python() -> Finding:
    """Whether this Python will do, and on what it runs."""
    bits = 64 if sys.maxsize > 2**32 else 32
    found = f"{platform.python_version()} ({bits} bit) on {platform.system()} {platform.machine()}"
    return Finding(
        "Python",
        sys.version_info >= (3, 11) and bits == 64,
        found,
        advice="install a 64-bit Python 3.11 or newer and run lab.py with it.",
        needed=True,
    )


def venv(environment: Environment) -> Finding:
    """Whether the environment is there, or can be made."""
    if environment.ready():
        return Finding("environment", True, str(environment.folder))
    if environment.folder.exists() and not environment.usable():
        return Finding(
            "environment",
            False,
            f"{environment.folder} is incomplete, was moved, or lost its Python",
            "The next run makes it anew by itself.",
        )
    try:
        import ensurepip
    except ImportError:
        can = shutil.which("uv") is not None
        return Finding(
            "environment",
            can,
            "not made yet; this Python has no ensurepip" + (", but uv is there" if can else ""),
            "" if can else "No environment can be made with this Python alone.",
            f"apt install python3.{sys.version_info[1]}-venv (Debian, Ubuntu), or install uv.",
            needed=True,
        )
    found = f"not complete yet (pip {ensurepip.version()} can make it)"
    return Finding("environment", True, found, "The first run makes it: about a minute, once.")


def folder(state: Path) -> Finding:
    """Whether the state folder can be written."""
    existing = next(p for p in [state, *state.parents] if p.exists())
    ok = existing.is_dir() and os.access(existing, os.W_OK)
    return Finding(
        "state folder",
        ok,
        f"{state}" if ok else f"{state} cannot be written",
        "" if ok else "The cloud has nowhere to keep images and tasks.",
        "make it writable, or name another with LAB_STATE_DIR.",
        needed=True,
    )


def disk(root: Path) -> Finding:
    """Whether there is room for the environment and the images."""
    free = shutil.disk_usage(root).free / 1e9
    return Finding(
        "disk",
        free >= NEEDED_DISK_GB,
        f"{free:.1f} GB free",
        "" if free >= NEEDED_DISK_GB else f"The set-up needs about {NEEDED_DISK_GB:.0f} GB.",
        "free some space, or move this folder to a larger disk.",
        needed=True,
    )


def memory() -> Finding:
    """Whether the machine's memory carries JupyterLab, the cloud and a task."""
    total = _memory_gb()
    if total is None:
        return Finding("memory", True, "could not be read")
    ok = total >= NEEDED_MEMORY_GB
    meaning = "" if ok else "JupyterLab, the cloud and one task take about 1 GB together."
    return Finding("memory", ok, f"{total:.1f} GB", meaning, "close other programs.")


def _memory_gb() -> float | None:
    if sys.platform == "win32":
        import ctypes

        kilobytes = ctypes.c_ulonglong()
        known = ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
        return kilobytes.value / 1e6 if known else None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError):
        return None


def ports(wanted: Mapping[int, str]) -> Finding:
    """Whether the usual ports are free; another is taken where they are not."""
    taken = [f"{port} ({use})" for port, use in wanted.items() if not _free(port)]
    if not taken:
        return Finding("ports", True, ", ".join(map(str, wanted)) + " are free")
    meaning = "Another free port is taken instead; the lab itself may be what holds it."
    return Finding("ports", True, ", ".join(taken) + " in use", meaning)


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket: how a Docker engine listens on Linux and macOS."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file instead of a host and port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def docker() -> Finding:
    """Whether a Docker engine answers; without one, tasks run as processes."""
    version = engine_version(os.environ.get("DOCKER_HOST", ""))
    if version:
        return Finding("Docker", True, f"engine {version}", "Tasks run as containers, with limits.")
    return Finding(
        "Docker",
        False,
        "no engine answers" + (", though the docker command is there" if _has("docker") else ""),
        "Tasks run as processes of this machine: real predictions and logs, but no isolation "
        "and no CPU limit.",
        "nothing, unless you want containers: then start Docker Desktop, colima or dockerd.",
    )


def engine_version(host: str) -> str | None:
    """The version of the engine that answers at `host` (DOCKER_HOST), None when none does."""
    parts = urllib.parse.urlsplit(host)
    if (host and parts.scheme not in {"unix", "tcp", "http"}) or sys.platform == "win32":
        return _engine_by_command()
    home = Path.home() / ".docker" / "run" / "docker.sock"
    for path in [parts.path] if parts.scheme == "unix" else ["/var/run/docker.sock", str(home)]:
        connection = (
            http.client.HTTPConnection(parts.hostname or "", parts.port or 2375, timeout=5)
            if parts.scheme in {"tcp", "http"}
            else _UnixConnection(path)
        )
        try:
            connection.request("GET", "/version")
            return str(json.loads(connection.getresponse().read())["Version"])
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return None


def _engine_by_command() -> str | None:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout.strip() if done.returncode == 0 else None
    return None


def _has(name: str) -> bool:
    return shutil.which(name) is not None


def chromium() -> Finding:
    """Whether a Chromium is there for the browser tests; learners use any browser."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
    found = next((shutil.which(name) for name in names if _has(name)), None)
    if found:
        return Finding("Chromium", True, found)
    return Finding(
        "Chromium",
        False,
        "not on the PATH",
        "Only the project's own browser tests need it, and are skipped; any browser will do.",
        "nothing, unless you change the lab: then install chromium.",
    )


def credentials(environ: Mapping[str, str]) -> Finding:
    """What of AWS is in the environment, and that the lab does not use it."""
    found = sorted(n for n in environ if n.startswith("AWS_") and n != "AWS_CA_BUNDLE")
    files = [p for p in ("credentials", "config") if (Path.home() / ".aws" / p).exists()]
    named = ", ".join([*found, *(f"~/.aws/{name}" for name in files)])
    if environ.get("LAB_BACKEND") == "aws":
        meaning = "LAB_BACKEND=aws: the lessons use this account after asking for your consent."
        return Finding("AWS account", True, named or "nothing set", meaning)
    meaning = "Not used: the lab sets an endpoint on this machine and made-up keys of its own."
    return Finding("AWS account", True, named or "nothing set", meaning if named else "")


def proxies(environ: Mapping[str, str]) -> Finding:
    """Which proxies are set, and whether they stay away from this machine's own addresses."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    found = [n for n in environ if n.upper() in names and environ[n]]
    if not found:
        return Finding("proxy", True, "none set")
    spared = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    ok = spared == "*" or "127.0.0.1" in spared
    return Finding(
        "proxy",
        ok,
        ", ".join(sorted(found)) + (", 127.0.0.1 spared" if ok else ""),
        "" if ok else "Other programs (the AWS CLI, docker) may send the lab's calls to it.",
        "set NO_PROXY=127.0.0.1,localhost before you use them.",
    )


def network(environ: Mapping[str, str]) -> Finding:
    """Whether a package index can be reached; only the first set-up needs one."""
    if index_answers(environ):
        return Finding("network", True, "the package index answers")
    return Finding(
        "network",
        False,
        "the package index does not answer",
        "Only the first set-up needs it; once set up, everything works offline.",
        "connect before the first run, or set HTTPS_PROXY if your network needs one.",
    )


def index_answers(environ: Mapping[str, str]) -> bool:
    """Ask pip, which knows the index this machine is set up for, about one small package."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "-q"]
    options = ["--retries", "0", "--timeout", "5", "--no-input", "--disable-pip-version-check"]
    import tempfile

    with tempfile.TemporaryDirectory() as target:
        words = [*command, *options, "-d", target, "a2wsgi"]
        try:
            done = subprocess.run(
                words, capture_output=True, timeout=30, check=False, env=dict(environ)
            )
        except (OSError, subprocess.SubprocessError):
            return False
    return done.returncode == 0
