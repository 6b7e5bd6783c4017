"""From a bare Python to the lab's environment, then the hand-over. Standard library alone.

The environment is built in place and stamped last: what was interrupted is never trusted. A lock
lets one set-up work at a time; the installer inherits it, so that it holds even when this process
is killed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fargate_lab import paths
from fargate_lab.cli import arguments
from fargate_lab.cli.console import CommandError, Interrupted, say
from fargate_lab.cli.doctor import doctor
from fargate_lab.cli.environment import LOCK, LOG, Environment, base_python, clean_environ
from fargate_lab.cli.locking import locked
from fargate_lab.cli.steps import Outcome, interruptible, run_step
from fargate_lab.cli.troubles import diagnose, explain

WAIT_SECONDS = 1800
"""How long to wait for another set-up: a slow connection may need half an hour for 500 MB."""


def main(argv: Sequence[str]) -> int:
    """Do what the command line says; the exit code."""
    try:
        options = arguments.parse(argv)
        return run(options.command, list(argv), no_venv=options.no_venv, options=options)
    except CommandError as error:
        say(str(error))
        return error.code
    except Interrupted as stop:
        say(f"\nInterrupted ({signal.Signals(stop.signum).name}). Run the command again to go on.")
        return stop.code
    except KeyboardInterrupt:
        say("\nInterrupted. Run the command again to go on.")
        return 130


def run(command: str, argv: list[str], *, no_venv: bool, options: object) -> int:
    """Set up as far as the command needs it, then hand over."""
    environment = Environment(paths.repo_root())
    if command == "doctor":
        return doctor(environment)
    if no_venv or os.environ.get("LAB_NO_VENV"):
        _require_packages()
        return hand_over(sys.executable, argv, environment.root)
    if command in {"stop", "status", "reset"} and not environment.folder.exists():
        folder = getattr(options, "state_dir", None) or paths.state_dir()
        if not (folder / "cloud.json").exists():
            say("The lab is not set up here: nothing runs.")
            return 3 if command == "status" else 0
    with interruptible():
        ensure(environment)
    if command == "setup":
        say(f"The environment is ready: {environment.folder}")
    return hand_over(str(environment.python), argv, environment.root)


def ensure(environment: Environment) -> None:
    """Make the environment complete unless it is. Raises CommandError with what to do."""
    if environment.ready():
        return
    _leave_own_environment(environment)
    try:
        environment.folder.mkdir(exist_ok=True)
        with locked(environment.folder / LOCK, _say_waiting, WAIT_SECONDS) as hold:
            if not environment.ready():
                _build(environment, hold)
    except TimeoutError:
        raise CommandError(
            "Another lab.py has been setting this folder up for half an hour. "
            "End it (or restart the machine), then run the command again."
        ) from None
    except OSError as error:
        raise CommandError(_cannot_write(environment, error)) from error


def _say_waiting() -> None:
    say("Another lab.py is setting this folder up; waiting for it.")


def _cannot_write(environment: Environment, error: OSError) -> str:
    what = f"{error.strerror or error}: {error.filename or environment.folder}"
    trouble = explain("Making the environment", what, "no log").split("\n")
    return f"{trouble[0]}\n{trouble[1]}\n  {what}"


def _build(environment: Environment, hold: int) -> None:
    say(f"Setting up the lab in {environment.folder} (once; Ctrl-C is safe).")
    log = environment.folder / LOG
    log.unlink(missing_ok=True)
    env = clean_environ()
    fresh = not environment.usable()
    environment.begin()
    if fresh:
        environment.clear()
        command = [base_python(), "-m", "venv", "--without-pip", str(environment.folder)]
        _check(run_step("making .venv", command, log=log, env=env), "Making .venv", log)
    _install(environment, env, hold)
    environment.finish()


def _install(environment: Environment, env: dict[str, str], hold: int) -> None:
    """The lock file's packages: with uv, and with pip where uv cannot be had or fails."""
    log = environment.folder / LOG
    requirements = ["--require-hashes", "-r", str(environment.lock_file)]
    python = str(environment.python)

    def count() -> str:
        return f"{environment.packages()} of about {pins(environment.lock_file)}"

    uv = _uv_on_path() or _uv_in(environment, env, log, hold)
    if uv:
        command = [*uv, "pip", "install", "--python", python, *requirements]
        outcome = run_step(
            "installing packages", command, log=log, env=env, detail=count, hold=hold
        )
        if outcome.code == 0:
            return
        # A cause that is known would stop pip too; anything else may be uv's own.
        if diagnose(outcome.output) or not _pip(environment, env, log, hold):
            raise CommandError(explain("Installing the packages", outcome.output, str(log)))
        say("  uv could not install them; trying with pip")
    command = [python, "-m", "pip", "install", "--no-input", *requirements]
    outcome = run_step(
        "installing packages with pip", command, log=log, env=env, detail=count, hold=hold
    )
    _check(outcome, "Installing the packages", log)


