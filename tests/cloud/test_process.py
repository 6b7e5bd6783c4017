"""The cloud as a background process."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import pytest

from fargate_lab.cloud import process


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    process.stop(tmp_path / "state")


def test_start_find_stop(folder: Path) -> None:
    info = process.start(folder, port=0)
    assert process.find(folder) == info
    assert process.start(folder) == info
    assert process.stop(folder) is True
    assert not psutil.pid_exists(info.pid) or not process._is_cloud(info.pid)
    assert process.find(folder) is None
    assert not process.info_path(folder).exists()
    assert process.stop(folder) is False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_only_the_owner_may_read_the_stop_token(folder: Path) -> None:
    process.start(folder, port=0)
    assert stat.S_IMODE(process.info_path(folder).stat().st_mode) == 0o600


def test_a_taken_port_is_said_and_nothing_is_left(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(process.CloudError, match=f"Port {port} .* taken"):
            process.start(folder, port=port)
    assert not process.info_path(folder).exists()


def test_the_cloud_of_a_folder_keeps_its_port(folder: Path) -> None:
    info = process.start(folder, port=0)
    with pytest.raises(process.CloudError, match="already runs"):
        process.start(folder, port=info.port - 1)


def test_a_killed_cloud_leaves_no_trace_that_misleads(folder: Path) -> None:
    info = process.start(folder, port=0)
    psutil.Process(info.pid).kill()
    psutil.wait_procs([psutil.Process(info.pid)] if psutil.pid_exists(info.pid) else [], 5)
    assert process.find(folder) is None
    again = process.start(folder, port=0)
    assert again.pid != info.pid


def test_two_starts_at_once_give_one_cloud(folder: Path) -> None:
    found: list[process.CloudInfo] = []
    threads = [
        threading.Thread(target=lambda: found.append(process.start(folder, port=0)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({info.pid for info in found}) == 1
    assert len(found) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_sigterm_is_a_clean_stop(folder: Path) -> None:
    info = process.start(folder, port=0)
    os.kill(info.pid, signal.SIGTERM)
    psutil.wait_procs([psutil.Process(info.pid)] if psutil.pid_exists(info.pid) else [], 10)
    assert not process.info_path(folder).exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(process.CloudError, match="--state-dir"):
        process.start(tmp_path / "file" / "state")


def test_an_unknown_runtime_is_refused(folder: Path) -> None:
    with pytest.raises(process.CloudError, match="auto, docker, process"):
        process.start(folder, runtime="podman")


def test_foreign_process_id_in_cloud_json(folder: Path) -> None:
    info = process.start(folder, port=0)
    process.stop(folder)
    text = json.dumps({**info.__dict__, "pid": os.getpid()})
    process.info_path(folder).write_text(text)
    assert process.find(folder) is None
    assert process.stop(folder) is False


def test_a_restart_says_what_it_kept_and_lost(tmp_path: Path) -> None:
    first = process.start(tmp_path, port=0, runtime="process")
    try:
        assert first.news() == ""
        ecs = boto3.client(
            "ecs",
            endpoint_url=first.url,
            region_name="us-east-1",
            aws_access_key_id="lab",
            aws_secret_access_key="lab",
        )
        ecs.create_cluster(clusterName="kept")
        process.stop(tmp_path)
        again = process.start(tmp_path, port=first.port, runtime="process")
        assert again.resumed
        assert "Roles, networks, logs" in again.news()
        assert ecs.describe_clusters(clusters=["kept"])["clusters"][0]["status"] == "ACTIVE"
    finally:
        process.stop(tmp_path)
