# %% [markdown]
# # 05 · Run on Fargate
#
# **How does an image become a running, answering application without a server of your own, and how do you find out why it stopped?**
#
# You will:
#
# - run a task on Fargate from the task definition of chapter 4, and meet the network it needs;
# - have a digit that you draw read by your own container;
# - read its logs, its metadata and its life as a timeline;
# - stop tasks and make them fail, and tell from the stopped task what happened.
#
# Time: about 25 minutes.

# %% [markdown]
# The first cell finds the lab's cloud, or starts it, and makes what earlier chapters would have left.

# %%
from fargate_lab.lesson import start

lab = start(chapter=5)

# %% [markdown]
# ## A cluster without machines
#
# Every ECS task belongs to a cluster. With Fargate the cluster is a name and a set of defaults; it holds no machines.
#
# **Predict first.** You are about to create a cluster and run a container in it. How many EC2 instances will your account have afterwards?

# %%
import boto3

ecs, ec2 = boto3.client("ecs"), boto3.client("ec2")
cluster = ecs.create_cluster(clusterName="fargate-lab")["cluster"]
cluster["status"], cluster["registeredContainerInstancesCount"]

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# None, now and after every task of this chapter. The machines that carry Fargate tasks are in AWS's account, not in yours: you cannot list them, log in
# to them, or patch them. With the EC2 launch type, `registeredContainerInstancesCount` would count your own instances.
# </details>
#
# ## What a task needs from the network
#
# Fargate tasks use the network mode `awsvpc`: each task gets an elastic network interface of its own, with a private address in one of your subnets and
# your security groups on it. So `RunTask` must say which. Without that it refuses:

# %%
with lab.refused():
    ecs.run_task(cluster="fargate-lab", launchType="FARGATE", taskDefinition="inkdigits")

# %% [markdown]
# The default VPC has a subnet in each Availability Zone. This cell takes two of them.

# %%
vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
subnets = sorted(subnets, key=lambda s: s["AvailabilityZone"])[:2]
[(s["AvailabilityZone"], s["MapPublicIpOnLaunch"]) for s in subnets]

# %% [markdown]
# The security group is the task's firewall: it lets in TCP port 8080, where the container listens, and nothing else. `0.0.0.0/0` means from anywhere, which is right for a
# lab; on AWS, name your own address or the load balancer's group. `assignPublicIp` matters twice:
#
# - it makes the task reachable from outside;
# - in a subnet without a NAT gateway or VPC endpoints, it is the only way the task itself reaches ECR to pull its image.

# %%
named = [{"Name": "group-name", "Values": ["inkdigits-web"]}, {"Name": "vpc-id", "Values": [vpc]}]
groups = ec2.describe_security_groups(Filters=named)["SecurityGroups"]
group = groups[0]["GroupId"] if groups else None
if group is None:
    group = ec2.create_security_group(
        GroupName="inkdigits-web", Description="port 8080 of inkdigits", VpcId=vpc
    )["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=8080, ToPort=8080, CidrIp="0.0.0.0/0"
    )
where = {"subnets": [s["SubnetId"] for s in subnets], "securityGroups": [group]}
network = {"awsvpcConfiguration": where | {"assignPublicIp": "ENABLED"}}

# %% [markdown]
# ## Run it
#
# `RunTask` answers at once, before anything runs. Look at the two statuses: where the task is, and where it is to go.

# %%
answer = ecs.run_task(
    cluster="fargate-lab",
    launchType="FARGATE",
    taskDefinition="inkdigits",
    networkConfiguration=network,
    startedBy="chapter-5",
)
task = answer["tasks"][0]
task["lastStatus"], task["desiredStatus"], answer["failures"]

# %% [markdown]
# A waiter asks `DescribeTasks` again and again until the task runs, and raises an error if it stops instead. boto3's default is every 6 seconds; here it is every second.

# %%
arn = task["taskArn"]
once_a_second = {"Delay": 1, "MaxAttempts": 90}
ecs.get_waiter("tasks_running").wait(
    cluster="fargate-lab", tasks=[arn], WaiterConfig=once_a_second
)
task = ecs.describe_tasks(cluster="fargate-lab", tasks=[arn])["tasks"][0]
task["lastStatus"], task["launchType"], task["cpu"], task["memory"]

# %% [markdown]
# The container's image was named by a tag; what runs is a digest. ECS resolved the tag once, when it pulled. Compare it with the digest in ECR:

# %%
image = boto3.client("ecr").describe_images(
    repositoryName="inkdigits", imageIds=[{"imageTag": "1.0"}]
)["imageDetails"][0]
task["containers"][0]["imageDigest"] == image["imageDigest"]

# %% [markdown]
# ## Let it read a digit
#
# `RUNNING` means that the container has started; the server inside may need a moment more, hence the retries on connecting. `lab.url` gives the address at which
# this machine reaches the task: on AWS that is the public address of the task's interface. Stored strokes of a seven go out as JSON; inside the container, `inkprep`
# turns them into the 8 × 8 picture that the model knows. Look at the digit.

# %%
import httpx

