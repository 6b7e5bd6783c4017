"""`lab.py` alone: the cloud, JupyterLab at chapter 00, and an orderly end for both."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from fargate_lab import paths
from fargate_lab.cli.cloud import start, state_folder
from fargate_lab.cli.console import CommandError, answer, end_live, live, say
from fargate_lab.cli.fetching import prefetch
from fargate_lab.cli.shells import stray
from fargate_lab.cloud import process

FIRST_CHAPTER = "notebooks/00-start-here.ipynb"
USUAL_PORT = 8888
START_SECONDS = 90
QUIET = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}
"""Settings where the learner has made none of their own."""
STOP_SECONDS = 15


def open_lab(options: argparse.Namespace) -> int:
    """Start what is needed, open the first chapter, and stay until told to end.

    The cloud is stopped at the end when this command started it: one that ran before stays.
    """
    prefetch()
    port = free_port(options.port)
    folder = state_folder(options)
    info, begun = start(folder, None, options.runtime)
    say(f"The lab cloud {'started' if begun else 'runs already'}: {info.url} ({info.runtime}).")
    if begun and info.news():
        say(info.news())
    try:
        values = {**info.environment(), "LAB_STATE_DIR": str(folder)}
        with jupyter(port, values) as (server, token):
            url = await_jupyter(server, port, token)
            _announce(url, browser=not options.no_browser, begun=begun)
            return server.wait()
    finally:
        if begun:
            say("Stopping the lab cloud …")
            process.stop(folder)


def free_port(wanted: int | None) -> int:
    """A port of 127.0.0.1 that is free now: the wanted one, the usual one, or any.

    Raises CommandError when a wanted port is taken.
    """
    for candidate in [wanted] if wanted else [USUAL_PORT, 0]:
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", candidate))
            number: int = probe.getsockname()[1]
            return number
    raise CommandError(
        f"Port {wanted} of 127.0.0.1 is taken by another program.\n"
        "Choose another with --port, or leave it out to take any free one."
    )


@contextlib.contextmanager
def jupyter(port: int, values: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """JupyterLab as a child process, with the token that opens it; gone with its kernels after.

    Its run-time files live in a folder of their own, so that nothing stays in the home folder.
    """
    runtime = Path(tempfile.mkdtemp(prefix="lab-jupyter-"))
    token = secrets.token_hex(16)
    log = (runtime / "jupyter.log").open("wb")
    env = _environment(values, runtime, token)
    child = subprocess.Popen(
        _command(port), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, **_own_group()
    )
    try:
        yield child, token
    finally:
        end_live()
        _end(child)
        log.close()
        shutil.rmtree(runtime, ignore_errors=True)


def _command(port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        f"--ServerApp.root_dir={paths.repo_root()}",
        # No question about news and no look at the package index: neither is the lab's business.
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]


def _environment(values: Mapping[str, str], runtime: Path, token: str) -> dict[str, str]:
    env = dict(os.environ)
    if env.get("LAB_BACKEND") != "aws":
        for name in stray(env):
            del env[name]
        env |= values
    # JupyterLab asks about its news as long as no setting answers, whatever their address.
    overrides = runtime / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(json.dumps(QUIET), encoding="utf-8")
    searched = [str(overrides.parents[1]), env.get("JUPYTER_CONFIG_PATH", "")]
    env["JUPYTER_CONFIG_PATH"] = os.pathsep.join(path for path in searched if path)
    # The token goes by the environment: a command line can be read by every user of the machine.
    env |= {"JUPYTER_TOKEN": token, "JUPYTER_RUNTIME_DIR": str(runtime)}
    env["PYTHONPATH"] = str(paths.repo_root())
    return env


def _own_group() -> dict[str, Any]:
    # Ctrl-C reaches this process alone, which then ends JupyterLab and its kernels in order.
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask JupyterLab to shut its kernels down; then end whatever is left of it."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(child.pid).children(recursive=True)
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_SECONDS)
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    if child.poll() is None:
        child.kill()
    child.wait()
    psutil.wait_procs(family, timeout=5)


def await_jupyter(server: subprocess.Popen[bytes], port: int, token: str) -> str:
    """The address of the first chapter, once the server answers. Raises CommandError if it ends."""
    begun = time.monotonic()
    probe = f"http://127.0.0.1:{port}/api/status?token={token}"
    opener = process.local_opener()
    while time.monotonic() - begun < START_SECONDS:
        live(f"  JupyterLab starts ({time.monotonic() - begun:.0f} s)")
        if server.poll() is not None:
            raise CommandError(f"JupyterLab ended while starting (exit code {server.returncode}).")
        try:
            with opener.open(probe, timeout=5) as reply:
                json.load(reply)
            end_live()
            return f"http://127.0.0.1:{port}/lab{_tree()}?token={token}"
        except (OSError, ValueError, urllib.error.URLError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.1)
    raise CommandError(f"JupyterLab did not answer within {START_SECONDS} s.")


def _tree() -> str:
    return f"/tree/{FIRST_CHAPTER}" if (paths.repo_root() / FIRST_CHAPTER).exists() else ""


def _announce(url: str, *, browser: bool, begun: bool) -> None:
    answer(f"\nOpen the first chapter:  {url}\n")
    if browser and has_screen(os.environ):
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(url)
    say(
        "Ctrl-C ends JupyterLab and the lab. Your notebooks are saved as you work."
        if begun
        else "Ctrl-C ends JupyterLab; the lab cloud ran before and goes on (python3 lab.py stop "
        "ends it). Your notebooks are saved as you work."
    )


def has_screen(environ: Mapping[str, str]) -> bool:
    """Whether a browser opened here would be seen: not in CI, a container or over SSH."""
    if environ.get("CI") or environ.get("SSH_CONNECTION"):
        return False
    if sys.platform in {"win32", "darwin"}:
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
