# %% [markdown]
# # 03 · Push to ECR
#
# **Where does Fargate get an image from, and how can you be sure that it runs the one you tested?**
#
# You will:
#
# - create a repository whose tags cannot be moved, and read what a login token is;
# - send one layer by hand, then push the whole image and see what is not sent;
# - pull by digest, and prove that what came back is what went up;
# - meet four refusals: no repository, wrong password, moved tag, bad policy;
# - let old images expire by a lifecycle policy, and read scan findings.
#
# Time: about 25 minutes.

# %%
from fargate_lab.lesson import start

lab = start(chapter=3)

# %% [markdown]
# ## A repository
#
# Amazon ECR is the registry: one for each account and Region, with repositories in it. A repository holds the versions of *one* image. Look at the two settings: tags cannot be
# overwritten, and each push is scanned. (If the repository is there already, the cell only switches the scan on.)
#
# `repositoryUri` is what stands before the tag wherever an image is named. On AWS it reads `123456789012.dkr.ecr.us-east-1.amazonaws.com/inkdigits`; here the registry is on this machine.

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
    ecr.put_image_scanning_configuration(
        repositoryName="inkdigits", imageScanningConfiguration={"scanOnPush": True}
    )
repository = ecr.describe_repositories(repositoryNames=["inkdigits"])["repositories"][0]
uri = repository["repositoryUri"]
print(uri, repository["imageTagMutability"], repository["imageScanningConfiguration"])

# %% [markdown]
# ## The token
#
# A registry speaks HTTP with a user name and a password; AWS has calls signed with keys. `GetAuthorizationToken` bridges the two: for your AWS credentials it gives a password that
# holds for 12 hours. This is what `aws ecr get-login-password` calls. Look at the user name and at the time.

# %%
import base64

token = ecr.get_authorization_token()["authorizationData"][0]
user, password = base64.b64decode(token["authorizationToken"]).decode().split(":", 1)
print(f"user {user}, until {token['expiresAt']}")

# %% [markdown]
# The user is always `AWS`. The password carries who you are, so **the token opens every repository that your IAM permissions open**, and no more. A pipeline that logs in once
# and goes on for longer than the token fails half-way.
#
# ## Push: what `docker push` does underneath
#
# The image of chapter 2 is a folder of blobs. Pushing is: ask which blobs the repository lacks, send those, then name them all in a manifest. Here is one blob by hand, through
# ECR's own API: ask, open an upload, send it in parts (this layer is a single small one), close it with the digest you promise. ECR hashes what arrived and compares.
# Look at the layer's availability before and after.

# %%
from fargate_lab.image import load, push
from fargate_lab.paths import state_dir

image = load(state_dir() / "images" / "inkdigits")
layer = next(layer for layer in image.layers if layer.name == "library")
which = {"repositoryName": "inkdigits", "layerDigests": [layer.digest]}
before = ecr.batch_check_layer_availability(**which)["layers"][0]["layerAvailability"]
if before == "UNAVAILABLE":
    body = image.blob(layer.digest).read_bytes()
    upload = ecr.initiate_layer_upload(repositoryName="inkdigits")["uploadId"]
    part = {"partFirstByte": 0, "partLastByte": len(body) - 1, "layerPartBlob": body}
    ecr.upload_layer_part(repositoryName="inkdigits", uploadId=upload, **part)
    ecr.complete_layer_upload(**which, uploadId=upload)
after = ecr.batch_check_layer_availability(**which)["layers"][0]["layerAvailability"]
print(layer.name, "before:", before, " after:", after)

# %% [markdown]
# These four actions, with `ecr:PutImage` and `ecr:GetAuthorizationToken`, are what an IAM policy for a build pipeline must allow. A client that first asks whether the image is there
# needs `ecr:BatchGetImage` as well.
#
# **Predict first.** Now push the whole image, five layers, and then push it again. How many layers are sent the first time, and how many bytes of layers the second time?

