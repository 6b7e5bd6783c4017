"""`lab.py test`: every check and test, one summary, nothing left running."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fargate_lab import paths
from fargate_lab.cli.console import answer, say

MARK = "LAB_TEST_RUN"
"""Set in every process of a test run: what still carries it afterwards was left behind."""

GRACE_SECONDS = 6
NO_TESTS = 5
"""pytest's exit code for "no tests collected"."""

Counts = dict[str, int]


@dataclass(frozen=True)
class Result:
    """One part of a test run."""

    name: str
    ok: bool
    seconds: float
    counts: Counts = field(default_factory=dict)


def test(options: argparse.Namespace) -> int:
    """Run the checks; the exit code is 0 only when all of them passed and none was skipped over."""
    root = paths.repo_root()
    mark = uuid.uuid4().hex
    env = {**os.environ, MARK: mark, "PYTHONPATH": str(root)}
    begun = time.monotonic()
    results: list[Result] = []
    try:
        for name, command in _plan(options, root):
            results.append(_run(name, command, root, env))
    finally:
        left = _leftovers(mark)
    if left:
        results.append(Result("left running", False, 0.0, {"failed": len(left)}))
        for line in left:
            say(f"left running and now stopped: {line}")
    _summarise(results, time.monotonic() - begun)
    passed = sum(result.counts.get("passed", 0) for result in results)
    return 0 if passed and all(result.ok for result in results) else 1


def _plan(options: argparse.Namespace, root: Path) -> list[tuple[str, list[str]]]:
    """The parts of this run, in order: the quick ones first."""
    python = [sys.executable, "-m"]
    # nbval costs every process seconds to load: only notebooks get it.
    pytest = [*python, "pytest", "-p", "no:nbval"]
    if "--nbval" in options.pytest_args:
        pytest = [*python, "pytest"]
    if options.pytest_args:
        long = ["--long"] if options.long or options.long_only else []
        return [("tests", [*pytest, *long, *options.pytest_args])]
    workers = ["-n", "2", "-q"]
    if options.long_only:
        return [("long tests", [*pytest, "tests", "--long", "-m", "long", *workers])]
    plan = [
        ("ruff", [*python, "ruff", "check", "."]),
        ("format", [*python, "ruff", "format", "--check", "."]),
        ("mypy", [*python, "mypy", "fargate_lab"]),
        ("tests", [*pytest, "tests", *workers, *(["--long"] if options.long else [])]),
    ]
    notebooks = sorted(str(p.relative_to(root)) for p in (root / "solutions").glob("*.ipynb"))
    if notebooks:
        plan.append(("notebooks", [*python, "pytest", *nbval(root), *notebooks, *workers]))
    return plan


def nbval(root: Path) -> list[str]:
    """pytest's options for a strict comparison of the solved notebooks' stored outputs."""
    sanitise = root / "solutions" / "nbval_sanitize.cfg"
    options = ["--nbval", "--dist", "loadfile"]
    return [*options, "--nbval-sanitize-with", str(sanitise)] if sanitise.exists() else options


def _run(name: str, command: list[str], root: Path, env: dict[str, str]) -> Result:
    begun = time.monotonic()
    answer(f"--- {name}")
    with tempfile.TemporaryDirectory(prefix="lab-test-") as folder:
        report = Path(folder) / "report.xml"
        is_pytest = "pytest" in command[2:3]
        extra = [f"--junitxml={report}"] if is_pytest else []
        child = subprocess.Popen([*command, *extra], cwd=_where(command, root), env=env)
        try:
            code = child.wait()
        except BaseException:
            _stop(child)
            raise
        seconds = time.monotonic() - begun
        if not is_pytest:
            return Result(name, code == 0, seconds, {"failed" if code else "passed": 1})
        counts = read_report(report)
    return Result(name, code in {0, NO_TESTS}, seconds, counts or {"errors": int(code != 0)})


def _where(command: Sequence[str], root: Path) -> Path:
    """pytest arguments are relative to where they were typed; everything else to the project."""
    here = Path.cwd()
    return here if here.is_relative_to(root) and "pytest" in command[2:3] else root


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Let a test run end its own work after Ctrl-C, then insist."""
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def read_report(report: Path) -> Counts:
    """The numbers of a JUnit report: passed, failed, errors, skipped. Empty when there is none."""
    try:
        suites = ElementTree.parse(report).getroot().iter("testsuite")
        totals = [{k: int(s.get(k, 0)) for k in _JUNIT} for s in suites]
    except (OSError, ElementTree.ParseError, ValueError):
        return {}
    tests, failures, errors, skipped = (sum(t[k] for t in totals) for k in _JUNIT)
    passed = tests - failures - errors - skipped
    return {"passed": passed, "failed": failures, "errors": errors, "skipped": skipped}


_JUNIT = ("tests", "failures", "errors", "skipped")


def _leftovers(mark: str) -> list[str]:
    """What the run left behind, after a moment to end by itself; each is stopped and named."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := _marked(mark)) and time.monotonic() < deadline:
        psutil.wait_procs(left, timeout=0.2)
    lines = []
    for each in left:
        try:
            lines.append(f"{each.pid} {' '.join(each.cmdline())[:150]}")
            each.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(left, timeout=5)
    return lines


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for each in psutil.process_iter():
        try:
            if each.pid == os.getpid() or each.status() == psutil.STATUS_ZOMBIE:
                continue
            if each.environ().get(MARK) == mark:
                found.append(each)
        except (psutil.Error, OSError):
            continue
    return found


def _summarise(results: Sequence[Result], seconds: float) -> None:
    answer("\n--- summary")
    for result in results:
        counts = ", ".join(f"{n} {k}" for k, n in result.counts.items() if n)
        verdict = "ok    " if result.ok else "FAILED"
        answer(f"{verdict} {result.name:<13} {result.seconds:6.1f} s  {counts}")
    answer(closing_line([r.counts for r in results], seconds))


def closing_line(counts: Sequence[Counts], seconds: float) -> str:
    """All parts added up, in the words and order of pytest's last line."""
    words = []
    for key in ("failed", "passed", "skipped", "errors"):
        total = sum(each.get(key, 0) for each in counts)
        if total:
            words.append(f"{total} {'error' if key == 'errors' and total == 1 else key}")
    text = f" {', '.join(words) or 'no tests ran'} in {seconds:.2f}s "
    return text.center(80, "=")
