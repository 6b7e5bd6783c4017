"""up, stop, status and reset: the lab cloud from the terminal."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fargate_lab import paths
from fargate_lab.cli.console import CommandError, answer, say
from fargate_lab.cli.doctor import engine_version
from fargate_lab.cli.shells import exports, stray, unproxied
from fargate_lab.cloud import process
from fargate_lab.cloud.process import CloudError, CloudInfo

NOT_RUNNING = 3
"""The exit code of `status` when there is no cloud: what init scripts answer for "not running"."""

KEPT = {"cache", "progress.json"}
OURS = {
    "cloud.json",
    "cloud.log",
    "cloud.lock",
    "cloud.sqlite",
    "blobs",
    "uploads",
    "tasks",
    "images",
    "cache",
    "progress.json",
    "jupyter",
}
"""What the lab puts into a state folder, as docs/architecture.md has it."""


def state_folder(options: argparse.Namespace) -> Path:
    """The state folder that a command is about."""
    chosen: Path | None = getattr(options, "state_dir", None)
    return chosen.absolute() if chosen else paths.state_dir()


def start(folder: Path, port: int | None, runtime: str | None) -> tuple[CloudInfo, bool]:
    """The cloud on a state folder, and whether this call started it.

    Raises CommandError when it cannot start, or runs with another runtime than the one asked for.
    """
    try:
        running = process.find(folder)
        wanted = runtime or os.environ.get("LAB_RUNTIME") or "auto"
        if not running:
            need_engine(wanted)
        info = process.start(folder, port=port, runtime=wanted)
    except CloudError as error:
        raise CommandError(str(error)) from error
    if running and runtime not in {None, "auto", running.runtime}:
        raise CommandError(
            f"A cloud with the runtime {running.runtime!r} runs on {folder} already.\n"
            f"Stop it first (python3 lab.py stop), then ask for {runtime!r} again."
        )
    return info, running is None


def need_engine(runtime: str) -> None:
    """Raises CommandError where `docker` is asked for and no engine answers."""
    if runtime == "docker" and engine_version(os.environ.get("DOCKER_HOST", "")) is None:
        host = os.environ.get("DOCKER_HOST")
        raise CommandError(
            f"No Docker engine answers{f' at DOCKER_HOST={host}' if host else ''}.\n"
            "Start one (Docker Desktop, colima or dockerd), or use --runtime process, which needs "
            "none."
        )


def up(options: argparse.Namespace) -> int:
    """Start the cloud in the background; the exports go to stdout, everything else to stderr."""
    folder = state_folder(options)
    info, begun = start(folder, options.port, options.runtime)
    verb = "started" if begun else "runs already"
    say(f"The lab cloud {verb}: {info.url} (runtime {info.runtime}, files in {folder}).")
    if begun and info.news():
        say(info.news())
    values = info.environment()
    if folder != paths.repo_root() / ".lab":
        values["LAB_STATE_DIR"] = str(folder)
    values |= unproxied(os.environ)
    answer(exports(values, options.shell, unset=stray(os.environ)))
    if sys.stdout.isatty() and options.shell == "bash":
        say(
            'To set them in this shell: eval "$(python3 lab.py up)". To end it: python3 lab.py stop'
        )
    return 0


def stop(options: argparse.Namespace) -> int:
    """Stop the cloud and its tasks; that there was none is no error."""
    folder = state_folder(options)
    try:
        stopped = process.stop(folder)
    except CloudError as error:
        raise CommandError(str(error)) from error
    say("The lab cloud stopped." if stopped else f"No lab cloud runs on {folder}.")
    return 0


def status(options: argparse.Namespace) -> int:
    """Say whether the cloud runs and what is in it; exit code 3 when it does not."""
    folder = state_folder(options)
    info = process.find(folder)
    report = {"running": info is not None, "state_dir": str(folder)}
    if info:
        report |= {k: v for k, v in asdict(info).items() if k != "token"}
        report["contents"] = contents(info)
    if options.json:
        answer(json.dumps(report, indent=2))
    elif not info:
        answer(f"The lab cloud does not run ({folder}). To start it: python3 lab.py up")
    else:
        answer(f"The lab cloud runs at {info.url} since {info.started}.")
        answer(f"  process {info.pid}, runtime {info.runtime}, registry {info.registry}")
        answer(f"  files   {folder}")
        for name, count in contents(info).items():
            answer(f"  {name:<13} {count}")
    return 0 if info else NOT_RUNNING


def contents(info: CloudInfo) -> dict[str, int]:
    """How many repositories, task definitions, clusters and tasks a cloud holds.

    Raises CommandError when the cloud answers with an error.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    ecr, ecs = client(info, "ecr"), client(info, "ecs")
    try:
        clusters = ecs.list_clusters()["clusterArns"]
        return {
            "repositories": len(ecr.describe_repositories()["repositories"]),
            "definitions": len(ecs.list_task_definitions()["taskDefinitionArns"]),
            "clusters": len(clusters),
            "running tasks": sum(len(ecs.list_tasks(cluster=c)["taskArns"]) for c in clusters),
        }
    except (BotoCoreError, ClientError) as error:
        log = Path(info.state_dir) / "cloud.log"
        raise CommandError(
            f"The lab cloud runs at {info.url} but cannot say what it holds: {error}\n"
            f"Its log ({log}) tells more. To start afresh: python3 lab.py stop, then up."
        ) from error


