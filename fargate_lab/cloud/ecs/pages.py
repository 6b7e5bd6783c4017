"""Pages of a list: `maxResults` and `nextToken`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from fargate_lab.cloud.ecs.refusals import refuse


def page(
    names: Sequence[str], payload: dict[str, Any], key: str, among: Sequence[str] | None = None
) -> dict[str, Any]:
    """One page of names under `key`, and the token of the next page if there is one.

    The token is the last name given, so that what is added or deleted meanwhile shifts nothing;
    names must be in a stable order without repeats. among: a longer list in the same order, for
    names that leave the list while they can still be the last of a page.
    """
    size = payload.get("maxResults") or 100
    if not 1 <= size <= 100:
        raise refuse("messages.common.max_results")
    start = 0
    if payload.get("nextToken"):
        try:
            last = base64.urlsafe_b64decode(payload["nextToken"].encode()).decode()
        except (binascii.Error, UnicodeError):
            raise refuse("messages.common.next_token") from None
        whole = names if among is None else among
        left = set(whole[_after(whole, last) :])
        start = next((i for i, name in enumerate(names) if name in left), len(names))
    answer: dict[str, Any] = {key: list(names[start : start + size])}
    if start + size < len(names):
        token = base64.urlsafe_b64encode(names[start + size - 1].encode())
        answer["nextToken"] = token.decode()
    return answer


def _after(names: Sequence[str], last: str) -> int:
    try:
        return names.index(last) + 1
    except ValueError:
        raise refuse("messages.common.next_token") from None
