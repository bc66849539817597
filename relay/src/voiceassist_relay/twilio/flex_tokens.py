"""Asks Twilio who a Flex token belongs to, once for all who ask at the same time, and remembers a yes for a minute at most."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ..config.snapshot import CurrentSnapshot
from ..errors import RequestRefused, TwilioError
from ..rate_limits import Rate, TokenBucket
from .error_answers import from_twilio
from .person import Person, not_accepted, person_from
from .rest import TwilioRest, segment
from .retry import RetryPolicy, retrying

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
KEEP_SECONDS: Final = 60.0
MAX_KEPT: Final = 2048
"""Persons remembered; the one that was not asked about for longest is forgotten first."""
MAX_VALIDATIONS: Final = 16
"""Validations under way at once."""
MAX_WAITING: Final = 256
"""Validations that wait for their turn; more are refused."""
STRANGERS: Final = 8
"""Of the validations under way, so many at most are of tokens that were never found good here: the other places are kept for those that
were."""
STRANGERS_WAITING: Final = 128
STRANGERS_RATE: Final = Rate(per_second=20.0, burst=100)
"""So many tokens that were never found good here are asked about; what comes above is told to come again."""
KNOWN_SECONDS: Final = 86_400.0
MAX_KNOWN: Final = 4096


def has_shape(token: str) -> bool:
    """Whether a text may be a Flex token at all: compact JOSE, parts in base64url with a JSON object before the first dot. Flex's are JWE
    (`X-Flex-JWE`), beginning with `eyJ6aXAi`; how many parts they have is left open."""
    parts = token.split(".")
    if not 3 <= len(parts) <= 5 or not all(_BASE64URL.fullmatch(part) for part in parts):
        return False
    try:
        return isinstance(json.loads(base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4))), dict)
    except (ValueError, RecursionError):
        return False


def keep_until(answer: dict[str, Any], now: float) -> float:
    """Until when (epoch seconds) a yes may be remembered: a minute, but never beyond the token's own expiration."""
    text = answer.get("expiration")
    try:
        expires = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        expires = None
    if expires is None:
        return now  # unknown: not remembered at all
    if expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return min(now + KEEP_SECONDS, expires.timestamp())


@dataclass(frozen=True, slots=True)
class _Kept:
    person: Person
    until: float


class FlexTokens:
    """Persons by the hash of their token and the account; the token itself is never kept."""

    def __init__(
        self,
        rest: TwilioRest,
        current: CurrentSnapshot,
        now: Callable[[], float],
        policy: RetryPolicy,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest, self._current, self._now, self._policy, self._monotonic = rest, current, now, policy, monotonic
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Person]] = {}
        self._slots, self._strangers_slots = asyncio.Semaphore(MAX_VALIDATIONS), asyncio.Semaphore(STRANGERS)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._strangers: set[bytes] = set()
        self._rate = TokenBucket(STRANGERS_RATE)

    def __len__(self) -> int:
        return len(self._kept)

    async def person(self, token: str) -> Person:
        """Whose token this is. Raises RequestRefused: 401 for a bad one, 403 for somebody else, 502 or 503 when Twilio cannot say."""
        if not has_shape(token):
            raise not_accepted()
        account = self._current().config.twilio.account_sid
        key = hashlib.sha256(f"{account}\n{token}".encode()).digest()
        kept = self._kept.get(key)
        if kept is not None:
            if self._now() < kept.until:
                self._kept.move_to_end(key)
                return kept.person
            del self._kept[key]
        asking = self._asking.get(key)
        if asking is None:
            stranger = self._known.get(key, 0.0) <= self._now()
            full = len(self._asking) >= MAX_VALIDATIONS + MAX_WAITING
            crowded = stranger and (len(self._strangers) >= STRANGERS + STRANGERS_WAITING or not self._rate.take(self._monotonic()))
            if full or crowded:
                raise RequestRefused(503, "busy", "Too many tokens are being checked.", "Try again in a few seconds.", retry_after=2.0)
            if stranger:
                self._strangers.add(key)
            asking = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(key, account, token), name="flex token")
            asking.add_done_callback(lambda task: self._asked(key, task))
        # Who gives up does not take the answer away from the others who wait for it.
        return await asyncio.shield(asking)

    async def aclose(self) -> None:
        """Gives up every validation that is under way."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, key: bytes, account: str, token: str) -> Person:
        path = f"/v1/Accounts/{segment(account)}/Tokens/validate"
        async with contextlib.AsyncExitStack() as places:
            if key in self._strangers:
                await places.enter_async_context(self._strangers_slots)
            await places.enter_async_context(self._slots)
            try:
                # Signed in as the account: the one way that every version of Twilio's own validator uses.
                answer = await retrying(
                    self._policy,
                    lambda: self._rest.request("token_validate", "iam", "POST", path, json={"token": token}, as_account=True),
                    idempotent=True,
                )
            except TwilioError as error:
                raise from_twilio(error, self._current().secrets, "The Flex token could not be checked", as_account=True) from error
        now = self._now()
        person = person_from(answer.body)
        until = keep_until(answer.body, now)
        self._known[key] = now + KNOWN_SECONDS
        self._known.move_to_end(key)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        if until > now:
            self._kept[key] = _Kept(person, until)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return person

    def _asked(self, key: bytes, task: asyncio.Task[Person]) -> None:
        self._asking.pop(key, None)
        self._strangers.discard(key)
        if not task.cancelled():
            task.exception()  # told to those who wait; nobody may be left
