# %% [markdown]
# # 03 · Push to ECR
#
# **Where does Fargate get an image from, and how can you be sure that it runs the one you tested?**
#
# **You will**
#
# - create a repository whose tags cannot be moved, and read what a login token is
# - send one layer by hand, then push the whole image and see what is not sent
# - pull by digest, and prove that what came back is what went up
# - meet four refusals: no repository, wrong password, moved tag, bad policy
# - let old images expire by a lifecycle policy, and read scan findings
#
# About 25 minutes.

# %%
from fargate_lab.lesson import start

lab = start(chapter=3)

# %% [markdown]
# ## A repository
#
# Amazon ECR is the registry: one for each account and Region, with repositories in it. A repository holds the versions of *one* image. Look at the two settings: tags cannot be overwritten, and each
# push is scanned.

# %%
import boto3

ecr = boto3.client("ecr")
try:
    ecr.create_repository(
        repositoryName="inkdigits",
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
    )
except ecr.exceptions.RepositoryAlreadyExistsException:
    print("The repository was here already.")

# %% [markdown]
# `repositoryUri` is what goes before the tag wherever an image is named. On AWS it reads `123456789012.dkr.ecr.us-east-1.amazonaws.com/inkdigits`; here the registry is on this machine.

# %%
repository = ecr.describe_repositories(repositoryNames=["inkdigits"])["repositories"][0]
uri = repository["repositoryUri"]
print(uri)
print(repository["imageTagMutability"], repository["imageScanningConfiguration"])

# %% [markdown]
# ## The token
#
# A registry speaks HTTP with a user name and a password. IAM has neither, so ECR sells tickets: `GetAuthorizationToken` turns your AWS credentials into a password for a while.
# This is what `aws ecr get-login-password` calls. Look at the user name and at how long the password lives.

# %%
import base64
from datetime import datetime, timezone

token = ecr.get_authorization_token()["authorizationData"][0]
user, password = base64.b64decode(token["authorizationToken"]).decode().split(":", 1)
hours = (token["expiresAt"] - datetime.now(timezone.utc)).total_seconds() / 3600
print(f"user {user}, password valid for {hours:.0f} hours")

# %% [markdown]
# The user is always `AWS`. The password carries who you are, so **the token opens every repository of the registry that your IAM permissions open**, and no more. A pipeline that logs in once
# and runs for more than 12 hours fails half-way.
#
# ## Push: what `docker push` does underneath
#
# The image of chapter 2 is a folder of blobs. Pushing is: ask which blobs the repository lacks, send those, then name them all in a manifest. Here is one blob by hand, through
# ECR's own API. Look at the first answer: ECR has never seen this layer.

# %%
from fargate_lab.image import load, push
from fargate_lab.paths import state_dir

image = load(state_dir() / "images" / "inkdigits")
layer = next(layer for layer in image.layers if layer.name == "library")
known = ecr.batch_check_layer_availability(repositoryName="inkdigits", layerDigests=[layer.digest])
print(layer.name, known["layers"][0]["layerAvailability"])

# %% [markdown]
# Three calls send it: open an upload, send parts, close it with the digest you promise. ECR hashes what arrived and compares. Parts may have 5 to 10 MiB; this layer is a single small one.

# %%
if known["layers"][0]["layerAvailability"] == "UNAVAILABLE":
    upload = ecr.initiate_layer_upload(repositoryName="inkdigits")["uploadId"]
    ecr.upload_layer_part(
        repositoryName="inkdigits", uploadId=upload, partFirstByte=0, partLastByte=layer.size - 1,
        layerPartBlob=image.blob(layer.digest).read_bytes(),
    )  # fmt: skip
    ecr.complete_layer_upload(repositoryName="inkdigits", uploadId=upload, layerDigests=[layer.digest])
known = ecr.batch_check_layer_availability(repositoryName="inkdigits", layerDigests=[layer.digest])
print(layer.name, known["layers"][0]["layerAvailability"])

# %% [markdown]
# These four actions, with `ecr:PutImage` and `ecr:GetAuthorizationToken`, are what an IAM policy for a build pipeline must allow.
#
# **Predict first:** now push the whole image, five layers. How many will be sent?

# %%
report = push(image, f"{uri}:1.0", username=user, password=password)
for layer in report.layers:
    print(f"{layer.name:<14}{layer.outcome}")

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# Four. The library's layer was there, although no image used it yet. Blobs are stored by digest; who sent them, when, and for which tag plays no part.
#
# </details>
#
# **Predict first:** push the same image again. How many bytes of layers go over the wire?

