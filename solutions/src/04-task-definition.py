# %% [markdown]
# # 04 · The task definition
#
# **What must AWS know before it can run your container, and which wishes does Fargate refuse?**
#
# You will:
#
# - register a task definition and read what ECS adds to it;
# - choose CPU and memory that go together, and meet ten refusals with AWS's own words;
# - tell the execution role from the task role, and a secret from an environment variable;
# - add a health check, more disk, and a sidecar that must be healthy first.
#
# Time: about 20 minutes.

# %% [markdown]
# The first cell finds the lab's cloud, or starts it, and makes what earlier chapters would have left: the repository `inkdigits` with the image `1.0`.

# %%
from fargate_lab.lesson import start

lab = start(chapter=4)

# %% [markdown]
# ## A blueprint with revisions
#
# A task definition says what to run: which images, how much CPU and memory, which roles, where the logs go. It runs nothing. Registering the same *family* again makes a new *revision*; a
# revision never changes. Here is about the smallest one that Fargate takes: one
# container from a public image, no role, no log. Look at what it is compatible with.

# %%
import boto3

ecs = boto3.client("ecs")
smallest = ecs.register_task_definition(
    family="inkdigits-smallest",
    requiresCompatibilities=["FARGATE"],
    networkMode="awsvpc",
    cpu="256",
    memory="512",
    containerDefinitions=[{"name": "web", "image": "public.ecr.aws/docker/library/python:3.11-slim"}],
)["taskDefinition"]
smallest["status"], smallest["compatibilities"]

# %% [markdown]
# ECS filled in what was left out. Look at `essential` and `cpu`: the container is essential (when it ends, the task ends), and it has no CPU share of its own.

# %%
smallest["containerDefinitions"][0]

# %% [markdown]
# **Predict first.** The next cell registers the same thing twice more. Does ECS notice that nothing changed?

# %%
keep = ("family", "requiresCompatibilities", "networkMode", "cpu", "memory", "containerDefinitions")
first = smallest["revision"]
again = [
    ecs.register_task_definition(**{k: smallest[k] for k in keep})["taskDefinition"]["revision"]
    for _ in range(2)
]
[revision - first for revision in again]

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# No. Every registration is a new revision, and a number is never used again. A pipeline that registers on each run piles up revisions; it should compare first.
# </details>
#
# ## CPU and memory come in pairs
#
# On Fargate you pay for what the task asks for, so both must be stated for the task as a whole, and only certain pairs exist. Look at how the range of memory grows with the CPU.

# %%
from fargate_lab.lesson import sizes

sizes.draw(cpu=256, memory=512)

# %% [markdown]
# A pair that is not on the grid is refused when you register it, not when you run it. Both forms of writing are accepted: `"512"` and `".5 vCPU"`, `"4096"` and `"4 GB"`.

# %%
with lab.refused():
    ecs.register_task_definition(**{k: smallest[k] for k in keep} | {"cpu": "333", "memory": "99999"})
sizes.draw(cpu=333, memory=99999)

# %% [markdown]
# ## Two roles
#
# The two roles of a task are often mixed up.
#
# - The **execution role** is used by the ECS agent *before and around* your container: to pull the image from ECR, write the logs, fetch the secrets.
# - The **task role** is what *your code* is when it calls AWS. A container that reads from S3 needs that right in the task role; the agent never uses it.
#
# The cell makes both, with the same trust policy: ECS tasks may take them.

# %%
import json

iam = boto3.client("iam")
trust = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
})
there = {role["RoleName"] for role in iam.list_roles()["Roles"]}
for role in ("inkdigits-execution", "inkdigits-task"):
    if role not in there:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)
iam.attach_role_policy(
    RoleName="inkdigits-execution",
    PolicyArn="arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
)
execution_role = iam.get_role(RoleName="inkdigits-execution")["Role"]["Arn"]
task_role = iam.get_role(RoleName="inkdigits-task")["Role"]["Arn"]

