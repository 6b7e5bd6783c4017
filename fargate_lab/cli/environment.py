"""The lab's `.venv`: where it is and whether it can be trusted. Standard library alone."""

from __future__ import annotations

import hashlib
import json
import locale
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

STAMP = "lab-ready.json"
UNFINISHED = "lab-unfinished"
LOCK = "lab-setup.lock"
LOG = "lab-setup.log"


@dataclass(frozen=True)
class Environment:
    """The virtual environment beside `lab.py`."""

    root: Path

    @property
    def folder(self) -> Path:
        """`.venv`."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The environment's interpreter, which may not exist yet."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def lock_file(self) -> Path:
        """The pinned requirements with their hashes."""
        return self.root / "requirements.lock"

    def wanted(self) -> dict[str, str]:
        """What a finished set-up writes down: another lock, folder or stamp means set up again."""
        digest = hashlib.sha256(self.lock_file.read_bytes()).hexdigest()
        return {"lock": digest, "folder": str(self.folder)}

    def ready(self) -> bool:
        """Whether the environment is complete, belongs to this folder and its Python starts."""
        stamp = self._stamp()
        if stamp is None or (self.folder / UNFINISHED).exists():
            return False
        wanted = self.wanted()
        return {k: stamp.get(k) for k in wanted} == wanted and stamp.get("python") == self.version()

    def version(self) -> str | None:
        """The version of the environment's Python, None when it does not start.

        A Python that was upgraded or removed, and a folder that was moved, show here.
        """
        code = "import os, sys; print('%d.%d' % sys.version_info[:2]); print(sys.prefix)"
        try:
            done = subprocess.run(
                [str(self.python), "-I", "-c", code],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        lines = done.stdout.split("\n")
        if done.returncode or len(lines) < 2 or not _same(lines[1].strip(), self.folder):
            return None
        # A Python upgraded under the environment still starts but finds none of its packages.
        return lines[0] if self.site_packages(lines[0]).is_dir() else None

    def usable(self) -> bool:
        """Whether packages can be installed into it as it is; otherwise it is made anew."""
        version = self.version()
        stamp = self._stamp() or {}
        return (
            version is not None
            # Scripts name the folder that they were installed in: a moved one is made anew.
            and stamp.get("folder") in {None, str(self.folder)}
            and tuple(map(int, version.split("."))) >= (3, 11)
            and not (self.folder / UNFINISHED).exists()
        )

    def site_packages(self, version: str) -> Path:
        """Where the packages of a Python of that version go."""
        if os.name == "nt":
            return self.folder / "Lib" / "site-packages"
        return self.folder / "lib" / f"python{version}" / "site-packages"

    def begin(self) -> None:
        """Withdraw the trust: from here to `finish`, an interruption means making it anew."""
        (self.folder / STAMP).unlink(missing_ok=True)
        (self.folder / UNFINISHED).touch()

    def finish(self) -> None:
        """Everything is in place: make the lab importable and write the stamp, last."""
        version = self.version()
        if version is None:
            raise OSError(f"{self.python} does not start")
        link = self.site_packages(version) / "fargate_lab.pth"
        link.write_text(f"{self.root}\n", encoding=locale.getencoding())
        stamp = {**self.wanted(), "python": version}
        (self.folder / UNFINISHED).unlink(missing_ok=True)
        temporary = self.folder / (STAMP + ".tmp")
        temporary.write_text(json.dumps(stamp, indent=2), encoding="utf-8")
        temporary.replace(self.folder / STAMP)

    def clear(self) -> None:
        """Delete what is in the environment, but for the set-up's own lock and log."""
        for entry in self.folder.iterdir():
            if entry.name in {LOCK, LOG, UNFINISHED}:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def packages(self) -> int:
        """How many distributions are installed: the progress of a set-up."""
        pattern = "Lib/site-packages" if os.name == "nt" else "lib/python3.*/site-packages"
        return sum(1 for _ in self.folder.glob(f"{pattern}/*.dist-info"))

    def _stamp(self) -> dict[str, str] | None:
        try:
            stamp = json.loads((self.folder / STAMP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return stamp if isinstance(stamp, dict) else None


def base_python() -> str:
    """The interpreter below any virtual environment that runs this."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return str(base)


def clean_environ() -> dict[str, str]:
    """This process's environment without what would bend another Python's paths.

    Nor may it keep Python from storing its bytecode: `.venv` is the lab's own folder, and without
    bytecode every start of the cloud, of JupyterLab and of a kernel takes seconds longer.
    """
    dropped = {"PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"}
    dropped |= {"PYTHONDONTWRITEBYTECODE"}
    return {k: v for k, v in os.environ.items() if k not in dropped}


def _same(prefix: str, folder: Path) -> bool:
    try:
        return os.path.samefile(prefix, folder)
    except OSError:
        return False