# %%
again = push(image, f"{uri}:1.0", username=user, password=password)
print("bytes of layers sent:", again.sent_bytes)

# %% [markdown]
# ## What the repository says
#
# `list_images` gives tags and digests, `describe_images` the details. Look at the digest: it is the one that this machine computed before anything was sent.

# %%
details = ecr.describe_images(repositoryName="inkdigits", imageIds=[{"imageTag": "1.0"}])["imageDetails"][0]
print(details["imageTags"], details["imageDigest"])
print("the digest of the image built here:", details["imageDigest"] == image.digest)

# %% [markdown]
# ## Tags and digests
#
# A tag is a name that somebody put on an image; a digest is the image. `inkdigits:1.0` asks *what is called 1.0 today?* `inkdigits@sha256:…` asks for exactly these bytes. Pull by digest and look at
# the comparison: every file, byte by byte.

# %%
import shutil

from fargate_lab.image import pull

work = state_dir() / "work" / "chapter-03"
shutil.rmtree(work, ignore_errors=True)
pulled = pull(f"{uri}@{details['imageDigest']}", work / "pulled", username=user, password=password)
blobs = [image.digest, image.manifest["config"]["digest"], *(layer.digest for layer in image.layers)]
print("every blob the same:", all(image.blob(b).read_bytes() == pulled.blob(b).read_bytes() for b in blobs))

# %% [markdown]
# A pull verifies each blob against its name. A damaged or exchanged blob is refused, wherever it came from. **This is why a task definition is pinned to a digest where it matters.**
#
# ## Four refusals
#
# **1. No repository.** ECR does not create a repository by pushing to it (a creation template can, if you set one up).

# %%
with lab.refused():
    push(image, f"{lab.registry}/inkdigit:1.0", username=user, password=password)

# %% [markdown]
# The API says it in AWS's words. Read the name letter by letter: the usual cause is a spelling, the second usual one another Region.

# %%
with lab.refused():
    ecr.describe_images(repositoryName="inkdigit")

# %% [markdown]
# **2. Wrong or expired password.** HTTP status 401. Docker prints it as `no basic auth credentials` or `authorization token has expired`; log in again.

# %%
with lab.refused():
    push(image, f"{uri}:1.0", username=user, password="not-the-password")

# %% [markdown]
# **3. A tag that would move.** Build a second image, with one more line in the application, and try to push it as `1.0` too. Look at what the registry answers.

# %%
from fargate_lab.image import build
from fargate_lab.paths import repo_root

def variant(name, line):
    folder = work / name
    shutil.copytree(repo_root() / "lab_docker", folder, dirs_exist_ok=True)
    with (folder / "app" / "__init__.py").open("a") as source:
        source.write(line + "\n")
    return build(folder, name=name)

second = variant("inkdigits-dev-1", "# a first try")
with lab.refused():
    push(second, f"{uri}:1.0", username=user, password=password)

# %% [markdown]
# With mutable tags that push succeeds silently, and `1.0` means something else from then on: the next task that starts, and only that one, runs other code. ECS resolves a tag to a digest when a
# service deployment starts, so that one deployment does not mix versions; a later deployment or `RunTask` resolves it again.
#
# Under a tag of its own it is welcome. Look at what was sent.

# %%
report = push(second, f"{uri}:dev-1", username=user, password=password)
print("sent:", [layer.name for layer in report.uploaded])

# %% [markdown]
# ## What ECR stores
#
# Push a few more tries. Each image alone has the same size as the first.

# %%
for number in (2, 3):
    push(variant(f"inkdigits-dev-{number}", f"# try {number}"), f"{uri}:dev-{number}", username=user, password=password)
tags = sorted(i["imageTag"] for i in ecr.list_images(repositoryName="inkdigits")["imageIds"] if "imageTag" in i)
print(tags)

# %% [markdown]
# **Predict first:** four images. Does the repository hold four times the bytes?

# %%
import json
from fargate_lab.lesson import pictures

found = ecr.batch_get_image(repositoryName="inkdigits", imageIds=[{"imageTag": t} for t in tags])["images"]
pictures.storage({i["imageId"]["imageTag"]: json.loads(i["imageManifest"]) for i in found})

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# Hardly more than one. Each distinct layer is stored once in a repository, and a further image adds its own layers only, here some kilobytes. `imageSizeInBytes` in `describe_images` counts
# each image in full: adding these numbers up overstates what you pay for.
#
# </details>
#
# What storage costs is a dated fact. Look at the date.

