"""Every rule of RegisterTaskDefinition: the exact refusal, and a valid neighbour."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_lab.cloud.ecs.rules_register import FARGATE_RULES, RULES
from fargate_lab.cloud.protocol import AwsError
from tests.cloud.conftest import Api
from tests.cloud.ecs.requests import (
    LOGS,
    definition,
    on_ec2,
    sidecar,
    with_container,
    with_sidecar,
)

HEALTH = {"command": ["CMD-SHELL", "true"]}


def logs(driver: str = "awslogs", *without: str) -> dict[str, Any]:
    options = {k: v for k, v in LOGS.items() if k not in without}
    return {"logDriver": driver, "options": options if driver == "awslogs" else {}}


def linux(**settings: Any) -> dict[str, Any]:
    return with_container(linuxParameters=settings)


def many(count: int) -> dict[str, Any]:
    names = [sidecar(name=f"c{n}", essential=True) for n in range(count)]
    return definition(containerDefinitions=names)


def files(count: int) -> dict[str, Any]:
    file = {"type": "s3", "value": "arn:aws:s3:::bucket/a.env"}
    return with_container(environmentFiles=[file] * count)


def secret(value: str) -> dict[str, Any]:
    return with_container(secrets=[{"name": "KEY", "valueFrom": value}])


def health(**settings: int) -> dict[str, Any]:
    return with_container(healthCheck={**HEALTH, **settings})


def depends(condition: str, on: str = "side", **side: Any) -> dict[str, Any]:
    wait = [{"containerName": on, "condition": condition}]
    return with_sidecar({"dependsOn": wait}, side)


def disk(size: int) -> dict[str, Any]:
    return definition(ephemeralStorage={"sizeInGiB": size})


def volume(**settings: Any) -> dict[str, Any]:
    found = with_container(mountPoints=[{"sourceVolume": "data", "containerPath": "/data"}])
    return {**found, "volumes": [{"name": "data", **settings}]}


def windows(cpu: str, memory: str, architecture: str = "X86_64") -> dict[str, Any]:
    system = "WINDOWS_SERVER_2022_CORE"
    platform = {"operatingSystemFamily": system, "cpuArchitecture": architecture}
    return definition(cpu=cpu, memory=memory, runtimePlatform=platform)


ARN_OTHER = "arn:aws:ssm:us-east-1:111111111111:parameter/key"
ARN_OWN = "arn:aws:ssm:us-east-1:123456789012:parameter/key"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf:password::"
NO_PAIR = (
    "No Fargate configuration exists for given values: {} CPU, {} memory. "
    "See the Amazon ECS documentation for the valid values."
)
HOSTS = [{"hostname": "a", "ipAddress": "10.0.0.1"}]

# rule, broken request, AWS's text, the nearest request that is fine
CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("cpu_invalid", definition(cpu="much"), "Invalid 'cpu' setting for task.",
     definition(cpu=".25 vCPU")),
    ("memory_invalid", definition(memory="2 pounds"), "Invalid 'memory' setting for task.",
     definition(memory="0.5 GB")),
    ("family_missing", definition("family"), "Family should not be null or empty.", definition()),
    ("family_invalid", definition(family="my app"), "Family contains invalid characters.",
     definition(family="my_app-2")),
    ("inference_accelerators",
     definition(inferenceAccelerators=[{"deviceName": "d", "deviceType": "eia2.medium"}]),
     "Unsupported field 'inferenceAccelerators'", definition(inferenceAccelerators=[])),
    ("containers_empty", definition(containerDefinitions=[]), "Container list cannot be empty.",
     definition()),
    ("containers_too_many", many(11), "A task definition can contain at most 10 containers.",
     many(10)),
    ("name_missing", with_container("name"), "Container.name should not be null or empty.",
     with_container()),
    ("name_invalid", with_container(name="my app"), "Container.name contains invalid characters.",
     with_container(name="my-app_1")),
    ("image_missing", with_container("image"), "Container.image should not be null or empty.",
     with_container()),
    ("image_invalid", with_container(image="$IMAGE:1"),
     "Container.image contains invalid characters.",
     with_container(image="nginx@sha256:" + "a" * 64)),
    ("names_not_unique", definition(containerDefinitions=[sidecar(essential=True)] * 2),
     "Container names must be unique within a task definition", many(2)),
    ("no_essential", with_container(essential=False),
     "Task definition doesn't have any essential container.", with_container(essential=True)),
    ("ephemeral_on_ec2", {**on_ec2(), "ephemeralStorage": {"sizeInGiB": 21}},
     "Tasks using the EC2 launch type do not support EphemeralStorage", disk(21)),
    ("fargate_network_mode", definition(networkMode="bridge"),
     "Fargate only supports network mode ‘awsvpc’.", definition(networkMode="awsvpc")),
    ("memory_missing", {"family": "web", "containerDefinitions": [sidecar(essential=True)]},
     "Invalid setting for container 'side'. At least one of 'memory' or 'memoryReservation' must "
     "be specified.", on_ec2()),
    ("memory_below_reservation", with_container(memory=128, memoryReservation=256),
     "Invalid setting for container 'app'. 'memory' must be greater than or equal to "
     "'memoryReservation'.", with_container(memory=256, memoryReservation=256)),
    ("memory_too_small", with_container(memory=5),
     "Invalid setting for container 'app'. 'memory' must be at least 6 MiB.",
     with_container(memory=6)),
    ("memory_over_task", with_container(memory=513),
     "The 'memory' setting for container 'app' is greater than for the task",
     with_container(memory=512)),
    ("cpu_negative", with_container(cpu=-1),
     "Invalid setting for container 'app'. 'cpu' must not be negative.", with_container(cpu=0)),
    ("cpu_over_task", with_sidecar({"cpu": 200}, {"cpu": 57}),
     "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
     with_sidecar({"cpu": 200}, {"cpu": 56})),
    ("start_timeout_low", with_container(startTimeout=1),
     "Granular start timeout on container 'app' must be at least 2 seconds.",
     with_container(startTimeout=2)),
    ("stop_timeout_low", with_container(stopTimeout=1),
     "Granular stop timeout on container 'app' must be at least 2 seconds.",
     with_container(stopTimeout=2)),
    ("port_range", with_container(portMappings=[{"containerPort": 65536}]),
     "Invalid port mapping on container 'app': ports must be between 0 and 65535.",
     with_container(portMappings=[{"containerPort": 65535}])),
    ("host_port", with_container(portMappings=[{"containerPort": 8080, "hostPort": 80}]),
     "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
     with_container(portMappings=[{"containerPort": 8080, "hostPort": 8080}])),
    ("links", with_sidecar({"links": ["side"]}, {}),
     "Links are not supported when networkMode=awsvpc.", on_ec2(links=["other"])),
    ("extra_hosts", with_container(extraHosts=HOSTS),
     "Extra hosts are not supported on container when networkMode=awsvpc",
     on_ec2(extraHosts=HOSTS)),
    ("hostname", with_container(hostname="web"),
     "hostname is not supported on container when networkMode=awsvpc", on_ec2(hostname="web")),
    ("dns_servers", with_container(dnsServers=["10.0.0.2"]),
     "DNS servers are not supported on container when networkMode=awsvpc",
     on_ec2(dnsServers=["10.0.0.2"])),
    ("dns_search_domains", with_container(dnsSearchDomains=["corp"]),
     "DNS search domains are not supported on container when networkMode=awsvpc",
     on_ec2(dnsSearchDomains=["corp"])),
    ("disable_networking", with_container(disableNetworking=True),
     "Disable Networking is not supported on container when networkMode=awsvpc",
     with_container(disableNetworking=False)),
    ("health_check_command", with_container(healthCheck={"command": ["curl"]}),
     "Invalid health check command for container 'app': it must begin with CMD or CMD-SHELL and a "
     "command must follow, or be NONE.", with_container(healthCheck={"command": ["CMD", "curl"]})),
    ("health_check_low", health(interval=4),
     "Health check interval must be greater than or equal to the minimum allowed value 5 for "
     "container 'app'", health(interval=5)),
    ("health_check_high", health(retries=11),
     "Health check retries must be less than or equal to the maximum allowed value 10 for "
     "container 'app'", health(retries=10)),
    ("restart_period",
     with_container(restartPolicy={"enabled": True, "restartAttemptPeriod": 59}),
     "Invalid restart policy for container 'app': restartAttemptPeriod must be between 60 and 1800 "
     "seconds.", with_container(restartPolicy={"enabled": True, "restartAttemptPeriod": 60})),
    ("restart_exit_codes",
     with_container(restartPolicy={"enabled": True, "ignoredExitCodes": list(range(51))}),
     "Invalid restart policy for container 'app': ignoredExitCodes can have at most 50 exit codes.",
     with_container(restartPolicy={"enabled": True, "ignoredExitCodes": list(range(50))})),
    ("environment_files_many", files(11),
     "Container 'app' can have at most 10 environment files.", files(10)),
    ("environment_file_value",
     with_container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::bucket/a.txt"}]),
     "Invalid environment file 'arn:aws:s3:::bucket/a.txt': it must be the ARN of an Amazon S3 "
     "object whose name ends in .env.", files(1)),
    ("awslogs_options", with_container(logConfiguration={"logDriver": "awslogs"}),
     "Log driver awslogs requires options: awslogs-region, awslogs-group",
     with_container(logConfiguration=logs())),
    ("secrets_role", {k: v for k, v in secret("key").items() if k != "executionRoleArn"},
     "When you are specifying container secrets, you must also specify a value for "
     "'executionRoleArn'.", secret("key")),
    ("secret_account", secret(ARN_OTHER),
     "The Systems Manager parameter ARN has a different account ID than the current account. The "
     "current account ID is 123456789012 and the ARN account ID is 111111111111. Cross-account "
     "access for ARNs is not currently supported.", secret(ARN_OWN)),
    ("secret_name", secret("db:password::"),
     "The Systems Manager parameter name specified for secret KEY is invalid", secret(SECRET)),
    ("depends_unknown", depends("START", on="ghost"),
     "Cannot depend on container ghost because it does not exist", depends("START")),
    ("depends_healthy", depends("HEALTHY"),
     "A dependency container with HEALTHY condition must have health check configured",
     depends("HEALTHY", healthCheck=HEALTH)),
    ("depends_essential", depends("SUCCESS", essential=True),
     "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
     depends("SUCCESS", essential=False)),
    ("depends_cycle",
     depends("START", dependsOn=[{"containerName": "app", "condition": "START"}]),
     "Container dependsOn contains a cycle", depends("START")),
    ("volumes_from_unknown", with_container(volumesFrom=[{"sourceContainer": "ghost"}]),
     "Cannot take volumes from container ghost because it does not exist",
     with_sidecar({"volumesFrom": [{"sourceContainer": "side"}]}, {})),
    ("volume_unknown", with_container(mountPoints=[{"sourceVolume": "data"}]),
     "Unknown volume 'data'", volume()),
    ("volume_names", definition(volumes=[{"name": "a"}, {"name": "a"}]),
     "Volume names must be unique within a task definition",
     definition(volumes=[{"name": "a"}, {"name": "b"}])),
    ("placement_constraints",
     definition(placementConstraints=[{"type": "memberOf", "expression": "x == y"}]),
     "Fargate compatible task definitions do not support constraints",
     definition(placementConstraints=[])),
    ("pid_mode_host", definition(pidMode="host"),
     "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for "
     "pidMode is 'task'.", definition(pidMode="task")),
    ("ipc_mode", definition(ipcMode="task"),
     "Fargate compatible task definitions do not support ipcMode", {**on_ec2(), "ipcMode": "task"}),
    ("docker_volume", volume(dockerVolumeConfiguration={"scope": "task"}),
     "Fargate compatible task definitions do not support dockerVolumeConfiguration",
     volume(efsVolumeConfiguration={"fileSystemId": "fs-1"})),
    ("fsx_volume",
     volume(fsxWindowsFileServerVolumeConfiguration={
         "fileSystemId": "fs-1", "rootDirectory": "/",
         "authorizationConfig": {"credentialsParameter": "p", "domain": "d"}}),
     "Fargate compatible task definitions do not support fsxWindowsFileServerVolumeConfiguration",
     volume()),
    ("source_path", volume(host={"sourcePath": "/data"}),
     "Fargate compatible task definitions do not support sourcePath", volume(host={})),
    ("windows_arm", windows("1024", "2048", "ARM64"),
     "Windows tasks on Fargate do not support the ARM64 CPU architecture.",
     windows("1024", "2048")),
    ("log_driver", with_container(logConfiguration=logs("json-file")),
     "json-file is not a valid log driver. Must be one of [awslogs,splunk,awsfirelens]",
     with_container(logConfiguration=logs("splunk"))),
    ("awslogs_role",
     {k: v for k, v in with_container(image="nginx:1").items() if k != "executionRoleArn"},
     "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
     with_container(image="nginx:1")),
    ("awslogs_stream_prefix",
     with_container(logConfiguration=logs("awslogs", "awslogs-stream-prefix")),
     "Fargate requires log configuration options to include awslogs-stream-prefix to support log "
     "driver awslogs.", with_container(logConfiguration=logs())),
    ("ecr_role",
     {k: v for k, v in with_container("logConfiguration").items() if k != "executionRoleArn"},
     "Fargate requires task definition to have execution role ARN to support ECR images.",
     with_container("logConfiguration")),
    ("privileged", with_container(privileged=True),
     "Fargate requires that the ‘privileged’ setting be ‘false’ at the container level.",
     with_container(privileged=False)),
    ("devices", linux(devices=[{"hostPath": "/dev/x"}]),
     "Fargate compatible task definitions do not support devices", linux(devices=[])),
    ("shared_memory_size", linux(sharedMemorySize=64),
     "Fargate compatible task definitions do not support sharedMemorySize",
     linux(initProcessEnabled=True)),
    ("max_swap", linux(maxSwap=64), "Fargate compatible task definitions do not support maxSwap",
     linux(initProcessEnabled=True)),
    ("swappiness", linux(swappiness=60),
     "Fargate compatible task definitions do not support swappiness",
     linux(initProcessEnabled=True)),
    ("docker_security_options", with_container(dockerSecurityOptions=["label:x"]),
     "Fargate compatible task definitions do not support dockerSecurityOptions",
     with_container(dockerSecurityOptions=[])),
    ("capability", linux(capabilities={"add": ["SYS_PTRACE", "NET_ADMIN"]}),
     "NET_ADMIN is not allowed on Fargate.",
     linux(capabilities={"add": ["SYS_PTRACE"], "drop": ["ALL"]})),
    ("gpu", with_container(resourceRequirements=[{"type": "GPU", "value": "1"}]),
     "Tasks using the Fargate launch type do not support GPU resource requirements.",
     with_container(resourceRequirements=[])),
    ("start_timeout_high", with_container(startTimeout=121),
     "Tasks using the Fargate launch type must have a container start timeout of less than 120 "
     "seconds.", with_container(startTimeout=120)),
    ("stop_timeout_high", with_container(stopTimeout=121),
     "Tasks using the Fargate launch type must have a container stop timeout of less than 120 "
     "seconds.", with_container(stopTimeout=120)),
    ("ephemeral_low", disk(20), "EphemeralStorage size should be at least 21", disk(21)),
    ("ephemeral_high", disk(201), "EphemeralStorage size should be at most 200", disk(200)),
    ("cpu_missing", definition("cpu"), "Fargate requires that 'cpu' be defined at the task level",
     definition()),
    ("memory_missing_on_task",
     {k: v for k, v in with_container(memory=128).items() if k != "memory"},
     "Fargate requires that 'memory' be defined at the task level", with_container(memory=128)),
    ("no_fargate_configuration", definition(cpu="512", memory="512"), NO_PAIR.format(512, 512),
     definition(cpu="512", memory="1024")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "broken", "text", "fine"), CASES, ids=[c[0] for c in CASES])
def test_a_broken_rule_is_aws_s_text_and_its_neighbour_is_fine(
    api: Api, rule: str, broken: dict[str, Any], text: str, fine: dict[str, Any]
) -> None:
    with pytest.raises(AwsError) as refusal:
        api.ecs("RegisterTaskDefinition", **broken)
    assert (refusal.value.code, refusal.value.message) == ("ClientException", text)
    assert api.ecs("RegisterTaskDefinition", **fine)["taskDefinition"]["revision"] == 1


def test_every_rule_has_a_case() -> None:
    rules = {rule.fact.removeprefix("messages.register.") for rule in (*RULES, *FARGATE_RULES)}
    assert rules - {case[0] for case in CASES} == {"too_large"}


def refusal(api: Api, payload: dict[str, Any]) -> str:
    with pytest.raises(AwsError) as error:
        api.ecs("RegisterTaskDefinition", **payload)
    return error.value.message


def test_a_definition_above_64_kib_is_too_large(api: Api) -> None:
    long = [{"name": "TEXT", "value": "x" * 66_000}]
    text = refusal(api, with_container(environment=long))
    assert text.startswith("Actual length: '66")
    assert text.endswith("Max allowed length is '65536' bytes.")
    fine = [{"name": "TEXT", "value": "x" * 64_000}]
    api.ecs("RegisterTaskDefinition", **with_container(environment=fine))


@pytest.mark.parametrize(
    ("setting", "low", "high"),
    [("interval", 4, 301), ("timeout", 1, 61), ("retries", 0, 11), ("startPeriod", -1, 301)],
)
def test_each_number_of_a_health_check_has_a_range(
    api: Api, setting: str, low: int, high: int
) -> None:
    assert refusal(api, health(**{setting: low})) == (
        f"Health check {setting} must be greater than or equal to the minimum allowed value "
        f"{low + 1} for container 'app'"
    )
    assert refusal(api, health(**{setting: high})) == (
        f"Health check {setting} must be less than or equal to the maximum allowed value "
        f"{high - 1} for container 'app'"
    )
    for value in (low + 1, high - 1):
        api.ecs("RegisterTaskDefinition", **health(**{setting: value}))


def test_a_container_s_memory_is_looked_at_before_the_task_s_size(api: Api) -> None:
    assert refusal(api, definition("cpu", "memory")) == (
        "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' "
        "must be specified."
    )


def test_cpu_is_asked_for_before_memory(api: Api) -> None:
    payload = with_container(memory=128)
    del payload["cpu"], payload["memory"]
    assert refusal(api, payload) == "Fargate requires that 'cpu' be defined at the task level"


def test_the_network_mode_may_not_be_left_out_on_fargate(api: Api) -> None:
    text = "Fargate only supports network mode ‘awsvpc’."
    assert refusal(api, definition("networkMode")) == text


def test_only_the_missing_options_of_awslogs_are_named(api: Api) -> None:
    payload = with_container(logConfiguration=logs("awslogs", "awslogs-group"))
    assert refusal(api, payload) == "Log driver awslogs requires options: awslogs-group"


def test_windows_has_no_size_below_one_vcpu(api: Api) -> None:
    assert refusal(api, windows("512", "2048")) == NO_PAIR.format(512, 2048)
    assert refusal(api, windows("8192", "16384")) == NO_PAIR.format(8192, 16384)


@pytest.mark.parametrize("registry", ["127.0.0.1:4577", "localhost:55001", "127.0.0.1:9"])
def test_the_lab_s_own_registry_counts_as_ecr(api: Api, registry: str) -> None:
    payload = with_container("logConfiguration", image=f"{registry}/app:1")
    del payload["executionRoleArn"]
    assert refusal(api, payload) == (
        "Fargate requires task definition to have execution role ARN to support ECR images."
    )
    payload["containerDefinitions"][0]["image"] = "public.ecr.aws/nginx/nginx:1"
    api.ecs("RegisterTaskDefinition", **payload)


def test_without_required_compatibilities_only_ec2_s_rules_hold(api: Api) -> None:
    payload = {**on_ec2(privileged=True, links=["db"]), "cpu": "333", "memory": "777"}
    answer = api.ecs("RegisterTaskDefinition", **payload)["taskDefinition"]
    assert answer["compatibilities"] == ["EXTERNAL", "EC2"]
    assert "networkMode" not in answer


def test_nothing_is_kept_of_a_refused_definition(api: Api) -> None:
    refusal(api, definition(cpu="333"))
    assert api.ecs("ListTaskDefinitions")["taskDefinitionArns"] == []
    assert api.ecs("RegisterTaskDefinition", **definition())["taskDefinition"]["revision"] == 1
