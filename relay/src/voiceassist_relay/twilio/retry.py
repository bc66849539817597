"""Repeating a request to Twilio: how long to wait (pure), and the loop that waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ..backoff import ceiling
from ..errors import TwilioBusy, TwilioUnclear

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter. Times in seconds.

    The wait before attempt n + 1 is anywhere in [0, min(longest, first * 2**(n-1))], and never less than Twilio asked for
    by Retry-After (bounded by `longest_asked`). `attempts` counts the first one; None is without end. With `within`, no attempt
    begins later than so long after the first, however few there were: attempts that hang take their time too.
    """

    first: float = 0.2
    longest: float = 5.0
    attempts: int | None = 4
    longest_asked: float = 30.0
    within: float | None = None

    def delay(self, failures: int, chance: float, asked: float | None = None, elapsed: float = 0.0) -> float | None:
        """Returns the seconds to wait after so many failures (1 or more), `elapsed` seconds after the first attempt began; None: give up.

        `chance` is drawn evenly from [0, 1); `asked` is Retry-After, in seconds.
        """
        if self.attempts is not None and failures >= self.attempts:
            return None
        wait = max(ceiling(failures - 1, self.first, self.longest) * chance, min(asked or 0.0, self.longest_asked))
        return None if self.within is not None and elapsed + wait > self.within else wait


async def retrying(
    policy: RetryPolicy,
    attempt: Callable[[], Awaitable[T]],
    *,
    idempotent: bool,
    chance: Callable[[], float] = random.random,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """Calls `attempt` until it succeeds or the policy gives up; then its last error is raised.

    TwilioBusy is always repeated (nothing was done); TwilioUnclear only where doing it twice does no harm (`idempotent`);
    TwilioRefused never. `await retrying(RetryPolicy(), lambda: rest.request(...), idempotent=True)`.
    """
    loop, failures = asyncio.get_running_loop(), 0
    began = loop.time()
    while True:
        try:
            return await attempt()
        except (TwilioBusy, TwilioUnclear) as error:
            failures += 1
            if isinstance(error, TwilioUnclear) and not idempotent:
                raise
            delay = policy.delay(failures, chance(), error.retry_after, loop.time() - began)
            if delay is None:
                raise
        await sleep(delay)
