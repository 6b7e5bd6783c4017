# %% [markdown]
# # 01 · Architecture flow
#
# **What has to exist before AWS runs your model, in which order, and what is each part for?**
#
# You will:
#
# - see why a ready-made environment cannot run this model, and what a container image changes;
# - walk the whole road once, quickly: image → ECR → task definition → cluster → task;
# - send a drawing to your own task and read its answer;
# - walk a second road: dependencies → storage → resources → auto scaling;
# - break two stages, and see how differently they fail.
#
# Time: about 20 minutes. Chapters 2 to 6 take each stage apart; here you see how they fit.

# %%
from fargate_lab.lesson import start

lab = start(chapter=1)

# %% [markdown]
# ## Why the default environment is not enough
#
# The model reads an 8 × 8 picture. What people draw is a list of pen strokes of any size, in any corner, at a slant. A library of our own, `inkprep`, turns one into the other.
#
# **Predict first.** This notebook's Python has `numpy`, `scikit-learn` and `onnxruntime`. Will the next cell work?

# %%
try:
    import inkprep
except ModuleNotFoundError as error:
    print(error)

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# No, and `pip install inkprep` would not help: it is on no package index. It is code of this project, in `lab_docker/inkprep/`.
#
# A Lambda managed runtime, a ready-made SageMaker container and a Beanstalk platform are in the same position: they bring a Python and libraries that somebody else chose.
# Each lets you add packages, in its own way and within its own limits. None takes the environment that you tested as it is.
# </details>
#
# So the environment has to travel with the model. A **container image** is that: files in layers (a Python, the libraries in the versions you tested, your own library, the
# model, the application) and a note on how to start them. The same image runs on your laptop, in the lab and on AWS, and its digest proves that it is the same.
#
# An exam would put it so. *A team has a model that needs its own libraries, packed as a container image. It must run for long periods and scale, and nobody is to manage servers. Which
# option?*
#
# | | option | what decides |
# |---|---|---|
# | A | EC2 instances that run Docker | runs the image, but the team patches, sizes and scales the servers |
# | B | a Lambda function on a managed Python runtime | not the team's image; answers events, with a time limit for each |
# | C | Elastic Beanstalk on its Python platform | a ready-made environment, on EC2 instances in the team's account |
# | D | push the image to ECR, run it on ECS with **Fargate** | the team's image as it is, and no servers to manage |
#
# **D.** No other option both runs the team's image and leaves the team no servers. A Lambda function made *from a container image* is not among the options; it would be a closer rival
# than B, and *Where this stops being true* says how close.
#
# The rest of this chapter does what line D says. Look at the road before you set out; it is drawn from your account.

# %%
lab.diagram()

# %% [markdown]
# ## Stage 1: the image
#
# `build` puts an image together from the folder `lab_docker/`, without a Docker engine. The first build on a machine trains the model and fetches libraries, and
# may take a minute; later ones take seconds.
#
# **Predict first.** Base, dependencies, our own library, model, application: which is the largest layer, and which changes most often?

# %%
from pathlib import Path

from fargate_lab.image import build
from fargate_lab.lesson.style import BLUE, INK, axes

image = build(Path("../lab_docker"), name="inkdigits")
layers = image.layers[::-1]
figure, chart = axes(7, 2.2, title="The layers, top to bottom (MB, logarithmic)")
bars = chart.barh([la.name for la in layers], [la.size / 1e6 for la in layers], color=BLUE)
chart.bar_label(bars, fmt="%.3g", padding=4, color=INK)
chart.set_xscale("log")
chart.margins(x=0.15)
chart.invert_yaxis()

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# The dependencies are the largest by far, and change rarely. The application is among the smallest, and changes most often. So it lies on top: an edit replaces one layer,
# and a push sends only that one. Chapter 2 measures it.
# </details>
#
# ## Stage 2: the registry
#
# AWS cannot reach your disk. An image reaches it through **ECR**, the registry, where a *repository* holds the versions of one image. `IMMUTABLE` means that a tag, once
# pushed, cannot be moved to another image. The `except` is there for the second time that you run the cell.

