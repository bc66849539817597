"""Who is asking: HTTP basic authentication by account and auth token, or by API key; pure."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from .access_tokens import ApiKey
from .errors import unauthorized


@dataclass(slots=True)
class Credentials:
    """The account's secrets. While the auth token is being rotated the secondary one is good too; Twilio signs with the primary one."""

    account_sid: str
    auth_token: str
    auth_token_secondary: str | None = None
    keys: dict[str, ApiKey] = field(default_factory=dict)


def authenticate(header: str | None, credentials: Credentials) -> str:
    """The user name (``AC…`` or ``SK…``) of a good ``Authorization`` header; else 401/20003."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        raise unauthorized("Authentication Error - No credentials provided")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise unauthorized("Authentication Error - malformed credentials") from None
    if not any(_same(password, secret) for secret in _secrets(user, credentials.account_sid, credentials)):
        raise unauthorized("Authenticate")
    return user


def check_account(params: Mapping[str, str], credentials: Credentials) -> None:
    """401/20003 if the path names another account than the one whose credentials were given."""
    if params.get("AccountSid", credentials.account_sid) != credentials.account_sid:
        raise unauthorized("Authenticate: the credentials are those of another account")


def _secrets(user: str, account_sid: str, credentials: Credentials) -> list[str]:
    if user == account_sid:
        return [secret for secret in (credentials.auth_token, credentials.auth_token_secondary) if secret]
    key = credentials.keys.get(user)
    return [key.secret] if key else []


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())