# %%
report = push(image, f"{uri}:1.0", username=user, password=password)
for sent in report.layers:
    print(f"{sent.name:<14}{sent.outcome}")
again = push(image, f"{uri}:1.0", username=user, password=password)
print("second push, bytes of layers sent:", again.sent_bytes)

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# Four, then none. The library's layer was there, although no image used it yet. Blobs are stored by digest; who sent them, when, and for which tag plays no part.
#
# </details>
#
# ## Tags and digests
#
# A tag is a name that somebody put on an image; a digest *is* the image. `inkdigits:1.0` asks *what is called 1.0 today?* `inkdigits@sha256:…` asks for exactly these bytes.
#
# `describe_images` knows the digest behind a tag. Pull by that digest. Look at two comparisons: with the digest that this machine computed before anything was sent, and every file byte by
# byte.

# %%
import shutil
from fargate_lab.image import pull

found = ecr.describe_images(repositoryName="inkdigits", imageIds=[{"imageTag": "1.0"}])
digest = found["imageDetails"][0]["imageDigest"]
print(digest, "as built here:", digest == image.digest)
work = state_dir() / "work" / "chapter-03"
shutil.rmtree(work, ignore_errors=True)
pulled = pull(f"{uri}@{digest}", work, username=user, password=password)
blobs = [digest, image.manifest["config"]["digest"], *(layer.digest for layer in image.layers)]
same = [image.blob(b).read_bytes() == pulled.blob(b).read_bytes() for b in blobs]
print(len(blobs), "blobs, every byte the same:", all(same))

# %% [markdown]
# A pull verifies each blob against its name. A damaged or exchanged blob is refused, wherever it came from. **This is why a task definition is pinned to a digest where it matters.**
#
# ## Four refusals
#
# **1. No repository.** ECR does not create a repository by pushing to it (a creation template can, if you set one up). Read the name letter by letter: the usual cause is a spelling, the second
# usual one another Region.
#
# **2. A wrong password.** The registry does not know you. Docker prints `no basic auth credentials` when it has no password at all, and `authorization token has expired` when it has an old
# one: log in again.

# %%
with lab.refused():
    push(image, f"{lab.registry}/inkdigit:1.0", username=user, password=password)
with lab.refused():
    push(image, f"{uri}:1.0", username=user, password="not-the-password")

# %% [markdown]
# **3. A tag that would move.** `variant` builds the image once more with one more line in the application, as you did by hand in chapter 2. Try to push it as `1.0` too. Look at what the registry
# answers.

# %%
from fargate_lab.lesson.variants import claiming, variant

second = variant("inkdigits-dev-1", "# try 1")
with lab.refused():
    push(second, f"{uri}:1.0", username=user, password=password)

# %% [markdown]
# With mutable tags that push succeeds silently, and `1.0` means something else from then on. Running tasks go on with the old code. ECS resolves a tag to a digest when a
# service deployment starts, so one deployment does not mix versions. The next deployment, or the next `RunTask`, gets the new code.
#
# Under a tag of its own it is welcome. Push it and two more tries.
#
# **Predict first.** Which layers does each push send?

# %%
for number in (1, 2, 3):
    tried = variant(f"inkdigits-dev-{number}", f"# try {number}")
    report = push(tried, f"{uri}:dev-{number}", username=user, password=password)
    print(f"dev-{number} sent", [sent.name for sent in report.uploaded])

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# `dev-1` sent nothing: the refused push had already sent its layer, and only the manifest was turned away. A refusal at the tag comes last. The others sent the layer that differs.
#
# </details>
#
# ## What ECR stores
#
# **Predict first.** Four images, each of the same size. Does the repository hold four times the bytes?

# %%
import json
from fargate_lab.lesson import pictures

