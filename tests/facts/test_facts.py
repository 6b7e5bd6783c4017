"""Every fact is well formed, dated and sourced; none is written twice."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fargate_lab.facts import CONFIDENCES, Fact, FactError, UnknownFact, fact, facts
from fargate_lab.facts.book import DATA, load
from fargate_lab.facts.fact import parse_fact

FILES = sorted(DATA.rglob("*.yaml"))
ENTRY: dict[str, Any] = {
    "value": 1,
    "text": "One.",
    "source": "here",
    "as_of": dt.date(2026, 11, 1),
    "confidence": "official",
}
SOURCES = {"here": "A guide", "there": "Another guide"}


def test_there_are_facts_on_every_subject() -> None:
    subjects = {entry.id.split(".")[0] for entry in facts()}
    assert {"fargate", "messages", "quotas", "prices", "ecr", "outdated", "run_task"} <= subjects


def flaws(entry: Fact) -> list[str]:
    """What is wrong with a fact."""
    fine = {
        "id": re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", entry.id),
        "date": dt.date(2016, 1, 1) <= entry.as_of <= dt.date(2026, 11, 30),
        "confidence": entry.confidence in CONFIDENCES,
        "value": entry.value is not None,
        "text": entry.text.strip().endswith("."),
        "source": entry.source,
        "citation": str(entry.as_of) in entry.cite() and "\n" not in entry.cite(),
        "message": isinstance(entry.value, str) or not entry.id.startswith("messages."),
    }
    return [f"{entry.id}: {name}" for name, holds in fine.items() if not holds]


def test_every_fact_is_well_formed() -> None:
    everything = facts()
    assert len(everything) > 500
    assert [flaw for entry in everything for flaw in flaws(entry)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(DATA).as_posix())
def test_no_key_is_written_twice(path: Path) -> None:
    # YAML itself keeps the last of two equal keys without a word.
    nodes = [yaml.compose(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert len(set(keys)) == len(keys)
            nodes += [value for _, value in node.value]


def test_every_source_is_used_and_names_something_public() -> None:
    sources = load(DATA / "sources.yaml")
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    unused = [key for key in sources if not re.search(rf"(source: |\[|, ){key}\b", text)]
    assert unused == []
    assert len(set(sources.values())) == len(sources)


def test_a_fact_is_found_by_its_id() -> None:
    found = fact("fargate.sizes.cpu_256")
    assert (found.value, found.unit) == ([512, 1024, 2048], "MiB")
    assert found.cite().endswith("; as of 2026-11-17; official)")


def test_facts_are_found_by_prefix() -> None:
    sizes = facts("fargate.sizes.cpu_")
    assert len(sizes) == 8
    assert {entry.id for entry in sizes} < {entry.id for entry in facts("fargate")}
    assert facts("no.such") == []


def test_an_unknown_id_names_the_nearest() -> None:
    with pytest.raises(UnknownFact) as error:
        fact("fargate.size.cpu_1024")
    assert "fargate.sizes.cpu_1024" in str(error.value)


def test_conflicts_name_both_sides() -> None:
    conflict = fact("fargate.sizes.cpu_32768").conflict
    assert conflict is not None
    assert "2026-08-15" in conflict.claim
    assert conflict.preferred


def test_places_of_a_message_are_filled() -> None:
    message = fact("messages.register.no_fargate_configuration")
    assert message.placeholders == {"cpu", "memory"}
    assert "333 CPU, 777 memory" in message.fill(cpu=333, memory=777)
    for wrong in ({"cpu": 1}, {"cpu": 1, "memory": 2, "colour": 3}):
        with pytest.raises(FactError):
            message.fill(**wrong)


def test_what_is_filled_in_is_not_filled_again() -> None:
    message = fact("messages.run_task.override_unknown")
    assert "{container}" in message.fill(container="{container}")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"source": "nowhere"}, "nowhere"),
        ({"as_of": "yesterday"}, "yesterday"),
        ({"as_of": dt.datetime(2026, 1, 1)}, "as_of"),
        ({"confidence": "sure"}, "sure"),
        ({"colour": "red"}, "colour"),
        ({"conflict": {"claim": "x"}}, "conflict"),
    ],
)
def test_a_bad_entry_is_named(change: dict[str, Any], word: str) -> None:
    with pytest.raises(FactError, match=word) as error:
        parse_fact("a.b", {**ENTRY, **change}, SOURCES)
    assert "a.b" in str(error.value)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(FactError, match="text"):
        parse_fact("a.b", {k: v for k, v in ENTRY.items() if k != "text"}, SOURCES)


def test_importing_facts_reads_nothing() -> None:
    code = (
        "import sys; import fargate_lab.facts; "
        "assert 'yaml' not in sys.modules and 'boto3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_the_sources_that_are_files_of_others_are_cited_plainly() -> None:
    for title in load(DATA / "sources.yaml").values():
        assert "unnamed" not in title
        assert "http://" not in title
