"""Push through ECR's own layer API instead of the distribution protocol.

BatchCheckLayerAvailability, InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload, PutImage:
the calls that an SDK can make without any Docker client, and that IAM policies name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import RegistryError
from .layout import Image
from .progress import Progress, Silent
from .upload import PushedLayer, PushReport

#: ECR takes parts of 5 to 10 MiB; only the last may be smaller (ECR API reference, UploadLayerPart;
#: Amazon ECR service quotas).
PART = 10 << 20
_CHECK_AT_ONCE = 100


def push_layers(
    image: Image,
    ecr_client: Any,
    repository_name: str,
    tag: str,
    *,
    progress: Progress | None = None,
) -> PushReport:
    """Push an image with a boto3 `ecr` client; what ECR has already is not sent.

    Errors of ECR come as botocore's ClientError, unchanged: their codes are worth meeting.
    """
    told = progress or Silent()
    config = image.manifest["config"]
    wanted = {layer.digest: (layer.name, layer.size) for layer in image.layers}
    missing = _missing(ecr_client, repository_name, [*wanted, config["digest"]])
    done = []
    for digest, (name, size) in wanted.items():
        task = f"push {name}"
        told.start(task, size)
        sent = 0
        if digest in missing:
            sent = _upload(
                ecr_client, repository_name, digest, image.blob(digest), _teller(told, task)
            )
        else:
            told.advance(task, size)
        outcome = "uploaded" if digest in missing else "already there"
        told.finish(task, outcome)
        done.append(PushedLayer(name=name, digest=digest, size=size, outcome=outcome, sent=sent))
    if config["digest"] in missing:
        blob = image.blob(config["digest"])
        _upload(ecr_client, repository_name, config["digest"], blob, lambda _: None)
    digest = _put_image(ecr_client, repository_name, tag, image)
    return PushReport(reference=f"{repository_name}:{tag}", digest=digest, layers=done)


def _teller(progress: Progress, task: str) -> Callable[[int], None]:
    return lambda amount: progress.advance(task, amount)


def _missing(client: Any, repository: str, digests: list[str]) -> set[str]:
    found: set[str] = set()
    for at in range(0, len(digests), _CHECK_AT_ONCE):
        answer = client.batch_check_layer_availability(
            repositoryName=repository, layerDigests=digests[at : at + _CHECK_AT_ONCE]
        )
        found |= {
            layer["layerDigest"]
            for layer in answer.get("layers", [])
            if layer.get("layerAvailability") == "AVAILABLE"
        }
    return set(digests) - found


def _upload(
    client: Any, repository: str, digest: str, blob: Path, told: Callable[[int], None]
) -> int:
    upload = client.initiate_layer_upload(repositoryName=repository)
    at = 0
    with blob.open("rb") as file:
        while data := file.read(PART):
            client.upload_layer_part(
                repositoryName=repository,
                uploadId=upload["uploadId"],
                partFirstByte=at,
                partLastByte=at + len(data) - 1,
                layerPartBlob=data,
            )
            at += len(data)
            told(len(data))
    answer = client.complete_layer_upload(
        repositoryName=repository, uploadId=upload["uploadId"], layerDigests=[digest]
    )
    if answer.get("layerDigest", digest) != digest:
        raise RegistryError(f"ECR stored {digest} under another digest: {answer['layerDigest']}.")
    return at


def _put_image(client: Any, repository: str, tag: str, image: Image) -> str:
    try:
        answer = client.put_image(
            repositoryName=repository,
            imageManifest=image.manifest_bytes().decode(),
            imageManifestMediaType=image.manifest["mediaType"],
            imageTag=tag,
            imageDigest=image.digest,
        )
        return str(answer["image"]["imageId"]["imageDigest"])
    except client.exceptions.ImageAlreadyExistsException:
        return image.digest  # the very same image under the same tag: nothing to do
