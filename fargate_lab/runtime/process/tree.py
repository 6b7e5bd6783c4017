"""A container's processes: start them as one group, find them, end them all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

EXIT_OF_KILL = 137


def spawn(
    argv: list[str], executable: str, cwd: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process in a session (POSIX) or process group (Windows) of its own.

    Standard output and error share one pipe, so that lines keep their order.
    """
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {
            "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        }
    return subprocess.Popen(
        argv,
        executable=executable,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )


def exit_code(status: int) -> int:
    """A process's end as a container's exit code: 128 + the signal that ended it."""
    if status < 0:
        return 128 - status
    # Windows reports an ended process as 0xC000013A (Ctrl-Break) and the like.
    return status if status <= 255 else 128 + 15


def members(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The process and all its living descendants."""
    try:
        root = psutil.Process(process.pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the first process, as a container's PID 1 gets it; Ctrl-Break on Windows."""
    with contextlib.suppress(OSError, ValueError):
        if sys.platform == "win32":
            process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            process.send_signal(signal.SIGTERM)


def kill_tree(process: subprocess.Popen[bytes], known: list[psutil.Process]) -> None:
    """Kill everything the process started, also what it left behind when it ended."""
    doomed = {p.pid: p for p in [*known, *members(process)]}
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # The session's group outlives its leader: children it left are in it still.
            os.killpg(process.pid, signal.SIGKILL)
    for member in doomed.values():
        with contextlib.suppress(psutil.Error):
            member.kill()
    if process.poll() is None:
        process.kill()


def marked(marker: str) -> list[psutil.Process]:
    """The processes of this user whose PATH names a container's folder: its own, to the last.

    A child that began a session of its own, and whose parent ended, is found in no other way.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if marker in process.environ().get("PATH", ""):
                found.append(process)
    return found


def write_record(path: Path, pid: int) -> None:
    """Note a started process so that a later cloud can find it: its id and its start time."""
    with contextlib.suppress(psutil.Error):
        document = {"pid": pid, "created": psutil.Process(pid).create_time()}
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(document), encoding="utf-8")
        temporary.replace(path)


def reap(tasks: Path) -> list[str]:
    """End what an earlier cloud's containers left running below its `tasks` folder.

    Found by the recorded process ids, and by command lines, working folders and search paths that
    lie in the folder, for a cloud can die between starting a process and noting it.
    """
    doomed: dict[int, psutil.Process] = {}
    for record in tasks.glob("*/*/process.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
            said = json.loads(record.read_text(encoding="utf-8"))
            process = psutil.Process(said["pid"])
            if abs(process.create_time() - said["created"]) < 1:
                doomed |= {p.pid: p for p in [process, *process.children(recursive=True)]}
    marker = str(tasks) + os.sep
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            places = [*process.cmdline()[:4], process.cwd() or ""]
            if process.pid != os.getpid() and any(p.startswith(marker) for p in places):
                doomed[process.pid] = process
    doomed |= {process.pid: process for process in marked(marker)}
    names = []
    for process in doomed.values():
        with contextlib.suppress(psutil.Error):
            names.append(f"process {process.pid} ({' '.join(process.cmdline())[-80:]})")
            process.kill()
    psutil.wait_procs(list(doomed.values()), timeout=5)
    return names


def wait_until_dead(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the process ended within a time."""
    deadline = time.monotonic() + seconds
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True
