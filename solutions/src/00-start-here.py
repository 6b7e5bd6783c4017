# %% [markdown]
# # 00 · Start here
#
# **Where do the AWS calls of this course go, what do they cost, and how do you know?**
#
# You will:
#
# - see what on this machine plays the part of AWS, and what it leaves out;
# - make your first calls with plain `boto3`, and prove where they went;
# - read two kinds of refusal, and tell them apart;
# - see what it takes before one call reaches a real AWS account;
# - do two exercises that grade themselves.
#
# Time: about 15 minutes.

# %% [markdown]
# ## Open a chapter
#
# Run a cell with **Shift+Enter**. Every chapter begins with the cell below: it starts the lab's cloud in the background, or finds the one that runs already, and says
# where the chapter's calls go. Look at the account number.

# %%
from fargate_lab.lesson import start

lab = start(chapter=0)

# %% [markdown]
# The cloud is one program on this machine. It keeps your images, task definitions and clusters in the folder `.lab/`, and all notebooks and terminals share it: what one
# chapter pushes, a later one finds.
#
# ## What carries the lab here
#
# Read the last rows of the table. They say how this machine differs from Fargate, so that nothing you learn here surprises you there.

# %% tags=["nbval-ignore-output"]
lab.machine()

# %% [markdown]
# A task is a container at work. The lab runs tasks in one of two ways, and takes the first that it can have:
#
# | runtime | needs | a task is | CPU limit | isolated from this machine |
# |---|---|---|---|---|
# | `docker` | a Docker engine | a container | yes | as a container is |
# | `process` | nothing | a process started from the image's files | no | no |
#
# Every exercise works with either. `python3 lab.py doctor`, in a terminal, says more about this machine: what is lacking, what that means, what to do.
#
# ## Your first call
#
# **Predict first.** You have given no access key. Will AWS's identity service say who you are, or refuse?

# %%
import boto3

boto3.client("sts").get_caller_identity()["Account"]

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# It answers. The first cell gave `boto3` a made-up key and the address of the lab's cloud, for this notebook's process alone. Your own AWS profiles, if you have any,
# are out of reach: the lab takes every `AWS_…` variable out of this process and hides `~/.aws` from it. Nothing on disk was changed.
# </details>
#
# Nothing in the call names the lab. `boto3` read the address from one environment variable, which every current AWS SDK and the AWS CLI understand. Ask a client where it
# sends its requests:

# %%
import os

ecs = boto3.client("ecs")
ecs.meta.endpoint_url, ecs.meta.endpoint_url == os.environ["AWS_ENDPOINT_URL"]

# %% [markdown]
# `127.0.0.1` is this machine, whatever network it is in. That is the proof to ask of any emulator: not its name, but the address that the client uses.
#
# ## Create something, look at it, remove it
#
# A *cluster* is the name under which tasks run. Creating one is the smallest call that leaves something behind. Look at the status and at the ARN: Region, account, kind and
# name, in that order.

# %%
cluster = ecs.create_cluster(clusterName="first-call")["cluster"]
cluster["status"], cluster["clusterArn"]

# %% [markdown]
# **Predict first.** Run the cell above a second time. A second cluster, an error, or the same cluster again?
#
# <details><summary>After you have run it</summary>
#
# The same cluster: `CreateCluster` returns an ACTIVE cluster of that name as it is. A call that may be repeated without harm is *idempotent*. Not every
# call is: `CreateRepository` refuses the second time, and `RegisterTaskDefinition` makes a new revision each time.
# </details>
#
# Now remove it, and look at what remains. `suppress` is for the second time: a cluster that is gone cannot be deleted again.

# %%
from contextlib import suppress

with suppress(ecs.exceptions.ClusterNotFoundException):
    ecs.delete_cluster(cluster="first-call")
described = ecs.describe_clusters(clusters=["first-call"])["clusters"]
cluster["clusterArn"] in ecs.list_clusters()["clusterArns"], described[0]["status"]

# %% [markdown]
# It is gone from the list and can still be described, as INACTIVE. AWS keeps a deleted cluster visible for a while, so a script that only asks "does
# `describe_clusters` find it?" is wrong. Ask for the status.
#
# ## Two kinds of refusal
#
# `with lab.refused():` expects a call to be refused, and prints the refusal. The first one comes from AWS's side: the request was sent, and the service said no. Read the error's code,
# then its text.

# %%
with lab.refused():
    ecs.run_task(cluster="no-such-cluster", taskDefinition="inkdigits")

# %% [markdown]
# **Predict first.** `clusterName` should be a text; the next cell gives a number. Who objects, and is anything sent?

