"""Removes what was made at Twilio for a deleted VoiceAssist: its Flex entry at once, functions and Sync when its relays are gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from ..errors import OperatorError
from ..kubernetes.client import Cluster
from .client import TwilioPool
from .credentials import Access, open_account
from .flex.api import FlexConfiguration
from .flex.reconcile import remove_flex
from .functions.reconcile import FunctionsReconciler
from .model.backoff import Backoff
from .model.desired import TwilioDesired, TwilioRecord
from .model.errors import TwilioRefused
from .model.refusals import Refusal
from .sync.api import SyncOperations
from .sync.reconcile import remove_sync
from .worker import TwilioWorker

BACKOFF = Backoff(first=2.0, longest=30.0)
FLEX, FUNCTIONS, SYNC = "flex", "functions", "sync"

log = structlog.get_logger("voiceassist.twilio")


class TwilioCleanup:
    """One object's cleanup: a task that tries until all that we made is removed. The object may be released before that."""

    def __init__(
        self,
        cluster: Cluster,
        pool: TwilioPool,
        worker: TwilioWorker,
        namespace: str,
        name: str,
        desired: TwilioDesired | None,
        record: TwilioRecord,
        changed: Callable[[], None],
    ) -> None:
        self.removed: list[str] = []
        """What was removed."""
        self.problem = ""
        """What went wrong last; empty while nothing did."""
        self.flex_tried = False
        """Whether the Flex entry is gone, or one attempt to remove it has failed."""
        self.done = False
        """Whether nothing that we made is left; or nothing is known to be, and Twilio cannot be asked."""
        self._cluster, self._pool, self._worker, self._desired = cluster, pool, worker, desired
        self._namespace, self._name, self._record, self._changed = namespace, name, record, changed
        self._to_do = [FLEX, FUNCTIONS, SYNC]
        self._refused_with = ""
        self._relays_gone = asyncio.Event()
        self._log = log.bind(namespace=namespace, name=name)
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"Twilio cleanup of {namespace}/{name}")

    def relays_gone(self) -> None:
        """No call needs functions or Sync any more."""
        self._relays_gone.set()

    def cancel(self) -> None:
        """Ends at once."""
        self._task.cancel()

    @property
    def left(self) -> tuple[str, ...]:
        """What is known to be ours and not removed yet."""
        record, left = self._record, []
        if FLEX in self._to_do and record.flex_written:
            left.append(f"entry {self._namespace}/{self._name} of the Flex configuration")
        if FUNCTIONS in self._to_do and record.functions.service_sid:
            left.append(f"Functions service {record.functions.service_sid}")
        if SYNC in self._to_do and record.sync.made:
            left.append(f"Sync service {record.sync.sid}")
        return tuple(left)

    async def _run(self) -> None:
        try:
            await self._worker.finish()
            self._record = self._worker.record_or(self._record)
            await self._attempt(FLEX)
            self.flex_tried = True
            self._changed()
            await self._relays_gone.wait()
            failures = 0
            while self._to_do:
                await self._attempt(*self._to_do)
                if self._to_do and not self.left:
                    break  # nothing is known to be there, and Twilio cannot be asked
                if self._to_do:
                    failures += 1
                    await asyncio.sleep(BACKOFF.delay(failures, random.random()))  # noqa: S311 - no secret
            self.done = True
        except Exception:  # a defect of ours must not hold the object for ever
            self._log.exception("the cleanup at Twilio failed by a defect")
            self.problem = "the cleanup at Twilio failed by a defect of the operator"
        self.flex_tried = True
        self._changed()

    async def _attempt(self, *parts: str) -> None:
        """Removes these parts, in this order; a failure is noted, and the next part is tried."""
        if self._desired is None:
            self.problem = "the object does not say which account, or the operator may not ask there"
            return
        try:
            access = await open_account(self._cluster, self._pool, self._namespace, self._desired.credentials)
        except OperatorError as error:
            self._note(str(error))
            return
        if access.version == self._refused_with:
            return  # nothing is tried until the Secret changes
        problems = []
        for part in parts:
            try:
                removed = await self._remove(part, access, self._desired)
            except OperatorError as error:
                problems.append(str(error))
                if isinstance(error, TwilioRefused) and error.kind is Refusal.CREDENTIALS:
                    self._refused_with = access.version
            else:
                self._to_do.remove(part)
                self.removed += removed
                for what in removed:
                    self._log.info("removed at Twilio", what=what)
        self._note("; ".join(problems))

    async def _remove(self, part: str, access: Access, desired: TwilioDesired) -> tuple[str, ...]:
        if part == SYNC:
            return await remove_sync(SyncOperations(access.key), desired.sync, self._record.sync)
        if part == FUNCTIONS:
            return await FunctionsReconciler().remove(access.key, desired.functions.uid, desired.functions.existing_service_sid)
        if not (desired.flex.configure or self._record.flex_written):
            return ()
        lock = self._pool.flex_lock(desired.credentials.address, desired.credentials.account_sid)
        try:
            return await remove_flex(FlexConfiguration(access.account), lock, desired.flex)
        except TwilioRefused as error:
            if error.kind is Refusal.NOT_FOUND:  # no Flex, no entry
                return ()
            raise

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            self._log.warning("not removed at Twilio yet", error=problem)
        if problem != self.problem:
            self.problem = problem
            self._changed()
