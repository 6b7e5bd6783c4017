# %% [markdown]
# # 02 · Build the image
#
# **What has to travel with a model so that it answers on a machine you have never seen, and what does changing one line of it cost?**
#
# You will:
#
# - train the model and look inside the wheel of its custom library;
# - build a container image without a Docker daemon, and read it as what it is: JSON and tar files;
# - change one line, build again, and see which digests move;
# - leave the library out, and read how the container dies;
# - find a secret that was deleted from an image and is still in it.
#
# Time: about 25 minutes.

# %%
from fargate_lab.lesson import start

lab = start(chapter=2)

# %% [markdown]
# ## A library that no index has
#
# **inkdigits** reads hand-drawn digits. Its custom library, `inkprep`, turns strokes or a picture of any size into the 64 numbers that the model expects.
# Its source is in `lab_docker/inkprep`. Look at what Python says when this notebook asks for it.

# %%
try:
    import inkprep
except ModuleNotFoundError as error:
    print(error)

# %% [markdown]
# A ready-made environment has the libraries that its maker chose. Yours is not among them, and since no package index has it, `pip install inkprep` finds it nowhere.
# So the environment has to be brought along. That is what a container image is: **a file system and a few settings,
# packed once, the same wherever it runs.**
#
# ## Train the model
#
# `train.py` learns from scikit-learn's bundled digits, sets a fifth aside first, and exports the result as ONNX. The image then needs no scikit-learn.
# The first run takes about 15 seconds. Look at the accuracy on digits that the model has never seen, and at what else is written down: without seed and versions nobody could make this
# model again.

# %%
import json, subprocess, sys
from fargate_lab.paths import repo_root, state_dir

context = repo_root() / "lab_docker"
if not (context / "model" / "model.json").exists():
    subprocess.run([sys.executable, "train.py", "--output", "model"], cwd=context, check=True)
about = json.loads((context / "model" / "model.json").read_text())
held_out = about["held_out"]
print(f"held out: {held_out['count']} digits, {held_out['accuracy']:.0%} read right")
print(f"seed {about['seed']}, opened with: {', '.join(about['libraries'])}")

# %% [markdown]
# ## The custom library as a wheel
#
# A wheel is a zip file with a fixed layout. Build it, and look at what is inside: modules, and metadata. `Requires-Dist` names the library's own dependencies; these must be in the
# image too.

# %%
import shutil, zipfile

work = state_dir() / "work" / "chapter-02"
shutil.rmtree(work, ignore_errors=True)
build_wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work / "dist")]
subprocess.run(build_wheel, cwd=context / "inkprep", check=True, capture_output=True)
wheel = zipfile.ZipFile(next((work / "dist").glob("*.whl")))
print(*sorted(wheel.namelist()), sep="\n")
metadata = wheel.read("inkprep-1.0.0.dist-info/METADATA").decode()
print(*[line for line in metadata.splitlines() if line.startswith("Requires-Dist")], sep="\n")

# %% [markdown]
# ## What the library is worth
#
# The model was trained on upright, centred 8 × 8 pictures. People draw in a corner, slanted, with a thick pen, white on black. The picture shows what the model would get: once merely resized, once
# prepared by `inkprep`. The table counts 500 drawings, by a script of the repository.
#
# **Predict first.** The model reads about 99 % of the held-out digits. What share of these drawings does it read right when they are only resized?

# %% tags=["nbval-ignore-output"]
from fargate_lab.lesson import pictures

pictures.prepared(context)
command = [sys.executable, "compare_prep.py", "--count", "500"]
compare = subprocess.run(command, cwd=context, capture_output=True, text=True)
print(compare.stdout)

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# Resizing alone loses three digits of four, cropping first still nearly one of three. Nothing failed, nothing was logged: the service would answer quickly and wrongly.
# Preparation is part of the model, so it must travel with the model, in the same version. This is what the custom library in the image is for.
#
# </details>
#
# ## The Dockerfile, stage by stage
#
# A Dockerfile is a recipe in stages. The first stage has whatever is needed to *make* the files: pip, a build folder, a temporary environment. Look at the verbs and at what it copies in.

