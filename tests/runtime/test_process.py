"""The process driver's parts, without a cloud."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fargate_lab.runtime.driver import Image, StartError
from fargate_lab.runtime.process.addresses import Addresses
from fargate_lab.runtime.process.launch import FIRST_BOOT, write_boot
from fargate_lab.runtime.process.python import (
    Interpreter,
    base_executable,
    host_platform,
    image_minor,
    interpreter,
)
from fargate_lab.runtime.process.rootfs import RootFs
from fargate_lab.runtime.process.shim.fargate_lab_shim import options_of

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX paths")


@posix
def test_links_stay_inside_the_image(tmp_path: Path) -> None:
    """An absolute link, and too many `..`, lead to the image and never out of it."""
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "sh").write_text("x")
    (tmp_path / "bin").symlink_to("/usr/bin")
    root = RootFs(tmp_path)
    assert root.resolve("/bin/sh") == tmp_path / "usr" / "bin" / "sh"
    assert root.resolve("/../../../bin/../bin/sh") == tmp_path / "usr" / "bin" / "sh"


@posix
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/opt/model", "{root}/opt/model"),
        ("/opt/model:/no/such", "{root}/opt/model:/no/such"),
        ("--model=/opt/model", "--model=/opt/model".replace("/opt", "{root}/opt")),
        ("/no/such", "/no/such"),
        ("/", "/"),
        ("http://host/opt/model", "http://host/opt/model"),
        ("", ""),
    ],
)
def test_paths_in_values_are_translated(tmp_path: Path, value: str, expected: str) -> None:
    """What exists in the image is translated, anything else stays."""
    (tmp_path / "opt" / "model").mkdir(parents=True)
    assert RootFs(tmp_path).translate(value) == expected.format(root=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-m", "app", "serve"], ([], "m", "app", ["serve"])),
        (["-um", "app"], (["-u"], "m", "app", [])),
        (["-u", "-W", "error", "x.py", "-m"], (["-u", "-W", "error"], "file", "x.py", ["-m"])),
        (["-c", "print(1)", "a"], ([], "c", "print(1)", ["a"])),
        (["-mapp"], ([], "m", "app", [])),
        (["-Xutf8", "-"], (["-Xutf8"], "stdin", "-", [])),
        ([], ([], "stdin", "-", [])),
    ],
)
def test_python_command_lines(arguments: list[str], expected: Any) -> None:
    """The interpreter's options, what it runs, and what that gets."""
    assert options_of(arguments) == expected  # type: ignore[no-untyped-call]


def test_the_images_python_is_read_from_its_folders(tmp_path: Path) -> None:
    """The newest library that is there; a name that says it wins."""
    for minor in (9, 12):
        folder = tmp_path / "usr" / "local" / "lib" / f"python3.{minor}"
        folder.mkdir(parents=True)
        (folder / "os.py").touch()
    assert image_minor(RootFs(tmp_path), {}, "python3") == 12
    assert image_minor(RootFs(tmp_path), {"PYTHON_VERSION": "3.10.4"}, "python3") == 10
    assert image_minor(RootFs(tmp_path), {}, "/usr/bin/python3.9") == 9


def test_addresses_differ_between_tasks_and_clouds(tmp_path: Path) -> None:
    """Each task has a pair of its own, and gives it back."""
    one, two = (Addresses(tmp_path / n, mapped=False) for n in ("a", "b"))
    pairs = [one.take(str(n)) for n in range(200)] + [two.take("0")]
    assert len(set(pairs)) == 201
    assert all(outer != inner and outer.startswith("127.") for outer, inner in pairs)


