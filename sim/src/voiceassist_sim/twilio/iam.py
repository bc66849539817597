"""Flex tokens: issues them for workers, and answers IAM's validation of a token as the vendor does; pure, with the time passed in.

A Flex token is opaque to everybody but IAM. The answer is 200 also for a bad token, with ``valid: false``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .api import Answer, ApiRequest, Body, Route
from .dates import iso_millis
from .errors import TwilioError, bad_parameter
from .taskrouter import Worker

MAX_TOKENS: Final = 10_000
"""Above this the oldest tokens are forgotten."""
INVALID: Final = (20101, "Invalid Access Token")
_HEADER: Final = base64.urlsafe_b64encode(b'{"zip":"DEF","alg":"dir","enc":"A256GCM"}').rstrip(b"=").decode()
"""Of an encrypted token (JWE, compact): the second of its five parts is empty."""
EXPIRED: Final = (20104, "Access Token expired or expiration date invalid")


@dataclass(frozen=True, slots=True)
class FlexToken:
    """What a token stands for; ``expires`` in seconds since the epoch. ``worker_sid`` ``None``: a user who is no TaskRouter worker."""

    identity: str
    realm_user_id: str
    roles: tuple[str, ...]
    worker_sid: str | None
    expires: float


class FlexTokens:
    """The tokens in circulation and the operation that validates them."""

    def __init__(self, account_sid: str, new_secret: Callable[[], str]) -> None:
        self._account_sid = account_sid
        self._new_secret = new_secret
        self._tokens: dict[str, FlexToken] = {}

    def issue(self, worker: Worker, now: float, *, ttl: float = 3600.0, with_worker: bool = True) -> str:
        """A token for a worker, good for ``ttl`` seconds."""
        while len(self._tokens) >= MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        token = f"{_HEADER}..{self._new_secret()}.{self._new_secret()}{self._new_secret()}.{self._new_secret()}"
        self._tokens[token] = FlexToken(worker.identity, worker.name, worker.roles, worker.sid if with_worker else None, now + ttl)
        return token

    def revoke(self, token: str) -> bool:
        """Take a token out of circulation (a log-out); whether it was in it."""
        return self._tokens.pop(token, None) is not None

    def find(self, token: str, now: float) -> FlexToken | None:
        """What a token stands for; ``None`` for one that is not known, 401/20104 for one that is over. Raises TwilioError."""
        found = self._tokens.get(token)
        if found is not None and found.expires <= now:
            raise TwilioError(401, *EXPIRED)
        return found

    def routes(self) -> list[Route]:
        """The operations of the product ``iam``."""
        return [Route("POST", "/v1/Accounts/{AccountSid}/Tokens/validate", self.validate, Body.JSON)]

    def validate(self, request: ApiRequest) -> Answer:
        """Whether a token is good, and whose it is."""
        token = request.json.get("token") if isinstance(request.json, dict) else None
        if not isinstance(token, str) or not token:
            raise bad_parameter("token is required")
        found = self._tokens.get(token)
        if found is None:
            return Answer(200, _bad(INVALID))
        if found.expires <= request.now:
            return Answer(200, _bad(EXPIRED))
        answer = {
            "valid": True,
            "code": 0,
            "message": None,
            "expiration": iso_millis(found.expires),
            "realm_user_id": found.realm_user_id,
            "identity": found.identity,
            "roles": list(found.roles),
        }
        return Answer(200, answer if found.worker_sid is None else answer | {"worker_sid": found.worker_sid})


def _bad(reason: tuple[int, str]) -> dict[str, Any]:
    return {"valid": False, "code": reason[0], "message": reason[1]}