# %%
from fargate_lab.facts import fact

print(fact("prices.ecr.STORAGE").cite())

# %% [markdown]
# ## Old images expire
#
# Every push of a pipeline adds an image, and none ever leaves by itself. A **lifecycle policy** expires them. Rules are tried by `rulePriority`, lowest first; an image belongs to the first
# rule that selects it.
#
# The preview says what a policy *would* expire, before it does. Look at which tag is named.

# %%
rule = {
    "rulePriority": 1,
    "description": "keep the two newest tries",
    "selection": {"tagStatus": "tagged", "tagPrefixList": ["dev-"], "countType": "imageCountMoreThan", "countNumber": 2},
    "action": {"type": "expire"},
}
policy = json.dumps({"rules": [rule]})
ecr.start_lifecycle_policy_preview(repositoryName="inkdigits", lifecyclePolicyText=policy)
ecr.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName="inkdigits")
preview = ecr.get_lifecycle_policy_preview(repositoryName="inkdigits")
print("would expire:", [r["imageTags"] for r in preview["previewResults"]])

# %% [markdown]
# **4. A bad policy.** Refused when it is put, not when it would have run. Two rules of the same priority, for instance:

# %%
with lab.refused():
    ecr.put_lifecycle_policy(repositoryName="inkdigits", lifecyclePolicyText=json.dumps({"rules": [rule, rule]}))

# %% [markdown]
# Put the good one. AWS applies it within 24 hours, the lab at once. Look at which tags are left.

# %%
ecr.put_lifecycle_policy(repositoryName="inkdigits", lifecyclePolicyText=policy)
left = ecr.list_images(repositoryName="inkdigits", filter={"tagStatus": "TAGGED"})["imageIds"]
print(sorted(i["imageTag"] for i in left))

# %% [markdown]
# The trap: `tagStatus: any` with a small number also counts releases, and a running service whose image expired cannot start another task. Name what may go, not what may stay.
#
# ## What a scan finds
#
# `scanOnPush` compares the packages in an image with a list of published weaknesses. Here the list is short, dated, and about Python packages; on AWS it also covers the operating system and is
# renewed daily. Look at this image's result.

# %%
finished = ecr.get_waiter("image_scan_complete")
finished.wait(repositoryName="inkdigits", imageId={"imageTag": "1.0"}, WaiterConfig={"Delay": 1})
scan = ecr.describe_image_scan_findings(repositoryName="inkdigits", imageId={"imageTag": "1.0"})
print(scan["imageScanStatus"]["status"], scan["imageScanFindings"]["findingSeverityCounts"])

# %% [markdown]
# A scanner reads what packages say about themselves: `METADATA` in each `*.dist-info`. So an image with nothing but the metadata of an old Pillow, 9.5.0, is enough to see a finding.

# %%
info = work / "old" / "site" / "pillow-9.5.0.dist-info"
info.mkdir(parents=True, exist_ok=True)
(info / "METADATA").write_text("Metadata-Version: 2.1\nName: pillow\nVersion: 9.5.0\n")
(work / "old" / "image.toml").write_text("""name = "old"
[[layers]]
name = "dependencies"
kind = "files"
source = "site"
target = "/opt/site"
""")
push(build(work / "old", name="old", base="scratch"), f"{uri}:audit", username=user, password=password)
finished.wait(repositoryName="inkdigits", imageId={"imageTag": "audit"}, WaiterConfig={"Delay": 1})

# %% [markdown]
# Look at the severity and at the version that mends it. The image was pushed all the same: **a finding does not block a push or a task**; something of yours has to look at it.

# %%
found = ecr.describe_image_scan_findings(repositoryName="inkdigits", imageId={"imageTag": "audit"})
for finding in found["imageScanFindings"]["findings"]:
    about = {a["key"]: a["value"] for a in finding["attributes"]}
    print(finding["severity"], finding["name"], f"{about['package_name']} {about['package_version']}")

# %% [markdown]
# Look at the way so far: two of five stages are reached.

# %%
lab.diagram()

# %% [markdown]
# ## Exercises
#
# `lab.check("3.1")` looks at the account. Stuck? `lab.hint("3.1")`, up to three times.
#
# **3.1 A second release.** Push an image as `inkdigits:1.1` whose application differs from `1.0` and whose heavy layers are shared with it.

# %% exercise="3.1"
### BEGIN SOLUTION
push(variant("inkdigits-next", '__version__ = "1.1.0"'), f"{uri}:1.1", username=user, password=password)
### END SOLUTION

