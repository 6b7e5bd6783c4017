"""`function`: the same model as an AWS Lambda function.

`handler` understands a direct call ({"strokes": …} and whatever else /predict takes), an HTTP call
by way of API Gateway, a function URL or a load balancer, and a batch of SQS messages.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from functools import lru_cache
from typing import Any

from app import log
from app.batch import Places, Processor
from app.inputs import Array, Refused, read_body, read_document
from app.model import Model, ModelError, load

Event = dict[str, Any]


@lru_cache(maxsize=1)
def model() -> Model:
    """The model: loaded once for each execution environment, at its cold start."""
    return load()


@lru_cache(maxsize=1)
def processor() -> Processor:
    """What answers SQS messages, with one S3 client for each execution environment."""
    import boto3

    return Processor(model(), boto3.client("s3"), Places.from_environment())


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Answer one event. A direct call that cannot be answered raises Refused."""
    if isinstance(event, dict):
        if "Records" in event:
            return _messages(event["Records"])
        if "httpMethod" in event or "http" in event.get("requestContext", {}):
            return _http(event)
    return _answer(read_document(event))


def _answer(pictures: Array) -> dict[str, Any]:
    return {"predictions": model().predict(pictures), "model": model().about}


def _http(event: Event) -> dict[str, Any]:
    """Payload formats 1.0 and 2.0: method, headers and body lie in different places."""
    http = event.get("requestContext", {}).get("http", {})
    method = event.get("httpMethod") or http.get("method", "")
    path = event.get("rawPath") or event.get("path", "/")
    headers: dict[str, str] = {}
    try:
        if method == "GET" and path.endswith("/healthz"):
            return _response(200, {"status": "ok", "model": model().about}, headers)
        if method != "POST":
            headers["allow"] = "POST"
            raise Refused(405, "method", f"{method} does not work here; POST does.")
        sent = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        kind = sent.get("content-type", "")
        return _response(200, _answer(read_body(kind, _body(event))), headers)
    except Refused as error:
        return _response(error.status, error.body(), headers)


def _body(event: Event) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, "base64", f"The body is not base64: {error}.") from error


def _response(status: int, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    headers["content-type"] = "application/json"
    return {
        "statusCode": status,
        "headers": headers,
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def _messages(records: list[Event]) -> dict[str, Any]:
    """Answer SQS messages; only those named in the return value come back to the queue.

    The event source mapping must have ReportBatchItemFailures on for that.
    """
    failures = []
    for record in records:
        identity = record.get("messageId", "")
        try:
            key = processor().process(identity, record["body"])
            log.event("message-done", message_id=identity, result=key)
        except Exception as error:
            code = error.code if isinstance(error, Refused) else type(error).__name__
            log.event(
                "message-failed", level="error", message_id=identity, code=code, message=str(error)
            )
            failures.append({"itemIdentifier": identity})
    return {"batchItemFailures": failures}


def run() -> int:
    """Start Lambda's runtime client; 1 where it is not installed or Lambda is not there."""
    if not os.environ.get("AWS_LAMBDA_RUNTIME_API"):
        log.event(
            "failed",
            level="error",
            message="AWS_LAMBDA_RUNTIME_API is not set: `function` runs inside Lambda, or beside "
            "something that speaks its Runtime API.",
        )
        return 1
    try:
        from awslambdaric.__main__ import main as serve_events
    except ImportError as error:
        text = f"awslambdaric is not installed ({error}); it exists for Linux only."
        log.event("failed", level="error", message=text)
        return 1
    try:
        about = model().about  # at the cold start, not in the first caller's time
    except ModelError as error:
        log.event("failed", level="error", message=str(error))
        return 1
    log.event("ready", handler="app.function.handler", model=about)
    serve_events(["awslambdaric", "app.function.handler"])
    return 0
