"""ECR's refusals, each in the words the service uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fargate_lab.cloud.protocol import AwsError


def invalid(parameter: str, constraint: str) -> AwsError:
    """A parameter that breaks a constraint."""
    return AwsError(
        "InvalidParameterException",
        f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'",
    )


def repository_missing(account: str, name: str) -> AwsError:
    """No such repository."""
    return AwsError(
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{account}'",
    )


def repository_exists(account: str, name: str) -> AwsError:
    """The name is taken."""
    return AwsError(
        "RepositoryAlreadyExistsException",
        f"The repository with name '{name}' already exists in the registry with id '{account}'",
    )


def repository_not_empty(account: str, name: str) -> AwsError:
    """A repository with images is deleted by force only."""
    return AwsError(
        "RepositoryNotEmptyException",
        f"The repository with name '{name}' in registry with id '{account}' cannot be deleted "
        "because it still contains images",
    )


def image_missing(account: str, name: str, image_id: Mapping[str, str]) -> AwsError:
    """No such image in the repository."""
    digest, tag = image_id.get("imageDigest", "null"), image_id.get("imageTag", "null")
    return AwsError(
        "ImageNotFoundException",
        f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist "
        f"within the repository with name '{name}' in the registry with id '{account}'",
    )


def image_exists(account: str, name: str, digest: str, tag: str | None) -> AwsError:
    """The image is there already, under this tag."""
    also = f" and tag '{tag}'" if tag else ""
    return AwsError(
        "ImageAlreadyExistsException",
        f"Image with digest '{digest}'{also} already exists in the repository with name "
        f"'{name}' in registry with id '{account}'",
    )


def tag_immutable(name: str, tag: str, what: str) -> AwsError:
    """The tag points to another image and may not move; what is `repository` or `tag`."""
    return AwsError(
        "ImageTagAlreadyExistsException",
        f"The image tag '{tag}' already exists in the '{name}' repository and cannot be "
        f"overwritten because the {what} is immutable.",
    )


def layers_missing(account: str, name: str, digests: Iterable[str]) -> AwsError:
    """An image names layers that its repository does not hold."""
    return AwsError(
        "LayersNotFoundException",
        f"Layers with digests '[{', '.join(digests)}]' required for pushing image into "
        f"repository with name '{name}' in the registry with id '{account}' do not exist",
    )


def images_missing(account: str, name: str, digests: Iterable[str]) -> AwsError:
    """An index names images that its repository does not hold."""
    return AwsError(
        "ReferencedImagesNotFoundException",
        f"Images with digests '[{', '.join(digests)}]' required for pushing image into "
        f"repository with name '{name}' in the registry with id '{account}' do not exist",
    )


def digest_mismatch(given: str, actual: str) -> AwsError:
    """The digest sent with a manifest is not its digest."""
    return AwsError(
        "ImageDigestDoesNotMatchException",
        f"The specified image digest '{given}' does not match the digest '{actual}' that "
        "Amazon ECR calculated for the image.",
    )


def layer_missing(account: str, name: str, digest: str) -> AwsError:
    """The repository does not hold the layer."""
    return AwsError(
        "LayersNotFoundException",
        f"The layer with digest '{digest}' does not exist in the repository with name '{name}' "
        f"in the registry with id '{account}'",
    )


def layer_exists(account: str, name: str, digest: str) -> AwsError:
    """The repository holds the layer already."""
    return AwsError(
        "LayerAlreadyExistsException",
        f"Layer with digest '{digest}' already exists in the repository with name '{name}' "
        f"in registry with id '{account}'",
    )


def layer_digest_wrong(given: str, actual: str) -> AwsError:
    """What was uploaded is not what its digest says."""
    return AwsError(
        "InvalidLayerException",
        "The layer digest calculation performed by Amazon ECR upon receipt of the image layer "
        f"does not match the digest specified. Specified: {given}, calculated: {actual}",
    )


def upload_missing(account: str, name: str, upload_id: str) -> AwsError:
    """No such upload."""
    return AwsError(
        "UploadNotFoundException",
        f"Upload with id '{upload_id}' could not be found for the repository with name '{name}' "
        f"in the registry with id '{account}'",
    )


def part_invalid(account: str, name: str, upload_id: str, received: int) -> AwsError:
    """A part that does not follow the last one, or whose size is wrong."""
    return AwsError(
        "InvalidLayerPartException",
        f"Invalid layer part upload for upload with id '{upload_id}' in the repository with name "
        f"'{name}' in the registry with id '{account}'",
        members={
            "registryId": account,
            "repositoryName": name,
            "uploadId": upload_id,
            "lastValidByteReceived": received - 1,
        },
    )


def not_authorized(account: str, other: str, action: str) -> AwsError:
    """Another account's registry, which no policy opens."""
    return AwsError(
        "AccessDeniedException",
        f"User: arn:aws:iam::{account}:user/lab is not authorized to perform: ecr:{action} on "
        f"resource: arn:aws:ecr:*:{other}:repository/* because no resource-based policy allows "
        f"the ecr:{action} action",
    )