# %% check="3.1"
lab.check("3.1")

# %% [markdown]
# **3.2 A repository for production.** Create `inkdigits-prod`: tags cannot be overwritten, each push is scanned.

# %% exercise="3.2"
### BEGIN SOLUTION
import contextlib

with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
    ecr.create_repository(
        repositoryName="inkdigits-prod",
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
    )
### END SOLUTION

# %% check="3.2"
lab.check("3.2")

# %% [markdown]
# **3.3 Tidy up after pipelines.** Give `inkdigits` a lifecycle policy with two rules: of the images whose tag begins with `dev-` only the newest one stays, and **untagged** images expire 7 days after
# they were pushed. Releases (`1.0`, `1.1`) must never expire.

# %% exercise="3.3"
### BEGIN SOLUTION
keep_one = {
    "rulePriority": 1,
    "selection": {"tagStatus": "tagged", "tagPrefixList": ["dev-"], "countType": "imageCountMoreThan", "countNumber": 1},
    "action": {"type": "expire"},
}
no_tag = {
    "rulePriority": 2,
    "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
    "action": {"type": "expire"},
}
ecr.put_lifecycle_policy(repositoryName="inkdigits", lifecyclePolicyText=json.dumps({"rules": [keep_one, no_tag]}))
### END SOLUTION

# %% check="3.3"
lab.check("3.3")

# %% [markdown]
# **3.4 Pin it.** A deployment pipeline reads the image that a task shall run from the SSM parameter `/inkdigits/image`. Write the reference of `1.0` there, by digest: `repositoryUri@sha256:…`.
# (`boto3.client("ssm").put_parameter(Name=…, Type="String", Value=…, Overwrite=True)`)

# %% exercise="3.4"
### BEGIN SOLUTION
digest = ecr.describe_images(repositoryName="inkdigits", imageIds=[{"imageTag": "1.0"}])["imageDetails"][0]["imageDigest"]
boto3.client("ssm").put_parameter(Name="/inkdigits/image", Type="String", Value=f"{uri}@{digest}", Overwrite=True)
### END SOLUTION

# %% check="3.4"
lab.check("3.4")

# %% [markdown]
# ## On the exam
#
# - *Images private, highly available, scanned, in the same account as ECS* → Amazon ECR. S3 and CodeCommit are distractors: neither speaks the registry protocol.
# - Who pulls? The **execution role**, not the task role: `ecr:GetAuthorizationToken`, `ecr:BatchCheckLayerAvailability`, `ecr:GetDownloadUrlForLayer`, `ecr:BatchGetImage`.
# - A task in a private subnet needs a way to ECR: a NAT gateway, or interface endpoints for `ecr.api` and `ecr.dkr` **and a gateway endpoint for S3**, where the layers are.
# - "Somebody overwrote the tag" → tag immutability; or deploy by digest. "Storage costs grow" → lifecycle policy.
#
# ## Where this stops being true
#
# - Here the registry is `127.0.0.1` over plain HTTP; ECR is HTTPS only, and its login is good for the whole account and Region.
# - AWS's basic scanning looks at operating system packages; language packages need *enhanced scanning* with Amazon Inspector. The lab's list is a small, dated sample.
# - Since July 2025 a repository can be immutable with exceptions (`IMMUTABLE_WITH_EXCLUSION`), for instance for `latest`. Older questions know only two settings.
# - Since November 2025 a lifecycle rule may also move images to an archive storage class instead of deleting them. The lab expires only.
# - Older material says 10,000 images for each repository and 42,000 MiB for a layer. The cell below has what is current, with its date.

# %%
QUOTAS

# %% [markdown]
# ## In this notebook you have
#
# - created an immutable repository and looked inside a login token
# - sent a layer with three API calls, and pushed an image of which only the rest went over the wire
# - pulled by digest and compared every byte
# - been refused four times and read why
# - seen four images share almost all of their storage, and let old ones expire
# - read the findings of a scan

# %% [markdown]
# **Clean up.** What chapter 4 does not need goes: the second repository, the audit image and the working files. `inkdigits:1.0` stays.

# %%
ecr.batch_delete_image(repositoryName="inkdigits", imageIds=[{"imageTag": "audit"}])
try:
    ecr.delete_repository(repositoryName="inkdigits-prod", force=True)
except ecr.exceptions.RepositoryNotFoundException:
    pass
shutil.rmtree(work, ignore_errors=True)