class Shimmed:
    """Runs Python through the shim as the driver would."""

    def __init__(
        self, folder: Path, *, mapped: bool = False, interpreter: Interpreter | None = None
    ) -> None:
        self.net = folder / "net"
        self.net.mkdir()
        outer, inner = Addresses(folder, mapped=mapped).take("task")
        self.outer = outer
        config = {
            "outer": outer,
            "inner": inner,
            "mapped": mapped,
            "net": str(self.net),
            "cloud_port": 1,
            "paths": {
                "own": {"/data": str(folder / "data")},
                "root": str(folder / "root"),
                "upper": str(folder / "upper"),
                "outside": [],
            },
        }
        (folder / "data").mkdir()
        self.folder = folder
        write_boot(folder / "bin", interpreter or Interpreter(base_executable(), ()), config)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python3 <arguments>` as a container's first process."""
        boot = self.folder / "bin" / FIRST_BOOT
        return subprocess.run(
            [base_executable(), "-S", str(boot), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"]} if os.name == "posix" else None,
        )


@pytest.fixture
def shimmed(tmp_path: Path) -> Shimmed:
    """Addresses as on this system."""
    return Shimmed(tmp_path, mapped=sys.platform != "linux")


def test_arguments_and_globals_are_pythons(shimmed: Shimmed) -> None:
    """A script sees itself as `__main__` with its own arguments, and `exit` exists."""
    script = shimmed.folder / "script.py"
    script.write_text("import sys\nprint(__name__, sys.argv)\nexit(4)\n")
    done = shimmed.run("script.py", "-m", "x")
    assert (done.stdout, done.returncode) == ("__main__ ['script.py', '-m', 'x']\n", 4)


def test_tracebacks_show_the_program_alone(shimmed: Shimmed) -> None:
    """No frame of the shim."""
    done = shimmed.run("-c", "def f(): 1/0\nf()")
    assert done.returncode == 1
    assert "shim" not in done.stderr
    assert done.stderr.startswith('Traceback (most recent call last):\n  File "<string>", line 2')
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_missing_script_is_said_as_python_says_it(shimmed: Shimmed) -> None:
    """Exit code 2 and one line."""
    done = shimmed.run("no-such.py")
    assert done.returncode == 2
    assert "can't open file" in done.stderr
    assert "Traceback" not in done.stderr


@posix
def test_the_containers_paths_are_seen_and_the_image_is_not_changed(shimmed: Shimmed) -> None:
    """Reading falls through to the image; writing stays in the container."""
    (shimmed.folder / "root" / "etc").mkdir(parents=True)
    image_file = shimmed.folder / "root" / "etc" / "setting"
    image_file.write_text("image")
    code = """
import os
print(open("/etc/setting").read(), os.path.exists("/data"), os.listdir("/data"))
open("/etc/setting", "a").write("+own")
open("/data/note", "w").write("n")
print(open("/etc/setting").read(), os.listdir("/data"))
"""
    done = shimmed.run("-c", code)
    assert done.stdout == "image True []\nimage+own ['note']\n", done.stderr
    assert image_file.read_text() == "image"


LISTEN = """
import socket, sys
server = socket.create_server(({host!r}, 8080))
client = socket.create_connection(("127.0.0.1", 8080))
print(server.getsockname()[0], client.getpeername()[1] == server.getsockname()[1])
"""


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1"])
@pytest.mark.parametrize("mapped", [False, True])
def test_localhost_is_the_tasks_own(tmp_path: Path, host: str, mapped: bool) -> None:
    """A listener is found at 127.0.0.1 inside, and is outside only when it listens to all."""
    if not mapped and sys.platform != "linux":
        pytest.skip("one loopback address")
    shimmed = Shimmed(tmp_path, mapped=mapped)
    done = shimmed.run("-c", LISTEN.format(host=host))
    where, found = done.stdout.split()
    assert found == "True"
    assert (where == shimmed.outer) == (mapped or host != "127.0.0.1")
    side = "inner" if host == "127.0.0.1" else "outer"
    assert [p.name for p in shimmed.net.iterdir()] == [f"{side}-8080"]


def test_what_else_listens_on_this_machine_is_no_part_of_the_task(shimmed: Shimmed) -> None:
    """A server of the learner's own on 127.0.0.1 is not the container's localhost."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        code = f"import socket; socket.create_connection(('localhost', {port}), 5)"
        done = shimmed.run("-c", code)
    assert "ConnectionRefusedError" in done.stderr


def test_asyncio_servers_are_moved_too(shimmed: Shimmed) -> None:
    """With and without a host, as frameworks do it."""
    code = """
import asyncio, json
async def main():
    server = await asyncio.start_server(lambda r, w: w.close(), None, 8080)
    r, w = await asyncio.open_connection("localhost", 8080)
    print(json.dumps([s.getsockname()[0] for s in server.sockets]))
asyncio.run(main())
"""
    done = shimmed.run("-c", code)
    addresses = json.loads(done.stdout)
    assert shimmed.outer in addresses, done.stderr
    assert not {"0.0.0.0", "::"} & set(addresses)


def test_native_packages_of_another_platform_are_the_labs_own(tmp_path: Path) -> None:
    """An image for another architecture runs with the lab's copies, and says which."""
    site = tmp_path / "root" / "opt" / "site"
    for name, tag in (("numpy-1.0.dist-info", "cp311-cp311-elsewhere"), ("x-1.dist-info", "a-any")):
        (site / name).mkdir(parents=True)
        (site / name / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    (site / "numpy").mkdir()
    (site / "numpy" / "__init__.py").write_text("raise ImportError('for another machine')")
    image = Image("r", "sha256:0", {}, {"os": "linux", "architecture": "other"}, ())
    found = interpreter(image, RootFs(tmp_path / "root"), {"PYTHONPATH": "/opt/site"}, "python3")
    assert "numpy" in found.substitutes
    assert len(found.notes) == 1
    assert "stands in for the image's 1.0" in found.notes[0]
    shimmed = Shimmed(tmp_path, mapped=sys.platform != "linux", interpreter=found)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import numpy; print(numpy.ones(2).sum())"
    )
    done = shimmed.run("-c", code)
    assert done.stdout == "2.0\n", done.stderr


def test_an_image_for_a_python_that_is_not_here_is_refused(tmp_path: Path) -> None:
    """The message names both versions and ways out."""
    os_name, _, architecture = host_platform().partition("/")
    image = Image("r", "sha256:0", {}, {"os": os_name, "architecture": architecture}, ())
    with pytest.raises(StartError, match=r"needs Python 3\.99.*docker runtime") as caught:
        interpreter(image, RootFs(tmp_path), {"PYTHON_VERSION": "3.99.1"}, "python3")
    assert caught.value.kind == "CannotStartContainerError"