from fargate_lab.lesson.pad import samples

web = httpx.Client(base_url=lab.url(task, 8080), transport=httpx.HTTPTransport(retries=6))
seven = samples()["7"][0]
best = web.post("/predict", json={"strokes": seven}).json()["predictions"][0]
print(best["digit"], "sure" if best["confidence"] > 0.5 else "not sure")

# %% [markdown]
# Now your own. Draw a digit with the mouse, a pen or a finger: after each stroke your task is asked again.

# %%
pad = lab.pad("3")


def read(strokes):
    best = web.post("/predict", json={"strokes": strokes}).json()["predictions"][0]
    return f"Your task reads: {best['digit']}"


pad.on_draw(read)
pad

# %% [markdown]
# The pad holds a stored drawing until you draw. What it says now:

# %%
print(pad.answer)

# %% [markdown]
# ## What the application said
#
# Nobody can log in to a Fargate host, so what the container writes to standard output must leave it: the `awslogs` driver sends it to CloudWatch Logs. The
# stream's name is `prefix/container/task-id`, so a task's log is found from its ARN alone. The application logs one JSON object a line; look at the events.

# %%
import json

logs = boto3.client("logs")


def log_of(task, container="inkdigits", prefix="web"):
    stream = f"{prefix}/{container}/{task['taskArn'].split('/')[-1]}"
    events = logs.get_log_events(
        logGroupName="/ecs/inkdigits", logStreamName=stream, startFromHead=True
    )["events"]
    return [e["message"] for e in events]


[json.loads(line)["event"] for line in log_of(task)]

# %% [markdown]
# ## One-off tasks and exit codes
#
# A task need not be a server. The next definition runs whatever Python it is given, once: `entryPoint` replaces the image's entry point, and the command
# comes with each `RunTask` as an override.

# %%
base = ecs.describe_task_definition(taskDefinition="inkdigits")["taskDefinition"]
container = {
    k: v for k, v in base["containerDefinitions"][0].items() if k not in ("healthCheck", "portMappings")
}
container |= {"name": "once", "entryPoint": ["python3", "-c"], "command": ["print('hello')"]}
shared = ("networkMode", "cpu", "memory", "executionRoleArn", "taskRoleArn", "runtimePlatform")
definition = ecs.register_task_definition(
    family="inkdigits-once",
    requiresCompatibilities=["FARGATE"],
    containerDefinitions=[container],
    **{key: base[key] for key in shared},
)["taskDefinition"]
definition["cpu"], definition["memory"]

# %% [markdown]
# `run_once` starts such a task, waits until it has stopped, and returns what ECS then knows. It is used several times below, so read it once.

# %%
def run_once(code, task_definition="inkdigits-once", **more):
    override = {"containerOverrides": [{"name": "once", "command": [code]}], **more}
    arn = ecs.run_task(
        cluster="fargate-lab",
        launchType="FARGATE",
        taskDefinition=task_definition,
        networkConfiguration=network,
        overrides=override,
    )["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_stopped").wait(
        cluster="fargate-lab", tasks=[arn], WaiterConfig=once_a_second
    )
    return ecs.describe_tasks(cluster="fargate-lab", tasks=[arn])["tasks"][0]


def why(task):
    container = task["containers"][0]
    print(task["stopCode"], "|", task["stoppedReason"])
    print("exit code:", container.get("exitCode"), "|", container.get("reason", "no reason given"))


# %% [markdown]
# A task that did its work and ended. Note the stop code: for ECS, an essential container that exits ends the task, whatever its exit code was.

# %%
done = run_once("print('six times seven is', 6 * 7)")
why(done)
log_of(done, "once")

# %% [markdown]
# **Predict first.** The task below has 512 MiB and its program asks for 700 MiB. Who notices, and what will the exit code be?

# %%
starved = run_once("block = bytearray(700 * 2**20); print('allocated', len(block))")
why(starved)

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# The kernel does: the task's memory is a hard limit, so the process is killed with SIGKILL. 137 = 128 + 9, and 9 is SIGKILL. The program had no chance to log
# anything. `OutOfMemoryError` in the container's *reason* is what tells an out-of-memory kill from any other SIGKILL.
# </details>
#
# The metadata endpoint tells a container about itself. Its address is in the environment variable `ECS_CONTAINER_METADATA_URI_V4`; the path `/task` describes the whole task.

# %%
ask = """
import json, os, urllib.request
url = os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task"
task = json.load(urllib.request.urlopen(url))
print(task["Family"], task["Revision"], task["Limits"])
"""
log_of(run_once(ask), "once")

# %% [markdown]
# ## An image that is not there
#
# `RegisterTaskDefinition` does not look into the registry: a revision may name a tag that does not exist, and `RunTask` accepts it too. Nobody notices
# before the task is to start. Look at the stop code: the task *failed to start*, and there is no exit code because nothing ever ran.

# %%
container["image"] = container["image"].replace(":1.0", ":9.9")
broken = ecs.register_task_definition(
    family="inkdigits-broken",
    requiresCompatibilities=["FARGATE"],
    containerDefinitions=[container],
    **{key: base[key] for key in shared},
)["taskDefinition"]
missing = run_once("print('never')", "inkdigits-broken")
why(missing)

