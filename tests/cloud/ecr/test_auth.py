"""Signed links to layers: what opens one, and what does not."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecr.auth import LINK_SECONDS, Signer

DIGEST = "sha256:" + "0" * 64


def test_a_link_opens_for_an_hour_and_its_own_layer_only(context: CloudContext) -> None:
    signer = Signer(context.store)
    query = dict(parse_qsl(signer.link(DIGEST, 1000).partition("?")[2]))
    assert signer.link_opens(DIGEST, query, 1000 + LINK_SECONDS)
    assert not signer.link_opens(DIGEST, query, 1001 + LINK_SECONDS)
    assert not signer.link_opens("sha256:" + "1" * 64, query, 1000)


@pytest.mark.parametrize("expires", ["", "9" * 5000, "x", "\u0663"])
@pytest.mark.parametrize("signature", ["", "\u00fc", "0" * 64])
def test_nonsense_opens_nothing(context: CloudContext, expires: str, signature: str) -> None:
    query = {"X-Lab-Expires": expires, "X-Lab-Signature": signature}
    assert not Signer(context.store).link_opens(DIGEST, query)
