"""Fargate's task sizes, and the forms in which CPU and memory may be written."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache

from fargate_lab.facts import fact, facts

UNITS_PER_VCPU = 1024
MIB_PER_GB = 1024

_CPU = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(vcpus?)?", re.IGNORECASE)
_MEMORY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(gb)?", re.IGNORECASE)


@cache
def _matrix() -> dict[int, tuple[int, ...]]:
    prefix = "fargate.sizes.cpu_"
    rows = {int(row.id.removeprefix(prefix)): tuple(row.value) for row in facts(prefix)}
    return dict(sorted(rows.items()))


def fargate_sizes(region: str | None = None) -> list[tuple[int, list[int]]]:
    """Fargate's CPU sizes (units) with the memory sizes (MiB) each may have.

    The seven sizes up to 16 vCPU, 74 pairs, hold everywhere; with a region, 32 vCPU is added
    unless that Region is known to lack it.
    """
    absent = fact("fargate.limits.cpu_32768_absent").value
    largest = 32768 if region is not None and region not in absent else 16384
    return [(cpu, list(memory)) for cpu, memory in _matrix().items() if cpu <= largest]


def is_fargate_size(
    cpu: int, memory: int, region: str | None = None, windows: bool = False
) -> bool:
    """Whether Fargate has a task of `cpu` units with `memory` MiB."""
    if windows and cpu not in fact("fargate.sizes.windows_cpus").value:
        return False
    return any(cpu == size and memory in fits for size, fits in fargate_sizes(region))


def parse_cpu(text: str) -> int | None:
    """CPU units from `1024`, `1 vCPU` or `.5 vcpu`; None when it is neither form."""
    return _whole(_CPU.fullmatch(text.strip()), UNITS_PER_VCPU)


def parse_memory(text: str) -> int | None:
    """MiB from `2048`, `2GB` or `0.5 gb`; None when it is neither form."""
    return _whole(_MEMORY.fullmatch(text.strip()), MIB_PER_GB)


def _whole(match: re.Match[str] | None, scale: int) -> int | None:
    if match is None:
        return None
    value = Decimal(match[1]) * (scale if match[2] else 1)
    return int(value) if value == value.to_integral_value() and 0 < value < 2**31 else None
