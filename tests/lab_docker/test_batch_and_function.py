"""The queue worker and the Lambda handler, on the same model as the server."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image, ImageDraw

from .conftest import Start

SEVEN = [[[10, 10], [90, 12], [40, 120]]]
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "lab",
    "AWS_SECRET_ACCESS_KEY": "lab",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


class Cloud:
    """A queue with a dead-letter queue, and a bucket, of one test's own."""

    def __init__(self, url: str, name: str) -> None:
        given: dict[str, Any] = {
            "endpoint_url": url,
            "region_name": "eu-central-1",
            "aws_access_key_id": "lab",
            "aws_secret_access_key": "lab",
        }
        self.sqs = boto3.client("sqs", **given)
        self.s3 = boto3.client("s3", **given)
        self.bucket = f"bucket-{name}"
        place = {"LocationConstraint": "eu-central-1"}
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=place)  # type: ignore[arg-type]
        self.dead = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = f"arn:aws:sqs:eu-central-1:123456789012:{name}-dead"
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
        attributes = {"VisibilityTimeout": "1", "RedrivePolicy": policy}
        self.queue = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.environment = {
            **SETTINGS,
            "AWS_ENDPOINT_URL": url,
            "QUEUE_URL": self.queue,
            "RESULT_BUCKET": self.bucket,
            "RESULT_PREFIX": "answers/",
        }

    def send(self, **message: Any) -> str:
        return self.sqs.send_message(QueueUrl=self.queue, MessageBody=json.dumps(message))[
            "MessageId"
        ]

    def left(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
        return sum(int(got[name]) for name in names)

    def answer(self, name: str) -> dict[str, Any]:
        found = self.s3.get_object(Bucket=self.bucket, Key=f"answers/{name}.json")
        answer: dict[str, Any] = json.loads(found["Body"].read())
        return answer


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(moto_url: str) -> Cloud:
    name = f"lab-{uuid.uuid4().hex[:12]}"
    return Cloud(moto_url, name)


def png() -> bytes:
    image = Image.new("RGB", (120, 140), "white")
    ImageDraw.Draw(image).line([(10, 10), (90, 12), (40, 120)], fill="black", width=9)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_a_queue_is_drained(starter: Start, cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=cloud.bucket, Key="in/seven.png", Body=png())
    drawn = json.dumps({"strokes": SEVEN}).encode()
    cloud.s3.put_object(Bucket=cloud.bucket, Key="in/seven.json", Body=drawn)
    plain = cloud.send(strokes=SEVEN)
    cloud.send(id="by-key", key="in/seven.png")
    cloud.send(id="by-json", key="in/seven.json", bucket=cloud.bucket)
    cloud.send(id="many", instances=[{"strokes": SEVEN}] * 3)
    worker = starter("batch", "--drain", **cloud.environment)
    assert worker.process.wait(60) == 0
    for name, count in ((plain, 1), ("by-key", 1), ("by-json", 1), ("many", 3)):
        answer = cloud.answer(name)
        assert [p["digit"] for p in answer["predictions"]] == [7] * count
        assert answer["model"]["name"] == "inkdigits"
    assert cloud.answer("by-key")["input"] == "in/seven.png"
    assert cloud.left(cloud.queue) == 0
    stopped = worker.event("stopped")
    assert (stopped["done"], stopped["failed"]) == (4, 0)


def test_the_same_message_twice_is_one_answer(starter: Start, cloud: Cloud) -> None:
    for _ in range(2):
        cloud.send(id="same", strokes=SEVEN)
    worker = starter("batch", "--drain", **cloud.environment)
    assert worker.process.wait(60) == 0
    listed = cloud.s3.list_objects_v2(Bucket=cloud.bucket, Prefix="answers/")
    assert [found["Key"] for found in listed["Contents"]] == ["answers/same.json"]


def test_a_poison_message_ends_in_the_dead_letter_queue(starter: Start, cloud: Cloud) -> None:
    cloud.sqs.send_message(QueueUrl=cloud.queue, MessageBody="poison")
    good = cloud.send(strokes=SEVEN)
    worker = starter("batch", "--drain", **cloud.environment)
    assert worker.process.wait(60) == 0
    failed = [line for line in worker.lines if line["event"] == "message-failed"]
    assert [line["received"] for line in failed] == [1, 2]
    assert {line["code"] for line in failed} == {"json"}
    assert cloud.answer(good)["predictions"][0]["digit"] == 7
    assert cloud.left(cloud.queue) == 0
    assert cloud.left(cloud.dead) == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"key": "in/absent.png"}, "NoSuchKey"),
        ({"key": "in/seven.doc"}, "media-type"),
        ({"key": 7}, "shape"),
        ({"strokes": []}, "empty"),
        ({"id": 5, "strokes": SEVEN}, "shape"),
    ],
)
def test_what_cannot_be_answered_is_logged_and_stays(
    starter: Start, cloud: Cloud, message: dict[str, Any], code: str
) -> None:
    cloud.send(**message)
    worker = starter("batch", **cloud.environment)
    assert worker.event("message-failed")["code"] == code
    assert worker.stop() == 0
    assert cloud.left(cloud.queue) + cloud.left(cloud.dead) == 1


