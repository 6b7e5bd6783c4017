"""`app serve`, from outside: a real process, real sockets."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from .conftest import INKPREP, LAB_DOCKER, Running, Start

SEVEN = [[[10, 10], [90, 12], [40, 120]]]


def picture(kind: str = "PNG", size: tuple[int, int] = (120, 140)) -> bytes:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).line([(10, 10), (90, 12), (40, 120)], fill="black", width=9)
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def base(content: bytes) -> str:
    return base64.b64encode(content).decode()


def bomb() -> bytes:
    stream = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(stream, "PNG")
    return stream.getvalue()


def test_healthz_names_the_model(server: Running, model_dir: Path) -> None:
    status, answer = server.ask("/healthz")
    about = json.loads((model_dir / "model.json").read_text())
    assert status == 200
    assert answer["status"] == "ok"
    assert answer["model"]["sha256"] == about["onnx_sha256"]


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (body(strokes=SEVEN), "application/json"),
        (body(strokes=SEVEN), "application/json; charset=utf-8"),
        (body(image=base(picture())), "application/json"),
        (body(image="data:image/png;base64," + base(picture())), "application/json"),
        (picture(), "image/png"),
        (picture("JPEG"), "image/jpeg"),
    ],
)  # fmt: skip
def test_a_seven_is_read_in_every_form(server: Running, sent: bytes, kind: str) -> None:
    status, answer = server.ask("/predict", sent, kind)
    assert status == 200
    (prediction,) = answer["predictions"]
    assert prediction["digit"] == 7
    assert prediction["confidence"] == max(prediction["probabilities"]) > 0.5
    assert len(prediction["probabilities"]) == 10
    assert abs(sum(prediction["probabilities"]) - 1) < 1e-4


def test_pixels_flat_and_in_rows_are_the_same(server: Running) -> None:
    flat = [(i * 7) % 17 for i in range(64)]
    rows = [flat[i : i + 8] for i in range(0, 64, 8)]
    first, second = (server.ask("/predict", body(pixels=form)) for form in (flat, rows))
    assert first[0] == 200
    assert first == second


def test_stored_samples_are_read(server: Running, samples: dict[str, Any]) -> None:
    for digit, drawn in samples.items():
        assert len(drawn) >= 3
        sent = body(instances=[{"strokes": strokes} for strokes in drawn])
        status, answer = server.ask("/predict", sent)
        assert status == 200
        assert [p["digit"] for p in answer["predictions"]] == [int(digit)] * len(drawn)
        assert answer["predictions"][0]["confidence"] > 0.9
    assert sorted(samples) == [str(digit) for digit in range(10)]


def test_many_instances_keep_their_order(server: Running, samples: dict[str, Any]) -> None:
    order = [(i * 7) % 10 for i in range(256)]
    sent = body(instances=[{"strokes": samples[str(d)][0]} for d in order])
    status, answer = server.ask("/predict", sent)
    assert status == 200
    assert [p["digit"] for p in answer["predictions"]] == order


PIXELS = [0] * 64
REFUSALS: list[tuple[str, bytes, str, int, str]] = [
    ("empty body", b"", "application/json", 400, "empty-body"),
    ("no JSON", b"{strokes}", "application/json", 400, "json"),
    ("cut JSON", b'{"strokes": [[[1,', "application/json", 400, "json"),
    ("not UTF-8", b'{"strokes": "\xff\xfe"}', "application/json", 400, "json"),
    ("deep", b"[" * 100_000, "application/json", 400, "json"),
    ("long number", b'{"pixels": [' + b"9" * 6000 + b"]}", "application/json", 400, "json"),
    ("no object", b"[1, 2]", "application/json", 422, "shape"),
    ("null", b"null", "application/json", 422, "shape"),
    ("nothing known", body(drawing=1), "application/json", 422, "shape"),
    ("two at once", body(strokes=SEVEN, pixels=PIXELS), "application/json", 422, "shape"),
    ("empty drawing", body(strokes=[]), "application/json", 422, "empty"),
    ("no points", body(strokes=[[]]), "application/json", 422, "empty"),
    ("text strokes", body(strokes="7"), "application/json", 422, "shape"),
    ("odd points", body(strokes=[[[1, 2], [3]]]), "application/json", 422, "shape"),
    ("NaN", b'{"strokes": [[[NaN, 1]]]}', "application/json", 422, "not-finite"),
    ("Infinity", b'{"strokes": [[[1e999, 1]]]}', "application/json", 422, "not-finite"),
    ("huge int", b'{"strokes": [[[1' + b"0" * 400 + b', 1]]]}', "application/json", 422, "shape"),
    ("many points", body(strokes=[[[1, 1]] * 20_001]), "application/json", 422, "too-many-points"),
    ("63 pixels", body(pixels=[0] * 63), "application/json", 422, "shape"),
    ("ragged rows", body(pixels=[[0] * 8] * 7 + [[0] * 7]), "application/json", 422, "shape"),
    ("pixel 17", body(pixels=[17] + [0] * 63), "application/json", 422, "range"),
    ("pixel text", body(pixels=["1"] + [0] * 63), "application/json", 422, "range"),
    ("pixel NaN", b'{"pixels": [NaN' + b", 0" * 63 + b"]}", "application/json", 422, "range"),
    ("pixel bool", body(pixels=[True] + [0] * 63), "application/json", 422, "range"),
    ("pixel null", body(pixels=[None] + [0] * 63), "application/json", 422, "range"),
    ("pixel huge", body(pixels=[10**400] + [0] * 63), "application/json", 422, "range"),
    ("no base64", body(image="%%%"), "application/json", 422, "base64"),
    ("image number", body(image=7), "application/json", 422, "shape"),
    ("base64 of junk", body(image="aGVsbG8="), "application/json", 422, "unreadable"),
    ("no instances", body(instances=[]), "application/json", 422, "shape"),
    ("instances text", body(instances="7"), "application/json", 422, "shape"),
    ("257 instances", body(instances=[{"pixels": []}] * 257), "application/json", 422, "too-many"),
    ("one bad of two", body(instances=[{"strokes": SEVEN}, {}]), "application/json", 422, "shape"),
    ("instance null", body(instances=[None]), "application/json", 422, "shape"),
    ("nested", body(instances=[{"instances": []}]), "application/json", 422, "shape"),
    ("junk PNG", b"junk", "image/png", 422, "unreadable"),
    ("cut JPEG", picture("JPEG")[:150], "image/jpeg", 422, "unreadable"),
    ("empty PNG", b"", "image/png", 422, "unreadable"),
    ("blank PNG", picture(size=(5, 5)), "image/png", 422, "empty"),
    ("bomb", bomb(), "image/png", 413, "too-large"),
    ("bomb in JSON", body(image=base(bomb())), "application/json", 413, "too-large"),
    ("too long", b" " * 200_001, "application/json", 413, "body-too-large"),
    ("form", b"a=b", "application/x-www-form-urlencoded", 415, "media-type"),
    ("SVG", b"<svg/>", "image/svg+xml", 415, "media-type"),
    ("text", b"7", "text/plain", 415, "media-type"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "kind", "status", "code"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_bad_input_is_refused_in_plain_words(
    server: Running, sent: bytes, kind: str, status: int, code: str
) -> None:
    found, answer = server.ask("/predict", sent, kind)
    assert (found, answer["error"]["code"]) == (status, code)
    assert len(answer["error"]["message"]) > 15
    assert server.ask("/predict", body(strokes=SEVEN))[0] == 200


def test_many_bombs_share_one_limit(server: Running) -> None:
    stream = io.BytesIO()
    Image.new("1", (3_900, 3_900)).save(stream, "PNG")
    text = base64.b64encode(stream.getvalue()).decode()
    status, answer = server.ask("/predict", body(instances=[{"image": text}] * 4))
    assert status in (413, 422)
    assert answer["error"]["message"].startswith("Instance ")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/predict", 405, "POST"),
        ("PUT", "/predict", 405, "POST"),
        ("POST", "/healthz", 405, "GET"),
        ("DELETE", "/metrics", 405, "GET"),
        ("GET", "/", 404, None),
        ("GET", "/predict/", 404, None),
        ("POST", "/../etc/passwd", 404, None),
    ],
)
def test_wrong_paths_and_methods(
    server: Running, method: str, path: str, status: int, allow: str | None
) -> None:
    found, headers, content = server.raw(path, method=method)
    assert found == status
    assert json.loads(content)["error"]["code"] == {404: "not-found", 405: "method"}[status]
    if allow:
        assert allow in headers["allow"]


def talk(server: Running, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send bytes as they are, read until the server closes or the answer is whole."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)  # a slow client is what is meant
        answer = b""
        while b"\r\n\r\n" not in answer or not whole(answer):
            more = connection.recv(65536)
            if not more:
                break
            answer += more
        return answer


def whole(answer: bytes) -> bool:
    head, _, rest = answer.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(rest) >= int(line.split(b":")[1])
    return False


HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


def test_chunked_bodies_are_read_and_limited(server: Running) -> None:
    sent = body(strokes=SEVEN)
    chunk = b"%x\r\n%b\r\n" % (len(sent), sent)
    fine = talk(server, HEAD + b"transfer-encoding: chunked\r\n\r\n", chunk + b"0\r\n\r\n")
    assert fine.startswith(b"HTTP/1.1 200")
    big = b"%x\r\n%b\r\n" % (50_000, b" " * 50_000)
    answer = talk(server, HEAD + b"transfer-encoding: chunked\r\n\r\n", *[big] * 8, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body-too-large" in answer


def test_a_caller_that_asks_first_is_told_at_once(server: Running) -> None:
    head = HEAD + b"content-length: 900000000\r\nexpect: 100-continue\r\n\r\n"
    started = time.monotonic()
    assert talk(server, head).startswith(b"HTTP/1.1 413")
    assert time.monotonic() - started < 1


def test_an_endless_body_does_not_hold_the_server(server: Running) -> None:
    head = HEAD + b"content-length: 900000000\r\n\r\n"
    assert talk(server, head, b" " * 100_000).startswith(b"HTTP/1.1 413")


def test_a_slow_body_is_waited_for_and_a_stuck_one_is_not(server: Running) -> None:
    sent = body(strokes=SEVEN)
    head = HEAD + b"content-length: %d\r\n\r\n" % len(sent)
    pieces = [sent[i : i + 16] for i in range(0, len(sent), 16)]
    assert talk(server, head, *pieces, pause=0.05).startswith(b"HTTP/1.1 200")
    assert talk(server, head, sent[:10]).startswith(b"HTTP/1.1 408")


def test_hanging_up_half_way_harms_nobody(server: Running) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(HEAD + b"content-length: 1000\r\n\r\nhalf")
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert server.ask("/healthz")[0] == 200


def test_many_callers_at_once(server: Running, samples: dict[str, Any]) -> None:
    def one(number: int) -> bool:
        digit = number % 10
        status, answer = server.ask("/predict", body(strokes=samples[str(digit)][0]))
        return status == 200 and answer["predictions"][0]["digit"] == digit

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(300)))


def test_healthz_answers_while_large_pictures_are_read(starter: Start) -> None:
    server = starter("serve")
    large = picture(size=(3_900, 3_900))
    with ThreadPoolExecutor(6) as pool:
        begun = time.monotonic()
        busy = [pool.submit(server.ask, "/predict", large, "image/png") for _ in range(6)]
        slowest = 0.0
        while not all(future.done() for future in busy):
            started = time.monotonic()
            assert server.ask("/healthz")[0] == 200
            slowest = max(slowest, time.monotonic() - started)
        assert all(future.result()[0] == 200 for future in busy)
    # Read on the loop itself, the six would have been answered first.
    assert slowest < (time.monotonic() - begun) / 2
    assert server.stop() == 0


def test_metrics_count_what_happened(starter: Start) -> None:
    server = starter("serve", ACCESS_LOG="1")
    for _ in range(3):
        assert server.ask("/predict", body(strokes=SEVEN))[0] == 200
    server.ask("/predict", b"{")
    server.ask("/predict")
    status, headers, content = server.raw("/metrics")
    text = content.decode()
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'inkdigits_requests_total{status="200"} 3' in text
    assert 'inkdigits_requests_total{status="400"} 1' in text
    assert 'inkdigits_requests_total{status="405"} 1' in text
    assert 'inkdigits_predictions_total{digit="7"} 3' in text
    assert 'inkdigits_request_seconds_bucket{le="+Inf"} 5' in text
    assert 'inkdigits_model_info{name="inkdigits"' in text
    buckets = [int(line.split()[1]) for line in text.splitlines() if "_bucket" in line]
    assert buckets == sorted(buckets)
    line = server.event("request")
    assert line["digits"] == [7]
    assert server.stop() == 0


def test_a_request_in_flight_is_finished_on_the_way_out(starter: Start) -> None:
    server = starter("serve")
    sent = body(strokes=SEVEN)
    head = HEAD + b"content-length: %d\r\n\r\n" % len(sent)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head + sent[:20])
        server.ask("/healthz")  # the first half has arrived before the signal does
        server.process.send_signal(
            signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGTERM  # type: ignore[attr-defined]
        )
        server.event("stopping")
        assert server.process.poll() is None
        connection.sendall(sent[20:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert server.process.wait(20) == 0
    server.event("stopped")


def test_an_idle_connection_does_not_delay_the_end(starter: Start) -> None:
    server = starter("serve")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20):
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5


def test_every_log_line_has_time_level_and_event(starter: Start) -> None:
    server = starter("serve")
    assert server.stop() == 0
    assert [line["event"] for line in server.lines] == ["ready", "stopping", "stopped"]
    for line in server.lines:
        assert line["time"].endswith("Z")
        assert line["level"] == "info"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PORT": "http"}, "PORT"),
        ({"PORT": "70000"}, "PORT"),
        ({"MODEL_DIR": "nowhere"}, "MODEL_DIR"),
        ({"HOST": "203.0.113.7"}, "Cannot listen"),
    ],
)
def test_a_start_that_cannot_be_is_explained(
    starter: Start, environment: dict[str, str], told: str
) -> None:
    server = starter("serve", ready=False, **environment)
    line = server.event("failed")
    assert told in line["message"]
    assert server.process.wait(10) == 1


def test_a_taken_port_is_explained(starter: Start, server: Running) -> None:
    second = starter("serve", ready=False, PORT=str(server.port))
    assert str(server.port) in second.event("failed")["message"]
    assert second.process.wait(10) == 1


def test_a_damaged_model_is_not_served(starter: Start, model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes((model_dir / "model.json").read_bytes())
    content = bytearray((model_dir / "inkdigits.onnx").read_bytes())
    content[-100] ^= 1
    (tmp_path / "inkdigits.onnx").write_bytes(content)
    server = starter("serve", ready=False, MODEL_DIR=str(tmp_path))
    assert "SHA-256" in server.event("failed")["message"]
    assert server.process.wait(10) == 1


def health(port: int) -> int:
    environment = {**os.environ, "PORT": str(port)}
    environment["PYTHONPATH"] = os.pathsep.join([str(INKPREP), str(LAB_DOCKER)])
    command = [sys.executable, "-m", "app", "health"]
    return subprocess.run(command, env=environment, check=False, timeout=20).returncode


def test_health_says_whether_the_server_answers(starter: Start) -> None:
    server = starter("serve")
    assert health(server.port) == 0
    assert server.stop() == 0
    assert health(server.port) == 1


def test_health_loads_no_model() -> None:
    code = (
        "import sys; import app.health; app.health.check(0.01); "
        "sys.exit(bool({'numpy', 'onnxruntime', 'PIL', 'starlette', 'uvicorn'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(LAB_DOCKER), "PORT": "1"}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


def test_the_served_app_needs_no_training_library() -> None:
    code = (
        "import sys; import app.serve, app.batch, app.function; "
        "sys.exit(bool({'sklearn', 'scipy', 'boto3', 'pandas'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(INKPREP), str(LAB_DOCKER)])}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
