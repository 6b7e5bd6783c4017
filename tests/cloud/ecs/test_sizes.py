"""Fargate's sizes: what is accepted, and how it may be written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fargate_lab.cloud.ecs.rules import Definition, first_breach
from fargate_lab.cloud.ecs.rules_register import FARGATE_RULES, RULES
from fargate_lab.cloud.ecs.sizes import fargate_sizes, is_fargate_size, parse_cpu, parse_memory
from fargate_lab.cloud.protocol import Call, Caller
from tests.cloud.ecs.requests import definition

# The table of the Developer Guide: CPU units, least and greatest GB, step in GB.
TABLE = [
    (512, 1, 4, 1), (1024, 2, 8, 1), (2048, 4, 16, 1), (4096, 8, 30, 1), (8192, 16, 60, 4),
    (16384, 32, 120, 8),
]  # fmt: skip
PAIRS = {(256, 512), (256, 1024), (256, 2048)} | {
    (cpu, gb * 1024) for cpu, low, high, step in TABLE for gb in range(low, high + 1, step)
}


def accepted(cpu: str, memory: str, region: str = "ap-northeast-1") -> bool:
    call = Call(
        "RegisterTaskDefinition",
        definition(cpu=cpu, memory=memory),
        Caller("lab", "123456789012", region),
        "127.0.0.1:4577",
    )
    error = first_breach((*RULES, *FARGATE_RULES), Definition.of(call))
    if error is None:
        return True
    assert error.message.startswith("No Fargate configuration exists for given values: ")
    return False


def test_there_are_74_pairs() -> None:
    assert {(cpu, mib) for cpu, fits in fargate_sizes() for mib in fits} == PAIRS
    assert sum(len(fits) for _, fits in fargate_sizes()) == 74


@pytest.mark.parametrize(("cpu", "memory"), sorted(PAIRS))
def test_each_pair_is_accepted(cpu: int, memory: int) -> None:
    assert accepted(str(cpu), str(memory))


near = st.sampled_from([256, 333, 512, 1024, 2048, 3072, 4096, 8192, 16384, 32768])
mib = st.one_of(
    st.integers(1, 250_000), st.integers(1, 244).map(lambda gb: gb * 1024), st.integers(1, 2048)
)


@given(cpu=near, memory=mib)
@example(cpu=1024, memory=9216)
@example(cpu=2048, memory=17408)
@example(cpu=4096, memory=31744)
@example(cpu=8192, memory=62464)
@example(cpu=16384, memory=131072)
@example(cpu=1024, memory=2560)
@example(cpu=8192, memory=17408)
@example(cpu=8192, memory=18432)
@example(cpu=16384, memory=33792)
@example(cpu=16384, memory=36864)
def test_a_pair_is_accepted_if_and_only_if_it_is_in_the_table(cpu: int, memory: int) -> None:
    assert accepted(str(cpu), str(memory)) == ((cpu, memory) in PAIRS)


def test_32_vcpu_is_there_except_in_regions_that_lack_it() -> None:
    for memory in (61440, 122880, 249856):
        assert is_fargate_size(32768, memory, "us-east-1")
        assert not is_fargate_size(32768, memory, "ap-northeast-1")
    assert not is_fargate_size(32768, 65536, "us-east-1")


@pytest.mark.parametrize("text", ["1024", "1 vCPU", "1vcpu", "1.0 VCPU", " 1 vCPUs "])
def test_forms_of_cpu(text: str) -> None:
    assert parse_cpu(text) == 1024


@pytest.mark.parametrize("text", ["2048", "2GB", "2 gb", "2.0 GB"])
def test_forms_of_memory(text: str) -> None:
    assert parse_memory(text) == 2048


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1e3", "nan", "½ vCPU", "1 cpu", "0.3 vcpu", "9" * 20]
)
def test_what_is_no_size(text: str) -> None:
    assert parse_cpu(text) is None


@given(st.text())
def test_any_text_is_a_size_or_none(text: str) -> None:
    for size in (parse_cpu(text), parse_memory(text)):
        assert size is None or 0 < size < 2**31