tags = ["1.0", "dev-1", "dev-2", "dev-3"]
ids = [{"imageTag": tag} for tag in tags]
images = ecr.batch_get_image(repositoryName="inkdigits", imageIds=ids)["images"]
pictures.storage({i["imageId"]["imageTag"]: json.loads(i["imageManifest"]) for i in images})

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# Hardly more than one. Each distinct layer is stored once in a repository, and a further image adds its own layers only, here some kilobytes. `imageSizeInBytes` in `describe_images` counts
# each image in full: adding these numbers up overstates what you pay for.
#
# </details>
#
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
    "selection": {
        "tagStatus": "tagged", "tagPrefixList": ["dev-"],
        "countType": "imageCountMoreThan", "countNumber": 2,
    },
    "action": {"type": "expire"},
}
policy = json.dumps({"rules": [rule]})
ecr.start_lifecycle_policy_preview(repositoryName="inkdigits", lifecyclePolicyText=policy)
ecr.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName="inkdigits")
preview = ecr.get_lifecycle_policy_preview(repositoryName="inkdigits")
print("would expire:", [r["imageTags"] for r in preview["previewResults"]])

# %% [markdown]
# **4. A bad policy** is refused when it is put, not when it would have run: two rules of the same priority, for instance. Then put the good one. AWS applies it within 24 hours, the lab at once.
# Look at which tags are left.

# %%
twice = json.dumps({"rules": [rule, rule]})
with lab.refused():
    ecr.put_lifecycle_policy(repositoryName="inkdigits", lifecyclePolicyText=twice)
ecr.put_lifecycle_policy(repositoryName="inkdigits", lifecyclePolicyText=policy)
left = ecr.list_images(repositoryName="inkdigits", filter={"tagStatus": "TAGGED"})["imageIds"]
print(sorted(i["imageTag"] for i in left))

# %% [markdown]
# The trap: `tagStatus: any` with a small number also counts releases, and a running service whose image expired cannot start another task. Name what may go, not what may stay.
#
# ## What a scan finds
#
# `scanOnPush` compares what is installed in an image with a list of published weaknesses. Here the list is short, dated, and about Python packages.
#
# A scanner reads what packages say about themselves: `METADATA` in each `*.dist-info`. So an image that holds nothing but the metadata of an old Pillow, 9.5.0, is enough to see findings. Make and
# push it.

# %%
old = claiming("inkdigits-audit", "pillow", "9.5.0")
report = push(old, f"{uri}:audit", username=user, password=password)

# %% [markdown]
# Look at the results of this image and of `1.0`. The old one was pushed all the same: **a finding blocks neither a push nor a task**; something of yours has to look at it.

# %%
from botocore.exceptions import WaiterError

for tag in ("1.0", "audit"):
    which = {"repositoryName": "inkdigits", "imageId": {"imageTag": tag}}
    try:
        ecr.get_waiter("image_scan_complete").wait(**which, WaiterConfig={"Delay": 1})
    except WaiterError:  # pushed before the repository scanned
        ecr.start_image_scan(**which)
        ecr.get_waiter("image_scan_complete").wait(**which, WaiterConfig={"Delay": 1})
    found = ecr.describe_image_scan_findings(**which)["imageScanFindings"]
    print(tag, [f"{finding['severity']} {finding['name']}" for finding in found["findings"]])

# %% [markdown]
# ## Exercises
#
# `lab.check("3.1")` looks at the account. Stuck? `lab.hint("3.1")`, up to three times.
#
# **3.1 A second release.** Push an image as `inkdigits:1.1` whose application differs from `1.0` and whose heavy layers are shared with it.

# %% exercise="3.1"
### BEGIN SOLUTION
newer = variant("inkdigits-next", '__version__ = "1.1.0"')
report = push(newer, f"{uri}:1.1", username=user, password=password)
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
    "selection": {
        "tagStatus": "tagged", "tagPrefixList": ["dev-"],
        "countType": "imageCountMoreThan", "countNumber": 1,
    },
    "action": {"type": "expire"},
}
no_tag = {
    "rulePriority": 2,
    "selection": {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7,
    },
    "action": {"type": "expire"},
}
policy = json.dumps({"rules": [keep_one, no_tag]})
answer = ecr.put_lifecycle_policy(repositoryName="inkdigits", lifecyclePolicyText=policy)
### END SOLUTION

