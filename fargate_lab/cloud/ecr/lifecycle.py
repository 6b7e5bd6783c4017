"""Lifecycle policies: reading them strictly, and which images they expire.

ECR User Guide, "Lifecycle policy properties" and "How lifecycle policies work"; the texts of
refusals are facts §2e.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fargate_lab.cloud.ecr import errors
from fargate_lab.cloud.protocol import AwsError

RULE_LIMIT = 50
TEXT_LIMIT = 30720
DAY = 86400.0

_TAG_STATUS = ("any", "tagged", "untagged")
_COUNT_TYPES = (
    "imageCountMoreThan",
    "sinceImagePulled",
    "sinceImagePushed",
    "sinceImageTransitioned",
)
_RULE = ({"rulePriority", "selection", "action"}, {"description"})
_ACTION = ({"type"}, {"targetStorageClass"})
_SELECTION = (
    {"tagStatus", "countType", "countNumber"},
    {"tagPrefixList", "tagPatternList", "countUnit", "storageClass"},
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy."""

    priority: int
    tag_status: str
    prefixes: tuple[str, ...]
    patterns: tuple[str, ...]
    count_type: str
    count: int

    def selects(self, tags: Sequence[str]) -> bool:
        """Whether an image with these tags is one the rule looks at.

        With several prefixes or patterns an image must have a tag for each of them.
        """
        if self.tag_status == "any":
            return True
        if self.tag_status == "untagged":
            return not tags
        return (
            bool(tags)
            and all(any(tag.startswith(p) for tag in tags) for p in self.prefixes)
            and all(any(fnmatch.fnmatchcase(tag, p) for tag in tags) for p in self.patterns)
        )

    def identifies(self, newest_first: Sequence[Candidate], now: float) -> list[Candidate]:
        """Those of the selected images that the rule would expire."""
        if self.count_type == "imageCountMoreThan":
            return list(newest_first[self.count :])
        if self.count_type == "sinceImagePushed":
            return [c for c in newest_first if now - c.pushed > self.count * DAY]
        return []  # sinceImageTransitioned: the lab archives nothing.


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a rule sees of an image; pushed is in seconds since 1970."""

    digest: str
    tags: tuple[str, ...]
    pushed: float


def expiring(
    rules: Sequence[Rule], images: Sequence[Candidate], now: float
) -> list[tuple[Candidate, int]]:
    """The images a policy expires, each with the priority of the rule that does.

    Rules are evaluated on all images at once and applied in order of priority; an image that a
    rule selects is out of reach of every later rule.
    """
    newest_first = sorted(images, key=lambda c: -c.pushed)
    taken: set[str] = set()
    found: list[tuple[Candidate, int]] = []
    for rule in sorted(rules, key=lambda r: r.priority):
        selected = [c for c in newest_first if rule.selects(c.tags)]
        marked = rule.identifies(selected, now)
        found += [(c, rule.priority) for c in marked if c.digest not in taken]
        taken |= {c.digest for c in selected}
    return found


def parse(text: str) -> tuple[Rule, ...]:
    """The rules of a policy; `AwsError` as ECR refuses a policy that is wrong."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise errors.invalid(
            "LifecyclePolicyText",
            "Lifecycle policy parsing failure: Could not map policyString into LifecyclePolicy",
        )
    if "rules" not in document:
        raise _failure('object has missing required properties (["rules"])')
    _members(document, ({"rules"}, set()))
    rows = document["rules"]
    if not isinstance(rows, list):
        raise _wrong_type(rows, "array")
    if not rows:
        raise _failure(
            "array is too short: must have at least 1 elements but instance has 0 elements"
        )
    if len(rows) > RULE_LIMIT:
        raise _failure(
            f"array is too long: must have at most {RULE_LIMIT} elements but instance has "
            f"{len(rows)} elements"
        )
    rules = tuple(_rule(row) for row in rows)
    _together(rules)
    return rules


