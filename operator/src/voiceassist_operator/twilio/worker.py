"""Keeps what one VoiceAssist has at Twilio: a task beside its reconciler, so that a slow Twilio delays nothing in the cluster."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from voiceassist_crds.reasons import Reason

from ..errors import OperatorError
from ..kubernetes.client import Cluster
from .client import TwilioPool
from .credentials import Access, open_account
from .flex.api import FlexConfiguration
from .flex.reconcile import read_url, reconcile_flex
from .functions.reconcile import FunctionsReconciler
from .model.desired import Credentials, TwilioDesired, TwilioRecord
from .model.functions import FunctionsMode, FunctionsOutcome
from .model.observed import TwilioFact
from .model.outcome import FlexOutcome, Problem, problem_of
from .model.schedule import Cause, next_look
from .sync.api import SyncOperations
from .sync.reconcile import reconcile_sync

STALE_EVERY_SECONDS = 60.0
"""Relays that report Sync as gone make us look at once, this often at most."""
FINISH_SECONDS = 120.0
MAX_DRIFT = 50

log = structlog.get_logger("voiceassist.twilio")


_PARTS = ("sync", "functions", "flex")


class TwilioWorker:
    """Looks at an object's Sync service, functions and Flex entry, and repairs them: when what is desired changes, and at intervals."""

    def __init__(
        self, cluster: Cluster, pool: TwilioPool, namespace: str, name: str, resync_seconds: float, changed: Callable[[], None]
    ) -> None:
        self._cluster, self._pool, self._resync = cluster, pool, resync_seconds
        self._namespace, self._name = namespace, name
        self._changed = changed
        self._functions = FunctionsReconciler()
        self._credentials: Credentials | None = None
        self._desired: TwilioDesired | None = None
        self._record: TwilioRecord | None = None
        self._looked: TwilioDesired | None = None
        self._generation: int | None = None
        self._fact = TwilioFact()
        self._refused: set[str] = set()
        self._failures = 0
        self._due = 0.0
        self._began = float("-inf")
        self._drift: list[str] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self._log = log.bind(namespace=namespace, name=name)

    def set_desired(self, desired: TwilioDesired | None, record: TwilioRecord, generation: int) -> TwilioFact:
        """Takes what an object of this generation asks for; None: nothing may be asked of Twilio now. Returns what is known; never waits.

        `record` counts the first time only: from then on this worker knows better than the status.
        """
        if self._record is None:
            self._record = record
            self._fact = TwilioFact(record=record)
        if desired != self._desired:
            if desired is not None:
                self._enter(desired.credentials)
            self._desired, self._due, self._failures = desired, 0.0, 0
            self._wake.set()
            if self._task is None and desired is not None:
                self._task = asyncio.get_running_loop().create_task(self._run(), name=f"Twilio of {self._namespace}/{self._name}")
        if desired is not None and desired == self._looked:
            self._generation = generation
        return replace(self._fact, generation=self._generation)

    def _enter(self, credentials: Credentials) -> None:
        """With other credentials everything is tried again; in another account nothing that was seen counts."""
        if credentials != self._credentials:
            self._refused.clear()
        if self._credentials is None or credentials.place != self._credentials.place:
            self._functions = FunctionsReconciler()
        self._credentials = credentials

    def mark_stale(self) -> None:
        """A relay says that Sync is not what we think: look soon."""
        if time.monotonic() - self._began >= STALE_EVERY_SECONDS:
            self._due = 0.0
            self._wake.set()

    def take_drift(self) -> list[str]:
        """Returns what was found changed by others since this was last asked, one sentence each."""
        taken, self._drift = self._drift, []
        return taken

    def record_or(self, other: TwilioRecord) -> TwilioRecord:
        """Returns what is known to be at Twilio; `other` where this worker was never asked for anything."""
        return other if self._record is None else self._fact.record

    async def finish(self) -> None:
        """Ends when the look under way is over: what it makes is then known, or in the account's lists."""
        self._ending = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=FINISH_SECONDS)
            self._task.cancel()

    def cancel(self) -> None:
        """Ends at once."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while not self._ending:
            self._wake.clear()
            desired = self._desired
            pause = None if desired is None else self._due - time.monotonic()
            if desired is None or (pause is not None and pause > 0):
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            self._began = time.monotonic()
            self._due = float("inf")
            cause = await self._look_safely(desired)
            self._failures = self._failures + 1 if cause.failed else 0
            pause = next_look(cause, self._failures, self._resync, random.random())  # noqa: S311 - no secret
            if self._due == float("inf") and pause is not None:  # else it became due meanwhile
                self._due = time.monotonic() + pause

    async def _look_safely(self, desired: TwilioDesired) -> Cause:
        try:
            return await self._look(desired)
        except OperatorError as error:  # the cluster, or the Secret: the reconciler says what is wrong with those
            self._log.warning("Twilio not looked at", error=str(error))
        except Exception:  # a defect of ours must not end this worker, nor others
            self._log.exception("the look at Twilio failed by a defect, tried again")
        return Cause(failed=True)

    async def _look(self, desired: TwilioDesired) -> Cause:
        """Looks at all three parts: what must be there for calls comes first."""
        access = await open_account(self._cluster, self._pool, self._namespace, desired.credentials)
        before = self._fact.flex
        was_right = self._fact.record.flex_right if self._looked is None else self._looked == desired and _well(before)
        url_before = self._fact.record.functions_url
        problems: list[Problem | None] = []
        functions: FunctionsOutcome | None = None
        flex: FlexOutcome | None = None
        if "sync" not in self._refused:
            problems.append(await self._look_at_sync(access, desired))
        if "functions" not in self._refused:
            functions, problem = await self._look_at_functions(access, desired)
            problems.append(problem)
        if "flex" not in self._refused:
            flex = await self._look_at_flex(access, desired, was_right and url_before == self._fact.record.functions_url)
            problems.append(flex.problem)
        passing = [one for one in problems if one is not None and one.passing]
        if (not passing or self._failures) and self._looked != desired:
            self._looked = desired
            self._changed()
        return Cause(
            failed=bool(passing),
            asked=max((one.delay for one in passing), default=0.0),
            standing=any(one is not None and not one.passing and not one.waits_for_secret for one in problems),
            refused=len(self._refused) == len(_PARTS),
            wrote_flex=flex is not None and flex.wrote,
            functions=functions.next_look if functions is not None else None,
        )

    async def _look_at_sync(self, access: Access, desired: TwilioDesired) -> Problem | None:
        fact = self._fact
        found = await reconcile_sync(SyncOperations(access.key), desired.sync, fact.record.sync, desired.credentials.secret)
        self._note("sync", found.problem, found.drift)
        shown = fact.sync if fact.sync is not None and self._too_fresh(found.problem) else found
        self._publish(replace(fact, sync=shown, record=replace(fact.record, sync=found.record)))
        return found.problem

    async def _look_at_functions(self, access: Access, desired: TwilioDesired) -> tuple[FunctionsOutcome, Problem | None]:
        fact = self._fact
        url = fact.flex.url if fact.flex is not None else None
        believed = fact.record.functions_url if fact.record.flex_written else ""
        at_twilio = desired.functions.mode is not FunctionsMode.RELAY or bool(fact.record.functions.service_sid)
        if desired.flex.configure and url is None and at_twilio and "flex" not in self._refused:
            url = await read_url(FlexConfiguration(access.account), desired.flex)
        in_flex = (believed if url is None else url) if desired.flex.configure else None
        asked = replace(desired.functions, sync_service_sid=fact.record.sync.sid, url_in_flex=in_flex)
        found = await self._functions.reconcile(access.key, asked, fact.record.functions, time.time())
        problem = None
        if found.error is not None:
            where = "check twilio.functions and twilio.accountSid"
            problem = problem_of(found.error, desired.credentials.secret, Reason.FUNCTIONS_NOT_FOUND, where)
        self._note("functions", problem, found.drift)
        record = replace(fact.record, functions=found.record, functions_url=found.functions_url or fact.record.functions_url)
        keep = fact.functions is not None and self._too_fresh(problem)
        shown, shown_problem = (fact.functions, fact.functions_problem) if keep else (found, problem)
        self._publish(replace(fact, functions=shown, functions_problem=shown_problem, record=record))
        return found, problem

    async def _look_at_flex(self, access: Access, desired: TwilioDesired, was_right: bool) -> FlexOutcome:
        fact = self._fact
        account, lock = (
            FlexConfiguration(access.account),
            self._pool.flex_lock(desired.credentials.address, desired.credentials.account_sid),
        )
        if not desired.flex.configure and self._looked == desired and fact.flex is not None and fact.flex.url == "":
            return fact.flex  # there is no entry of ours, and nothing is asked of Flex
        url = fact.record.functions_url or desired.functions.relay_url
        found = await reconcile_flex(account, lock, desired.flex, url, desired.credentials.secret, was_right=was_right)
        if not desired.flex.configure and found.problem is not None and not found.problem.passing:
            found = FlexOutcome(url="")  # an account without Flex does not matter either
        self._note("flex", found.problem, found.drift)
        record = fact.record if found.url is None else replace(fact.record, flex_written=found.ours)
        shown = fact.flex if fact.flex is not None and self._too_fresh(found.problem) else found
        self._publish(replace(fact, flex=replace(shown, wrote=False, drift=()), record=record))
        return found

    def _too_fresh(self, problem: Problem | None) -> bool:
        """Returns whether a problem is too fresh to be shown: what was known before stands until the next look."""
        return problem is not None and problem.passing and not self._failures

    def _note(self, part: str, problem: Problem | None, drift: tuple[str, ...]) -> None:
        for text in drift:
            self._log.warning("repaired at Twilio", what=text)
        self._drift = [*self._drift, *drift][-MAX_DRIFT:]
        if problem is not None:
            self._log.warning("Twilio is not as described", part=part, reason=problem.reason.value, problem=problem.message)
            if problem.waits_for_secret:
                self._refused.add(part)
        if drift:
            self._changed()

    def _publish(self, fact: TwilioFact) -> None:
        if fact != self._fact:
            self._fact = fact
            self._changed()


def _well(outcome: FlexOutcome | None) -> bool:
    return outcome is not None and outcome.problem is None