# %% check="3.3"
lab.check("3.3")

# %% [markdown]
# **3.4 Pin it.** A deployment pipeline reads which image a task is to run from the SSM parameter `/inkdigits/image`. Write the reference of `1.0` there, by digest: `repositoryUri@sha256:…`.
# (`boto3.client("ssm").put_parameter(Name=…, Type="String", Value=…, Overwrite=True)`)

# %% exercise="3.4"
### BEGIN SOLUTION
found = ecr.describe_images(repositoryName="inkdigits", imageIds=[{"imageTag": "1.0"}])
pinned = f"{uri}@{found['imageDetails'][0]['imageDigest']}"
answer = boto3.client("ssm").put_parameter(
    Name="/inkdigits/image", Type="String", Value=pinned, Overwrite=True
)
### END SOLUTION

# %% check="3.4"
lab.check("3.4")

# %% [markdown]
# ## On the exam
#
# - *Images private, highly available, scanned, in the same account as ECS* → Amazon ECR. S3 and CodeCommit are distractors: neither speaks the registry protocol.
# - Who pulls? The **execution role**, not the task role: `ecr:GetAuthorizationToken`, `ecr:BatchCheckLayerAvailability`, `ecr:GetDownloadUrlForLayer`, `ecr:BatchGetImage`.
# - A task in a private subnet needs a way to ECR: a NAT gateway, or interface endpoints for `ecr.api` and `ecr.dkr` **and a gateway endpoint for S3**, where the layers are. With the
#   `awslogs` driver and endpoints only, it needs one for `logs` as well.
# - "Somebody overwrote the tag" → tag immutability; or deploy by digest. "Storage costs grow" → lifecycle policy.
#
# ## Where this stops being true
#
# - Here the registry is `127.0.0.1` over plain HTTP; ECR is HTTPS only.
# - AWS's basic scanning looks at operating system packages; language packages need *enhanced scanning* with Amazon Inspector. The lab's list is a small, dated sample.
# - Since July 2025 a repository can be immutable with exceptions (`IMMUTABLE_WITH_EXCLUSION`), for instance for `latest`. Older questions know only two settings.
# - Since November 2025 a lifecycle rule may also move images to an archive storage class instead of deleting them. The lab expires only.
# - Older material says 10,000 images for each repository and 42,000 MiB for a layer. The cell below has newer figures, and what storage costs, each with its source and date.

# %%
from fargate_lab.facts import fact

quotas = ("images_per_repository", "layer_size", "layer_part_size")
price = "prices.surrounding.us_east_1_ecr_gb_month"
for name in (*(f"ecr.{quota}" for quota in quotas), price):
    print(fact(name).text, fact(name).cite())

# %% [markdown]
# ## In this notebook you have
#
# - created an immutable repository and looked inside a login token;
# - sent a layer with three API calls, and pushed an image of which only the rest went over the wire;
# - pulled by digest and compared every byte;
# - been refused four times and read why;
# - seen four images share almost all of their storage, and let old ones expire;
# - read the findings of a scan.
#
# **Clean up.** What chapter 4 does not need goes: the second repository, the audit image and the working files. `inkdigits:1.0` stays. The diagram shows how far the account has come.

# %%
import contextlib

answer = ecr.batch_delete_image(repositoryName="inkdigits", imageIds=[{"imageTag": "audit"}])
with contextlib.suppress(ecr.exceptions.RepositoryNotFoundException):
    ecr.delete_repository(repositoryName="inkdigits-prod", force=True)
shutil.rmtree(work, ignore_errors=True)
lab.diagram()