def _uv_on_path() -> list[str]:
    """uv as a command, when the one on the PATH works (a version manager's shim may not)."""
    found = shutil.which("uv")
    if not found:
        return []
    try:
        done = subprocess.run([found, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return []
    return [found] if done.returncode == 0 else []


def _uv_in(environment: Environment, env: dict[str, str], log: Path, hold: int) -> list[str]:
    """uv from the lock file, installed with pip into the environment; empty when that failed."""
    if not _pip(environment, env, log, hold):
        raise CommandError(_no_installer())
    pin = environment.folder / "lab-uv.txt"
    pin.write_text(pinned(environment.lock_file, "uv"), encoding="utf-8")
    python = str(environment.python)
    command = [python, "-m", "pip", "install", "--no-input", "--require-hashes", "-r", str(pin)]
    outcome = run_step("fetching the installer (uv)", command, log=log, env=env, hold=hold)
    pin.unlink()
    return [python, "-m", "uv"] if outcome.code == 0 else []


def _pip(environment: Environment, env: dict[str, str], log: Path, hold: int) -> bool:
    """Whether the environment has pip, after bringing it in from the Python itself."""
    python = str(environment.python)
    probe = [python, "-c", "import pip"]
    if subprocess.run(probe, capture_output=True, check=False, env=env).returncode == 0:
        return True
    command = [python, "-m", "ensurepip", "--upgrade", "--default-pip"]
    return run_step("adding pip", command, log=log, env=env, hold=hold).code == 0


def _no_installer() -> str:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return (
        "This Python cannot make a complete environment: its ensurepip module is missing, "
        "and uv is not on the PATH.\n"
        f"What to do: on Debian or Ubuntu, apt install python{version}-venv; elsewhere, "
        "install uv, or a Python from another source. Then run the command again."
    )


def _check(outcome: Outcome, what: str, log: Path) -> None:
    if outcome.code:
        raise CommandError(explain(what, outcome.output, str(log)))


def pins(lock: Path) -> int:
    """How many packages a lock file names."""
    return len(re.findall(r"(?m)^[a-zA-Z0-9]\S*==", lock.read_text(encoding="utf-8")))


def pinned(lock: Path, name: str) -> str:
    """One package's lines of a lock file, hashes included. Raises ValueError if it is not there."""
    pattern = rf"(?m)^{re.escape(name)}==.*(?:\n    --hash.*)*"
    found = re.search(pattern, lock.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{name} is not in {lock}")
    return found.group() + "\n"


def _require_packages() -> None:
    wanted = ("jupyterlab", "boto3", "moto", "starlette", "uvicorn", "onnxruntime", "psutil")
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        raise CommandError(
            f"This Python ({sys.executable}) lacks {', '.join(missing)}.\n"
            "What to do: conda env create -f environment.yml && conda activate fargate-ml-lab, "
            "or leave --no-venv (and LAB_NO_VENV) out."
        )


def _leave_own_environment(environment: Environment) -> None:
    """Go on with the Python below when this one belongs to the environment to be changed."""
    base = base_python()
    inside = environment.python.exists() and Path(sys.prefix) == environment.folder
    if inside and base != sys.executable and Path(base).exists():
        os.execv(base, [base, str(environment.root / "lab.py"), *sys.argv[1:]])


def hand_over(python: str, argv: list[str], root: Path) -> int:
    """Go on as `python -m fargate_lab.cli`: in this process where the platform can replace it."""
    env = clean_environ()
    env["PYTHONPATH"] = os.pathsep.join(p for p in (str(root), env.get("PYTHONPATH")) if p)
    command = [python, "-P", "-m", "fargate_lab.cli", *argv]
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(python, command, env)
    child = subprocess.Popen(command, env=env)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # The console sends Ctrl-C to both: the child cleans up and says how it ended.
            continue
