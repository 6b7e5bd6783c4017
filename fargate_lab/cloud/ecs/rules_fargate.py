"""Rules that hold for a task on Fargate."""

from __future__ import annotations

from fargate_lab.cloud.ecs.normalise import is_ecr_image
from fargate_lab.cloud.ecs.rules import Container, Definition, Finding, RuleList
from fargate_lab.cloud.ecs.sizes import is_fargate_size
from fargate_lab.facts import fact

RULES = RuleList("messages.register")


@RULES.task("placement_constraints")
def no_placement_constraints(task: Definition) -> Finding:
    """There are no hosts to choose among."""
    return bool(task.payload.get("placementConstraints"))


@RULES.task("pid_mode_host")
def pid_mode_is_task(task: Definition) -> Finding:
    """Processes may be shared within the task, not with the host."""
    return task.payload.get("pidMode") == "host"


@RULES.task("ipc_mode")
def no_ipc_mode(task: Definition) -> Finding:
    """Fargate does not share IPC."""
    return "ipcMode" in task.payload


@RULES.task("docker_volume")
def no_docker_volumes(task: Definition) -> Finding:
    """Docker's volume drivers live on the host."""
    return any("dockerVolumeConfiguration" in volume for volume in task.volumes)


@RULES.task("fsx_volume")
def no_fsx_volumes(task: Definition) -> Finding:
    """FSx for Windows File Server is mounted by container instances."""
    return any("fsxWindowsFileServerVolumeConfiguration" in volume for volume in task.volumes)


@RULES.task("source_path")
def no_host_paths(task: Definition) -> Finding:
    """A task sees no path of its host."""
    return any(volume.get("host", {}).get("sourcePath") for volume in task.volumes)


@RULES.task("windows_arm")
def windows_is_x86(task: Definition) -> Finding:
    """Windows runs on X86_64 only."""
    platform = task.payload.get("runtimePlatform") or {}
    return task.windows and platform.get("cpuArchitecture") == "ARM64"


@RULES.container("log_driver")
def log_driver_is_fargates(_: Definition, container: Container) -> Finding:
    """Fargate has three log drivers."""
    allowed = fact("fargate.limits.log_drivers").value
    driver = container.get("logConfiguration", {}).get("logDriver")
    if driver is None or driver in allowed:
        return None
    return {"driver": driver, "allowed": ",".join(allowed)}


@RULES.container("awslogs_role")
def awslogs_wants_an_execution_role(task: Definition, container: Container) -> Finding:
    """Log streams are written with the execution role."""
    driver = container.get("logConfiguration", {}).get("logDriver")
    return driver == "awslogs" and not task.execution_role


@RULES.container("awslogs_stream_prefix")
def awslogs_wants_a_stream_prefix(_: Definition, container: Container) -> Finding:
    """The stream's name begins with a prefix of the user's."""
    log = container.get("logConfiguration", {})
    prefix = log.get("options", {}).get("awslogs-stream-prefix")
    return log.get("logDriver") == "awslogs" and not prefix


@RULES.container("ecr_role")
def ecr_wants_an_execution_role(task: Definition, container: Container) -> Finding:
    """Images are pulled from ECR with the execution role."""
    return is_ecr_image(container["image"], task.registry) and not task.execution_role


@RULES.container("privileged")
def not_privileged(_: Definition, container: Container) -> Finding:
    """A container gets no rights over its host."""
    return bool(container.get("privileged"))


@RULES.container("devices")
def no_devices(_: Definition, container: Container) -> Finding:
    """A container gets no device of its host."""
    return bool(container.get("linuxParameters", {}).get("devices"))


@RULES.container("shared_memory_size")
def no_shared_memory_size(_: Definition, container: Container) -> Finding:
    """The size of /dev/shm is Fargate's."""
    return "sharedMemorySize" in container.get("linuxParameters", {})


@RULES.container("max_swap")
def no_max_swap(_: Definition, container: Container) -> Finding:
    """There is no swap."""
    return "maxSwap" in container.get("linuxParameters", {})


@RULES.container("swappiness")
def no_swappiness(_: Definition, container: Container) -> Finding:
    """There is no swap."""
    return "swappiness" in container.get("linuxParameters", {})


@RULES.container("docker_security_options")
def no_docker_security_options(_: Definition, container: Container) -> Finding:
    """SELinux and AppArmor labels are the host's."""
    return bool(container.get("dockerSecurityOptions"))


@RULES.container("capability")
def capability_is_sys_ptrace(_: Definition, container: Container) -> Finding:
    """One kernel capability may be added."""
    allowed = fact("fargate.limits.capabilities_add").value
    asked = container.get("linuxParameters", {}).get("capabilities", {}).get("add", ())
    return next(({"capability": name} for name in asked if name not in allowed), None)


@RULES.container("gpu")
def no_gpu(_: Definition, container: Container) -> Finding:
    """Fargate has no GPU."""
    return any(need["type"] == "GPU" for need in container.get("resourceRequirements", ()))


@RULES.container("start_timeout_high")
def start_timeout_is_not_too_high(_: Definition, container: Container) -> Finding:
    """`startTimeout` is at most 120 s."""
    return bool(container.get("startTimeout", 0) > fact("fargate.limits.start_timeout").value[1])


@RULES.container("stop_timeout_high")
def stop_timeout_is_not_too_high(_: Definition, container: Container) -> Finding:
    """`stopTimeout` is at most 120 s."""
    return bool(container.get("stopTimeout", 0) > fact("fargate.limits.stop_timeout").value[1])


def _disk(task: Definition) -> int | None:
    size = (task.payload.get("ephemeralStorage") or {}).get("sizeInGiB")
    return None if size is None else int(size)


@RULES.task("ephemeral_low")
def ephemeral_storage_is_not_too_low(task: Definition) -> Finding:
    """20 GiB are there anyway; what is asked for begins at 21."""
    size, least = _disk(task), fact("fargate.limits.ephemeral_storage").value[0]
    return size is not None and size < least and {"limit": least}


@RULES.task("ephemeral_high")
def ephemeral_storage_is_not_too_high(task: Definition) -> Finding:
    """A task's own disk ends at 200 GiB."""
    size, most = _disk(task), fact("fargate.limits.ephemeral_storage").value[1]
    return size is not None and size > most and {"limit": most}


@RULES.task("cpu_missing")
def task_has_cpu(task: Definition) -> Finding:
    """On Fargate the task's CPU is what is paid for."""
    return task.cpu is None


@RULES.task("memory_missing_on_task")
def task_has_memory(task: Definition) -> Finding:
    """On Fargate the task's memory is what is paid for."""
    return task.memory is None


@RULES.task("no_fargate_configuration")
def size_is_fargates(task: Definition) -> Finding:
    """CPU and memory are one of Fargate's pairs."""
    cpu, memory = task.cpu or 0, task.memory or 0
    if is_fargate_size(cpu, memory, task.region, windows=task.windows):
        return None
    return {"cpu": cpu, "memory": memory}
