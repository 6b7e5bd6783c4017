"""The registry's refusals: the distribution protocol's JSON with ECR's texts."""

from __future__ import annotations

from collections.abc import Mapping

from fargate_lab.cloud.ecr.asgi import Response, answer
from fargate_lab.cloud.protocol import AwsError

CODES = {
    "RepositoryNotFoundException": (404, "NAME_UNKNOWN"),
    "ImageNotFoundException": (404, "MANIFEST_UNKNOWN"),
    "UploadNotFoundException": (404, "BLOB_UPLOAD_UNKNOWN"),
    "InvalidLayerException": (400, "DIGEST_INVALID"),
    "ImageDigestDoesNotMatchException": (400, "DIGEST_INVALID"),
    "LayersNotFoundException": (400, "MANIFEST_BLOB_UNKNOWN"),
    "ReferencedImagesNotFoundException": (400, "MANIFEST_BLOB_UNKNOWN"),
    "ImageTagAlreadyExistsException": (400, "TAG_INVALID"),
    "AccessDeniedException": (403, "DENIED"),
    "ServerException": (500, "UNKNOWN"),
}
"""Exception of the API → status and code of the distribution protocol."""


class Refusal(Exception):
    """A refusal in the protocol's own terms."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer that carries it."""
        document = {"errors": [{"code": self.code, "message": str(self)}]}
        return answer(self.status, self.headers.items(), document)


def from_aws(error: AwsError) -> Refusal:
    """The same refusal in the protocol's terms."""
    if error.code == "InvalidParameterException":
        if "'repositoryName'" in error.message:
            return Refusal(400, "NAME_INVALID", error.message)
        if "'imageTag'" in error.message:
            return Refusal(400, "TAG_INVALID", error.message)
        code = "SIZE_INVALID" if "the size of " in error.message else "MANIFEST_INVALID"
        return Refusal(400, code, error.message)
    status, code = CODES.get(error.code, (400, "UNSUPPORTED"))
    return Refusal(error.status if error.status >= 500 else status, code, error.message)
