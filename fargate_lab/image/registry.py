"""A client of the OCI distribution protocol 1.1: blobs and manifests of one repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import httpx

from .digests import of_bytes
from .errors import DigestMismatchError, RegistryError
from .media import ACCEPT
from .reference import Reference

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)


class Registry:
    """Talks to one repository; safe to use from several threads. Use as a context manager."""

    def __init__(
        self, reference: Reference, *, username: str | None = None, password: str | None = None
    ) -> None:
        self.reference = reference
        self._basic = httpx.BasicAuth(username, password or "") if username else None
        self._scope = f"repository:{reference.repository}:pull"
        self._token = ""
        self._client = httpx.Client(
            base_url=reference.url,
            timeout=_TIMEOUT,
            # A proxy of the environment is not for a registry on this machine.
            trust_env=not reference.is_local,
            headers={"user-agent": "fargate-ml-lab"},
        )
        self._path = f"/v2/{reference.repository}"

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def allow_push(self) -> None:
        """Ask for the right to push, too, where the registry gives tokens by scope."""
        self._scope = f"repository:{self.reference.repository}:pull,push"
        self._check("GET", "/v2/", (200,))

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        return self._check("HEAD", f"{self._path}/blobs/{digest}", (200, 404)).status_code == 200

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the registry; False when it would not."""
        answer = self._check(
            "POST",
            f"{self._path}/blobs/uploads/",
            (201, 202),
            params={"mount": digest, "from": source},
        )
        if answer.status_code == 202:  # it opened an upload instead
            self.cancel(self._location(answer))
        return answer.status_code == 201

    def start(self) -> str:
        """Open an upload; its address."""
        return self._location(self._check("POST", f"{self._path}/blobs/uploads/", (202,)))

    def cancel(self, location: str) -> None:
        """Give an upload up; a registry that does not know how is left alone."""
        self._send("DELETE", location)

    def append(self, location: str, data: Iterator[bytes], size: int, at: int = 0) -> str:
        """Send the next `size` bytes of an upload, streaming; the address to go on with."""
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(size),
            "content-range": f"{at}-{at + size - 1}",
        }
        return self._location(
            self._check("PATCH", location, (202, 204), content=data, headers=headers)
        )

    def finish(self, location: str, digest: str) -> None:
        """Close an upload: the registry checks the digest."""
        parameters = httpx.URL(location).params.add("digest", digest)
        url = httpx.URL(location).copy_with(params=parameters)
        self._check("PUT", str(url), (201,), headers={"content-length": "0"})

    def put_manifest(self, name: str, data: bytes, media_type: str) -> str:
        """Store a manifest under a tag or digest; the digest that the registry gives it."""
        answer = self._check(
            "PUT",
            f"{self._path}/manifests/{name}",
            (201,),
            content=data,
            headers={"content-type": media_type},
        )
        found = answer.headers.get("docker-content-digest", of_bytes(data))
        if found != of_bytes(data):
            raise DigestMismatchError(str(self.reference), of_bytes(data), found)
        return str(found)

    def manifest(self, name: str) -> tuple[bytes, str]:
        """A manifest or index by tag or digest: (bytes, media type), digest checked."""
        answer = self._check(
            "GET", f"{self._path}/manifests/{name}", (200,), headers={"accept": ACCEPT}
        )
        expected = name if name.startswith("sha256:") else ""
        expected = expected or answer.headers.get("docker-content-digest", "")
        if expected and of_bytes(answer.content) != expected:
            raise DigestMismatchError(str(self.reference), expected, of_bytes(answer.content))
        return answer.content, answer.headers.get("content-type", "").partition(";")[0]

    @contextmanager
    def blob(self, digest: str) -> Iterator[Iterator[bytes]]:
        """A blob's bytes in pieces, not yet checked."""
        url = f"{self._path}/blobs/{digest}"
        with (
            self._talking(),
            self._client.stream(
                "GET", url, auth=self._auth(), headers=self._bearer(), follow_redirects=False
            ) as answer,
        ):
            if answer.status_code in (301, 302, 303, 307, 308):
                # Storage behind the registry: it must not see the registry's credentials.
                target = urljoin(str(answer.url), answer.headers["location"])
                with self._client.stream("GET", target, follow_redirects=True) as stored:
                    self._refuse(stored, (200,))
                    yield stored.iter_bytes(1 << 20)
                return
            self._refuse(answer, (200,))
            yield answer.iter_bytes(1 << 20)

    def _location(self, answer: httpx.Response) -> str:
        location = answer.headers.get("location", "")
        if not location:
            raise RegistryError(f"{self.reference.registry} gave no address for the upload.")
        url = httpx.URL(urljoin(str(answer.url), location))
        own = httpx.URL(self.reference.url)
        if url.host != own.host:
            return str(url)
        # Behind a proxy a registry may name itself with another scheme or port.
        return str(url.copy_with(scheme=own.scheme, port=own.port))

    def _auth(self) -> httpx.Auth | None:
        return None if self._token else self._basic

    def _bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}"} if self._token else {}

    def _check(
        self, method: str, url: str, expected: tuple[int, ...], **request: Any
    ) -> httpx.Response:
        answer = self._send(method, url, **request)
        if answer.status_code == 401 and "content" not in request and self._login(answer):
            answer = self._send(method, url, **request)
        self._refuse(answer, expected)
        return answer

    def _send(self, method: str, url: str, **request: Any) -> httpx.Response:
        headers = {**self._bearer(), **request.pop("headers", {})}
        with self._talking():
            return self._client.request(
                method, url, auth=self._auth(), headers=headers, follow_redirects=False, **request
            )

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as failed:
            raise RegistryError(
                f"nothing answers at {self.reference.url} ({failed}). Is the registry running? The "
                "lab's starts with `python3 lab.py up`."
            ) from None
        except httpx.HTTPError as failed:
            raise RegistryError(
                f"the connection to {self.reference.url} broke: {failed or type(failed).__name__}. "
                "Try again; what arrived already is not sent again."
            ) from None

    def _login(self, refused: httpx.Response) -> bool:
        """Fetch a token where the challenge asks for one (Docker's token specification)."""
        challenge = refused.headers.get("www-authenticate", "")
        if not challenge.lower().startswith("bearer "):
            return False
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        parameters = {"service": fields.get("service", ""), "scope": self._scope}
        with self._talking():
            answer = self._client.get(fields.get("realm", ""), params=parameters, auth=self._basic)
        if answer.status_code != 200:
            return False
        body = answer.json()
        self._token = body.get("token") or body.get("access_token") or ""
        return bool(self._token)

    def _refuse(self, answer: httpx.Response, expected: tuple[int, ...]) -> None:
        if answer.status_code in expected:
            return
        if not answer.is_closed:
            answer.read()
        code, message = _error(answer)
        raise RegistryError(
            _advice(self.reference, answer.status_code, code, message), answer.status_code, code
        )


def _error(answer: httpx.Response) -> tuple[str, str]:
    try:
        first = answer.json()["errors"][0]
        return str(first.get("code", "")), str(first.get("message", ""))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "", ""


def _advice(reference: Reference, status: int, code: str, message: str) -> str:
    said = f" ({code}: {message})" if code or message else ""
    if status == 401:
        return (
            f"{reference.registry} wants a login{said}. Pass username and password; for ECR they "
            "come from GetAuthorizationToken (user AWS) and last 12 hours."
        )
    if status == 403:
        return f"{reference.registry} does not allow this on {reference.repository}{said}."
    if status == 404 and code in ("MANIFEST_UNKNOWN", ""):
        return f"{reference} is not there{said}. Check the repository and the tag or digest."
    if status == 404:
        return (
            f"{reference.registry} has no {reference.repository}{said}. In ECR a repository must "
            "be created before the first push."
        )
    return f"{reference.registry} answered {status} for {reference}{said}."
