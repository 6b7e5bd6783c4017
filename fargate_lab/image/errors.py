"""What goes wrong with images, said so that a person can act on it."""

from __future__ import annotations


class ImageError(Exception):
    """Any failure of this package; the text says what was wrong and what to do next."""


class BuildError(ImageError):
    """The recipe, its inputs or the base cannot become an image."""


class MissingWheelsError(BuildError):
    """Wheels that the lock names are not here and could not be downloaded.

    `packages` lists them as `name==version`.
    """

    def __init__(self, packages: list[str], why: str) -> None:
        self.packages = packages
        super().__init__(
            f"{len(packages)} package(s) of the image are not in the wheel cache and could not be "
            f"downloaded: {', '.join(packages)}. {why} Connect to a package index once "
            "(`python -m fargate_lab.image prefetch`), then this works offline."
        )


class DigestMismatchError(ImageError):
    """Bytes that do not have the digest they are known by: damaged or tampered with."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(
            f"{what}: the content does not match its digest (expected {expected}, found {found}). "
            "It was damaged or changed on the way; fetch or build it again."
        )


class UnpackError(ImageError):
    """A layer that must not be unpacked. `member` is the entry that gave the reason."""

    def __init__(self, member: str, reason: str) -> None:
        self.member = member
        super().__init__(f"refused to unpack {member!r}: {reason}")


class RegistryError(ImageError):
    """A registry refused or could not be reached. `status` is the HTTP status, 0 without one."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        self.status, self.code = status, code
        super().__init__(message)