# %% [markdown]
# AWS's managed policy for the execution role allows six actions. Read them: pulling from ECR and writing logs. Reading secrets is not among them; that you add yourself, for the secrets in question.

# %%
policy = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
version = iam.get_policy_version(PolicyArn=policy, VersionId="v1")["PolicyVersion"]
sorted(version["Document"]["Statement"][0]["Action"])

# %% [markdown]
# ## The blueprint of inkdigits
#
# Now the real one. Its image comes from ECR and its logs go to CloudWatch, so it needs the execution role. `runtimePlatform` must match the processor for which the image was built.

# %%
from fargate_lab.lesson.prepare import architecture

web = {
    "name": "inkdigits",
    "image": f"{lab.registry}/inkdigits:1.0",
    "portMappings": [{"containerPort": 8080}],
    "logConfiguration": {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": "/ecs/inkdigits",
            "awslogs-region": lab.region,
            "awslogs-stream-prefix": "web",
        },
    },
}

# %% [markdown]
# A health check belongs here too. ECS ignores a `HEALTHCHECK` in the Dockerfile: what is not in the task definition is not checked. The command runs inside the container.

# %%
web["healthCheck"] = {
    "command": ["CMD", "python3", "-m", "app", "health"],
    "interval": 5, "timeout": 3, "retries": 3, "startPeriod": 10,
}
blueprint = {
    "family": "inkdigits",
    "requiresCompatibilities": ["FARGATE"],
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
    "executionRoleArn": execution_role,
    "taskRoleArn": task_role,
    "runtimePlatform": {"cpuArchitecture": architecture(), "operatingSystemFamily": "LINUX"},
    "containerDefinitions": [web],
}

# %% [markdown]
# The log group must exist before the task starts (or the option `awslogs-create-group` makes it, for which the execution role needs `logs:CreateLogGroup`). Look at `hostPort`: under `awsvpc` it is always the container's port.

# %%
logs = boto3.client("logs")
if not logs.describe_log_groups(logGroupNamePrefix="/ecs/inkdigits")["logGroups"]:
    logs.create_log_group(logGroupName="/ecs/inkdigits")
registered = ecs.register_task_definition(**blueprint)["taskDefinition"]
registered["containerDefinitions"][0]["portMappings"]

# %% [markdown]
# What the task will demand of the place where it runs is derived from the blueprint. Find the entries for ECR, logs and the task role.

# %%
sorted(a["name"].removeprefix("com.amazonaws.ecs.capability.") for a in registered["requiresAttributes"])

# %% [markdown]
# ## Ten refusals
#
# `attempt` registers the blueprint with one change, and prints the refusal. `None` leaves a key out.

# %%
def changed(task=None, **container):
    whole = blueprint | (task or {}) | {"containerDefinitions": [web | container]}
    return {key: value for key, value in whole.items() if value is not None}


def attempt(what, task=None, **container):
    print(f"{what}:")
    with lab.refused():
        ecs.register_task_definition(**changed(task, **container))


# %% [markdown]
# **Predict first.** Five changes to the task as a whole. Which of them would be refused on EC2 as well?

# %%
attempt("1  a pair off the grid", {"cpu": "256", "memory": "4096"})
attempt("2  no CPU for the task", {"cpu": None})
attempt("3  a bridge network", {"networkMode": "bridge"})
attempt("4  no execution role", {"executionRoleArn": None})
attempt("5  20 GiB of disk", {"ephemeralStorage": {"sizeInGiB": 20}})

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# Only the fifth. On EC2 any size that an instance can hold will do, or none if the containers have theirs; `bridge` is a network mode like others; and pulls and logs use the instance's role.
#
# The fifth is a trap of its own. A disk size is for Fargate only, and 20 GiB is the default: you get it by not asking. The smallest size that may be named is 21.
# </details>
#
# Five changes to the container. The first is the one that people carry over from Docker most often.