def test_told_to_stop_it_does_not_wait_for_the_long_poll(starter: Start, cloud: Cloud) -> None:
    worker = starter("batch", **cloud.environment)
    done = cloud.send(strokes=SEVEN)
    worker.event("message-done")
    worker.process.send_signal(
        signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGTERM  # type: ignore[attr-defined]
    )
    assert worker.process.wait(5) == 0
    worker.event("stopped")
    assert cloud.answer(done)["predictions"][0]["digit"] == 7


@pytest.mark.parametrize("missing", ["QUEUE_URL", "RESULT_BUCKET"])
def test_missing_settings_are_named(starter: Start, cloud: Cloud, missing: str) -> None:
    worker = starter("batch", ready=False, **{**cloud.environment, missing: ""})
    assert missing in worker.event("failed")["message"]
    assert worker.process.wait(20) == 1


def test_a_queue_that_is_not_there_is_explained(starter: Start, cloud: Cloud) -> None:
    worker = starter("batch", **{**cloud.environment, "QUEUE_URL": cloud.queue + "-absent"})
    assert "NonExistentQueue" in worker.event("failed")["message"]
    assert worker.process.wait(20) == 1


class Told:
    """A queue that gives its one message, and signals while it is being worked on."""

    def __init__(self) -> None:
        self.received = self.deleted = 0

    def receive_message(self, **given: Any) -> dict[str, Any]:
        self.received += 1
        return {"Messages": [{"MessageId": "one", "Body": "{}", "ReceiptHandle": "r"}]}

    def delete_message(self, **given: Any) -> None:
        self.deleted += 1


def test_the_message_in_hand_is_finished_before_the_end() -> None:
    from app.batch import Worker

    queue = Told()

    class Slow:
        def process(self, identity: str, text: str) -> str:
            worker.stop(signal.SIGTERM, None)
            return "answers/one.json"

    worker = Worker(queue, "url", Slow())  # type: ignore[arg-type]
    worker.work(drain=False)
    assert (queue.received, queue.deleted, worker.done) == (1, 1, 1)


@pytest.fixture
def handler(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from app import function

    monkeypatch.setenv("MODEL_DIR", str(model_dir))
    function.model.cache_clear()
    function.processor.cache_clear()
    yield function.handler
    function.model.cache_clear()
    function.processor.cache_clear()


def test_a_direct_event(handler: Any) -> None:
    from app.inputs import Refused

    answer = handler({"strokes": SEVEN}, None)
    assert answer["predictions"][0]["digit"] == 7
    json.dumps(answer)
    with pytest.raises(Refused, match="empty"):
        handler({"strokes": []}, None)
    with pytest.raises(Refused, match="object"):
        handler([1], None)


def url_event(body: str | None, kind: str = "application/json", **more: Any) -> dict[str, Any]:
    """Payload format 2.0, as a function URL sends it."""
    http = {"method": more.pop("method", "POST"), "path": "/predict"}
    return {
        "version": "2.0",
        "rawPath": more.pop("path", "/predict"),
        "headers": {"content-type": kind},
        "requestContext": {"http": http},
        "body": body,
        "isBase64Encoded": False,
        **more,
    }


def test_http_events_of_both_formats(handler: Any) -> None:
    sent = json.dumps({"strokes": SEVEN})
    second = handler(url_event(sent), None)
    first = handler(
        {
            "httpMethod": "POST",
            "path": "/predict",
            "headers": {"Content-Type": "application/json"},
            "body": sent,
            "isBase64Encoded": False,
            "requestContext": {},
        },
        None,
    )
    assert first == second
    assert first["statusCode"] == 200
    assert json.loads(first["body"])["predictions"][0]["digit"] == 7


def test_a_picture_comes_in_base64(handler: Any) -> None:
    text = base64.b64encode(png()).decode()
    answer = handler(url_event(text, "image/png", isBase64Encoded=True), None)
    assert json.loads(answer["body"])["predictions"][0]["digit"] == 7


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (url_event("{"), 400),
        (url_event(None), 400),
        (url_event("%%%", isBase64Encoded=True), 400),
        (url_event("7", "text/plain"), 415),
        (url_event('{"strokes": []}'), 422),
        (url_event(None, method="GET"), 405),
        (url_event(None, method="GET", path="/healthz"), 200),
    ],
)
def test_http_events_that_are_refused(handler: Any, event: dict[str, Any], status: int) -> None:
    answer = handler(event, None)
    assert answer["statusCode"] == status
    assert answer["headers"]["content-type"] == "application/json"
    assert ("error" in json.loads(answer["body"])) == (status != 200)


def test_sqs_events_return_what_failed(
    handler: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    records = [
        {"messageId": "a", "eventSource": "aws:sqs", "body": json.dumps({"strokes": SEVEN})},
        {"messageId": "b", "eventSource": "aws:sqs", "body": "poison"},
        {"messageId": "c", "eventSource": "aws:sqs", "body": json.dumps({"strokes": []})},
    ]
    answer = handler({"Records": records}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]}
    assert cloud.answer("a")["predictions"][0]["digit"] == 7


def test_outside_lambda_the_function_role_explains_itself(starter: Start) -> None:
    role = starter("function", ready=False, AWS_LAMBDA_RUNTIME_API="")
    assert "AWS_LAMBDA_RUNTIME_API" in role.event("failed")["message"]
    assert role.process.wait(20) == 1