def _together(rules: Sequence[Rule]) -> None:
    priorities = [rule.priority for rule in rules]
    if len(set(priorities)) < len(priorities):
        raise _failure("Duplicate priority in multiple rules")
    anys = [rule for rule in rules if rule.tag_status == "any"]
    if len(anys) > 1:
        raise _failure("Only one rule can be specified with tagStatus=ANY")
    if anys and anys[0].priority != max(priorities):
        raise _failure("Rule for tagStatus=ANY must have the highest rulePriority")
    if sum(rule.tag_status == "untagged" for rule in rules) > 1:
        raise _failure("Only one rule can be specified with tagStatus=UNTAGGED")


def _rule(row: object) -> Rule:
    rule = _members(row, _RULE)
    priority = _number(rule["rulePriority"])
    action = _members(rule["action"], _ACTION)
    selection = _members(rule["selection"], _SELECTION)
    _enum(action["type"], ("expire", "transition"))
    status = _enum(selection["tagStatus"], _TAG_STATUS)
    kind = _enum(selection["countType"], _COUNT_TYPES)
    count = _number(selection["countNumber"])
    if action["type"] == "transition":
        raise AwsError(
            "UnsupportedFeatureException",
            "This lab keeps no archive storage class: a lifecycle rule can only expire images. "
            "Nothing was changed.",
        )
    if kind == "sinceImagePulled":
        raise _failure("countType sinceImagePulled is only supported with action type transition")
    _unit(selection, kind)
    prefixes, patterns = _words(selection, "tagPrefixList"), _words(selection, "tagPatternList")
    _tag_lists(status, prefixes, patterns)
    return Rule(priority, status, prefixes, patterns, kind, count)


def _unit(selection: Mapping[str, Any], kind: str) -> None:
    unit = selection.get("countUnit")
    if kind == "imageCountMoreThan":
        if unit is not None:
            raise _failure("countUnit must not be specified with countType imageCountMoreThan")
    elif unit is None:
        raise _failure('object has missing required properties (["countUnit"])')
    else:
        _enum(unit, ("days",))


def _tag_lists(status: str, prefixes: tuple[str, ...], patterns: tuple[str, ...]) -> None:
    if status == "tagged" and not prefixes and not patterns:
        raise _failure("Must specify tagPrefixList or tagPatternList")
    if status != "tagged" and (prefixes or patterns):
        raise _failure(
            f"tagPrefixList and tagPatternList must not be specified for tagStatus={status.upper()}"
        )
    if prefixes and patterns:
        raise _failure("Only one of tagPrefixList and tagPatternList can be specified")
    if any(pattern.count("*") > 4 for pattern in patterns):
        raise _failure("A tagPatternList string must not hold more than four wildcards")


def _words(selection: Mapping[str, Any], name: str) -> tuple[str, ...]:
    rows = selection.get(name, [])
    if not isinstance(rows, list):
        raise _wrong_type(rows, "array")
    for row in rows:
        if not isinstance(row, str):
            raise _wrong_type(row, "string")
    return tuple(rows)


def _members(row: object, names: tuple[set[str], set[str]]) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise _wrong_type(row, "object")
    required, optional = names
    missing = sorted(required - row.keys())
    if missing:
        raise _failure(f"object has missing required properties ({_listed(missing)})")
    unknown = sorted(row.keys() - required - optional)
    if unknown:
        raise _failure(
            "object instance has properties which are not allowed by the schema: "
            f"({_listed(unknown)})"
        )
    return row


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(value, "integer")
    if value < 1:
        raise _failure(
            f"numeric instance is lower than the required minimum (minimum: 1, found: {value})"
        )
    return value


def _enum(value: object, choices: Sequence[str]) -> str:
    if value not in choices:
        raise _failure(
            f"instance value ({json.dumps(value)}) not found in enum (possible values: "
            f"{_listed(choices)})"
        )
    return str(value)


def _listed(words: Sequence[str]) -> str:
    return json.dumps(list(words), separators=(",", ":"))


def _wrong_type(value: object, allowed: str) -> AwsError:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer"}
    found = names.get(type(value), "null" if value is None else "number")
    return _failure(
        f"instance type ({found}) does not match any allowed primitive type "
        f'(allowed: ["{allowed}"])'
    )


def _failure(why: str) -> AwsError:
    return errors.invalid("LifecyclePolicyText", f"Lifecycle policy validation failure: {why}")
