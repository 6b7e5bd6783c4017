"""Each finding, where the machine has it and where it lacks it."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import socketserver
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from fargate_lab.cli import doctor
from fargate_lab.cli.environment import Environment

Usage = namedtuple("Usage", "total used free")


def test_every_finding_that_is_lacking_says_what_it_means_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1, 1, 1e8))
    monkeypatch.setattr(doctor, "_memory_gb", lambda: 1.0)
    monkeypatch.setattr(doctor, "engine_version", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(doctor, "index_answers", lambda _: False)
    found = doctor.examine(Environment(tmp_path))
    lacking = {finding.name: finding for finding in found if not finding.ok}
    assert {"disk", "memory", "Docker", "Chromium", "network"} <= set(lacking)
    assert [f.name for f in lacking.values() if not (f.meaning and f.advice)] == []
    assert lacking["disk"].needed
    assert not lacking["Docker"].needed


def test_a_needed_thing_that_is_missing_fails_the_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "index_answers", lambda _: True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1, 1, 1e8))
    assert doctor.doctor(Environment(tmp_path)) == 1
    said = capsys.readouterr().out
    assert "MISSING disk" in said
    assert "before this is mended: disk" in said


def test_a_state_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert doctor.folder(tmp_path / "new" / "folder").ok
    assert not doctor.folder(tmp_path / "file" / "below").ok


def test_a_port_in_use_is_told_but_is_no_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finding = doctor.ports({port: "something"})
    assert finding.ok
    assert f"{port} (something) in use" in finding.found
    assert doctor.ports({port: "something"}).found.endswith("are free")


def test_credentials_are_named_never_shown_and_not_used() -> None:
    finding = doctor.credentials({"AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_PROFILE": "work"})
    text = "\n".join(finding.lines())
    assert "AWS_PROFILE, AWS_SECRET_ACCESS_KEY" in text
    assert "Not used" in text
    assert "hunter2" not in text
    assert "consent" in doctor.credentials({"LAB_BACKEND": "aws"}).meaning


@pytest.mark.parametrize(
    ("environ", "ok"),
    [
        ({}, True),
        ({"https_proxy": "http://proxy:3128"}, False),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,127.0.0.1"}, True),
        ({"HTTP_PROXY": ""}, True),
    ],
)
def test_a_proxy_must_spare_this_machine(environ: dict[str, str], ok: bool) -> None:
    assert doctor.proxies(environ).ok is ok


class _Engine(http.server.BaseHTTPRequestHandler):
    """A Docker engine that knows its version and nothing else."""

    def do_GET(self) -> None:
        """Answer /version."""
        body = b'{"Version": "27.5.1"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """A Unix socket's peer has no address."""
        return "local"

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[str]:
    """DOCKER_HOST of an engine on a Unix socket."""
    if not hasattr(socketserver, "UnixStreamServer"):
        pytest.skip("Unix sockets")
    path = os.path.relpath(tmp_path / "engine.sock")
    server = socketserver.UnixStreamServer(path, _Engine)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"unix://{path}" if path.startswith("/") else f"unix://{tmp_path}/engine.sock"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_engine_on_a_socket_tells_its_version(engine: str) -> None:
    assert doctor.engine_version(engine) == "27.5.1"


@pytest.mark.skipif(sys.platform == "win32", reason="asks the docker command there")
def test_no_engine_is_no_version(tmp_path: Path) -> None:
    assert doctor.engine_version(f"unix://{tmp_path}/none.sock") is None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert doctor.engine_version(f"tcp://127.0.0.1:{port}") is None