# %%
import boto3

ecr = boto3.client("ecr")
try:
    ecr.create_repository(repositoryName="inkdigits", imageTagMutability="IMMUTABLE")
except ecr.exceptions.RepositoryAlreadyExistsException as error:
    print(error.response["Error"]["Code"])
uri = ecr.describe_repositories(repositoryNames=["inkdigits"])["repositories"][0]["repositoryUri"]
uri

# %% [markdown]
# ECR speaks the protocol that every registry speaks, so any tool can push: `docker push`, or the lab's `push`. It wants a password, which ECR gives out for 12 hours. Then ask ECR what
# it holds: the digest is the image's true name, computed from its content, and the tag `1.0` is a label on it. Two stages stand.

# %%
import base64

from fargate_lab.image import push

token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
user, _, password = base64.b64decode(token).decode().partition(":")
pushed = push(image, f"{uri}:1.0", username=user, password=password)
held = ecr.describe_images(repositoryName="inkdigits")["imageDetails"][0]
print("user", user, "tags", held["imageTags"], "same digest:", held["imageDigest"] == image.digest)
lab.diagram()

# %% [markdown]
# ## Stage 3: the task definition
#
# The **task definition** is the blueprint: which image, how much CPU and memory, which port, which roles. It runs nothing. For an image in ECR, Fargate needs an *execution role*,
# with which ECS pulls the image on your behalf. `roles` makes it, and chapter 4 explains it.

# %%
from fargate_lab.lesson.prepare import architecture, roles

roles(lab)
definition = {
    "family": "inkdigits",
    "requiresCompatibilities": ["FARGATE"],
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
    "executionRoleArn": f"arn:aws:iam::{lab.account}:role/inkdigits-execution",
    "runtimePlatform": {"cpuArchitecture": architecture(), "operatingSystemFamily": "LINUX"},
    "containerDefinitions": [
        {"name": "inkdigits", "image": f"{uri}:1.0", "portMappings": [{"containerPort": 8080}]}
    ],
}

# %% [markdown]
# **Predict first.** 1024 CPU units are one vCPU, so 333 would be about a third of one. Will ECS take it, round it, or refuse it? The last line prints what goes with 256 units; the lab keeps
# such figures as facts with a source and a date.

# %%
from fargate_lab.facts import fact

ecs = boto3.client("ecs")
with lab.refused():
    ecs.register_task_definition(**definition | {"cpu": "333"})
print(fact("fargate.sizes.cpu_256").cite())

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# It refuses, at once. Fargate sells fixed pairs of CPU and memory, and the text names both numbers because it is the *pair* that must be valid. Nothing was registered: an error at this
# stage costs nothing.
# </details>
#
# 256 and 512 are a valid pair. Each registration makes a new *revision*, and a revision never changes. Look at the number after the colon.

# %%
blueprint = ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]
print(blueprint)
lab.diagram()

# %% [markdown]
# ## Stage 4: the cluster
#
# **Predict first.** How many machines does a new cluster have?

# %%
cluster = ecs.create_cluster(clusterName="fargate-lab")["cluster"]
print(cluster["status"], "with", cluster["registeredContainerInstancesCount"], "machines")
lab.diagram()

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# None, and with Fargate it stays at none. The cluster is the name under which tasks are grouped, counted and permitted. AWS places each task on capacity of its own.
# </details>
#
# ## Stage 5: the task
#
# `RunTask` starts containers from a blueprint. On Fargate each task gets a network interface of its own, so it must be told a subnet and a security group: `network` finds the default
# VPC's and opens port 8080; chapter 5 does it by hand. `RunTask` answers before anything runs. Look at the status.

# %%
from fargate_lab.lesson.prepare import network