# %%
attempt("6  host port 80 for container port 8080", portMappings=[{"containerPort": 8080, "hostPort": 80}])
attempt("7  privileged", privileged=True)
attempt("8  more memory than the task", memory=1024)
attempt("9  Docker's own log driver", logConfiguration={"logDriver": "json-file"})
attempt("10 a GPU", resourceRequirements=[{"type": "GPU", "value": "1"}])

# %% [markdown]
# None of these left a revision behind: what is refused is not registered.

# %%
newest = ecs.list_task_definitions(familyPrefix="inkdigits", sort="DESC")["taskDefinitionArns"][0]
newest == registered["taskDefinitionArn"]

# %% [markdown]
# ## A secret is not an environment variable
#
# What stands in `environment` can be read by everyone who may call `DescribeTaskDefinition`, for as long as the revision exists. A secret is named by its ARN; the agent fetches the value with the
# execution role when the task starts, and only then: a rotated secret reaches new tasks. Look at what the registered revision shows of each.

# %%
secrets = boto3.client("secretsmanager")
known = secrets.list_secrets()["SecretList"]
token = next((s for s in known if s["Name"] == "inkdigits/token"), None) or secrets.create_secret(
    Name="inkdigits/token", SecretString='{"api_key": "c2VjcmV0"}'
)
with_secret = changed(
    {"family": "inkdigits-secret"},
    environment=[{"name": "PLAIN_TOKEN", "value": "c2VjcmV0"}],
    secrets=[{"name": "API_KEY", "valueFrom": f"{token['ARN']}:api_key::"}],
)
container = ecs.register_task_definition(**with_secret)["taskDefinition"]["containerDefinitions"][0]
container["environment"][0]["value"], container["secrets"][0]["valueFrom"].split(":")[-3]

# %% [markdown]
# ## A sidecar
#
# Containers of one task share its network interface: they reach one another at `localhost`. `dependsOn` orders their start. Here a probe starts only when the server is `HEALTHY`, and since it is not
# essential, its end does not end the task.

# %%
probe = {
    "name": "probe",
    "image": web["image"],
    "essential": False,
    "entryPoint": ["python3", "-c"],
    "command": ["from urllib.request import urlopen; print(urlopen('http://localhost:8080/healthz').status)"],
    "dependsOn": [{"containerName": "inkdigits", "condition": "HEALTHY"}],
    "logConfiguration": web["logConfiguration"],
}
pair = ecs.register_task_definition(
    **blueprint | {"family": "inkdigits-pair", "containerDefinitions": [web, probe]}
)["taskDefinition"]
[c["name"] for c in pair["containerDefinitions"]]

# %% [markdown]
# `HEALTHY` needs a health check to wait for. Without one, the dependency could never be met, and ECS says so at once.

# %%
unchecked = {key: value for key, value in web.items() if key != "healthCheck"}
with lab.refused():
    ecs.register_task_definition(**blueprint | {"containerDefinitions": [unchecked, probe]})

# %% [markdown]
# ## Out of use
#
# A revision that should not be used any more is deregistered and becomes `INACTIVE`. Tasks that run from it go on, and a service that uses it already may still scale. `RunTask` and new
# services refuse it. Look at the status.

# %%
gone = ecs.deregister_task_definition(taskDefinition=smallest["taskDefinitionArn"])["taskDefinition"]
gone["status"]

# %% [markdown]
# The way so far, drawn from your account:

# %%
lab.diagram()

# %% [markdown]
# ## Exercises
#
# `lab.check("4.1")` looks at the account. Stuck? `lab.hint("4.1")`, up to three times.
#
# **4.1 A bigger task.** A bigger model needs 2 vCPU. Register `blueprint` as the family `inkdigits-big` with 2 vCPU and the *smallest* memory that goes with it.

# %% exercise="4.1"
### BEGIN SOLUTION
big = {"family": "inkdigits-big", "cpu": "2048", "memory": "4096"}
registered = ecs.register_task_definition(**blueprint | big)
### END SOLUTION

