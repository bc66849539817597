"""Backoff: how long to wait before dialling again. Full jitter; randomness comes in as an argument. Pure."""

from __future__ import annotations

from .limits import LineLimits


def delay(attempt: int, chance: float, limits: LineLimits, hint: float | None = None) -> float:
    """Seconds before try number `attempt` (0: the first after a break). `chance` is even in [0, 1); `hint` is the server's own wish.

    All who were given one hint at one moment are spread over a quarter of it behind its end.
    """
    ceiling = min(limits.backoff_cap, limits.backoff_base * 2.0 ** min(attempt, 20))
    if hint is None:
        return chance * ceiling
    least = min(max(0.0, hint), limits.rate_limit_longest)
    return least + chance * max(ceiling, least / 4)


def recycle_after(life: float, chance: float, limits: LineLimits) -> float:
    """Seconds after which a session with a life of `life` seconds is to be replaced."""
    return life * (limits.recycle_from + (limits.recycle_to - limits.recycle_from) * chance)
