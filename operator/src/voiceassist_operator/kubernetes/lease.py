"""Who leads: decisions about the Lease. Pure; times are epoch seconds for the Lease and monotonic seconds for our own deadline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

DURATION = 15.0
"""Seconds after its last renewal that a Lease counts as held, where nobody says otherwise."""


LONGEST_SECONDS = 10.0
"""Between two renewals: replicas of version 0.1.0 take a Lease that has not changed for 15 s, whatever it says of itself."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """What follows from the seconds after its last renewal that a Lease counts as held. Two whole attempts end before the deadline."""

    duration: float = DURATION

    @property
    def deadline(self) -> float:
        """Seconds after our last renewal that we may still begin a write; below the duration, so that nobody else leads yet."""
        return self.duration * 2 / 3

    @property
    def renew_every(self) -> float:
        """Seconds from the beginning of one renewal that went well to the next."""
        return min(self.duration / 5, LONGEST_SECONDS)

    @property
    def attempt(self) -> float:
        """Seconds for one renewal."""
        return min(self.duration / 5, LONGEST_SECONDS)

    @property
    def try_again(self) -> float:
        """Seconds after a renewal that failed."""
        return self.duration / 30


USUAL = LeaseTimes()


class Step(Enum):
    """What to do about the Lease."""

    CREATE = auto()
    TAKE = auto()
    RENEW = auto()
    WAIT = auto()


@dataclass(frozen=True, slots=True)
class Seen:
    """The Lease as it was last seen to change: who holds it, and our own clock at that moment.

    Another machine's clock is never compared with ours: a Lease is over when it did not change for its duration.
    """

    holder: str
    stamp: str
    at: float
    duration: float = DURATION
    """As its holder has written it: replicas of two settings may meet in a roll-out."""


def note(seen: Seen | None, lease: Mapping[str, Any] | None, now: float) -> Seen | None:
    """Returns what is known after reading the Lease at monotonic `now`."""
    if lease is None:
        return None
    spec = lease.get("spec") or {}
    holder, stamp = spec.get("holderIdentity") or "", f"{spec.get('renewTime')}/{spec.get('leaseTransitions')}"
    if seen is not None and (seen.holder, seen.stamp) == (holder, stamp):
        return seen
    said = spec.get("leaseDurationSeconds")
    return Seen(holder, stamp, now, float(said) if isinstance(said, int) and said > 0 else DURATION)


def next_step(seen: Seen | None, me: str, now: float) -> Step:
    """Returns what to do at monotonic `now`."""
    if seen is None:
        return Step.CREATE
    if seen.holder == me:
        return Step.RENEW
    if not seen.holder or now - seen.at > seen.duration:
        return Step.TAKE
    return Step.WAIT


def lease_spec(lease: Mapping[str, Any] | None, me: str, epoch: float, times: LeaseTimes) -> dict[str, Any]:
    """Returns the Lease's spec for holder `me` ("" gives it up); `epoch` is the time in epoch seconds."""
    old = dict((lease or {}).get("spec") or {})
    moment = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {**old, "holderIdentity": me, "leaseDurationSeconds": int(times.duration), "renewTime": moment}
    if old.get("holderIdentity") != me:
        spec["acquireTime"] = moment
        spec["leaseTransitions"] = int(old.get("leaseTransitions") or 0) + 1
    return spec


def may_write(renewed: float | None, now: float, times: LeaseTimes) -> bool:
    """Returns whether a write may begin: our last renewal was asked for at `renewed`, in monotonic seconds."""
    return renewed is not None and now - renewed < times.deadline
