"""One container of the process driver: a process tree with an environment of its own."""

from __future__ import annotations

import contextlib
import os
import posixpath
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil

from fargate_lab.runtime.driver import ContainerSpec, Exit, OnOutput, StartError, Stats
from fargate_lab.runtime.process import launch, python, tree
from fargate_lab.runtime.process.guard import Guarded
from fargate_lab.runtime.process.rootfs import RootFs, own_copy

if TYPE_CHECKING:
    from fargate_lab.runtime.process.driver import ProcessHost

PYTHON = "/usr/local/bin/python3"
"""What a shell of the container finds as python3."""
OWN_FOLDERS = ("/tmp", "/var/tmp", "/run", "/var/run")
LINE_LIMIT = 256 * 1024
"""Bytes after which a line is cut: an event of CloudWatch Logs holds no more."""
OUTPUT_SECONDS = 2.0
"""How long output is awaited after the end, when a stray child still holds the pipe."""


class ProcessContainer:
    """A container as a subprocess. Use start once."""

    def __init__(self, host: ProcessHost, spec: ContainerSpec) -> None:
        self.host, self.spec = host, spec
        self._id = uuid.uuid4().hex
        self.folder = host.spec.folder / spec.name
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._exit: Exit | None = None
        self._ended = threading.Event()
        self._out_of_memory = False
        self._launcher = self._prepare()

    @property
    def runtime_id(self) -> str:
        """Task and container in one, as ECS names containers on Fargate."""
        return f"{self.host.spec.task_id}-{int(self._id[:8], 16):010d}"

    def _prepare(self) -> launch.Launcher:
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = posixpath.normpath(posixpath.join("/", self.spec.folder()))
        root = self._root(folder)
        variables = {"PATH": launch.DEFAULT_PATH, **self.spec.variables()}
        arguments = self.spec.arguments()
        program = arguments[0] if arguments else ""
        is_python = python.is_python(program)
        boot = self.folder / "bin"
        try:
            interpreter = python.interpreter(
                self.spec.image.image, root, variables, program if is_python else PYTHON
            )
        except StartError:
            if is_python:
                raise
            # A program that is not Python may do without.
            return launch.Launcher(root, variables, folder, boot / "boot.py", None)
        self.host.driver.said.update(dict.fromkeys(interpreter.notes))
        path = launch.write_boot(boot, interpreter, self._shim_config(root))
        return launch.Launcher(root, variables, folder, path, interpreter)

    def _root(self, folder: str) -> RootFs:
        shared = RootFs(Path(self.spec.image.handle))
        own = {path: self.folder / "own" / path.strip("/") for path in OWN_FOLDERS}
        own |= {mount.target.rstrip("/"): mount.source for mount in self.spec.mounts}
        for path in own.values():
            path.mkdir(parents=True, exist_ok=True)
        if folder != "/" and not any(folder == p or folder.startswith(p + "/") for p in own):
            copy = self.folder / "own" / folder.strip("/")
            # A program may write beside itself; what is shared by all tasks must not change.
            if own_copy(shared.resolve(folder), copy):
                own[folder] = copy
        return RootFs(shared.root, own)

    def _shim_config(self, root: RootFs) -> dict[str, Any]:
        driver = self.host.driver
        return {
            "outer": self.host.outer,
            "inner": self.host.inner,
            "mapped": driver.addresses.mapped,
            "net": str(self.host.net),
            "cloud_port": self.host.spec.cloud_port,
            "paths": {
                "own": {path: str(folder) for path, folder in root.own.items()},
                "root": str(root.root),
                "upper": str(self.folder / "upper"),
                "outside": [str(p) + os.sep for p in (driver.state_dir, driver.cache_dir)],
            },
        }

    def environment(self) -> dict[str, str]:
        """The image's and the task's variables, nothing of the lab's or the learner's."""
        root, variables = self._launcher.root, self._launcher.variables
        result = {name: root.translate(value) for name, value in variables.items()}
        bin_folder = str(self._launcher.boot.parent)
        result["PATH"] = os.pathsep.join(
            [bin_folder, *(str(root.resolve(p)) for p in variables["PATH"].split(":") if p)]
        )
        temporary = str(root.resolve("/tmp"))
        result.setdefault("HOME", str(self.folder / "own"))
        result.setdefault("TMPDIR", temporary)
        result.setdefault("HOSTNAME", "ip-" + self.host.outer.replace(".", "-"))
        result["PYTHONNOUSERSITE"] = "1"
        result.pop("PYTHONHOME", None)
        if sys.platform == "win32":
            # Sockets and random numbers do not work without it.
            result["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", r"C:\Windows")
            result["TEMP"] = result["TMP"] = temporary
        return result

    def _working_folder(self) -> Path:
        found = self._launcher.root.resolve(self._launcher.working_directory)
        if not found.is_dir():
            # Docker makes a WORKDIR that is missing.
            found = self.folder / "own" / self._launcher.working_directory.strip("/")
            found.mkdir(parents=True, exist_ok=True)
        return found

    def start(self, on_output: OnOutput) -> None:
        """Start the entry point; its lines go to on_output from a thread of their own."""
        try:
            command = self._launcher.command(self.spec.arguments(), first=True)
        except launch.ExecFormat as error:
            on_output(str(error).encode(), time.time())
            self._finish(launch.EXEC_FORMAT_EXIT)
            return
        try:
            process = tree.spawn(
                command.argv, command.executable, self._working_folder(), self.environment()
            )
        except OSError as error:
            raise StartError(
                f'exec: "{self.spec.arguments()[0]}": {(error.strerror or str(error)).lower()}'
            ) from error
        self._process = process
        tree.write_record(self.folder / "process.json", process.pid)
        self._guard(process)
        assert process.stdout is not None
        self._reader = threading.Thread(
            target=read_lines, args=(process.stdout, on_output), daemon=True, name="output"
        )
        self._reader.start()
        threading.Thread(target=self._await_end, args=(process,), daemon=True, name="end").start()

    def _guard(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(psutil.Error):
            limit = self.spec.memory
            self.host.driver.guard.watch(
                Guarded(
                    psutil.Process(process.pid),
                    self.host.spec.task_id,
                    limit * 2**20 if limit else None,
                    self.host.spec.memory * 2**20,
                    self._too_much,
                )
            )

    def _too_much(self) -> None:
        self._out_of_memory = True
        self.kill()

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        known = self.host.driver.guard.forget(process.pid)
        # As in a container, nothing outlives the first process.
        tree.kill_tree(process, [*known, *tree.marked(str(self.folder) + os.sep)])
        if self._reader is not None:
            self._reader.join(OUTPUT_SECONDS)
        self._finish(tree.EXIT_OF_KILL if self._out_of_memory else tree.exit_code(status))

    def _finish(self, code: int) -> None:
        self._exit = Exit(code, time.time(), self._out_of_memory)
        self._ended.set()

    def wait(self, timeout: float | None = None) -> Exit | None:
        """How it ended, or None when it still runs after `timeout` seconds."""
        self._ended.wait(timeout)
        return self._exit

    def stop(self, timeout: float) -> None:
        """SIGTERM, then SIGKILL to the whole tree after `timeout` seconds."""
        process = self._process
        if process is None or self._ended.is_set():
            return
        tree.ask_to_end(process)
        if not self._ended.wait(timeout):
            self.kill()
            self._ended.wait(5 + OUTPUT_SECONDS)

    def kill(self) -> None:
        """SIGKILL to the whole tree."""
        if self._process is not None and not self._ended.is_set():
            tree.kill_tree(self._process, [])

    def execute(self, command: list[str], timeout: float) -> tuple[int, str]:
        """Run a command with the container's environment; 124 when it took too long."""
        try:
            found = self._launcher.command(command)
            process = tree.spawn(
                found.argv, found.executable, self._working_folder(), self.environment()
            )
        except (StartError, launch.ExecFormat, OSError) as error:
            return 126, str(error)
        try:
            output, _ = process.communicate(timeout=timeout)
            return tree.exit_code(process.returncode), output.decode(errors="replace")
        except subprocess.TimeoutExpired:
            return 124, ""
        finally:
            tree.kill_tree(process, [])
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def stats(self) -> Stats | None:
        """What the tree uses now."""
        if self._process is None or self._ended.is_set():
            return None
        memory, seconds, count = 0, 0.0, 0
        for member in tree.members(self._process):
            with contextlib.suppress(psutil.Error):
                times = member.cpu_times()
                memory += member.memory_info().rss
                seconds += times.user + times.system
                count += 1
        return Stats(memory, seconds, count)

    def remove(self) -> None:
        """End it if need be; its files go with the task's folder."""
        self.kill()
        if self._process is not None:
            self._ended.wait(5 + OUTPUT_SECONDS)


def read_lines(pipe: IO[bytes], on_output: OnOutput) -> None:
    """Hand on each line as it arrives; a line without end is cut at LINE_LIMIT."""
    with pipe:
        while True:
            try:
                line = pipe.readline(LINE_LIMIT)
            except (OSError, ValueError):
                return
            if not line:
                return
            with contextlib.suppress(Exception):
                on_output(line.rstrip(b"\r\n"), time.time())
