"""An installer's words are understood, and nothing is read into those that are not."""

from __future__ import annotations

import errno
import os

import pytest

from fargate_lab.cli.troubles import TROUBLES, Trouble, diagnose, explain, tail


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: t.name)
def test_every_sign_leads_to_its_trouble_or_a_more_specific_one(trouble: Trouble) -> None:
    for sign in trouble.signs:
        found = diagnose(f"error: {sign.upper()} at last")
        assert found is not None
        assert TROUBLES.index(found) <= TROUBLES.index(trouble)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (errno.ENOSPC, "disk full"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "no permission"),
        (errno.ENETUNREACH, "no network"),
        (errno.ECONNREFUSED, "no network"),
    ],
)
def test_the_systems_own_words_are_known(code: int, name: str) -> None:
    found = diagnose(os.strerror(code))
    assert found is not None
    assert found.name == name


def test_an_unknown_failure_shows_the_last_words() -> None:
    assert diagnose("thread panicked") is None
    text = explain("Installing", "one\n\x1b[31mtwo\x1b[0m\n", "the.log")
    assert "    one\n    two" in text
    assert "the.log" in text


def test_the_tail_is_short() -> None:
    assert tail("\n".join(map(str, range(100))), 3) == "    97\n    98\n    99"
    assert tail("progress 1%\rprogress 100%\r") == "    progress 1%\n    progress 100%"