# %% [markdown]
# ## Stop it
#
# `StopTask` sends SIGTERM to each container, waits for `stopTimeout` (30 seconds unless set), then sends SIGKILL. An application that handles SIGTERM finishes its requests and exits with 0.
# The log's last two events show both halves: the signal arrived, and the application ended by itself.

# %%
ecs.stop_task(cluster="fargate-lab", task=arn, reason="end of the shift")
ecs.get_waiter("tasks_stopped").wait(
    cluster="fargate-lab", tasks=[arn], WaiterConfig=once_a_second
)
task = ecs.describe_tasks(cluster="fargate-lab", tasks=[arn])["tasks"][0]
why(task)
[json.loads(line)["event"] for line in log_of(task)][-2:]

# %% [markdown]
# Four tasks, one picture, drawn from the timestamps in `DescribeTasks`. Look at how much of each is not `RUNNING`: Fargate bills by the second from the start of the pull
# to the stop, with a least time that is printed at the end.

# %%
from fargate_lab.lesson import timeline

timeline.draw([task, done, starved, missing], ["server", "done", "out of memory", "no image"])

# %% [markdown]
# ## Exercises
#
# `lab.check("5.1")` looks at the account. Stuck? `lab.hint("5.1")`, up to three times.
#
# **5.1 Two at once.** Run *two* tasks of `inkdigits` with one call, marked `startedBy="exercise-5-1"`, and wait until both run. Both listen on port 8080: why is that no conflict?

# %% exercise="5.1"
### BEGIN SOLUTION
both = ecs.run_task(
    cluster="fargate-lab",
    launchType="FARGATE",
    taskDefinition="inkdigits",
    networkConfiguration=network,
    startedBy="exercise-5-1",
    count=2,
)["tasks"]
ecs.get_waiter("tasks_running").wait(
    cluster="fargate-lab", tasks=[t["taskArn"] for t in both], WaiterConfig=once_a_second
)
### END SOLUTION

# %% check="5.1"
lab.check("5.1")

# %% [markdown]
# **5.2 Memory by override.** Give the starved program what it needs *without* a new revision: run `bytearray(700 * 2**20)` on `inkdigits-once` with an override of the task's memory, so that it ends with
# exit code 0. (`run_once` passes further overrides on. Which memory sizes go with 256 CPU units?)

# %% exercise="5.2"
### BEGIN SOLUTION
fed = run_once("block = bytearray(700 * 2**20)", cpu="256", memory="1024")
why(fed)
### END SOLUTION

# %% check="5.2"
lab.check("5.2")

# %% [markdown]
# **5.3 An exit code of your own.** A job reports its result by its exit code. Run a task of `inkdigits-once` that ends with exit code 3. (`sys.exit`)

# %% exercise="5.3"
### BEGIN SOLUTION
why(run_once("import sys; sys.exit(3)"))
### END SOLUTION

# %% check="5.3"
lab.check("5.3")

# %% [markdown]
# ## On the exam
#
# - *No servers to manage, custom container, runs for hours or all day*: ECS on Fargate. *Control of the instances*, *GPU* and *one daemon on each host* point to EC2.
# - Fargate means `awsvpc`: an interface for each task, security groups on the task, target groups of type `ip`.
# - A task in a private subnet that cannot pull: NAT gateway, or interface endpoints for `ecr.api` and `ecr.dkr`, a gateway endpoint for S3 (the layers), and `logs`.
# - *Task stopped, exit code 137, OutOfMemoryError*: raise the memory. *CannotPullContainerError*: image name, execution role, or route to ECR.
#
# ## Where this stops being true
#
# - **Time**: this machine starts a task in about a second. The cell below prints what was measured on AWS.
# - **Addresses**: in the lab a task's private and public address are addresses of this machine. On AWS the private one lies in the subnet.
# - **Capacity**: the Region's quota of Fargate vCPUs holds here as on AWS, but beneath it is only this machine; on AWS the quota can be raised.

# %%
from fargate_lab.facts import fact

for name in ("start_times.fargate_probe", "quotas.fargate_vcpu", "prices.fargate.minimum_seconds"):
    print(fact(name).text, fact(name).cite())

# %% [markdown]
# ## In this notebook you have
#
# - run a task on Fargate and had it read a digit, without a server of your own;
# - given it a network: subnets, a security group, a public address;
# - found its logs from its ARN and asked its metadata endpoint;
# - told four endings apart by stop code, reason and exit code.
#
# The last cell stops what still runs and puts the broken definition out of use. The cluster and the other definitions cost nothing and stay for later chapters.

# %%
for running in ecs.list_tasks(cluster="fargate-lab")["taskArns"]:
    ecs.stop_task(cluster="fargate-lab", task=running, reason="clean-up")
for old in ecs.list_task_definitions(familyPrefix="inkdigits-broken")["taskDefinitionArns"]:
    ecs.deregister_task_definition(taskDefinition=old)
