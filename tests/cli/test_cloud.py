"""up, stop, status and reset as a person types them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from fargate_lab import paths
from fargate_lab.cli.cloud import KEPT, OURS
from fargate_lab.cloud import process
from tests.cli.conftest import Lab

MAKERS = (
    "process.py",
    "statelock.py",
    "context.py",
    "__main__.py",
    "ecr/registry.py",
    "ecs/agent.py",
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="bash")


def exported(text: str) -> dict[str, str]:
    """The variables that bash exports set."""
    lines = (line.removeprefix("export ") for line in text.splitlines() if "=" in line)
    return dict(line.split("=", 1) for line in lines)


def test_up_prints_only_exports_and_the_cloud_answers(lab: Lab) -> None:
    done = lab.run("up", "--runtime", "process")
    assert done.returncode == 0, done.stderr
    values = exported(done.stdout)
    assert [line for line in done.stdout.splitlines() if not line.startswith("export ")] == []
    assert {
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "LAB_REGISTRY",
        "LAB_STATE_DIR",
    } == set(values)
    assert values["LAB_STATE_DIR"] == str(lab.state)
    with urllib.request.urlopen(values["AWS_ENDPOINT_URL"] + "/_lab/health", timeout=5) as reply:
        assert reply.status == 200
    assert "started" in done.stderr


@posix
def test_eval_of_up_points_the_shell_at_the_lab(lab: Lab) -> None:
    command = " ".join(lab.command("up"))
    script = f'eval "$({command})"; echo "$AWS_ENDPOINT_URL $AWS_PROFILE. $AWS_ENDPOINT_URL_S3."'
    done = subprocess.run(
        ["bash", "-c", script],
        env=lab.env(AWS_PROFILE="work", AWS_ENDPOINT_URL_S3="http://elsewhere"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    running = process.find(lab.state)
    assert running is not None
    assert done.stdout == f"{running.url} . .\n"


def test_a_second_up_prints_the_same_and_says_so(lab: Lab) -> None:
    first, second = lab.run("up"), lab.run("up")
    assert first.stdout == second.stdout
    assert "runs already" in second.stderr


def test_a_running_cloud_is_not_another_ports_or_runtimes(lab: Lab) -> None:
    lab.run("up", "--runtime", "process")
    other = lab.run("up", "--port", "1")
    assert (other.returncode, other.stdout) == (1, "")
    assert "already runs" in other.stderr
    docker = lab.run("up", "--runtime", "docker")
    assert (docker.returncode, docker.stdout) == (1, "")
    assert "python3 lab.py stop" in docker.stderr


def test_a_taken_port_is_named_and_nothing_is_left(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lab.run("up", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Port {port}" in done.stderr
    assert "--port" in done.stderr
    assert process.find(lab.state) is None


def test_a_chosen_port_is_used(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    done = lab.run("up", "--port", str(port))
    assert exported(done.stdout)["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{port}"


def test_a_state_folder_that_is_a_file_is_named(lab: Lab, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    done = lab.run("up", "--state-dir", str(blocked))
    assert (done.returncode, done.stdout) == (1, "")
    assert str(blocked) in done.stderr
    assert "Traceback" not in done.stderr


def test_status_and_stop(lab: Lab) -> None:
    assert lab.run("status").returncode == 3
    lab.run("up")
    said = lab.run("status")
    assert said.returncode == 0, said.stderr
    assert "The lab cloud runs at http://127.0.0.1:" in said.stdout
    report = json.loads(lab.run("status", "--json").stdout)
    assert report["running"] is True
    assert report["contents"]["repositories"] == 0
    assert "token" not in report
    assert "stopped" in lab.run("stop").stderr
    again = lab.run("stop")
    assert (again.returncode, "No lab cloud runs" in again.stderr) == (0, True)
    assert json.loads(lab.run("status", "--json").stdout)["running"] is False


def test_reset_deletes_what_the_cloud_held_and_keeps_the_cache(lab: Lab) -> None:
    lab.run("up")
    (lab.state / "cache").mkdir(exist_ok=True)
    (lab.state / "cache" / "wheel").touch()
    done = lab.run("reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert [p.name for p in lab.state.iterdir()] == ["cache"]
    assert (lab.state / "cache" / "wheel").exists()
    assert process.find(lab.state) is None


def test_reset_knows_everything_that_an_image_and_a_task_leave(lab: Lab) -> None:
    """Every name the package puts into a state folder, as its own code spells it."""
    spelled = re.compile(r"(?:state_dir|folder) / \"([a-z.]+)\"")
    code = [paths.repo_root() / "fargate_lab" / "cloud" / name for name in MAKERS]
    names = {n for path in code for n in spelled.findall(path.read_text(encoding="utf-8"))}
    assert {"uploads", "tasks", "cloud.sqlite"} <= names
    lab.state.mkdir(exist_ok=True)
    for name in names:
        (lab.state / name).mkdir()
    done = lab.run("reset", "--yes")
    assert (done.returncode, list(lab.state.iterdir())) == (0, []), done.stderr


def test_reset_keeps_the_exercises_passed(lab: Lab) -> None:
    lab.state.mkdir(exist_ok=True)
    (lab.state / "progress.json").write_text('["0.1"]', encoding="utf-8")
    assert lab.run("reset", "--yes").returncode == 0
    assert (lab.state / "progress.json").exists()


def test_reset_of_a_file_is_a_sentence(lab: Lab, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    done = lab.run("reset", "--yes", "--state-dir", str(blocked))
    assert (done.returncode, blocked.exists()) == (1, True)
    assert "is a file" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_heeds_no_profile(lab: Lab) -> None:
    lab.run("up", "--runtime", "process")
    done = lab.run("status", AWS_PROFILE="there-is-no-such-profile")
    assert (done.returncode, "repositories" in done.stdout) == (0, True), done.stderr


def test_up_keeps_the_labs_calls_from_a_proxy(lab: Lab) -> None:
    done = lab.run("up", "--runtime", "process", HTTPS_PROXY="http://proxy:1", NO_PROXY="corp")
    assert exported(done.stdout)["NO_PROXY"] == "corp,127.0.0.1,localhost"


@posix
@pytest.mark.parametrize("command", ["up", "tour"])
def test_docker_without_an_engine_is_refused_before_anything_starts(lab: Lab, command: str) -> None:
    done = lab.run(command, DOCKER_HOST="tcp://127.0.0.1:1", LAB_RUNTIME="docker")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No Docker engine answers at DOCKER_HOST=tcp://127.0.0.1:1" in done.stderr


def test_stop_ends_a_cloud_whose_folder_was_deleted(lab: Lab) -> None:
    lab.run("up", "--runtime", "process")
    running = process.find(lab.state)
    assert running is not None
    (lab.state / "cloud.json").unlink()
    assert "stopped" in lab.run("stop").stderr
    assert not psutil.pid_exists(running.pid)


def test_reset_asks_and_nobody_answers(lab: Lab) -> None:
    lab.run("up")
    done = lab.run("reset")
    assert done.returncode == 1
    assert "add --yes" in done.stderr
    assert process.find(lab.state) is not None


def test_reset_leaves_a_folder_alone_that_is_not_the_labs(lab: Lab, tmp_path: Path) -> None:
    home = tmp_path / "thesis"
    home.mkdir()
    (home / "chapter.tex").write_text("years of work", encoding="utf-8")
    (home / "cloud.log").touch()
    done = lab.run("reset", "--yes", "--state-dir", str(home))
    assert done.returncode == 1
    assert "chapter.tex" in done.stderr
    assert sorted(p.name for p in home.iterdir()) == ["chapter.tex", "cloud.log"]


@posix
def test_reset_does_not_follow_a_link(lab: Lab, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "cloud.log").touch()
    link = tmp_path / "link"
    link.symlink_to(real)
    assert lab.run("reset", "--yes", "--state-dir", str(link)).returncode == 1
    assert (real / "cloud.log").exists()


def test_reset_of_nothing_is_no_error(lab: Lab, tmp_path: Path) -> None:
    done = lab.run("reset", "--yes", "--state-dir", str(tmp_path / "none"))
    assert done.returncode == 0
    assert "nothing to delete" in done.stderr


def test_what_reset_knows_is_what_the_architecture_names() -> None:
    text = (paths.repo_root() / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("| in the state folder | what |")[1].split("\n\n")[0]
    named = {line.split("`")[1].split("/")[0] for line in table.splitlines() if "`" in line}
    assert named <= OURS
    assert KEPT <= OURS


def test_no_command_shows_a_stack_trace_for_a_closed_pipe(lab: Lab) -> None:
    if os.name == "nt":
        pytest.skip("a POSIX shell")
    command = " ".join(lab.command("status"))
    done = subprocess.run(
        ["bash", "-c", f"{command} | true"],
        env=lab.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
