"""Where the notebook's AWS calls go: to this machine, or, with consent, to AWS."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from fargate_lab.cloud.process import CloudError, local_opener, start
from fargate_lab.lesson.errors import LabError
from fargate_lab.paths import state_dir

CONSENT = "LAB_AWS_CONSENT"


@dataclass(frozen=True)
class Backend:
    """Where calls go."""

    name: str
    """`local` or `aws`."""
    account: str
    region: str
    runtime: str
    url: str | None = None
    registry: str | None = None
    news: str = ""
    """What a restart of the cloud kept and lost, when there was one."""


def choose(runtime: str | None = None) -> Backend:
    """The backend that LAB_BACKEND names; `local` unless it says `aws`."""
    wanted = os.environ.get("LAB_BACKEND", "local")
    if wanted == "local":
        return _local(runtime or os.environ.get("LAB_RUNTIME", "auto"))
    if wanted == "aws":
        return _aws()
    raise LabError(f"LAB_BACKEND is {wanted!r}; it must be 'local' or 'aws'.")


def fence(environment: MutableMapping[str, str]) -> None:
    """Take everything out of an environment by which a call could reach the real AWS."""
    for name in [n for n in environment if n.startswith("AWS_")]:
        del environment[name]
    # A learner's own profiles, SSO sessions and endpoints stay out of the lab.
    environment["AWS_CONFIG_FILE"] = os.devnull
    environment["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [h for h in environment.get(name, "").split(",") if h]
        environment[name] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))


def ask(cloud: str | None, path: str) -> dict[str, Any] | None:
    """What the lab's cloud says at an address of its own; None where it has nothing."""
    try:
        with local_opener().open(f"{cloud}{path}", timeout=30) as answer:
            document: dict[str, Any] = json.load(answer)
            return document
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise LabError(f"The lab's cloud could not answer {path} ({error}).") from None
    except OSError as error:
        raise LabError(
            f"The lab's cloud does not answer ({error}). Run the chapter's first cell again."
        ) from None


def _local(runtime: str) -> Backend:
    try:
        info = start(state_dir(), runtime=runtime)
    except CloudError as error:
        raise LabError(str(error)) from None
    fence(os.environ)
    os.environ.update(info.environment())
    import boto3

    boto3.DEFAULT_SESSION = None  # one made before would still carry the old credentials
    account = boto3.client("sts").get_caller_identity()["Account"]
    return Backend("local", account, info.environment()["AWS_REGION"], info.runtime, info.url,
                   info.registry, info.news())  # fmt: skip


def _aws() -> Backend:
    if os.environ.get(CONSENT) != "yes":
        raise LabError(
            "LAB_BACKEND=aws runs these cells in your AWS account, where they cost money. "
            f"To agree, set {CONSENT}=yes as well and start this chapter again; "
            "to stay on this machine, unset LAB_BACKEND. Nothing was sent to AWS."
        )
    import boto3

    os.environ.pop("AWS_ENDPOINT_URL", None)
    session = boto3.Session()
    if session.region_name is None:
        raise LabError("No Region is set for AWS. Set AWS_REGION, for example to us-east-1.")
    account = session.client("sts").get_caller_identity()["Account"]
    registry = f"{account}.dkr.ecr.{session.region_name}.amazonaws.com"
    return Backend("aws", account, session.region_name, "fargate", None, registry)
