"""The rules of RegisterTaskDefinition, in the order in which they are checked.

Measured of AWS's order: a container's memory is looked at before Fargate asks for the task's own
CPU and memory. The rest of the order is from the form of the request to its meaning, and from what
every launch type asks to what Fargate asks.
"""

from __future__ import annotations

from fargate_lab.cloud.ecs.rules import Rule
from fargate_lab.cloud.ecs.rules_container import RULES as CONTAINER_RULES
from fargate_lab.cloud.ecs.rules_fargate import RULES as FARGATE_ONLY
from fargate_lab.cloud.ecs.rules_form import RULES as FORM_RULES
from fargate_lab.cloud.ecs.rules_links import RULES as LINK_RULES

RULES: tuple[Rule, ...] = (*FORM_RULES, *CONTAINER_RULES, *LINK_RULES)
"""What every task definition must keep."""

FARGATE_RULES: tuple[Rule, ...] = tuple(FARGATE_ONLY)
"""What one for Fargate must keep besides."""