# %% check="4.1"
lab.check("4.1")

# %% [markdown]
# **4.2 From a server to Fargate.** A colleague's definition was written for Docker on a server. Register it as the family `inkdigits-mended`, still for Fargate, changing only what Fargate
# refuses. Let the refusals lead you. This cell has the definition, and the next one is yours.

# %%
colleague = blueprint | {
    "family": "inkdigits-mended",
    "networkMode": "host",
    "containerDefinitions": [
        web | {"privileged": True, "portMappings": [{"containerPort": 8080, "hostPort": 80}]}
    ],
}

# %% exercise="4.2"
### BEGIN SOLUTION
mended = web | {"privileged": False, "portMappings": [{"containerPort": 8080, "hostPort": 8080}]}
registered = ecs.register_task_definition(
    **colleague | {"networkMode": "awsvpc", "containerDefinitions": [mended]}
)
### END SOLUTION

# %% check="4.2"
lab.check("4.2")

# %% [markdown]
# **4.3 Disk and patience.** A batch job unpacks 40 GB of data and needs a minute to put its work away when it is stopped. Register `blueprint` as the family `inkdigits-batch` with 60 GiB of
# ephemeral storage, and give its container a `stopTimeout` of 90 seconds: the time between the request to stop (SIGTERM) and the kill (SIGKILL).

# %% exercise="4.3"
### BEGIN SOLUTION
patient = changed(
    {"family": "inkdigits-batch", "ephemeralStorage": {"sizeInGiB": 60}}, stopTimeout=90
)
registered = ecs.register_task_definition(**patient)
### END SOLUTION

# %% check="4.3"
lab.check("4.3")

# %% [markdown]
# ## On the exam
#
# - *The container cannot pull its image / cannot write logs / cannot read the secret*: the **execution** role. *The code gets AccessDenied from S3 or DynamoDB*: the **task** role.
# - Fargate: network mode `awsvpc`, CPU and memory at task level, no `privileged`, no GPU, no host ports of your choice.
# - Passwords: Secrets Manager or SSM Parameter Store through `secrets`, never `environment`, never the image.
# - A new image version means a new revision; rolling back means pointing at the old one.
#
# ## Where this stops being true
#
# - **Permissions**: the lab keeps IAM policies and does not enforce them. On AWS the task with the secret would stop at its start until the execution role is
#   allowed `secretsmanager:GetSecretValue` on that secret.
# - **Public images**: registration looks into no registry, here or on AWS. `inkdigits-smallest` was accepted although nobody looked for its image.
# - **Older material** says that containers with a GPU need EC2 hosts of your own. Since September 2025 there are ECS Managed Instances; Fargate still has no GPU.
#
# Limits move. The cell prints the ones that this chapter used, with the date of each source and how far to trust it.

# %%
from fargate_lab.facts import fact

limits = ("sizes.cpu_32768", "limits.ephemeral_storage", "limits.stop_timeout")
for name in (*(f"fargate.{limit}" for limit in limits), "outdated.gpu_self_managed"):
    print(fact(name).text, fact(name).cite())

# %% [markdown]
# ## In this notebook you have
#
# - registered task definitions and seen what ECS adds, refuses and keeps;
# - made two roles and said what each is for;
# - kept a secret out of the blueprint, and ordered two containers by health.
#
# The last cell puts the experiments out of use and removes the secret, which would cost money on AWS every month. The exercises' families and `inkdigits` stay: a task definition costs
# nothing, and the next chapter runs one.

# %%
for family in ("inkdigits-smallest", "inkdigits-pair", "inkdigits-secret"):
    for arn in ecs.list_task_definitions(familyPrefix=family)["taskDefinitionArns"]:
        ecs.deregister_task_definition(taskDefinition=arn)
if any(s["Name"] == "inkdigits/token" for s in secrets.list_secrets()["SecretList"]):
    secrets.delete_secret(SecretId="inkdigits/token", ForceDeleteWithoutRecovery=True)
