"""Keeps a VoiceAssist's Sync service: looks, does what the plan says, and looks again until there is nothing to do."""

from __future__ import annotations

from dataclasses import replace

from voiceassist_crds.reasons import Reason

from ...errors import OperatorError
from ..model.outcome import Problem, SyncOutcome, SyncRecord, problem_of
from ..model.sync_service import SyncDesired
from .api import SyncOperations
from .plan import SyncSeen, plan_sync

ROUNDS = 5
"""More than a look, a creation, a second look, and a deletion need."""


async def reconcile_sync(account: SyncOperations, desired: SyncDesired, record: SyncRecord, secret: str) -> SyncOutcome:
    """Looks, and mends what is not as planned. One request where all is; more for an account with over 100 Sync services.

    Raises nothing of the client's: errors are in the outcome, and what is known of the service stays.
    """
    drift: list[str] = []
    created = ""
    known = SyncRecord(desired.given_sid) if desired.given_sid else (record if record.made else SyncRecord())
    try:
        for _ in range(ROUNDS):
            seen = await _look(account, desired, created or known.sid)
            plan = plan_sync(desired, known, seen)
            if plan.ask_empty:
                empty = [sid for sid in plan.ask_empty if await account.empty(sid)]
                seen = replace(seen, empty=frozenset(empty), asked_empty=frozenset(plan.ask_empty))
                plan = plan_sync(desired, known, seen)
            if plan.use.sid:
                known = plan.use
            if plan.done:
                return SyncOutcome(known, plan.problem, tuple(drift))
            if plan.create:
                created = (await account.create(desired.friendly_name)).sid
                known = SyncRecord()  # of two that were made at once the oldest stays, whoever made it
            if plan.update:
                await account.update(plan.use.sid, plan.update)
            for sid in plan.delete:
                await account.delete(sid)
            drift += [text for text in plan.drift if text not in drift]
    except OperatorError as error:
        where = "check twilio.accountSid and region"
        return SyncOutcome(known, problem_of(error, secret, Reason.SYNC_NOT_FOUND, where), tuple(drift))
    text = f"Sync service {known.sid} is not as described after {ROUNDS} attempts; somebody else keeps changing it"
    return SyncOutcome(known, Problem(Reason.TWILIO_REJECTED, text), tuple(drift))


async def _look(account: SyncOperations, desired: SyncDesired, sid: str) -> SyncSeen:
    if desired.given_sid:
        return SyncSeen(await account.fetch(desired.given_sid))
    named = await account.named(desired.friendly_name)
    if sid and sid not in {one.sid for one in named}:  # renamed by hand, gone, or too new for the list
        return SyncSeen(await account.fetch(sid), named)
    return SyncSeen(None, named)


async def remove_sync(account: SyncOperations, desired: SyncDesired, record: SyncRecord) -> tuple[str, ...]:
    """Deletes what was made for the object. Returns what was deleted, one sentence each. Raises OperatorError."""
    mine = {one.sid for one in await account.named(desired.friendly_name)} | ({record.sid} if record.made else set())
    mine.discard(desired.given_sid)  # one that the object names is kept, whoever made it
    for sid in sorted(mine):
        await account.delete(sid)
    return tuple(f"Sync service {sid}" for sid in sorted(mine))
