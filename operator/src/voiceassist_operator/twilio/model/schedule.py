"""When Twilio is looked at again (pure): from how the last look ended."""

from __future__ import annotations

from dataclasses import dataclass

from .backoff import Backoff

RESYNC_SECONDS = 3600.0
"""Between looks at an object at rest, 15 % less at most. A look costs 2 requests (the list of Sync services, the Flex configuration), with
functions at Twilio 5: at rest 5.9 an hour at most."""
RELEASE_SECONDS = 600.0
"""How long an object that is being deleted waits for Twilio when its relays are gone, by default. Seconds."""
CONFIRM_SECONDS = 30.0
"""After a write to the Flex configuration: somebody who read it before us may write it after us."""
STANDING_SECONDS = 300.0
"""After a refusal that somebody may mend at Twilio: an account suspended, something gone, a queue claimed."""
SPREAD = 0.85
"""Waits are between this share and the whole of themselves, so that not all objects are looked at at once."""
FAILURES = Backoff(first=2.0, longest=300.0, least=SPREAD)


@dataclass(frozen=True, slots=True)
class Cause:
    """How a look ended."""

    failed: bool = False
    """Twilio or the cluster did not answer properly: trying again helps."""
    asked: float = 0.0
    """Seconds that Twilio asked for."""
    standing: bool = False
    """Refused until something changes at Twilio."""
    refused: bool = False
    """The credentials are refused for everything: nothing is tried until they change."""
    wrote_flex: bool = False
    functions: float | None = None
    """Seconds after which the functions want a look."""


def next_look(cause: Cause, failures: int, resync: float, chance: float) -> float | None:
    """Returns the seconds until the next look; None: not until something changes. `chance` is drawn evenly from [0, 1).

    `failures` counts looks that failed in a row, this one included.
    """
    if cause.refused:
        return None
    spread = SPREAD + (1 - SPREAD) * chance
    waits = [resync * spread]
    if cause.failed:
        waits.append(max(cause.asked, FAILURES.delay(failures, chance)))
    if cause.standing:
        waits.append(STANDING_SECONDS * spread)
    if cause.wrote_flex:
        waits.append(CONFIRM_SECONDS)
    if cause.functions is not None:
        waits.append(cause.functions)
    return min(waits)