# %%
dockerfile = (context / "Dockerfile").read_text()
stages = dockerfile.split("\nFROM ")
print("FROM " + stages[1].split("\n# ----")[0].strip())

# %% [markdown]
# The last stage is the image. It starts from the clean base again and takes only results from the first: `COPY --from=build`. No pip cache, no compiler, no wheel
# file gets in. **Each `COPY` becomes one layer.** Look at their order. `LABEL`, `ENV` and the last eight lines become settings
# and no layer at all.

# %%
print("FROM " + stages[2].strip())

# %% [markdown]
# - `USER 10001:10001`: the process is not root. Whoever gets in through the application owns none of the image's files.
# - `ENTRYPOINT` is what runs, `CMD` its default arguments. A task definition can replace either.
# - `ENTRYPOINT` in brackets runs the program itself as process 1. Without brackets a shell stands between: where it does not pass SIGTERM on, every stop of a task ends in SIGKILL.
# - `HEALTHCHECK` is Docker's. **ECS ignores it**; a task definition has its own (chapter 4).
#
# With a Docker engine and access to its base image, set `TRY_DOCKER = True`. The rest of the chapter does not need it.

# %%
TRY_DOCKER = False
if TRY_DOCKER and shutil.which("docker"):
    subprocess.run(["docker", "build", "--tag", "inkdigits:dockerfile", context], check=True)

# %% [markdown]
# ## The same image without a daemon
#
# An image is data, so no daemon is needed to write one. `image.toml` says what the Dockerfile says, and `build` writes the result into a folder.
#
# **Predict first.** Five layers: base, dependencies, custom library, model, app. Which one is the largest, and what share is your own code?

# %%
from fargate_lab.image import build

image = build(context, name="inkdigits", model=context / "model")
pictures.layer_sizes(image)

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# The dependencies, by far: ONNX Runtime, NumPy and boto3. What you wrote, library, model and app together, is well under one percent. This is why layers matter: the
# heavy part is the part that seldom changes.
#
# </details>
#
# ## What an image is: JSON that names tar files by digest
#
# The folder is an *OCI image layout*. Every file under `blobs/` is named by the SHA-256 of its own bytes. The index names the manifest.
#
# **Compute one digest yourself**: read the manifest's bytes and hash them. Look at whether the two agree.

# %%
import hashlib

index = json.loads((image.layout / "index.json").read_text())
named = index["manifests"][0]["digest"]
data = (image.layout / "blobs" / "sha256" / named.removeprefix("sha256:")).read_bytes()
print("named:   ", named)
print("computed:", "sha256:" + hashlib.sha256(data).hexdigest())

# %% [markdown]
# A digest is not a label that somebody attached. It *is* the content: change one byte anywhere and it is another digest.
#
# The manifest names one configuration and the layers, lowest first. The configuration holds the settings: the Dockerfile's last lines, as JSON. Look for the user, the entry point and the
# library's path.

# %%
manifest = json.loads(data)
print(manifest["config"]["mediaType"])
print(*[layer["mediaType"] for layer in manifest["layers"]], sep="\n")
settings = image.config["config"]
for key in ("User", "WorkingDir", "Entrypoint", "Cmd"):
    print(f"{key:<12}{settings[key]}")
print(*[v for v in settings["Env"] if v.startswith(("PYTHONPATH", "MODEL_DIR"))], sep="\n")

# %% [markdown]
# ## Change one line and build again
#
# Work on a copy of the folder. Change the application's version in `app/__init__.py`, and nothing else.
#
# **Predict first.** The image is five layers, a configuration and a manifest: seven digests. How many of them change?

# %%
edited = work / "edited"
shutil.copytree(context, edited, dirs_exist_ok=True)
app = edited / "app" / "__init__.py"
app.write_text(app.read_text().replace("1.0.0", "1.0.1"))
after = build(edited, name="inkdigits-edited", model=context / "model")