where = {"cluster": "fargate-lab", "launchType": "FARGATE", "networkConfiguration": network(lab)}
task = ecs.run_task(**where, taskDefinition=blueprint)["tasks"][0]
task["lastStatus"], task["desiredStatus"]

# %% [markdown]
# A *waiter* asks until the task runs: here once a second, by default every six.

# %%
every_second = {"Delay": 1, "MaxAttempts": 120}
arn = task["taskArn"]
ecs.get_waiter("tasks_running").wait(cluster="fargate-lab", tasks=[arn], WaiterConfig=every_second)
task = ecs.describe_tasks(cluster="fargate-lab", tasks=[arn])["tasks"][0]
task["lastStatus"], task["containers"][0]["imageDigest"] == image.digest

# %% [markdown]
# The container that runs has the digest of the image that you built: not a similar one, that one. Ask it something. These are stored strokes of a five, drawn by hand; `lab.url` says
# where the task's port is reached.

# %%
import httpx

from fargate_lab.lesson.pad import samples

answer = httpx.post(f"{lab.url(task)}/predict", json={"strokes": samples()["5"][0]}).json()
print("Your task reads:", answer["predictions"][0]["digit"])
lab.diagram()

# %% [markdown]
# A container with a library that this notebook lacks has read a drawing, and the road is complete.
#
# In other words: **custom libraries** (1) go to a **registry** (2), a **blueprint** (3) refers to them, and a **runtime** (4 and 5) carries them out. Each stage knows only the one before it, by name: the
# task definition names an image, `RunTask` names a task definition. That is why the order is what it is.
#
# What is not there yet is a **service**. A task started by `RunTask` runs until it ends or is stopped, and nobody replaces it. A service keeps a number of tasks running, puts them behind a
# load balancer and replaces them during a deployment. That is chapter 6.
#
# ## The second road: what it needs, and how much of it
#
# The same system seen by what it consumes. Look at which stage is open.

# %%
lab.diagram("resources")

# %% [markdown]
# | stage | the question | decided in | where |
# |---|---|---|---|
# | dependencies | which libraries, which versions? | the image's layers | chapter 2 |
# | storage | where do the layers lie, and what can the task write to? | ECR; the task's ephemeral storage | chapters 3, 4 |
# | resources | how much CPU and memory has one task? | the task definition | chapter 4 |
# | auto scaling | how many tasks? | a scaling policy on a service | chapter 8 |
#
# The first three are fixed when a task starts; a running Fargate task does not grow. Only the last moves with the load, and it moves the *number* of tasks. So it needs a service, and
# stays open here.
#
# ## Break it: a tag that nobody pushed
#
# **Predict first.** The next cell registers a revision whose image `inkdigits:2.0` does not exist, and runs it. Which call will fail: `RegisterTaskDefinition`, `RunTask`, or neither?

# %%
wrong = {**definition["containerDefinitions"][0], "image": f"{uri}:2.0"}
broken = ecs.register_task_definition(**definition | {"containerDefinitions": [wrong]})
broken = broken["taskDefinition"]["taskDefinitionArn"]
doomed = ecs.run_task(**where, taskDefinition=broken)
doomed["tasks"][0]["lastStatus"], doomed["failures"]

# %% [markdown]
# Both calls were accepted. Wait for the task, and ask it why it stopped. The last line takes the broken revision out of use, because a name without a revision, such as `inkdigits`, means *the
# latest ACTIVE revision*.

