"""Who may use the registry: the tokens of GetAuthorizationToken, and signed links to layers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from fargate_lab.cloud.store import Store

TOKEN_SECONDS = 12 * 3600
"""ECR User Guide, "Private registry authentication": a token is valid for 12 hours."""
LINK_SECONDS = 3600
USER = "AWS"


class TokenError(Exception):
    """Credentials that do not open the registry; the text is what the client is told."""


class TokenExpired(TokenError):
    """A token of this cloud, too old."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Whose registry a token opens, and until when (seconds since 1970)."""

    account: str
    region: str
    expires: int

    @property
    def scope(self) -> str:
        """`account/region`."""
        return f"{self.account}/{self.region}"


class Signer:
    """Makes and checks tokens with a secret of this cloud that survives a restart."""

    def __init__(self, store: Store) -> None:
        with store.transaction():
            found = store.get("secret", "registry", "hmac")
            if found is None:
                found = {"key": secrets.token_hex(32)}
                store.put("secret", "registry", "hmac", found)
        self._key = bytes.fromhex(found["key"])

    def password(self, account: str, region: str, now: float | None = None) -> tuple[str, int]:
        """A registry password and when it expires."""
        expires = int(time.time() if now is None else now) + TOKEN_SECONDS
        claims = json.dumps([account, region, expires, secrets.token_hex(8)]).encode()
        return _encode(claims + self._mac(b"password", claims)), expires

    def grant(self, authorization: str, now: float | None = None) -> Grant:
        """What an `Authorization: Basic …` header opens; TokenError otherwise."""
        kind, _, value = authorization.partition(" ")
        if kind.lower() != "basic":
            raise TokenError("no basic auth credentials")
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
            raw = _decode(password)
        except (ValueError, binascii.Error):
            raise TokenError("Your Authorization Token is invalid.") from None
        claims, mac = raw[:-32], raw[-32:]
        genuine = hmac.compare_digest(mac, self._mac(b"password", claims))
        if user != USER or not genuine:
            raise TokenError("Your Authorization Token is invalid.")
        account, region, expires, _ = json.loads(claims)
        if (time.time() if now is None else now) >= expires:
            raise TokenExpired(
                "Your authorization token has expired. Reauthenticate and try again."
            )
        return Grant(account, region, expires)

    def link(self, digest: str, now: float | None = None) -> str:
        """Path and query of a link to a blob that needs no credentials for an hour."""
        expires = int(time.time() if now is None else now) + LINK_SECONDS
        signature = self._mac(b"link", f"{digest} {expires}".encode()).hex()
        query = urlencode({"X-Lab-Expires": expires, "X-Lab-Signature": signature})
        return f"/v2/_layer/{digest}?{query}"

    def link_opens(self, digest: str, query: dict[str, str], now: float | None = None) -> bool:
        """Whether a link's query is this cloud's own and not too old."""
        expires = query.get("X-Lab-Expires", "")
        signature = self._mac(b"link", f"{digest} {expires}".encode()).hex()
        given = query.get("X-Lab-Signature", "")
        # As bytes: text outside ASCII cannot be compared. What is genuine is a number.
        if not hmac.compare_digest(signature.encode(), given.encode()):
            return False
        return int(expires) >= (time.time() if now is None else now)

    def _mac(self, purpose: bytes, data: bytes) -> bytes:
        return hmac.new(self._key, purpose + b"\0" + data, hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
