"""`batch`: works off an SQS queue, one message at a time.

A message is JSON: {"key": "in/7.png"} (with "bucket", if not $INPUT_BUCKET) for an object in S3,
or what /predict takes: strokes, pixels, image or instances. The answer is written to
s3://$RESULT_BUCKET/$RESULT_PREFIX<name>.json, and only then is the message deleted: SQS may deliver
a message twice, and the second time writes the same answer to the same key.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from dataclasses import dataclass
from types import FrameType
from typing import Any

from app import log
from app.inputs import Array, Refused, read_body, read_document
from app.model import Model, ModelError, load

LONG_POLL = 20
"""Seconds that one receive call waits for a message: the most that SQS allows."""

DRAIN_POLL = 2
"""Seconds without a message after which a queue counts as drained."""

MAX_OBJECT = 4 * 1024 * 1024
"""Largest object that is read, in bytes; the same limit as /predict's body."""

_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "json": "application/json"}


class Stopped(BaseException):
    """Raised out of a waiting receive call when the process is told to stop.

    Not an Exception: botocore retries those.
    """


@dataclass(frozen=True)
class Places:
    """Where inputs come from and answers go."""

    results: str
    prefix: str
    inputs: str

    @classmethod
    def from_environment(cls) -> Places:
        """From RESULT_BUCKET, RESULT_PREFIX and INPUT_BUCKET. Raises ValueError."""
        results = os.environ.get("RESULT_BUCKET", "")
        if not results:
            raise ValueError("RESULT_BUCKET is not set: name the S3 bucket that answers go to.")
        prefix = os.environ.get("RESULT_PREFIX", "results/")
        return cls(results, prefix, os.environ.get("INPUT_BUCKET", results))


class Processor:
    """One message in, one answer in S3; shared with the Lambda handler."""

    def __init__(self, model: Model, storage: Any, places: Places) -> None:
        self._model = model
        self._storage = storage
        self._places = places

    def process(self, identity: str, text: str) -> str:
        """Answer the message `identity` with body `text`; returns the answer's key.

        Raises Refused for a message that can never be answered.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Refused(400, "json", f"The message is not JSON: {error}.") from error
        predictions = self._model.predict(self._pictures(document))
        name = document.get("id", identity)
        if not isinstance(name, str) or not name:
            raise Refused(422, "shape", "id must be a text that is not empty.")
        key = f"{self._places.prefix}{name}.json"
        answer = {"id": name, "predictions": predictions, "model": self._model.about}
        if "key" in document:
            answer["input"] = document["key"]
        content = json.dumps(answer, sort_keys=True).encode()
        self._storage.put_object(
            Bucket=self._places.results, Key=key, Body=content, ContentType="application/json"
        )
        return key

    def _pictures(self, document: Any) -> Array:
        if not isinstance(document, dict) or "key" not in document:
            return read_document(document)
        key, bucket = document["key"], document.get("bucket", self._places.inputs)
        if not isinstance(key, str) or not isinstance(bucket, str) or not key or not bucket:
            raise Refused(422, "shape", "key and bucket must be texts that are not empty.")
        kind = _TYPES.get(key.rpartition(".")[2].lower(), "")
        if not kind:
            known = ", ".join(sorted(_TYPES))
            raise Refused(415, "media-type", f"{key!r} does not end in one of: {known}.")
        found = self._storage.get_object(Bucket=bucket, Key=key)
        if found["ContentLength"] > MAX_OBJECT:
            raise Refused(413, "too-large", f"{key!r} is over {MAX_OBJECT} bytes.")
        return read_body(kind, found["Body"].read())


class Worker:
    """Receives, processes and deletes until stopped or, on request, until the queue is empty."""

    def __init__(self, queue: Any, url: str, processor: Processor) -> None:
        self._queue = queue
        self._url = url
        self._processor = processor
        self._stop = False
        self._waiting = False
        self.done = self.failed = 0

    def stop(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: a message in hand is finished, a wait for one is not."""
        self._stop = True
        log.event("stopping", signal=signal.Signals(number).name)
        if self._waiting:
            self._waiting = False
            raise Stopped

    def work(self, *, drain: bool) -> None:
        """Run; returns when stopped, or when `drain` and a poll found nothing."""
        try:
            while not self._stop:
                messages = self._receive(DRAIN_POLL if drain else LONG_POLL)
                if not messages and drain:
                    return
                for message in messages:
                    self._handle(message)
        except Stopped:
            return

    def _receive(self, seconds: int) -> list[dict[str, Any]]:
        self._waiting = True
        try:
            answer = self._queue.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=seconds,
                AttributeNames=["ApproximateReceiveCount"],
            )
        finally:
            self._waiting = False
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _handle(self, message: dict[str, Any]) -> None:
        """A message that cannot be answered stays: the queue's redrive policy moves it."""
        identity = message["MessageId"]
        received = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
        try:
            key = self._processor.process(identity, message["Body"])
        except Exception as error:
            self.failed += 1
            code = error.code if isinstance(error, Refused) else type(error).__name__
            log.event(
                "message-failed",
                level="error",
                message_id=identity,
                received=received,
                code=code,
                message=str(error),
            )
            return
        self._queue.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        self.done += 1
        log.event("message-done", message_id=identity, received=received, result=key)


def run(*, drain: bool) -> int:
    """Work until SIGTERM or, with `drain`, an empty queue: 0; without a start: 1."""
    log.install(logging.WARNING)
    url = os.environ.get("QUEUE_URL", "")
    try:
        if not url:
            raise ValueError("QUEUE_URL is not set: give the URL of the SQS queue to work off.")
        places, model = Places.from_environment(), load()
    except (ValueError, ModelError) as error:
        log.event("failed", level="error", message=str(error))
        return 1
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        queue, storage = boto3.client("sqs"), boto3.client("s3")
        worker = Worker(queue, url, Processor(model, storage, places))
        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), worker.stop)
        log.event("ready", queue=url, results=f"s3://{places.results}/{places.prefix}")
        worker.work(drain=drain)
    except (BotoCoreError, ClientError) as error:
        log.event("failed", level="error", message=str(error))
        return 1
    log.event("stopped", done=worker.done, failed=worker.failed)
    return 0
