"""The mark by which a relay knows a call's Document as a relay's own (pure): a MAC over what it says, made from Twilio's auth token.

Sync may write numbers in another form than they were sent in, so they are compared as numbers.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from voiceassist_crds.names import KEY_INFO_DOCUMENT
from voiceassist_crds.proof import proof

FIELD: Final = "mac"
"""Where it stands in the Document. Relays of version 0.1.0 leave it as they found it, whatever they change."""


def marked(call_sid: str, data: Mapping[str, Any], auth_tokens: Iterable[str]) -> dict[str, Any]:
    """The Document's data with its mark; without, where there is no auth token to make one with."""
    token = next(iter(auth_tokens), "")
    said = {name: value for name, value in data.items() if name != FIELD}
    return {**said, FIELD: proof(token, KEY_INFO_DOCUMENT, _message(call_sid, said))} if token else said


def is_marked(call_sid: str, data: Mapping[str, Any], auth_tokens: Iterable[str]) -> bool:
    """Whether one of our auth tokens made the mark, for this call and for exactly this."""
    given = data.get(FIELD)
    if not isinstance(given, str) or not given.isascii():
        return False
    message = _message(call_sid, {name: value for name, value in data.items() if name != FIELD})
    return any(hmac.compare_digest(proof(token, KEY_INFO_DOCUMENT, message), given) for token in auth_tokens if token)


def _message(call_sid: str, said: Mapping[str, Any]) -> str:
    return call_sid + "\n" + json.dumps(_plain(said), sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value)) if abs(value) < 1e300 else str(value)
    return value
