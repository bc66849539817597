"""Bounds of a call's sessions: how long to wait, how much to keep, when to dial again, how often to ask (pure).

Seconds unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ...backoff import ceiling


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long to wait, how much to keep. The defaults are for production; tests shorten them."""

    connect: float = 8.0
    """For TCP, TLS and the opening handshake together."""
    update: float = 5.0
    """From our `session.update` to `session.updated`."""
    created: float = 5.0
    """From our `response.create` to `response.created`."""
    first_output: float = 20.0
    """From `response.created` to the response's first sign of output; a model may reason first."""
    next_output: float = 10.0
    """From one piece of a response to the next, or to its end."""
    ping_every: float = 2.0
    """Also how long audio may have been heard before it is forgotten."""
    pong: float = 5.0
    """From a ping to any byte at all."""
    housekeeping: float = 1.0
    """Between two looks at what is overdue, expiring, or may be forgotten."""
    close: float = 1.0
    """For the closing handshake."""

    backoff_base: float = 0.25
    backoff_cap: float = 15.0
    stable_after: float = 10.0
    """A session that lived shorter counts as a failed attempt for the backoff."""
    tell_after: float = 2.0
    """How long a break may last before the agent is told of it."""
    session_life: float = 3600.0
    """A session's life where the server names none."""
    recycle_from: float = 50 / 60
    recycle_to: float = 55 / 60
    """The share of a session's life after which it is replaced, drawn evenly between the two."""
    recycle_margin: float = 0.98
    """The share of its life at which a session is left even in the middle of a turn."""

    replay_seconds: float = 30.0
    """Audio kept at most, and audio that may wait for a session."""
    replay_idle: float = 2.0
    """Audio kept while nobody speaks."""
    write_buffer_bytes: int = 16_384
    """Bytes that the socket may hold back before frames wait in the ring instead."""

    attempts: int = 3
    """Responses asked for one turn before it counts as failed."""
    waiting_turns: int = 50
    """Turns that may wait for a response; the oldest is dropped."""
    rate_limit_wait: float = 5.0
    """Pause after `rate_limit_exceeded` where the server names none."""
    rate_limit_longest: float = 900.0
    """Longest pause that a server's own hint can ask for."""
    history_characters: int = 16_000
    """Text of the conversation that is kept to begin the next session with."""
    words_characters: int = 4_000
    """Longest text of one spoken item."""
    late_speech: float = 0.3
    """At a call's end: how long the detection may take to report speech that has just begun."""
    end_speech: float = 1.0
    """At a call's end: how long the detection may take to end a turn by itself before the relay commits."""


DEFAULT_LIMITS = SessionLimits()


def delay(attempt: int, chance: float, limits: SessionLimits, hint: float | None = None) -> float:
    """Returns the seconds before try number `attempt` (0: the first after a break).

    `chance` is even in [0, 1); `hint` is the server's own wish, in seconds.

    All who were given one hint at one moment are spread over a quarter of it behind its end.
    """
    most = ceiling(attempt, limits.backoff_base, limits.backoff_cap)
    if hint is None:
        return chance * most
    least = min(max(0.0, hint), limits.rate_limit_longest)
    return least + chance * max(most, least / 4)


def recycle_after(life: float, chance: float, limits: SessionLimits) -> float:
    """Seconds after which a session with a life of `life` seconds is to be replaced."""
    return life * (limits.recycle_from + (limits.recycle_to - limits.recycle_from) * chance)


MINUTE = 60.0


_LOOK_AGAIN = 0.5
"""Seconds until the purse is asked again."""


class Purse(Protocol):
    """What the relay's calls may spend."""

    def may_ask(self) -> bool:
        """Whether a response may be asked for now."""

    def may_ask_early(self) -> bool:
        """Whether one may be asked for ahead of a turn's end."""

    def spent(self, model: str, tokens: tuple[int, ...], seconds: float, *, response: bool) -> None:
        """Something took so many tokens, by kind (`Usage.counts`), or seconds of audio."""

    def untold(self) -> None:
        """A response took nobody knows what."""


class FreePurse:
    """Nothing is counted, and nothing refused."""

    def may_ask(self) -> bool:
        """Always."""
        return True

    def may_ask_early(self) -> bool:
        """Always."""
        return True

    def spent(self, model: str, tokens: tuple[int, ...], seconds: float, *, response: bool) -> None:
        """Nobody counts."""

    def untold(self) -> None:
        """Nobody counts."""


class ResponseLimiter:
    """Counts the responses asked for in the last 60 s; it outlives sessions. None is free while the purse has nothing for it."""

    def __init__(self, per_minute: int, purse: Purse | None = None) -> None:
        self.per_minute = per_minute
        self._purse = purse or FreePurse()
        self._asked: list[float] = []

    def free_at(self, now: float) -> float:
        """When the next response may be asked for, in the seconds of `now`: `now`, or later."""
        while self._asked and self._asked[0] <= now - MINUTE:
            del self._asked[0]
        if len(self._asked) < self.per_minute:
            return now if self._purse.may_ask() else now + _LOOK_AGAIN
        return self._asked[len(self._asked) - self.per_minute] + MINUTE

    def has_room_early(self, now: float) -> bool:
        """Whether a response that may come to nothing may be asked for now, and one more."""
        return self._purse.may_ask_early() and self.free_at(now) <= now and len(self._asked) + 2 <= self.per_minute

    def asked(self, now: float) -> None:
        """A response is asked for."""
        self._asked.append(now)

    def over(self, model: str, tokens: tuple[int, ...] | None) -> None:
        """A response ended, which took so many tokens, by kind; None: nobody told."""
        if tokens is None:
            self._purse.untold()
        else:
            self._purse.spent(model, tokens, 0.0, response=True)

    @property
    def moments(self) -> tuple[float, ...]:
        """When responses were asked for, oldest first, as far as it counts."""
        return tuple(self._asked)

    def take_over(self, moments: Iterable[float]) -> None:
        """Goes on with what another relay asked for in the call."""
        self._asked = sorted((*moments, *self._asked))
