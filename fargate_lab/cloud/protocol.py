"""The shape of a request and of a refusal, for services that speak AWS's JSON 1.1 protocol."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"
CONTENT_TYPE = "application/x-amz-json-1.1"

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, from the signature's credential scope (signatures themselves are not verified).

    An access key of twelve digits names an account of its own, so that several learners can share
    one cloud; every other key belongs to the default account.
    """

    access_key: str
    account: str
    region: str

    @classmethod
    def from_authorization(cls, header: str) -> Caller | None:
        """The caller an `Authorization` header names; None when it carries no AWS credential."""
        match = _CREDENTIAL.search(header)
        if match is None:
            return None
        key, region, _service = match.groups()
        account = key if re.fullmatch(r"\d{12}", key) else DEFAULT_ACCOUNT
        return cls(key, account, region)


@dataclass(frozen=True, slots=True)
class Call:
    """One API call as a service's handler gets it."""

    action: str
    payload: dict[str, Any]
    caller: Caller
    registry: str
    """`host:port` under which the caller reaches this cloud's registry."""

    @property
    def account(self) -> str:
        """The twelve-digit account id."""
        return self.caller.account

    @property
    def region(self) -> str:
        """The Region, such as `us-east-1`."""
        return self.caller.region

    @property
    def scope(self) -> str:
        """`account/region`: the key under which a service keeps this caller's things."""
        return f"{self.account}/{self.region}"


Handler = Callable[[Call], Mapping[str, Any]]
"""A service's answer to one action. Runs in a worker thread; raises `AwsError` to refuse."""


@dataclass
class AwsError(Exception):
    """A refusal as AWS words it: the exception's code, its text, and extra members if any."""

    code: str
    message: str
    status: int = 400
    members: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def body(self) -> dict[str, Any]:
        """The JSON document that carries this error."""
        return {"__type": self.code, "message": self.message, **self.members}


def _encode(value: object) -> object:
    if isinstance(value, dt.datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"cannot be sent as JSON: {type(value).__name__}")


def dumps(document: Mapping[str, Any]) -> bytes:
    """JSON as AWS sends it: timestamps as epoch seconds, bytes as base64."""
    return json.dumps(document, default=_encode, separators=(",", ":")).encode()


def parse(body: bytes) -> dict[str, Any]:
    """The request's document; an empty body is an empty document.

    Raises `AwsError` SerializationException for anything that is not a JSON object.
    """
    if not body.strip():
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise AwsError("SerializationException", "The request body is not valid JSON.") from None
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "Start of structure or map expected.")
    return document


def request_id() -> str:
    """A fresh request id, as in `x-amzn-RequestId`."""
    return str(uuid.uuid4())
