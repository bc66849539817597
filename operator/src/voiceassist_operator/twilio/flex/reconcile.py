"""Keeps a VoiceAssist's entry in the Flex configuration: read, merged, written, read back, as Flex has no condition on writes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from voiceassist_crds.reasons import Reason

from ...errors import OperatorError
from ..model.backoff import Backoff
from ..model.flex import FlexDesired
from ..model.outcome import FlexOutcome, Problem, problem_of
from .api import FlexOperations
from .plan import FlexPlan, drift, plan_flex, plan_flex_removal

ROUNDS = 5
BACKOFF = Backoff(first=0.3, longest=4.8)
"""Before the next attempt, when what we wrote is not there."""

Planner = Callable[[Mapping[str, Any]], FlexPlan]


async def read_url(account: FlexOperations, desired: FlexDesired) -> str | None:
    """Returns the functions URL that Flex has for this object; None where Flex does not answer. One request."""
    try:
        return plan_flex_removal(desired, await account.fetch()).url_in_flex
    except OperatorError:
        return None


async def reconcile_flex(
    account: FlexOperations, lock: asyncio.Lock, desired: FlexDesired, functions_url: str, secret: str, *, was_right: bool
) -> FlexOutcome:
    """Looks, and writes what is missing. One request where nothing is.

    `lock` keeps this operator's own writers of the account apart. `was_right`: the entry was left as it should be, so that any
    difference was made by others. Raises nothing of the client's: errors are in the outcome.
    """
    drifted: list[str] = []

    def note(plan: FlexPlan, again: bool) -> None:
        if again:
            drifted.append(f"somebody else wrote the Flex configuration at the same time, and entry {desired.key} was lost: written again")
        elif was_right:
            drifted.append(drift(plan, desired.key))

    try:
        plan, wrote = await _write(account, lock, lambda seen: plan_flex(desired, functions_url, seen), note)
    except OperatorError as error:
        where = "without Flex in this account set twilio.flex.configure to false"
        problem = problem_of(error, secret, Reason.FLEX_NOT_FOUND, where, keys="authToken")
        return FlexOutcome(problem=problem, drift=tuple(drifted))
    ours = plan.ours(desired.uid)
    if plan.write is not None:
        text = f"what is written to the Flex configuration is gone when it is read again, {ROUNDS} times; somebody else overwrites it"
        return FlexOutcome(plan.url_in_flex, plan.seen, ours, wrote, Problem(Reason.FLEX_CONTENDED, text), tuple(drifted))
    return FlexOutcome(plan.url_in_flex, plan.seen, ours, wrote, plan.problem, tuple(drifted))


async def remove_flex(account: FlexOperations, lock: asyncio.Lock, desired: FlexDesired) -> tuple[str, ...]:
    """Removes our entry and nothing else. Returns what was removed. Raises OperatorError, also where somebody writes it again each time."""
    plan, wrote = await _write(account, lock, lambda seen: plan_flex_removal(desired, seen), lambda *_: None)
    if plan.write is not None:
        raise OperatorError(f"the Flex configuration's entry {desired.key} is written again by somebody else each time it is removed")
    return (f"entry {desired.key} of the Flex configuration",) if wrote else ()


async def _write(
    account: FlexOperations, lock: asyncio.Lock, plan: Planner, note: Callable[[FlexPlan, bool], None]
) -> tuple[FlexPlan, bool]:
    """Reads, writes what is missing and reads back. Returns the last plan, and whether anything was written."""
    found = plan(await account.fetch())
    if found.write is None:
        return found, False
    wrote = False
    async with lock:
        for attempt in range(ROUNDS):
            found = plan(await account.fetch())  # just before the write: what others wrote meanwhile is not to be lost
            if found.write is None:
                break
            note(found, wrote)
            if wrote:
                await asyncio.sleep(BACKOFF.delay(attempt, random.random()))  # noqa: S311 - no secret
                found = plan(await account.fetch())
                if found.write is None:
                    break
            await account.update({"ui_attributes": found.write})
            wrote = True
        else:
            found = plan(await account.fetch())
    return found, wrote
