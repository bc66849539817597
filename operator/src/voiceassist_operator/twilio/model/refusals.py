"""What a refusal of Twilio's means (pure): the kind, from the HTTP status and Twilio's error code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MESSAGE_LENGTH = 300


class Refusal(StrEnum):
    """Kinds of refusals. Each has its own way out."""

    CREDENTIALS = "credentials"
    """The key or token is wrong, or may not do this."""
    SUSPENDED = "suspended"
    """The account is suspended or closed."""
    NOT_FOUND = "not_found"
    TAKEN = "taken"
    """A name that must be unique is another's, or the thing is in use."""
    BAD_REQUEST = "bad_request"
    """Twilio does not take what was asked: a defect, a limit, or a feature that the account does not have."""


_SUSPENDED = frozenset({10001, 20005, 90010})
"""Account is not active: code 20005 of the REST APIs, 10001 of Voice, 90010 of the account itself; their HTTP status is 401 or 403."""
_TAKEN = frozenset({20409, 54301})
_BUSY = frozenset({20429, 45780, 54009, 59004})
"""Too many requests: the general one, Flex's, Sync's and the Webhooks API's."""


def is_busy(status: int, code: int) -> bool:
    """Returns whether nothing was done because of too many requests: repeating it later is safe."""
    return status == 429 or (400 <= status < 500 and code in _BUSY)


def is_unclear(status: int) -> bool:
    """Returns whether what was asked may have been done all the same."""
    return status >= 500 or status == 408


def refusal(status: int, code: int) -> Refusal:
    """Returns the kind of an answer that is neither a success nor to be repeated."""
    if code in _SUSPENDED:
        return Refusal.SUSPENDED
    if status in {401, 403}:
        return Refusal.CREDENTIALS
    if status in {404, 410}:
        return Refusal.NOT_FOUND
    if status == 409 or code in _TAKEN:
        return Refusal.TAKEN
    return Refusal.BAD_REQUEST


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error's body says."""

    code: int
    """0 where there is none."""
    sentence: str


def problem(status: int, body: bytes, hidden: Sequence[str] = ()) -> Problem:
    """Returns what an error's body says: Twilio's own form, RFC 9457, or whatever else came. A text that repeats one of `hidden` is
    left out."""
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    fields: Mapping[str, Any] = parsed if isinstance(parsed, dict) else {}
    code = fields.get("code")
    text = next((fields[key] for key in ("message", "detail", "title") if isinstance(fields.get(key), str) and fields[key]), "")
    if any(secret and secret in text for secret in hidden):
        text = ""
    sentence = " ".join(text.split())[:MESSAGE_LENGTH]
    return Problem(code if isinstance(code, int) and not isinstance(code, bool) else 0, sentence or f"HTTP {status} without an explanation")
