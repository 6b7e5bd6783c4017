"""Dated, sourced facts about AWS, as data: the ground floor that everything else may cite.

>>> fact("fargate.sizes.cpu_256").value
[512, 1024, 2048]
>>> print(fact("quotas.fargate_vcpu").cite())
6 vCPU (AWS General Reference, Amazon ECS endpoints and quotas; as of 2026-10-01; official-quoted)
"""

from __future__ import annotations

from fargate_lab.facts.book import UnknownFact, fact, facts
from fargate_lab.facts.fact import CONFIDENCES, Conflict, Fact, FactError

__all__ = ["CONFIDENCES", "Conflict", "Fact", "FactError", "UnknownFact", "fact", "facts"]