# %%
late = {"cluster": "fargate-lab", "tasks": [doomed["tasks"][0]["taskArn"]]}
ecs.get_waiter("tasks_stopped").wait(**late, WaiterConfig=every_second)
end = ecs.describe_tasks(**late)["tasks"][0]
print(end["stopCode"], end["stoppedReason"], sep="\n")
retired = ecs.deregister_task_definition(taskDefinition=broken)

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# Neither call fails. A task definition may name an image that is still to be pushed, and `RunTask` only promises to try. The image is looked for when the task starts, by ECS,
# with the execution role. So the truth is in the stopped task: `stopCode` is the kind, `stoppedReason` the detail. Look soon: how long AWS promises to
# show a stopped task is printed at the end of this chapter.
#
# Compare the two breakages. 333 CPU units were refused while you watched. The missing image was accepted, and failed later, out of sight. Most trouble with ECS is of the second kind.
# </details>
#
# ## Exercises
#
# `lab.check("1.1")` looks at the account. Stuck? `lab.hint("1.1")`, up to three times.
#
# **1.1 A larger revision.** A load test asks for half a vCPU. Register a further revision of `inkdigits` with **512 CPU units and 1024 MiB**, everything else as in `definition`.

# %% exercise="1.1"
### BEGIN SOLUTION
half = ecs.register_task_definition(**definition | {"cpu": "512", "memory": "1024"})
### END SOLUTION

# %% check="1.1"
lab.check("1.1")

# %% [markdown]
# **1.2 A task of it.** Run one task of that larger revision in the cluster `fargate-lab`, with `startedBy="exercise-1-2"`, and leave it running. `where` holds the arguments that every `RunTask` here needs.

# %% exercise="1.2"
### BEGIN SOLUTION
larger = ecs.run_task(**where, taskDefinition="inkdigits", startedBy="exercise-1-2")["tasks"]
ecs.get_waiter("tasks_running").wait(
    cluster="fargate-lab", tasks=[larger[0]["taskArn"]], WaiterConfig=every_second
)
### END SOLUTION

# %% check="1.2"
lab.check("1.2")

# %% [markdown]
# **1.3 A second tag.** Give the image in ECR a second tag, `stable`, without building anything anew: both tags must lead to the same digest. There is more than one way; `lab.hint("1.3")` knows one.

# %% exercise="1.3"
### BEGIN SOLUTION
second = push(image, f"{uri}:stable", username=user, password=password)
### END SOLUTION

# %% check="1.3"
lab.check("1.3")

# %% [markdown]
# ## On the exam
#
# - *Custom libraries*, *own runtime*, *container image* in the question: the answer holds an image in **ECR**.
# - *No servers to manage*, *least operational overhead*, with a container that runs long: **Fargate**. With EC2 underneath (own instances, Beanstalk) there are servers to size
#   and to keep patched.
# - The order is a favourite: build the image, push it to ECR, register the task definition, create the cluster, create the service.
# - CPU and memory are set in the task definition; the number of tasks in the service; the policy that changes that number in Application Auto Scaling.
#
# ## Where this stops being true
#
# - **Lambda** has run container images too since December 2020, so *"it is a container image"* alone no longer rules Lambda out. The rest of the question does: Lambda hands events to a
#   handler. A server that keeps listening, work that outlasts the time limit, or a protocol of its own does not fit. D is still the best answer. If a question has only short, rare
#   requests, Lambda from an image may be the better one.
# - **Beanstalk** can run Docker images as well. Its instances stay yours to size and pay for.
# - **Speed**: on AWS the push takes as long as your uplink needs, and a task longer to start than here.
# - **Address**: in the lab, a task is reached at an address of this machine. On AWS it needs a public address or a load balancer, and a security group that lets you in.
#
# The figures behind this chapter, each with its source and date:

# %%
for name in ("lambda_limits.image_size", "lambda_limits.timeout", "quotas.stopped_task_hours"):
    print(fact(name).text, fact(name).cite())

# %% [markdown]
# ## In this notebook you have
#
# - seen that a ready-made environment lacks what an image brings along;
# - built an image, pushed it, described it, and run it; matched the running digest with the built one;
# - had a drawing read by your own task;
# - drawn both roads from the state of your account, and seen that auto scaling waits for a service;
# - met a refusal at once (333 CPU units) and a failure later (an image that is not there).
#
# The last cell stops the tasks and removes everything on this road, also what later chapters have made if you have come back; they make what they need again. The image stays on your disk.

# %%
lab.teardown()
