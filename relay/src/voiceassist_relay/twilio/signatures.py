"""Twilio's signatures over what it sends to us (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from twilio.request_validator import RequestValidator

SIGNATURE_CHARS = 128
"""Longest signature that is looked at; a base64 HMAC-SHA1 has 28 characters."""
_FORM_FIELDS = 200

_DEFAULT_PORTS = {"wss": 443, "https": 443}


def signing_token(tokens: Iterable[str], url: str, header: str) -> str | None:
    """The auth token that `header`, an `X-Twilio-Signature` over `url`, was made with; None if none fits. Never raises."""
    return _signed_by(tokens, url, {}, header)


def verify_callback(tokens: Iterable[str], https_url: str, form_params: Mapping[str, str] | Iterable[tuple[str, str]], header: str) -> bool:
    """Whether Twilio signed a form-encoded POST to `https_url`. Fields may repeat when given as pairs. Never raises."""
    pairs = form_params.items() if isinstance(form_params, Mapping) else form_params
    fields = _Fields()
    for count, (name, value) in enumerate(pairs):
        if count >= _FORM_FIELDS or not isinstance(name, str) or not isinstance(value, str):
            return False
        fields.setdefault(name, []).append(value)
    return _signed_by(tokens, https_url, fields, header) is not None


class _Fields(dict[str, list[str]]):
    """Form fields in the shape from which the twilio package takes repeated ones."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def _signed_by(tokens: Iterable[str], url: str, fields: dict[str, list[str]], header: str) -> str | None:
    if not 0 < len(header) <= SIGNATURE_CHARS or not header.isascii():
        return None
    try:
        forms = _url_forms(url)
        for token in tokens:
            if token:
                validator = RequestValidator(token)
                if any(validator.validate(form, fields, header) for form in forms):
                    return token
    except (ValueError, TypeError):  # a URL without a meaning (a port above 65535), text that has no UTF-8 form
        return None
    return None


def _url_forms(url: str) -> tuple[str, str]:
    """The address with its port, without and with a slash at the end.

    The validator itself tries each with and without the port, but takes 80 for the port of wss: so the port is always named.
    Which form Twilio signs is not documented; each needs the auth token, so nothing is lost by taking both.
    """
    parts = urlsplit(url)
    if parts.port is None and parts.scheme in _DEFAULT_PORTS:
        parts = parts._replace(netloc=f"{parts.netloc}:{_DEFAULT_PORTS[parts.scheme]}")
    bare = parts.geturl().rstrip("/")
    return bare, bare + "/"
