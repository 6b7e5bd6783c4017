"""From a container definition's image to one that a driver can start."""

from __future__ import annotations

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecr.resolve import PullError, resolve_image
from fargate_lab.runtime.driver import Driver, Image, Layer, Prepared, StartError

_ARCHITECTURES = {"X86_64": "amd64", "ARM64": "arm64"}


def platform_of(definition: dict[str, object]) -> str:
    """The image platform a task definition asks for: `linux/amd64` unless it says otherwise."""
    asked = definition.get("runtimePlatform") or {}
    assert isinstance(asked, dict)
    system = str(asked.get("operatingSystemFamily") or "LINUX")
    architecture = _ARCHITECTURES.get(str(asked.get("cpuArchitecture") or "X86_64"), "amd64")
    return f"{'windows' if system.startswith('WINDOWS') else 'linux'}/{architecture}"


def pull(
    context: CloudContext, driver: Driver, scope: str, reference: str, platform: str
) -> Prepared:
    """Resolve an image by digest and make it ready; raises PullError with ECS's text."""
    account, region = scope.split("/")
    found = resolve_image(context, account, region, reference, platform)
    layers = tuple(Layer(row.path, row.media_type, row.digest) for row in found.layers)
    image = Image(reference, found.digest, found.manifest, found.config, layers)
    try:
        return driver.prepare(image)
    except StartError as error:
        raise PullError(str(error)) from error
