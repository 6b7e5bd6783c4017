"""docs/fidelity.md is what the code says."""

from __future__ import annotations

from fargate_lab.cloud import fidelity
from fargate_lab.paths import repo_root


def test_the_page_is_up_to_date() -> None:
    stored = (repo_root() / "docs" / "fidelity.md").read_text(encoding="utf-8")
    assert stored == fidelity.document(), "run: python -m fargate_lab.cloud.fidelity"


def test_every_action_and_every_rule_is_in_it() -> None:
    page = fidelity.document()
    for said in ("`RunTask`", "`PutImage`", "No Fargate configuration exists for given values"):
        assert said in page
