"""Rules about a container's settings, whatever it runs on."""

from __future__ import annotations

import re

from fargate_lab.cloud.ecs.rules import Container, Definition, Finding, RuleList
from fargate_lab.facts import fact

RULES = RuleList("messages.register")

MAX_PORT = 65535
LOWEST_TIMEOUT = 2
S3_OBJECT = re.compile(r"arn:[\w-]+:s3:::[^/]+/.+")
SSM_NAME = re.compile(r"[A-Za-z0-9_.\-/]+")


@RULES.container("memory_missing")
def container_has_memory(task: Definition, container: Container) -> Finding:
    """Memory is set for the container or for the task."""
    named = container.keys() & {"memory", "memoryReservation"}
    return not named and task.memory is None and {"container": container["name"]}


@RULES.container("memory_below_reservation")
def memory_covers_its_reservation(_: Definition, container: Container) -> Finding:
    """The hard limit is not below the soft one."""
    hard, soft = container.get("memory"), container.get("memoryReservation")
    if hard is None or soft is None or hard >= soft:
        return None
    return {"container": container["name"]}


@RULES.container("memory_too_small")
def memory_is_enough_for_a_container(_: Definition, container: Container) -> Finding:
    """A container cannot have less than 6 MiB."""
    least = fact("fargate.limits.container_memory_least").value
    given = [container[k] for k in ("memory", "memoryReservation") if k in container]
    return any(size < least for size in given) and {"container": container["name"], "least": least}


@RULES.container("memory_over_task")
def memory_fits_in_the_task(task: Definition, container: Container) -> Finding:
    """A container cannot have more than its task."""
    over = task.memory is not None and container.get("memory", 0) > task.memory
    return over and {"container": container["name"]}


@RULES.container("cpu_negative")
def cpu_is_not_negative(_: Definition, container: Container) -> Finding:
    """CPU units are zero or more."""
    return container.get("cpu", 0) < 0 and {"container": container["name"]}


@RULES.task("cpu_over_task")
def cpu_fits_in_the_task(task: Definition) -> Finding:
    """The containers together cannot have more than their task."""
    return task.cpu is not None and sum(c.get("cpu", 0) for c in task.containers) > task.cpu


@RULES.container("start_timeout_low")
def start_timeout_is_not_too_low(_: Definition, container: Container) -> Finding:
    """`startTimeout` is at least 2 s."""
    return container.get("startTimeout", 2) < LOWEST_TIMEOUT and {"container": container["name"]}


@RULES.container("stop_timeout_low")
def stop_timeout_is_not_too_low(_: Definition, container: Container) -> Finding:
    """`stopTimeout` is at least 2 s."""
    return container.get("stopTimeout", 2) < LOWEST_TIMEOUT and {"container": container["name"]}


@RULES.container("port_range")
def ports_are_ports(_: Definition, container: Container) -> Finding:
    """Ports are 0 to 65535."""
    ports = [m.get(k, 0) for m in container.get("portMappings", ()) for k in _PORTS]
    return any(not 0 <= port <= MAX_PORT for port in ports) and {"container": container["name"]}


_PORTS = ("containerPort", "hostPort")


@RULES.container("host_port")
def host_port_is_container_port(task: Definition, container: Container) -> Finding:
    """With its own network interface, a task has no other ports than its containers'."""
    if not task.awsvpc:
        return None
    mappings = container.get("portMappings", ())
    return any(
        m.get("hostPort", m.get("containerPort")) != m.get("containerPort") for m in mappings
    )


@RULES.container("links")
def no_links(task: Definition, container: Container) -> Finding:
    """Links are Docker bridge networking."""
    return task.awsvpc and bool(container.get("links"))


@RULES.container("extra_hosts")
def no_extra_hosts(task: Definition, container: Container) -> Finding:
    """With awsvpc, `/etc/hosts` is the task's."""
    return task.awsvpc and bool(container.get("extraHosts"))


@RULES.container("hostname")
def no_hostname(task: Definition, container: Container) -> Finding:
    """With awsvpc, the host's name is the task's."""
    return task.awsvpc and bool(container.get("hostname"))


@RULES.container("dns_servers")
def no_dns_servers(task: Definition, container: Container) -> Finding:
    """With awsvpc, names are resolved by the VPC."""
    return task.awsvpc and bool(container.get("dnsServers"))


@RULES.container("dns_search_domains")
def no_dns_search_domains(task: Definition, container: Container) -> Finding:
    """With awsvpc, names are resolved by the VPC."""
    return task.awsvpc and bool(container.get("dnsSearchDomains"))


