"""One container of the docker driver."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException
from docker.types import LogConfig, Ulimit

from fargate_lab.runtime.driver import ContainerSpec, Exit, OnOutput, StartError, Stats

if TYPE_CHECKING:
    from fargate_lab.runtime.engine.driver import DockerHost

OUTPUT_SECONDS = 5.0
LINE_LIMIT = 256 * 1024
_RUNC = (
    "ResourceInitializationError: failed to create new container runtime task: failed to create "
    "shim task: "
)


class DockerContainer:
    """A container of the engine. Use start once."""

    def __init__(self, host: DockerHost, spec: ContainerSpec) -> None:
        self.host, self.spec = host, spec
        self.api = host.driver.api
        self._exit: Exit | None = None
        self._ended = threading.Event()
        self._started = False
        try:
            self.id: str = self._create()
        except APIError as error:
            raise StartError(str(error.explanation), "CannotCreateContainerError") from error

    @property
    def runtime_id(self) -> str:
        """Task and container in one, as ECS names containers on Fargate."""
        return f"{self.host.spec.task_id}-{int(self.id[:8], 16):010d}"

    def _create(self) -> str:
        spec = self.spec
        memory = spec.memory or self.host.spec.memory or None
        bytes_limit = memory * 2**20 if memory else None
        config = self.api.create_host_config(
            network_mode=f"container:{self.host.pause}",
            mem_limit=bytes_limit,
            # The same as the memory: no swap, as on Fargate.
            memswap_limit=bytes_limit,
            nano_cpus=int(self.host.spec.cpu / 1024 * 1e9) or None,
            cpu_shares=max(2, spec.cpu) if spec.cpu else None,
            read_only=spec.read_only_root,
            binds={
                str(m.source): {"bind": m.target, "mode": "ro" if m.read_only else "rw"}
                for m in spec.mounts
            },
            ulimits=[Ulimit(name=n, soft=s, hard=h) for n, s, h in spec.ulimits] or None,
            log_config=LogConfig(type="json-file", config={"max-size": "1m"}),
        )
        for mount in spec.mounts:
            # Containers run as users of their own; a task's volume is writable by all of them.
            mount.source.chmod(0o777)
        made = self.api.create_container(
            image=spec.image.handle,
            entrypoint=list(spec.entry_point) if spec.entry_point is not None else None,
            command=self._command(),
            environment=dict(spec.environment),
            working_dir=spec.working_directory,
            user=spec.user,
            labels={**spec.labels, **self.host.labels},
            healthcheck={"test": ["NONE"]},
            host_config=config,
        )
        return str(made["Id"])

    def _command(self) -> list[str] | None:
        if self.spec.command is not None:
            return list(self.spec.command)
        return None

    def start(self, on_output: OnOutput) -> None:
        """Attach, so that no line is missed, and start."""
        try:
            output = self.api.attach(self.id, stdout=True, stderr=True, stream=True, logs=True)
            self.api.start(self.id)
        except APIError as error:
            with contextlib.suppress(DockerException):
                self.api.remove_container(self.id, force=True)
            raise StartError(_RUNC + str(error.explanation)) from error
        self._started = True
        reader = threading.Thread(target=_lines, args=(output, on_output), daemon=True)
        reader.start()
        threading.Thread(target=self._await_end, args=(reader,), daemon=True).start()

    def _await_end(self, reader: threading.Thread) -> None:
        code, out_of_memory = 137, False
        try:
            code = int(self.api.wait(self.id, timeout=None)["StatusCode"])
            out_of_memory = bool(self.api.inspect_container(self.id)["State"]["OOMKilled"])
        except (DockerException, OSError):
            # The engine went away, and the container with it.
            pass
        reader.join(OUTPUT_SECONDS)
        self._exit = Exit(code, time.time(), out_of_memory and code == 137)
        self._ended.set()

    def wait(self, timeout: float | None = None) -> Exit | None:
        """How it ended, or None when it still runs after `timeout` seconds."""
        self._ended.wait(timeout)
        return self._exit

    def stop(self, timeout: float) -> None:
        """The image's stop signal (SIGTERM), then SIGKILL after `timeout` seconds."""
        if not self._started or self._ended.is_set():
            return
        signal = self.spec.image.image.settings.get("StopSignal") or "SIGTERM"
        with contextlib.suppress(DockerException, OSError):
            self.api.kill(self.id, signal=signal)
        if not self._ended.wait(timeout):
            self.kill()
            self._ended.wait(10)

    def kill(self) -> None:
        """SIGKILL."""
        with contextlib.suppress(DockerException, OSError):
            self.api.kill(self.id)

    def execute(self, command: list[str], timeout: float) -> tuple[int, str]:
        """Run a command inside; 124 when it took too long, 126 when it could not start."""
        result: list[tuple[int, str]] = []

        def run() -> None:
            try:
                made = self.api.exec_create(self.id, command)["Id"]
                output = self.api.exec_start(made)
                code = self.api.exec_inspect(made)["ExitCode"]
                result.append((int(code or 0), output.decode(errors="replace")))
            except (DockerException, OSError) as error:
                result.append((126, str(error)))

        runner = threading.Thread(target=run, daemon=True)
        runner.start()
        runner.join(timeout)
        return result[0] if result else (124, "")

    def stats(self) -> Stats | None:
        """What it uses now."""
        if not self._started or self._ended.is_set():
            return None
        try:
            found: dict[str, Any] = self.api.stats(self.id, stream=False, one_shot=True)
        except (DockerException, OSError):
            return None
        memory, cpu = found.get("memory_stats") or {}, found.get("cpu_stats") or {}
        return Stats(
            int(memory.get("usage") or 0),
            ((cpu.get("cpu_usage") or {}).get("total_usage") or 0) / 1e9,
            int((found.get("pids_stats") or {}).get("current") or 0),
        )

    def remove(self) -> None:
        """Kill and remove it."""
        with contextlib.suppress(DockerException, OSError):
            self.api.remove_container(self.id, force=True, v=True)
        if self._started:
            self._ended.wait(10)


def _lines(output: Iterable[bytes], on_output: OnOutput) -> None:
    rest = b""
    with contextlib.suppress(DockerException, OSError, ValueError):
        for chunk in output:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                on_output(line.rstrip(b"\r"), time.time())
            if len(rest) > LINE_LIMIT:
                on_output(rest, time.time())
                rest = b""
    if rest:
        on_output(rest, time.time())
