"""A suggestion's receipt (pure): a MAC by which any relay knows, at any later time, that it was published in this call to this worker.

Made from Twilio's auth token. It says who read without naming them, and vouches for what a report of the paint is reckoned from.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from voiceassist_crds.messages import Suggestion
from voiceassist_crds.names import KEY_INFO_RECEIPT
from voiceassist_crds.proof import proof

FIELD: Final = "receipt"


def receipt(call_sid: str, worker: str, suggestion: Suggestion, auth_tokens: Iterable[str]) -> str | None:
    """The receipt of a suggestion for this worker; None where nobody is in charge of the call, or there is no auth token."""
    token = next(iter(auth_tokens), "")
    return proof(token, KEY_INFO_RECEIPT, _message(call_sid, worker, suggestion)) if token and worker else None


def is_for(call_sid: str, worker: str, suggestion: Suggestion, auth_tokens: Iterable[str]) -> bool:
    """Whether one of our auth tokens made the suggestion's receipt, in this call, for this worker."""
    given = suggestion.receipt or ""
    if not worker or not given.isascii():
        return False
    message = _message(call_sid, worker, suggestion)
    return any(hmac.compare_digest(proof(token, KEY_INFO_RECEIPT, message), given) for token in auth_tokens if token)


def _message(call_sid: str, worker: str, suggestion: Suggestion) -> str:
    return json.dumps([call_sid, worker, suggestion.revision, suggestion.at, suggestion.latency_ms, suggestion.id])


def read_suggestion(data: Mapping[str, Any]) -> Suggestion | None:
    """The suggestion that a Map's item holds; None for what is none."""
    try:
        return Suggestion.model_validate(data, extra="ignore")
    except ValueError:
        return None