def client(info: CloudInfo, service: str) -> Any:
    """A boto3 client for a cloud, whatever the environment and the configuration files say."""
    import boto3
    from botocore.config import Config
    from botocore.session import Session

    values = info.environment()
    # A profile that is set and does not exist, or a broken file of them, would end in an exception.
    nothing: dict[str, Any] = {"profile": (None, None, None, None)}
    nothing |= dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    session = boto3.Session(botocore_session=Session(session_vars=nothing))
    return session.client(
        service,  # type: ignore[call-overload]
        endpoint_url=values["AWS_ENDPOINT_URL"],
        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        region_name=values["AWS_REGION"],
        config=Config(proxies={}),
    )


def reset(options: argparse.Namespace) -> int:
    """Stop the cloud and delete what it holds, but for the cache; asks first."""
    folder = state_folder(options)
    if not folder.exists():
        say(f"There is nothing to delete: {folder} does not exist.")
        return 0
    if not folder.is_dir():
        raise CommandError(
            f"{folder} is a file, not a state folder. Nothing was deleted.\n"
            "Name the lab's own folder with --state-dir, or leave it and LAB_STATE_DIR out."
        )
    _refuse_foreign(folder)
    doomed = [entry for entry in sorted(folder.iterdir()) if entry.name not in KEPT]
    if not options.yes and not _confirmed(folder):
        say("Nothing was deleted.")
        return 1
    stop(options)
    for entry in doomed:
        _delete(entry)
    say(f"Deleted what the lab held in {folder}; the cache and your passed exercises stay.")
    return 0


def _refuse_foreign(folder: Path) -> None:
    """A folder with anything that the lab did not put there is not the lab's to empty."""
    foreign = sorted(e.name for e in folder.iterdir() if not _is_ours(e))
    if foreign or folder.is_symlink():
        found = ", ".join(foreign[:5]) or "a link to another folder"
        raise CommandError(
            f"{folder} is not a folder of the lab's alone: it holds {found}.\n"
            "Nothing was deleted. Name the lab's own folder with --state-dir, "
            "or move those files away first."
        )


def _is_ours(entry: Path) -> bool:
    name = entry.name
    return (
        name in OURS or name.startswith(("cloud.", "cloud-")) or name in {".DS_Store", "Thumbs.db"}
    )


def _confirmed(folder: Path) -> bool:
    if not sys.stdin or not sys.stdin.isatty():
        raise CommandError("reset asks before it deletes, and here nobody can answer: add --yes.")
    say(f"This deletes every repository, image, task and log of the lab in {folder}.")
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _delete(entry: Path) -> None:
    try:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(
            f"{error.filename or entry} cannot be deleted ({error.strerror or error}).\n"
            "Close what uses it, or make it yours, then run reset again: it goes on from there."
        ) from error