# %%
with lab.refused():
    ecs.create_cluster(clusterName=7)

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# `boto3` itself objects (`ParamValidationError`), and nothing is sent. It knows each call's parameters and their types, and nothing of the account. Rules that depend on
# values, such as which CPU goes with which memory, only the service knows.
#
# The lab answers with AWS's own codes and texts, so what you learn to read here you can read there. Where AWS's wording is not publicly
# recorded, the lab's list of facts marks it as the lab's own.
# </details>
#
# ## A real AWS account, and consent
#
# The same notebooks run in an AWS account of yours. It takes two environment variables, both set by you, before a chapter starts:
#
# | variable | value | meaning |
# |---|---|---|
# | `LAB_BACKEND` | `aws` | send the calls to AWS |
# | `LAB_AWS_CONSENT` | `yes` | you know that these calls cost money |
#
# The first without the second is refused before any call is made. The next cell tries it; `patch.dict` sets the two variables for this one cell and puts back what was there.

# %%
from unittest.mock import patch

with lab.refused(), patch.dict(os.environ, LAB_BACKEND="aws", LAB_AWS_CONSENT="no"):
    start(chapter=0)

# %% [markdown]
# Stay local for now. Chapter 13 takes the finished stack to AWS, with an estimate of the cost before and a complete removal after.
#
# ## Where this is going
#
# The course builds one service, **inkdigits**, which reads digits drawn by hand. These are strokes as a pen leaves them. At the end of chapter 5 a container that you built, running
# as a Fargate task that you started, will say which digit it is, and it will read your own drawing too.

# %%
from fargate_lab.lesson.pad import samples
from fargate_lab.lesson.style import BLUE, axes

figure, paper = axes(2.4, 2.4, title="Which digit?")
for stroke in samples()["5"][0]:
    paper.plot(*zip(*stroke), color=BLUE, linewidth=9, solid_capstyle="round")
paper.set_aspect("equal")
paper.axis("off")
paper.invert_yaxis()

# %% [markdown]
# And this is the road from here to there. The picture is drawn from what stands in your account now; it fills in as you work.

# %%
lab.diagram()

# %% [markdown]
# ## How a chapter works
#
# - **Predict first**: say your answer before you run the cell. A wrong guess that is put right is remembered longer than a sentence that is read.
# - **Exercises**: write your code where the cell says so, then run `lab.check(…)`. It looks at your account, not at your code: any way that leads there is right.
# - **Stuck?** `lab.hint("0.1")` gives a question to think about; run it again for the call to use, and once more for nearly the answer. `solutions/` has the solved chapter.
# - **Lost?** Every chapter can be the first one that you open, and every cell can be run twice. `python3 lab.py reset` empties the lab's account.
#
# ## Exercises
#
# **0.1 A first cluster.** Create a cluster named `hello-fargate`.

# %% exercise="0.1"
### BEGIN SOLUTION
made = ecs.create_cluster(clusterName="hello-fargate")
### END SOLUTION

# %% check="0.1"
lab.check("0.1")

# %% [markdown]
# **0.2 A tag.** Give that cluster the tag `purpose` with the value `learning`. By tags a bill is split by team, and a clean-up finds what to delete. ECS wants the
# resource's ARN, and its parameter names begin with a small letter. `lab.hint("0.2")` helps.

# %% exercise="0.2"
### BEGIN SOLUTION
hello = ecs.describe_clusters(clusters=["hello-fargate"])["clusters"][0]
tagged = ecs.tag_resource(
    resourceArn=hello["clusterArn"], tags=[{"key": "purpose", "value": "learning"}]
)
### END SOLUTION

# %% check="0.2"
lab.check("0.2")

# %% [markdown]
# ## On the exam
#
# - A cluster that only runs Fargate tasks has no servers to create, patch or scale. An answer that adds EC2 instances to it adds operational work.
# - Credentials never belong in code or in an image. A container gets them from its *task role*, a person from IAM Identity Center.
# - Tags do not limit access by themselves. They do when a policy names them in a condition.
#
# ## Where this stops being true
#
# - **Signatures**: the lab reads the key's name and does not verify the signature; AWS verifies every one. IAM policies are stored here, and not enforced unless a chapter says so.
# - **Throttling**: no call is throttled here. There is one account, unless your instructor has set up more.
# - **Time**: on AWS a task has to be given a network interface and to pull its image in full before it starts. Here it starts in about a second. The cell below prints what was measured
#   on AWS.
# - **Services**: what the lab does not do truthfully it refuses in plain words. It never pretends that something runs.
#
# Figures in this course are facts with a source, a date and a confidence. This is one; look at who measured it, and when.

# %%
from fargate_lab.facts import fact

started = fact("start_times.fargate_probe")
print(started.text, started.cite(), sep="\n")

# %% [markdown]
# ## In this notebook you have
#
# - started the lab's cloud and seen what it does not isolate;
# - called STS and ECS with unmodified `boto3`, and proved by the endpoint that the calls stayed on this machine;
# - met an idempotent call, and a deleted cluster that can still be described;
# - told a refusal of the service from one of `boto3`;
# - seen that no call reaches AWS without your consent.
#
# The last cell removes what this chapter made.

# %%
for name in ("first-call", "hello-fargate"):
    with suppress(ecs.exceptions.ClusterNotFoundException):
        ecs.delete_cluster(cluster=name)
