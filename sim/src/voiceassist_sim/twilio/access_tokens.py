"""Verifies access tokens for Sync as the vendor does: header, signature, issuer, account, life, grants; pure, with the time passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from .errors import TwilioError

CONTENT_TYPE: Final = "twilio-fpa;v=1"
MAX_LIFE: Final = 86_400
"""Longest life of a token in seconds."""
MAX_TOKEN_BYTES: Final = 16_384
CLOCK_SKEW: Final = 1.0
"""Seconds by which a token may begin in the future."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key's secret; ``restricted`` keys may not sign access tokens."""

    secret: str
    restricted: bool = False


@dataclass(frozen=True, slots=True)
class SyncGrant:
    """What a verified token allows: one identity, one Sync service, until ``expires`` (seconds since the epoch)."""

    identity: str
    service_sid: str
    expires: float


def verify(token: str, account_sid: str, keys: Mapping[str, ApiKey], now: float) -> SyncGrant:
    """The grant in ``token``.

    Refused with 401 and the vendor's codes: 20101 (not a token), 20102 (header), 20103 (issuer or account), 20104 (expired), 20105 (not
    yet valid), 20106 (grants), 20107 (signature), 20157 (life above 24 hours), 20160 (restricted key).
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise _refuse(20101, "Invalid Access Token")
    try:
        header = jwt.get_unverified_header(token)
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise _refuse(20101, "Invalid Access Token") from None
    if header.get("alg") != "HS256" or header.get("typ") != "JWT" or header.get("cty") != CONTENT_TYPE:
        raise _refuse(20102, f"Invalid Access Token header: typ JWT, alg HS256 and cty {CONTENT_TYPE} are expected")
    key = keys.get(str(claims.get("iss")))
    if key is None or claims.get("sub") != account_sid:
        raise _refuse(20103, "Invalid Access Token issuer/subject")
    if key.restricted:
        raise _refuse(20160, "Restricted API keys cannot sign Access Tokens")
    try:
        jwt.decode(token, key.secret, algorithms=["HS256"], options={"verify_exp": False, "verify_nbf": False, "verify_iat": False})
    except jwt.PyJWTError:
        raise _refuse(20107, "Invalid Access Token signature") from None
    return SyncGrant(*_grants(claims), expires=_lifetime(claims, now))


def _lifetime(claims: Mapping[str, Any], now: float) -> float:
    expires, begins = _number(claims.get("exp")), _number(claims.get("nbf", claims.get("iat", now)))
    if expires is None or expires <= now:
        raise _refuse(20104, "Access Token expired or expiration date invalid")
    if begins is None or begins > now + CLOCK_SKEW:
        raise _refuse(20105, "Access Token not yet valid")
    if expires - begins > MAX_LIFE:
        raise _refuse(20157, f"Access Token life is above {MAX_LIFE} seconds")
    return expires


def _grants(claims: Mapping[str, Any]) -> tuple[str, str]:
    grants = claims.get("grants")
    identity = grants.get("identity") if isinstance(grants, dict) else None
    sync = grants.get("data_sync") if isinstance(grants, dict) else None
    service_sid = sync.get("service_sid") if isinstance(sync, dict) else None
    if not isinstance(identity, str) or not identity or not isinstance(service_sid, str):
        raise _refuse(20106, "Invalid Access Token grants: an identity and data_sync.service_sid are expected")
    return identity, service_sid


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _refuse(code: int, message: str) -> TwilioError:
    return TwilioError(401, code, message)