same = {old.name: old.digest == new.digest for old, new in zip(image.layers, after.layers)}
same["config"] = image.manifest["config"] == after.manifest["config"]
same["manifest"] = image.digest == after.digest
for name, kept in same.items():
    print(f"{name:<14}{'same digest' if kept else 'NEW digest'}")

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# Three: the app layer, the configuration (it lists every layer), and the manifest (it names both). Four layers of five are the same blob, and a registry that has them needs no second copy.
# This works because the build is reproducible: files sorted, times and owners fixed. With real times in the tar files, each build would be new bytes.
#
# </details>
#
# ## What a rebuild sends
#
# `docker build` remakes a changed step **and every step after it**. So the order of the layers decides what an edit costs. The picture takes this image's real sizes. Look at the second and the
# third bar: the same one-line edit, in two orders.

# %%
size = {layer.name: layer.size for layer in image.layers}
own = [name for name in size if name != "base"]
pictures.sent({
    "first push": size,
    "edit app, app last": {"app": size["app"]},
    "edit app, app first": {name: size[name] for name in own},
    "edit inkprep": {name: size[name] for name in own[1:]},
    "nothing changed": {},
})

# %% [markdown]
# **What changes least lies lowest.** `COPY . .` before `pip install` is the classic mistake: every edit then re-installs and re-sends all dependencies.
#
# ## Break it: leave the library out
#
# The chapter's question from the other side: an image with every layer but one. `try_out` starts an image on this machine the way `docker run` would, and says how it ended.
#
# **Predict first.** At which moment does the mistake show: at the build, at the start, or at the first digit? And what is the exit code?

# %%
from fargate_lab.lesson.tryout import try_out

broken = build(context, name="inkdigits-broken", without=["library"], model=context / "model")
ended = try_out(broken)
print(ended.lines[-1])
print("exit code", ended.code)
print("the complete image, stopped once it is ready: exit code", try_out(image, until="ready").code)

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# At the start, in the container's own output, with exit code 1. Nothing checks imports at build time. On Fargate this is a task that reaches STOPPED with `Essential container in task exited`, and the
# sentence that explains it is in the log, nowhere else. Chapter 5 reads logs. When a container dies at start, ask first what its image lacks.
#
# </details>
#
# ## A deleted secret is still there
#
# A Dockerfile that copies a token in, uses it, and deletes it two lines later makes two layers. Write them by hand: a layer is a tar file, and a deletion is an empty file
# whose name begins with `.wh.` (a *whiteout*).

# %%
import io, tarfile
from fargate_lab.image import unpack

def write_layer(name, files):
    with tarfile.open(work / name, "w") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return work / name, "application/vnd.oci.image.layer.v1.tar"

lower = write_layer("lower.tar", {"app/.token": b"AKIA-EXAMPLE-SECRET", "app/main.py": b"print(1)"})
upper = write_layer("upper.tar", {"app/.wh..token": b""})

# %% [markdown]
# Unpack both as a container would see them, then open the lower one by itself.
#
# **Predict first.** The token is gone from the container. Is it gone from the image?

# %%
shutil.rmtree(work / "seen", ignore_errors=True)
unpack([lower, upper], work / "seen")
print("in the container:", sorted(p.name for p in (work / "seen" / "app").iterdir()))
with tarfile.open(lower[0]) as tar:
    print("in the image:", tar.extractfile("app/.token").read().decode())

# %% [markdown]
# <details><summary>After you have run it</summary>
#
# No. Layers are only ever added. Whoever can pull the image can read each layer by itself. A secret that was in an image for one step has to be revoked. Secrets reach a task at run time: the task
# definition's `secrets`, from Secrets Manager or SSM Parameter Store (chapter 4).
#
# </details>
#
# ## Exercises
#
# `lab.check("2.1")` looks at the images in the lab's folder. Stuck? `lab.hint("2.1")`, up to three times.
#
# **2.1 A new version.** Build the image of version 1.1.0 under the name `inkdigits-1.1`: `app/__init__.py` says 1.1.0, and so does the label
# `org.opencontainers.image.version` in `image.toml`. No layer but the app's may change. Work in a copy of the context; `copy` is a fresh one.

