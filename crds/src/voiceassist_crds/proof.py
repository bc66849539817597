"""Proofs that both the relay and the operator can make: keys derived from Twilio's auth token (HKDF-SHA-256, RFC 5869). Pure."""

from __future__ import annotations

import base64
import functools
import hmac

from .names import KEY_INFO_PROBE


@functools.lru_cache(maxsize=64)
def derive_key(secret: str, info: bytes) -> bytes:
    """32 bytes for one purpose. Raises ValueError for an empty secret: nothing may be signed with it."""
    if not secret:
        raise ValueError("auth token is empty; nothing can be signed with it")
    extracted = hmac.digest(bytes(32), secret.encode(), "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def proof(secret: str, info: bytes, message: str) -> str:
    """HMAC-SHA-256 of `message` with the key for `info`, as URL-safe base64 without padding."""
    digest = hmac.digest(derive_key(secret, info), message.encode(errors="surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def probe_answer(auth_token: str, nonce: str) -> str:
    """What a relay with this auth token answers to a probe: shows that the public address leads to a relay of ours."""
    return proof(auth_token, KEY_INFO_PROBE, nonce)
