"""Requests against AWS's own model of ECS: types, required members, lists of values.

boto3 checks types before it sends; a caller by plain HTTP meets these refusals. Members that the
model does not know are dropped, as AWS ignores them. The model is read without importing botocore.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from fargate_lab.cloud.ecs.refusals import refuse
from fargate_lab.cloud.protocol import AwsError, Call, Handler

_NAMES = {str: "STRING_VALUE", bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}
_WANTED = {
    "string": ("a", "String"),
    "integer": ("an", "Integer"),
    "long": ("a", "Long"),
    "boolean": ("a", "Boolean"),
    "double": ("a", "Double"),
    "timestamp": ("a", "Date"),
}


@cache
def shapes() -> dict[str, Any]:
    """The shapes of ECS's service model."""
    return dict(_model()["shapes"])


@cache
def _model() -> dict[str, Any]:
    spec = importlib.util.find_spec("botocore")
    if spec is None or not spec.origin:
        raise RuntimeError("botocore is not installed: set the lab up again (python3 lab.py)")
    path = Path(spec.origin).parent / "data" / "ecs" / "2014-11-13" / "service-2.json.gz"
    document: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return document


def input_shape(action: str) -> str:
    """The name of an action's input shape."""
    return str(_model()["operations"][action]["input"]["shape"])


def conform(action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """A request's document as the model has it: known members, right types.

    Raises SerializationException for a wrong type, InvalidParameterException for a missing member
    of a nested structure or a value outside its list. Members required at the top level are left
    to the action, which words their absence itself.
    """
    # An empty document conforms to every action: the first list needs no model read.
    return _structure(input_shape(action), payload, "") if payload else {}


def conforming(handler: Handler) -> Handler:
    """A handler that gets conforming documents only."""

    def handle(call: Call) -> Mapping[str, Any]:
        return handler(replace(call, payload=conform(call.action, call.payload)))

    return handle


def _value(shape_name: str, value: Any, path: str) -> Any:
    shape = shapes()[shape_name]
    kind = shape["type"]
    if kind == "structure":
        return _structure(shape_name, value, path)
    if kind == "map":
        if not isinstance(value, dict):
            raise refuse("messages.common.expected_structure", path=path)
        inner = shape["value"]["shape"]
        return {k: _value(inner, v, f"{path}.{k}") for k, v in value.items() if v is not None}
    if kind == "list":
        if not isinstance(value, list):
            raise refuse("messages.common.expected_list")
        inner = shape["member"]["shape"]
        return [_value(inner, v, f"{path}.{n}.member") for n, v in enumerate(value, 1)]
    return _scalar(shape, kind, value, path)


def _structure(shape_name: str, value: Any, path: str) -> dict[str, Any]:
    shape = shapes()[shape_name]
    if not isinstance(value, dict):
        raise refuse("messages.common.expected_structure", path=path)
    found = {}
    for name, member in shape["members"].items():
        if value.get(name) is not None:
            inner = f"{path}.{name}" if path else name
            found[name] = _value(member["shape"], value[name], inner)
    if path:
        for name in shape.get("required", ()):
            if name not in found:
                raise refuse("messages.common.missing_member", path=f"{path}.{name}")
    return found


def _scalar(shape: Mapping[str, Any], kind: str, value: Any, path: str) -> Any:
    if isinstance(value, dict):
        raise refuse("messages.common.structure_unexpected")
    if isinstance(value, list):
        raise refuse("messages.common.list_unexpected")
    fits = {
        "string": type(value) is str,
        "boolean": type(value) is bool,
        "integer": type(value) is int,
        "long": type(value) is int,
        "double": type(value) in (int, float),
        "timestamp": type(value) in (int, float),
    }[kind]
    if not fits:
        raise _wrong_scalar(kind, value)
    allowed = shape.get("enum")
    if allowed and value not in allowed:
        raise refuse(
            "messages.common.not_in_enum", value=value, path=path, allowed=", ".join(allowed)
        )
    return value


def _wrong_scalar(kind: str, value: Any) -> AwsError:
    article, expected = _WANTED[kind]
    found = "FALSE_VALUE" if value is False else _NAMES[type(value)]
    return refuse("messages.common.wrong_scalar", found=found, article=article, expected=expected)
