"""An object's Twilio side at the stand-in: the operator's task for it over real HTTP, with a Secret that the test holds."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_operator.twilio.cleanup import TwilioCleanup
from voiceassist_operator.twilio.client import Retries, TwilioClient, TwilioPool
from voiceassist_operator.twilio.credentials import open_account
from voiceassist_operator.twilio.model.desired import Neighbours, TwilioDesired, TwilioRecord, twilio_desired
from voiceassist_operator.twilio.model.observed import TwilioFact
from voiceassist_operator.twilio.model.sync_service import friendly_name
from voiceassist_operator.twilio.worker import TwilioWorker
from voiceassist_sim.twilio.app import TwilioServer

NAMESPACE, NAME, UID, CREATED = "team", "support", "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "2026-05-01T00:00:00Z"
SERVICE_NAME = friendly_name(NAMESPACE, NAME, UID)
PATIENCE = 120.0


class Secrets:
    """The cluster as far as the Twilio side reads it: one Secret."""

    def __init__(self, **values: str) -> None:
        self.values: dict[str, str] | None = values
        self.version = 1

    def set(self, **values: str) -> None:
        """Another content, and so another version."""
        self.values, self.version = {**(self.values or {}), **values}, self.version + 1

    async def credentials(self, name: str, namespace: str) -> dict[str, Any] | None:
        """As the operator's cluster gives it."""
        assert (name, namespace) == ("twilio", NAMESPACE)
        if self.values is None:
            return None
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self.values.items()}
        return {"metadata": {"resourceVersion": str(self.version)}, "data": data}


@dataclass
class Rig:
    """One object. `record` is what its status remembers."""

    twilio: TwilioServer
    pool: TwilioPool
    metrics: OperatorMetrics
    secrets: Secrets
    resync: float = 3600.0
    record: TwilioRecord = field(default_factory=TwilioRecord)
    worker: TwilioWorker = None  # type: ignore[assignment]
    spec: dict[str, Any] = field(default_factory=dict)
    neighbours: Neighbours = field(default_factory=Neighbours)
    generation: int = 1
    told: asyncio.Event = field(default_factory=asyncio.Event)
    drift: list[str] = field(default_factory=list)
    cleanups: list[TwilioCleanup] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, *, forget: bool = False) -> None:
        """Another operator takes over; with `forget`, nothing had been written to the status."""
        if self.worker is not None:
            self.worker.cancel()
        self.record = TwilioRecord() if forget else self.record
        self.worker = TwilioWorker(self.secrets, self.pool, NAMESPACE, NAME, self.resync, self.told.set)  # type: ignore[arg-type]

    def wanted(self, uid: str = UID) -> TwilioDesired:
        """What the object asks for now."""
        twilio = {"accountSid": self.twilio.account_sid, "credentialsSecretRef": {"name": "twilio"}, "apiUrl": self.twilio.template}
        document = {
            "host": "assist.example.com",
            "twilio": {**twilio, **self.spec},
            "model": {"apiKeySecretRef": {"name": "model"}},
            "prompt": {"instructions": "Help."},
        }
        return twilio_desired(
            NAMESPACE, NAME, uid, CREATED, VoiceAssistSpec.read(document), str(self.secrets.version), self.neighbours, 86400.0
        )

    def look(self, *, paused: bool = False) -> TwilioFact:
        """What a pass of the object's reconciler does."""
        fact = self.worker.set_desired(None if paused else self.wanted(), self.record, self.generation)
        self.record = fact.record
        self.drift += self.worker.take_drift()
        return fact

    async def until(self, what: Callable[[TwilioFact], object], patience: float = PATIENCE) -> TwilioFact:
        """Passes until it is so."""
        deadline = time.monotonic() + patience
        while not what(fact := self.look()):
            left = deadline - time.monotonic()
            assert left > 0, f"not within {patience:.0f} s: {fact}"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 0.5)):
                    await self.told.wait()
            self.told.clear()
        return fact

    async def settled(self) -> TwilioFact:
        """Until the last look was about what is wanted now, and found nothing wrong."""
        return await self.until(lambda fact: fact.generation == self.generation and not problems(fact))

    async def leave(self, *, relays_gone: bool = True) -> TwilioCleanup:
        """The object is deleted."""
        cleanup = TwilioCleanup(self.secrets, self.pool, self.worker, NAMESPACE, NAME, self.wanted(), self.record, self.told.set)  # type: ignore[arg-type]
        self.cleanups.append(cleanup)
        if relays_gone:
            cleanup.relays_gone()
        return cleanup

    async def left(self, cleanup: TwilioCleanup, what: Callable[[TwilioCleanup], object]) -> None:
        """Until its leave is so."""
        async with asyncio.timeout(PATIENCE):
            while not what(cleanup):
                await self.told.wait()
                self.told.clear()

    # What Twilio has

    def named(self) -> list[Any]:
        """Sync services of our name."""
        return [one for one in self.twilio.sync.services.values() if one.friendly_name == SERVICE_NAME]

    def instances(self) -> dict[str, Any]:
        """Entries in the Flex configuration."""
        attributes = self.twilio.flex.values()["ui_attributes"] or {}
        return ((attributes.get("custom_data") or {}).get("voice_assist") or {}).get("instances") or {}

    async def client(self) -> TwilioClient:
        """The account as the operator opens it."""
        return (await open_account(self.secrets, self.pool, NAMESPACE, self.wanted().credentials)).key  # type: ignore[arg-type]

    def edit_flex(self, ui_attributes: dict[str, Any] | None) -> None:
        """Somebody edits the Flex configuration by hand: as a merge patch."""
        self.twilio.flex.edit({"ui_attributes": ui_attributes}, self.twilio.clock())

    def asked(self) -> int:
        """Requests so far."""
        return len(self.twilio.journal.requests())


def problems(fact: TwilioFact) -> list[str]:
    """Reasons of what is wrong."""
    found = (fact.sync.problem if fact.sync else None, fact.functions_problem, fact.flex.problem if fact.flex else None)
    return [one.reason.value for one in found if one is not None]


@contextlib.asynccontextmanager
async def rigged(*, resync: float = 3600.0, timeout: float = 5.0, may_write: Callable[[], None] = lambda: None) -> AsyncIterator[Rig]:
    """The stand-in, and one object whose account it is."""
    async with TwilioServer() as twilio:
        metrics = OperatorMetrics()
        pool = TwilioPool(metrics, may_write, timeout=timeout, retries=Retries(first=0.01, longest=0.02, attempts=3, longest_asked=0.05))
        key, secret = twilio.api_key
        rig = Rig(twilio, pool, metrics, Secrets(authToken=twilio.credentials.auth_token, apiKeySid=key, apiKeySecret=secret), resync)
        try:
            yield rig
        finally:
            rig.worker.cancel()
            for cleanup in rig.cleanups:
                cleanup.cancel()
            await pool.close()