@RULES.container("disable_networking")
def networking_stays_on(task: Definition, container: Container) -> Finding:
    """With awsvpc, a container cannot be without network."""
    return task.awsvpc and bool(container.get("disableNetworking"))


@RULES.container("health_check_command")
def health_check_has_a_command(_: Definition, container: Container) -> Finding:
    """A health check is NONE, or CMD or CMD-SHELL with a command after it."""
    if "healthCheck" not in container:
        return None
    command = container["healthCheck"]["command"]
    fits = command == ["NONE"] or (len(command) > 1 and command[0] in ("CMD", "CMD-SHELL"))
    return not fits and {"container": container["name"]}


def _outside(container: Container, below: bool) -> Finding:
    for name, (least, most) in fact("fargate.limits.health_check").value.items():
        value = container.get("healthCheck", {}).get(name, least)
        if value < least if below else value > most:
            limit = least if below else most
            return {"setting": name, "limit": limit, "container": container["name"]}
    return None


@RULES.container("health_check_low")
def health_check_is_not_too_low(_: Definition, container: Container) -> Finding:
    """Interval, time-out, retries and start period have least values."""
    return _outside(container, below=True)


@RULES.container("health_check_high")
def health_check_is_not_too_high(_: Definition, container: Container) -> Finding:
    """Interval, time-out, retries and start period have greatest values."""
    return _outside(container, below=False)


@RULES.container("restart_period")
def restart_period_in_range(_: Definition, container: Container) -> Finding:
    """A restart policy's attempt period is 60 to 1800 s."""
    least, most = fact("fargate.limits.restart_attempt_period").value
    period = container.get("restartPolicy", {}).get("restartAttemptPeriod", least)
    if least <= period <= most:
        return None
    return {"container": container["name"], "least": least, "most": most}


@RULES.container("restart_exit_codes")
def not_too_many_exit_codes(_: Definition, container: Container) -> Finding:
    """A restart policy ignores at most 50 exit codes."""
    most = fact("fargate.limits.restart_exit_codes").value
    codes = container.get("restartPolicy", {}).get("ignoredExitCodes", ())
    return len(codes) > most and {"container": container["name"], "most": most}


@RULES.container("environment_files_many")
def not_too_many_environment_files(_: Definition, container: Container) -> Finding:
    """At most ten environment files."""
    most = fact("fargate.limits.environment_files").value
    too_many = len(container.get("environmentFiles", ())) > most
    return too_many and {"container": container["name"], "most": most}


@RULES.container("environment_file_value")
def environment_files_are_env_objects(_: Definition, container: Container) -> Finding:
    """An environment file is an object in S3 whose name ends in .env."""
    for file in container.get("environmentFiles", ()):
        if not S3_OBJECT.fullmatch(file["value"]) or not file["value"].endswith(".env"):
            return {"value": file["value"]}
    return None


@RULES.container("awslogs_options")
def awslogs_has_its_options(task: Definition, container: Container) -> Finding:
    """The awslogs driver needs a group, and on Fargate a Region."""
    log = container.get("logConfiguration", {})
    if log.get("logDriver") != "awslogs":
        return None
    needed = ["awslogs-region", "awslogs-group"] if task.fargate else ["awslogs-group"]
    missing = [name for name in needed if not log.get("options", {}).get(name)]
    return bool(missing) and {"options": ", ".join(missing)}


@RULES.container("secrets_role")
def secrets_want_an_execution_role(task: Definition, container: Container) -> Finding:
    """Secrets are fetched with the execution role."""
    log = container.get("logConfiguration", {})
    wanted = container.get("secrets") or log.get("secretOptions")
    return bool(wanted) and not task.execution_role


@RULES.container("secret_account")
def secrets_are_of_this_account(task: Definition, container: Container) -> Finding:
    """A parameter is read in the caller's own account."""
    for secret in container.get("secrets", ()):
        parts = secret["valueFrom"].split(":")
        if len(parts) > 5 and parts[0] == "arn" and parts[2] == "ssm" and parts[4] != task.account:
            return {"account": task.account, "other": parts[4]}
    return None


@RULES.container("secret_name")
def secret_names_are_names(_: Definition, container: Container) -> Finding:
    """What is not an ARN is a parameter's name; only a secret's full ARN takes `:key::`."""
    for secret in container.get("secrets", ()):
        value = secret["valueFrom"]
        if not value.startswith("arn:") and not SSM_NAME.fullmatch(value):
            return {"secret": secret["name"]}
    return None
