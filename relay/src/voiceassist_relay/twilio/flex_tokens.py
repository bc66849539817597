"""Asks Twilio who a Flex token belongs to, once for all who ask at the same time, and remembers a yes for a minute at most."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ..config.snapshot import CurrentSnapshot
from ..errors import RequestRefused, TwilioError
from .error_answers import from_twilio
from .person import Person, person_from
from .rest import TwilioRest, segment
from .retry import RetryPolicy, retrying

KEEP_SECONDS: Final = 60.0
MAX_KEPT: Final = 2048
"""Persons remembered; the one that was not asked about for longest is forgotten first."""
MAX_VALIDATIONS: Final = 16
"""Validations under way at once."""
MAX_WAITING: Final = 256
"""Validations that wait for their turn; more are refused."""


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

    def __init__(self, rest: TwilioRest, current: CurrentSnapshot, now: Callable[[], float], policy: RetryPolicy) -> None:
        self._rest, self._current, self._now, self._policy = rest, current, now, policy
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Person]] = {}
        self._slots = asyncio.Semaphore(MAX_VALIDATIONS)

    def __len__(self) -> int:
        return len(self._kept)

    async def person(self, token: str) -> Person:
        """Whose token this is. Raises RequestRefused: 401 for a bad one, 403 for somebody else, 502 or 503 when Twilio cannot say."""
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
            if len(self._asking) >= MAX_VALIDATIONS + MAX_WAITING:
                raise RequestRefused(503, "busy", "Too many tokens are being checked.", "Try again in a few seconds.", retry_after=2.0)
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
        async with self._slots:
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
        if until > now:
            self._kept[key] = _Kept(person, until)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return person

    def _asked(self, key: bytes, task: asyncio.Task[Person]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()  # told to those who wait; nobody may be left
