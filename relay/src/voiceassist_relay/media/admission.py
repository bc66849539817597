"""Who gets a websocket (pure): the checks before `101`, the cheapest first.

The path is matched as it came: what an ingress or a client could write in two ways (a query, an escape, a double slash) is
not matched at all, because Twilio's signature covers the address that the configuration gives and no other. Signatures are
computed at a bounded rate. Whether the relay is full is said only to who signed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from voiceassist_crds.config import Checks
from voiceassist_crds.names import CALL_SID_PATTERN, PROBE_PATH, WS_PATH, CallSid
from voiceassist_crds.proof import probe_answer
from voiceassist_crds.reasons import Refusal

from ..config.snapshot import Snapshot
from ..rate_limits import Rate, TokenBucket
from ..twilio.signatures import signing_token

MAX_TARGET_CHARS = 512
UPGRADES = Rate(per_second=500.0, burst=1000.0)
"""Upgrades that are looked at closely; a process takes at most 1000 calls, so this is far above any honest load."""

_CALL = re.compile(CALL_SID_PATTERN)
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
_PROBE = PROBE_PATH.removeprefix(WS_PATH) + "/"

_STATUS = {
    Refusal.BAD_PATH: 404,
    Refusal.QUERY: 403,
    Refusal.NO_SIGNATURE: 403,
    Refusal.BAD_SIGNATURE: 403,
    Refusal.BAD_HANDSHAKE: 400,
    Refusal.RATE: 429,
    Refusal.DRAINING: 503,
    Refusal.FULL: 503,
}
_RETRY_AFTER = {Refusal.RATE: 1, Refusal.DRAINING: 1, Refusal.FULL: 5}


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What of a request for a websocket is looked at: its target as on the wire, and every `X-Twilio-Signature`."""

    target: str
    signatures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """The relay's state: no place for a call, or about to end."""

    full: bool
    refusing: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """The upgrade is Twilio's, for this call."""

    call_sid: CallSid


@dataclass(frozen=True, slots=True)
class Probed:
    """The upgrade is a probe of the public address; `answer` is empty if there is no key to answer with."""

    answer: str


@dataclass(frozen=True, slots=True)
class Denied:
    """The upgrade is refused with an HTTP status. `call_sid` is there if the path named one; seconds for Retry-After."""

    refusal: Refusal
    status: int
    retry_after: int | None = None
    call_sid: CallSid | None = None
    detail: str = ""
    """What whoever looks for the fault should know besides."""


def denied(refusal: Refusal, call_sid: CallSid | None = None) -> Denied:
    """The refusal with its status."""
    return Denied(refusal, _STATUS[refusal], _RETRY_AFTER.get(refusal), call_sid)


def admit(upgrade: Upgrade, snapshot: Snapshot, load: Load, bucket: TokenBucket, now: float) -> Admitted | Probed | Denied:
    """Decides on an upgrade; `now` is seconds of the clock that the bucket runs on."""
    config = snapshot.config
    path, mark, _ = upgrade.target.partition("?")
    ours = f"{config.path_prefix}{WS_PATH}/"
    if len(path) > MAX_TARGET_CHARS or not path.startswith(ours):
        return denied(Refusal.BAD_PATH)
    rest = path[len(ours) :]
    nonce = rest[len(_PROBE) - 1 :] if rest.startswith(_PROBE[1:]) else None
    call_sid = None
    if nonce is None:
        if _CALL.fullmatch(rest) is None:
            return denied(Refusal.BAD_PATH)
        call_sid = CallSid(rest)
    elif _NONCE.fullmatch(nonce) is None:
        return denied(Refusal.BAD_PATH)
    if mark:
        return denied(Refusal.QUERY, call_sid)
    checked = config.checks is not Checks.OFF
    if checked and not any(upgrade.signatures):
        return denied(Refusal.NO_SIGNATURE, call_sid)
    if not bucket.take(now):
        return denied(Refusal.RATE, call_sid)
    tokens = snapshot.secrets.auth_tokens
    token = tokens[0] if tokens else None
    if checked:
        # two signatures are one too many: which of them a proxy in front believed is not known
        given = [one for header in upgrade.signatures for one in header.split(",")]
        if len(given) > 1:
            return replace(denied(Refusal.BAD_SIGNATURE, call_sid), detail=f"X-Twilio-Signature was there {len(given)} times\n")
        token = signing_token(tokens, config.stream_url(rest), upgrade.signatures[0])
        if token is None:
            return denied(Refusal.BAD_SIGNATURE, call_sid)
    if call_sid is None:
        return Probed(probe_answer(token, nonce) if token and nonce else "")
    if load.refusing:
        return denied(Refusal.DRAINING, call_sid)
    if load.full:
        return denied(Refusal.FULL, call_sid)
    return Admitted(call_sid)
