"""Going on with a write to Sync until it is done: patience with faults that pass, none with what is definitely refused."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..errors import TwilioBusy, TwilioError, TwilioRefused, TwilioUnclear
from ..twilio.retry import RetryPolicy
from .health import is_ours_to_mend

T = TypeVar("T")

FAULTS = RetryPolicy(first=0.2, longest=4.0, attempts=None)
"""429, 5xx, no answer: these pass by themselves. The longest wait bounds how late a call notices that Sync is back."""
REFUSALS = RetryPolicy(first=1.0, longest=8.0, attempts=None)
"""Credentials or service refused: passes only when somebody puts them right."""

Chance = Callable[[], float]


class Ousted(Exception):
    """The Document or the Map says that this stream of the call is not wanted any more: `superseded` or `stopped`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Backoff:
    """Waits between attempts at one piece of work, counting its failures."""

    def __init__(self, chance: Chance = random.random) -> None:
        self._chance = chance
        self.failures = 0

    def worked(self) -> None:
        """The next failure is the first again."""
        self.failures = 0

    async def after(self, error: TwilioError | None) -> None:
        """Waits as long as this failure asks for; None: it failed for no fault of Sync's."""
        self.failures += 1
        policy = REFUSALS if isinstance(error, TwilioRefused) else FAULTS
        delay = policy.delay(self.failures, self._chance(), None if error is None else error.retry_after)
        await asyncio.sleep(delay or 0.0)


async def persist(attempt: Callable[[], Awaitable[T]], backoff: Backoff) -> T:
    """Repeats `attempt`, which must do no harm when done twice, until it is done. Raises TwilioRefused for a refusal of this
    request itself; refused credentials and a missing service are waited out."""
    while True:
        try:
            return await attempt()
        except TwilioRefused as error:
            if not is_ours_to_mend(error):
                raise
            await backoff.after(error)
        except (TwilioBusy, TwilioUnclear) as error:
            await backoff.after(error)
