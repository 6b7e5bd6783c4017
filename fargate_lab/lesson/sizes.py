"""Fargate's CPU and memory matrix as a picture, with the learner's choice on it."""

from __future__ import annotations

from fargate_lab.facts import facts
from fargate_lab.lesson.style import BLUE, INK, VERMILLION, axes


def matrix() -> dict[int, list[int]]:
    """CPU units → the memory sizes (MiB) that go with them, from the facts, up to 16 vCPU."""
    prefix = "fargate.sizes.cpu_"
    sizes = {int(f.id.removeprefix(prefix)): list(f.value) for f in facts(prefix)}
    return {cpu: sizes[cpu] for cpu in sorted(sizes) if cpu <= 16384}


def draw(cpu: int, memory: int) -> None:
    """Every valid pair as a dot, and one pair (CPU units, MiB) marked: on a dot or off it."""
    sizes = matrix()
    _, pair = axes(8.4, 3.6, title="CPU and memory that Fargate takes")
    for units, memories in sizes.items():
        pair.scatter(memories, [units] * len(memories), s=26, color=BLUE, zorder=2)
    valid = memory in sizes.get(cpu, [])
    colour, word = (BLUE, "valid") if valid else (VERMILLION, "no such configuration")
    marker = "o" if valid else "X"
    pair.scatter([memory], [cpu], s=170, marker=marker, zorder=3, linewidths=2,
                 facecolors="none" if valid else colour, edgecolors=colour)  # fmt: skip
    pair.annotate(f"{cpu} CPU, {memory} MiB: {word}", (memory, cpu), xytext=(12, 10),
                  textcoords="offset points", color=colour, fontweight="bold")  # fmt: skip
    pair.set_xscale("log", base=2)
    pair.set_yscale("log", base=2)
    pair.set_xticks([2**n for n in range(9, 18)], [_gib(2**n) for n in range(9, 18)])
    pair.set_yticks(list(sizes), [f"{units / 1024:g}" for units in sizes])
    pair.minorticks_off()
    pair.set_xlabel("memory, GiB")
    pair.set_ylabel("vCPU")
    pair.grid(color=INK, alpha=0.2)


def _gib(mib: int) -> str:
    return f"{mib / 1024:g}"