# %% exercise="2.1"
copy = work / "mine-1.1"
shutil.copytree(context, copy, dirs_exist_ok=True)
### BEGIN SOLUTION
for name in ("app/__init__.py", "image.toml"):
    text = (copy / name).read_text()
    (copy / name).write_text(text.replace('"1.0.0"', '"1.1.0"'))
mine = build(copy, name="inkdigits-1.1", model=context / "model")
### END SOLUTION

# %% check="2.1"
lab.check("2.1")

# %% [markdown]
# **2.2 The same files, another job.** Chapter 7 runs this image as a queue worker. Build `inkdigits-batch`: it starts `batch` by default instead of `serve`, and runs as user `10002:10002`.
# Not one layer may differ from `inkdigits`.

# %% exercise="2.2"
copy = work / "mine-batch"
shutil.copytree(context, copy, dirs_exist_ok=True)
### BEGIN SOLUTION
recipe = (copy / "image.toml").read_text()
recipe = recipe.replace('cmd = ["serve"]', 'cmd = ["batch"]').replace("10001:10001", "10002:10002")
(copy / "image.toml").write_text(recipe)
mine = build(copy, name="inkdigits-batch", model=context / "model")
### END SOLUTION

# %% check="2.2"
lab.check("2.2")

# %% [markdown]
# **2.3 Keep the secret out.** Somebody left a token in `app/local_settings.py` of this copy. Build `inkdigits-clean` from it so that **no layer** holds the token, and the rest of the application is complete.
# The file has to stay in the folder: its owner still needs it.

# %% exercise="2.3"
copy = work / "mine-clean"
shutil.copytree(context, copy, dirs_exist_ok=True)
(copy / "app" / "local_settings.py").write_text('TOKEN = "AKIA-EXAMPLE-SECRET"\n')
### BEGIN SOLUTION
with (copy / ".dockerignore").open("a") as ignore:
    ignore.write("app/local_settings.py\n")
mine = build(copy, name="inkdigits-clean", model=context / "model")
### END SOLUTION

# %% check="2.3"
lab.check("2.3")

# %% [markdown]
# ## On the exam
#
# - *Custom libraries that the managed runtime lacks* → a container image of your own. Serverless on top of it → Fargate. That is the question of chapter 1.
# - A digest names content and never moves. A tag is a name that can be moved. What must not change is pinned by digest.
# - Secrets do not belong in images or in `ENV`. The answer names Secrets Manager or Parameter Store and the **execution role** that reads them.
# - "Builds and deployments are slow after small code changes" → order the Dockerfile so that dependencies come before code; use multi-stage builds to keep build tools out.
#
# ## Where this stops being true
#
# - Here the base layer is this machine's own Python, so that no download is needed. (On macOS and Windows that layer is missing, and the lab runs the image with its own Python.) In
#   production, take an official base image and pin it by digest.
# - Layers are plain tar here, for speed. Registries usually hold gzip or zstd. Fargate's lazy loading of images (SOCI) does not take zstd.
# - `docker build` on an Apple silicon or Graviton machine makes an arm64 image. A task definition that says `X86_64` is accepted, and its task fails: today at the pull, with the text below;
#   older material shows `exec format error` in the log.
# - The exam still calls the format "Docker image". ECR and Fargate take both Docker's and OCI's media types.
#
# The two facts, with source and date:

# %%
from fargate_lab.facts import fact

print(fact("fargate.pull.soci_needs").text, fact("fargate.pull.soci_needs").cite())
print(fact("messages.stopped.architecture").cite())

# %% [markdown]
# ## In this notebook you have
#
# - seen that a custom library is what no ready-made environment has, and packed it as a wheel;
# - trained a model and built an image of five layers without a daemon;
# - followed index → manifest → configuration and layers, and computed a digest;
# - changed one line and seen three of seven digests move;
# - read `ModuleNotFoundError` in a container's output, and exit code 1;
# - found a deleted secret in a lower layer.
#
# **Clean up.** The working copies go. The images stay in the lab's folder: the next chapter pushes one.

# %%
shutil.rmtree(work, ignore_errors=True)
print("images kept:", sorted(p.name for p in (state_dir() / "images").iterdir()))
