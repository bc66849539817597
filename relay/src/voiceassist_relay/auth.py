"""Who is who (pure): Twilio's signatures, the stream's token, and relays among themselves.

Every secret here comes from Twilio's auth token. Twilio signs with the token itself; what we sign uses keys of our own, made
from it with HKDF-SHA256 and a name per purpose, so that one kind of proof can never stand for another. An empty token is no
token: nothing verifies against it and nothing is signed with it.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable

import msgspec

from voiceassist_crds.names import KEY_INFO_PEER, KEY_INFO_STREAM, TOKEN_PARAMETER, CallSid, is_call_sid
from voiceassist_crds.proof import proof as proof_of
from voiceassist_crds.reasons import Refusal

from .errors import TokenRefused
from .interfaces import StreamClaims

CLOCKS_SECONDS = 60
"""How far the clocks of two machines may be apart without harm, in seconds."""
PEER_VALID_SECONDS = CLOCKS_SECONDS + 30
"""How far the moment in a relay's proof may be from ours: what the clocks may differ, and what a request may take."""
PARAMETER_CHARS = 500
"""Twilio's limit: name and value of a custom parameter stay below this many characters together."""

_PROOF_CHARS = 128
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_PREFIX = "v1"


# keys and proofs of our own


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _proven(tokens: Iterable[str], info: bytes, message: str, proof: str) -> bool:
    # compared as text, so that there is exactly one text for each proof
    given = proof.encode()
    return any(hmac.compare_digest(proof_of(token, info, message).encode(), given) for token in tokens if token)


class _Claims(msgspec.Struct, array_like=True, frozen=True):  # what a later version adds at the end is passed over
    call: str
    account: str
    generation: int
    exp: int
    paused: bool
    moved: object = False


_claims = msgspec.json.Decoder(_Claims)


def mint_stream_token(auth_token: str, claims: StreamClaims) -> str:
    """The signed text that a stream carries as its custom parameter `token`; about 200 characters.

    Raises ValueError if the auth token is empty or the parameter would be longer than Twilio takes.
    """
    said = [claims.call, claims.account, claims.generation, claims.exp, claims.paused, *([True] if claims.moved else [])]
    body = msgspec.json.encode(said)  # without what is at its default
    message = f"{_PREFIX}.{_text(body)}"
    token = f"{message}.{proof_of(auth_token, KEY_INFO_STREAM, message)}"
    if len(TOKEN_PARAMETER) + len(token) >= PARAMETER_CHARS:
        raise ValueError(f"stream token has {len(token)} characters; Twilio takes fewer than {PARAMETER_CHARS - len(TOKEN_PARAMETER)}")
    return token


def read_stream_token(auth_tokens: Iterable[str], token: str, now_epoch: float) -> StreamClaims:
    """The claims of a token that one of the auth tokens signed and that has not expired at `now_epoch` (epoch seconds).

    Raises TokenRefused: token_missing, token_invalid or token_expired.
    """
    if not token:
        raise TokenRefused(Refusal.TOKEN_MISSING)
    message, dot, proof = token.rpartition(".")
    bounded = len(token) < PARAMETER_CHARS and token.isascii()
    if not (bounded and dot and message.startswith(f"{_PREFIX}.") and _proven(auth_tokens, KEY_INFO_STREAM, message, proof)):
        raise TokenRefused(Refusal.TOKEN_INVALID)
    try:
        body = message[len(_PREFIX) + 1 :]
        claims = _claims.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError:  # signed by us, but of another version
        raise TokenRefused(Refusal.TOKEN_INVALID) from None
    if not is_call_sid(claims.call) or claims.generation < 1:
        raise TokenRefused(Refusal.TOKEN_INVALID)
    if now_epoch >= claims.exp:
        raise TokenRefused(Refusal.TOKEN_EXPIRED)
    return StreamClaims(CallSid(claims.call), claims.account, claims.generation, claims.exp, claims.paused, claims.moved is True)


def mint_peer(auth_token: str, method: str, path: str, now: float) -> str:
    """The header with which a relay of version 0.1.0 calls another's private port; for this method and path, 90 s from `now` (epoch
    seconds). It names no target: relays of later versions take it only from those that know no other."""
    moment = str(int(now))
    return f"{moment}.{proof_of(auth_token, KEY_INFO_PEER, _peer_message(method, path, moment))}"


def verify_peer(tokens: Iterable[str], header: str, method: str, path: str, now: float) -> bool:
    """Whether `header` is such a proof, made with one of our auth tokens within 90 s of `now`. Never raises."""
    moment, dot, proof = header.partition(".")
    if not (dot and len(header) <= _PROOF_CHARS and header.isascii() and moment.isdigit() and len(moment) <= 12):
        return False
    return abs(now - int(moment)) <= PEER_VALID_SECONDS and _proven(tokens, KEY_INFO_PEER, _peer_message(method, path, moment), proof)


def _peer_message(method: str, path: str, moment: str) -> str:
    return f"{method.upper()}\n{path}\n{moment}"


def mint_peer_for(auth_token: str, target: str, method: str, path: str, now: float, nonce: str) -> str:
    """A proof for one request to one relay: `target` is its address as Documents name it, `nonce` 16 to 64 characters of A-Z a-z 0-9 _ -,
    never used before. 90 s from `now` (epoch seconds)."""
    moment = str(int(now))
    return f"{moment}.{nonce}.{proof_of(auth_token, KEY_INFO_PEER, _target_message(target, method, path, moment, nonce))}"


def verify_peer_for(tokens: Iterable[str], header: str, target: str, method: str, path: str, now: float) -> bool:
    """Whether `header` is such a proof, for this relay at `target`, made within 90 s of `now`. Never raises."""
    moment, dot, rest = header.partition(".")
    nonce, dot2, proof = rest.partition(".")
    bounded = len(header) <= 2 * _PROOF_CHARS and header.isascii() and moment.isdigit() and len(moment) <= 12
    if not (dot and dot2 and bounded and _NONCE.fullmatch(nonce)):
        return False
    message = _target_message(target, method, path, moment, nonce)
    return abs(now - int(moment)) <= PEER_VALID_SECONDS and _proven(tokens, KEY_INFO_PEER, message, proof)


def _target_message(target: str, method: str, path: str, moment: str, nonce: str) -> str:
    return f"{target}\n{nonce}\n{_peer_message(method, path, moment)}"


class SeenProofs:
    """Proofs that were used, for as long as they are valid. When it is full, nothing more is taken: a proof that is forgotten could be
    used again."""

    def __init__(self, most: int = 30_000) -> None:
        self._most = most
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def use(self, proof: str, now: float) -> bool:
        """Uses a valid proof up; False if it was used before. `now` in epoch seconds."""
        for known in [known for known, until in self._until.items() if until < now] if len(self._until) >= self._most else ():
            del self._until[known]
        if proof in self._until and self._until[proof] >= now:
            return False
        if len(self._until) >= self._most:
            return False
        self._until[proof] = now + 2 * PEER_VALID_SECONDS
        return True
