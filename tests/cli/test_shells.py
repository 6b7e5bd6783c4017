"""The exports survive each shell's own rules."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_lab.cli.shells import exports, stray

AWKWARD = "a b'c\"d$e`f\\g%h&i;j|k"
PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=30)


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
@settings(max_examples=40, deadline=None)
@given(value=PLAIN)
def test_bash_reads_back_what_was_written(value: str) -> None:
    script = exports({"LAB_X": value}, "bash") + '\nprintf %s "$LAB_X"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode() == value


@pytest.mark.parametrize("shell", ["fish", "pwsh"])
def test_other_shells_read_back_what_was_written(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    syntax = {"fish": "fish", "pwsh": "powershell"}[shell]
    show = {"fish": 'printf %s "$LAB_X"', "pwsh": "[Console]::Out.Write($Env:LAB_X)"}[shell]
    script = exports({"LAB_X": AWKWARD}, syntax) + "\n" + show
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == AWKWARD


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "export A=b"),
        ("powershell", "$Env:A = 'b'"),
        ("cmd", 'set "A=b"'),
        ("fish", "set -gx A 'b'"),
    ],
)
def test_each_shell_has_its_own_words(shell: str, line: str) -> None:
    assert exports({"A": "b"}, shell) == line


def test_quotes_are_doubled_or_escaped() -> None:
    assert exports({"A": "it's"}, "powershell") == "$Env:A = 'it''s'"
    assert exports({"A": "it's\\"}, "fish") == "set -gx A 'it\\'s\\\\'"
    assert exports({"A": "50%"}, "cmd") == 'set "A=50%%"'


def test_what_would_lead_past_the_lab_is_unset_first() -> None:
    environ = {
        "AWS_PROFILE": "work",
        "AWS_ENDPOINT_URL_ECS": "http://elsewhere",
        "AWS_ENDPOINT_URL": "http://lab",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "HOME": "/",
    }
    names = stray(environ)
    assert names == ["AWS_ENDPOINT_URL_ECS", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_PROFILE"]
    lines = exports({"A": "b"}, "bash", unset=names).splitlines()
    assert lines[:3] == [f"unset {name}" for name in names]
    assert lines[3] == "export A=b"
